//! Renewal information: the window in which a server wants a certificate to be replaced (RFC 9773).

use super::{Server, error};
use crate::ApiError;
use aws_lc_rs::digest;
use jiff::Timestamp;
use rustls::pki_types::CertificateDer;
use serde::Deserialize;
use std::time::Duration;
use url::Url;

/// The suggested window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RenewalWindow {
    /// Its start.
    pub start: Timestamp,
    /// Its end, later than the start.
    pub end: Timestamp,
    /// A page that explains it, after an incident.
    pub explanation: Option<String>,
    /// The wait until the server wants to be asked again.
    pub retry_after: Option<Duration>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RenewalInfo {
    suggested_window: Window,
    #[serde(default, rename = "explanationURL")]
    explanation: Option<String>,
}

#[derive(Deserialize)]
struct Window {
    start: Timestamp,
    end: Timestamp,
}

impl RenewalWindow {
    /// Returns the point of the window at which to renew. It is derived from `seed`, so that a job without memory
    /// chooses the same point each time, and different environments choose different ones. It lies before the last tenth
    /// of the window: an order counts as a renewal only if it reaches the server inside the window, and a run needs time
    /// until it orders.
    #[must_use]
    pub fn point(&self, seed: &str) -> Timestamp {
        let digest = digest::digest(&digest::SHA256, seed.as_bytes());
        let first = digest.as_ref().first_chunk::<8>().copied().unwrap_or_default();
        // 32 bits are exact in a f64.
        let share = f64::from(u32::from_be_bytes([first[0], first[1], first[2], first[3]])) / 2_f64.powi(32);
        let seconds = (self.end.as_second() - self.start.as_second()).max(0);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_precision_loss,
            reason = "seconds of a window"
        )]
        let offset = (seconds as f64 * share * 0.9) as i64;
        Timestamp::from_second(self.start.as_second() + offset).unwrap_or(self.start)
    }
}

/// Returns the id of a certificate for renewal information and `replaces` (RFC 9773 §4.1); `None` if it has no
/// authority key identifier.
#[must_use]
pub fn certificate_id(leaf: &[u8]) -> Option<String> {
    let leaf = CertificateDer::from(leaf.to_vec());
    instant_acme::CertificateIdentifier::try_from(&leaf).ok().map(|id| id.to_string())
}

impl Server {
    /// Reads the suggested window of a certificate. `None` if the server has none for it: it lacks the extension, does
    /// not know the certificate, or suggests an end before the start.
    ///
    /// # Errors
    /// Returns the error of the request.
    pub async fn renewal_window(&self, leaf: &[u8]) -> Result<Option<RenewalWindow>, ApiError> {
        let (Some(base), Some(id)) = (&self.directory().renewal_info, certificate_id(leaf)) else {
            return Ok(None);
        };
        let address = format!("{}/{id}", base.trim_end_matches('/'));
        let url = Url::parse(&address).map_err(|_| error::unusable(&self.transport.last()))?;
        let (status, body) = self.transport.get(&url).await?;
        if matches!(status, 400 | 404) {
            return Ok(None);
        }
        let last = self.transport.last();
        if status >= 400 {
            return Err(error::unusable(&last));
        }
        let read: RenewalInfo = serde_json::from_slice(&body).map_err(|_| error::unusable(&last))?;
        let RenewalInfo { suggested_window: Window { start, end }, explanation } = read;
        Ok((end > start).then_some(RenewalWindow { start, end, explanation, retry_after: last.retry_after }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_point_is_stable_per_seed_and_inside_the_window() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let (start, end) = (at("2026-11-01T00:00:00Z"), at("2026-11-03T00:00:00Z"));
        let window = RenewalWindow { start, end, explanation: None, retry_after: None };
        let points: Vec<Timestamp> = (0..50).map(|seed| window.point(&format!("seed {seed}"))).collect();
        let last_tenth = at("2026-11-02T19:12:00Z");
        assert!(points.iter().all(|point| (start..last_tenth).contains(point)));
        let (earliest, latest) = (points.iter().min().unwrap(), points.iter().max().unwrap());
        assert!(latest.duration_since(*earliest).as_hours() > 30, "{earliest} to {latest}");
        assert_eq!(points[7], window.point("seed 7"));
        assert!(points.iter().any(|point| *point != points[0]));
    }
}
