//! A request to a CA, with what its handlers need.

use crate::clock::{SimTime, Timing};
use crate::request::Request;
use crate::state::{CloudState, uuid_from};

use super::ca::{CaName, DIRECTORY_PATH};
use super::limits::{self, Limit};
use super::problem::{Problem, RetryAfter};
use super::store::Server;

/// A request to a CA.
pub(super) struct AcmeCall<'a> {
    pub(super) state: &'a mut CloudState,
    pub(super) ca: CaName,
    pub(super) request: &'a Request,
    pub(super) now: SimTime,
    pub(super) timing: &'a Timing,
}

impl AcmeCall<'_> {
    /// Returns the CA.
    pub(super) fn server(&self) -> &Server {
        self.state.acme.get(self.ca)
    }

    /// Returns the CA.
    pub(super) fn server_mut(&mut self) -> &mut Server {
        self.state.acme.get_mut(self.ca)
    }

    /// Returns `https://acme.landfall.localhost:{port}`.
    pub(super) fn origin(&self) -> String {
        self.state.origin(self.ca.host())
    }

    /// Returns the first segment of all paths but the directory's. It differs between clouds, so that clients must
    /// read the directory.
    pub(super) fn base(&self) -> String {
        base(self.state, self.ca)
    }

    /// Returns the URL of a resource.
    pub(super) fn url(&self, path: &str) -> String {
        url(self.state, self.ca, path)
    }

    /// Returns the URL of the directory.
    pub(super) fn directory_url(&self) -> String {
        format!("{}{}", self.origin(), DIRECTORY_PATH)
    }

    /// Draws an id.
    pub(super) fn id(&mut self, purpose: &str) -> String {
        self.state.hex(&format!("acme {purpose}"))[..16].to_owned()
    }

    /// Draws a number below 100.
    pub(super) fn draw_percent(&mut self, purpose: &str) -> u8 {
        draw(self.state, purpose, 100)
    }
}

/// Draws a number below `below`.
pub(super) fn draw(state: &mut CloudState, purpose: &str, below: u8) -> u8 {
    let drawn = u32::from_str_radix(&state.hex(purpose)[..6], 16).unwrap_or(0);
    u8::try_from(drawn % u32::from(below.max(1))).unwrap_or(0)
}

fn base(state: &CloudState, ca: CaName) -> String {
    uuid_from(state.seed, &format!("path of {}", ca.host()), 0)[..8].to_owned()
}

/// Returns the URL of a resource of a CA.
pub(super) fn url(state: &CloudState, ca: CaName, path: &str) -> String {
    format!("{}/{}/{path}", state.origin(ca.host()), base(state, ca))
}

impl AcmeCall<'_> {
    /// Takes a token.
    ///
    /// # Errors
    /// `rateLimited` if there is none.
    pub(super) fn spend(&mut self, limit: Limit, subject: &str) -> Result<(), Problem> {
        self.limit(limit, subject, true)
    }

    /// Checks that there is a token.
    ///
    /// # Errors
    /// `rateLimited` if there is none.
    pub(super) fn check(&mut self, limit: Limit, subject: &str) -> Result<(), Problem> {
        self.limit(limit, subject, false)
    }

    fn limit(&mut self, limit: Limit, subject: &str, takes: bool) -> Result<(), Problem> {
        let (now, timing, ca) = (self.now, *self.timing, self.ca);
        let server = self.server_mut();
        if !server.settings.limited {
            return Ok(());
        }
        let (capacity, period) = limit.capacity(ca);
        let (key, refill) = (limits::key(limit, subject), limits::refill_ms(&timing, capacity, period));
        let taken = match takes {
            true => server.limits.take(key, refill, capacity, now),
            false => server.limits.clone().take(key, refill, capacity, now),
        };
        taken.map_err(|at| {
            let at_text = at.timestamp().strftime("%Y-%m-%d %H:%M:%S UTC");
            let detail = format!(
                "{}, retry after {at_text}: see https://letsencrypt.org/docs/rate-limits/#{}",
                limit.text(capacity, subject.rsplit_once(' ').map_or(subject, |(_, name)| name), period),
                limit.page()
            );
            Problem::rate_limited(detail, Some(RetryAfter::RealMs(at.0.saturating_sub(now.0))))
        })
    }
}
