//! The renewal of a certificate without a state folder: whether it is due, and the few steps that renew it.
//!
//! A scheduled job may start on a new machine each time, with the names of the environment and nothing else. The vault has
//! the rest: the certificate and its tags (the server, the profile, the zone, the progress of an interrupted renewal), and
//! the account key with the authorities of a private server.

mod steps;

use crate::{
    Clients,
    certificate::{
        acme::{self, Acme, AcmeDirectory, RenewalProgress},
        renewal::backstop,
    },
    cluster_ready,
    error_context::ErrorContext,
    expiry,
    key_vault::{KeyVault, Vault},
    names,
    settings::{Renewal, Settings},
};
use jiff::{SignedDuration, Timestamp};
use landfall_cloud::{acme::certificate_id, vault::StoredCertificate};
use landfall_engine::{Graph, Kind, Leftover, StepError};
use std::sync::Arc;
use url::Url;

/// Days before expiry from which a self-signed certificate is renewed, if the settings name none.
const SELF_SIGNED_DAYS: i64 = 30;

/// The delays after failures in a row; the last one repeats.
const BACKOFF: [SignedDuration; 4] = [
    SignedDuration::from_mins(1),
    SignedDuration::from_mins(10),
    SignedDuration::from_mins(100),
    SignedDuration::from_hours(24),
];

/// The time between two runs of a scheduled job. A point that the next run would miss is due now, inside the window.
const SCHEDULE: SignedDuration = SignedDuration::from_hours(12);

/// The state of a certificate with regard to its renewal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RenewalState {
    /// True if it is to be renewed now.
    pub is_due: bool,
    /// The time from which it is due.
    pub due_at: Timestamp,
    /// The reason for that time.
    pub reason: String,
    /// The end of its validity.
    pub not_after: Timestamp,
    /// The remaining whole days.
    pub days_left: i64,
    /// The time before which no attempt is made, after failures.
    pub not_before: Option<Timestamp>,
    /// The failures in a row.
    pub failures: usize,
    /// The cause of the last failure.
    pub error: Option<String>,
    /// True if the environment has a cluster that serves the certificate.
    pub has_cluster: bool,
}

/// The certificate of an environment, as the vault has it.
pub struct RenewalTarget {
    settings: Settings,
    mark: String,
    vault: Vault,
    stored: StoredCertificate,
    tag: Option<Url>,
}

/// The time from which a certificate is due.
struct DueTime {
    /// The chosen point.
    at: Timestamp,
    /// The time from which a run that the next one may be too late for renews it.
    from: Timestamp,
    reason: String,
}

impl RenewalTarget {
    /// Reads the certificate. Sends only reads, and none to an ACME server.
    ///
    /// # Errors
    /// Fails if the vault or the certificate does not exist, is not owned, or comes from a PFX file.
    pub async fn find(c: &Clients, s: &Settings) -> Result<Self, StepError> {
        let (vault, stored) = held(c, s).await?;
        let mark = names::mark(s, c.azure.id());
        let what = format!("renew certificate {}", s.certificate.name);
        let is_owned = stored.tags.get(names::OWNER) == Some(&mark);
        let refused = |why: String| {
            StepError::new(Kind::Input, what.clone())
                .cause(why)
                .hint("pass the new certificate as a PFX file: landfall rotate --pfx FILE")
                .leftover(Leftover::Nothing)
        };
        if !is_owned {
            return Err(refused(format!("landfall did not create the certificate in {}", vault.name)));
        }
        let mut settings = s.clone();
        let mut tag = None;
        let is_configured = s.certificate.acme.is_some() || s.certificate.given.is_some();
        if let Some((mut acme, dns)) = acme::settings_of(&stored).filter(|_| !is_configured) {
            let client = c.vaults.at(&vault.uri).context(&what)?;
            acme.root = acme::recorded_root(&client, &acme.directory).await.context(&what)?;
            if let AcmeDirectory::Url(url) = &acme.directory {
                tag = Some(url.clone());
            }
            settings.certificate.acme = Some(Arc::new(acme));
            settings.dns = dns.unwrap_or(settings.dns);
        }
        let is_renewable = settings.certificate.acme.is_some() || crate::certificate::is_self_signed(&stored);
        if s.certificate.given.is_some() || !is_renewable {
            return Err(refused("it comes from a PFX file, and only its owner can replace it".to_owned()));
        }
        Ok(Self { settings, mark, vault, stored, tag })
    }

    /// Returns the settings, completed by the tags of the certificate.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Returns the directory that only a tag of the certificate names. Everyone who may write tags can change it, so a
    /// person must agree to its use.
    #[must_use]
    pub fn directory_of_tag(&self) -> Option<&Url> {
        self.tag.as_ref()
    }

    /// Decides whether the certificate is due. Sends only reads.
    pub async fn state(&self, c: &Clients) -> RenewalState {
        let (s, stored, now) = (&self.settings, &self.stored, c.clock().now());
        let due = match s.certificate.acme.as_ref() {
            Some(acme) => due_by_acme(c, acme, &self.mark, stored).await,
            None => due_by_days(s, stored),
        };
        let progress = RenewalProgress::of(&stored.tags);
        let cluster = c.azure.cluster(&s.resource_group, &s.cluster.name).await;
        let has_cluster = cluster.is_ok_and(|body| {
            body.is_some_and(|body| cluster_ready::found(&body, &s.cluster.name).is_some())
        });
        RenewalState {
            is_due: due.from <= now,
            due_at: due.at,
            reason: due.reason,
            not_after: stored.not_after,
            days_left: expiry::days_left(stored.not_after, now),
            not_before: progress.not_before.filter(|at| *at > now),
            failures: progress.failures,
            error: progress.error,
            has_cluster,
        }
    }

    /// Wires the steps of the renewal.
    #[must_use]
    pub fn graph(&self, c: &Clients, has_cluster: bool) -> Graph {
        steps::wire(c, &self.settings, has_cluster)
    }

    /// Records a failed attempt in the tags of the certificate, and returns the time of the next one. `not_before` is the
    /// time that the server named. A successful attempt needs no record: the new version has none.
    ///
    /// # Errors
    /// Returns the error of the requests.
    pub async fn record_failure(
        &self,
        c: &Clients,
        error: &StepError,
        not_before: Option<Timestamp>,
    ) -> Result<Timestamp, StepError> {
        let name = &self.settings.certificate.name;
        let what = format!("write the tags of certificate {name} in {}", self.vault.name);
        let client = c.vaults.at(&self.vault.uri).context(&what)?;
        let stored = client.certificate(name).await.context(&what)?;
        let mut tags = stored.as_ref().map(|stored| stored.tags.clone()).unwrap_or_default();
        let mut progress = RenewalProgress::of(&tags);
        let now = c.clock().now();
        let at = now.checked_add(BACKOFF[progress.failures.min(BACKOFF.len() - 1)]).unwrap_or(now);
        let next = not_before.map_or(at, |named| named.max(at));
        progress.failures += 1;
        progress.not_before = Some(next);
        progress.error = Some(in_one_line(error));
        progress.write(&mut tags);
        if let Some(stored) = stored {
            client.set_certificate_tags(name, &stored.version, &tags).await.context(&what)?;
        }
        Ok(next)
    }
}

/// Returns an error in one line, its code first.
fn in_one_line(error: &StepError) -> String {
    let failed = format!("failed to {}", error.message);
    let parts = error.code.iter().cloned().chain([failed]).chain(error.causes.iter().cloned());
    parts.collect::<Vec<_>>().join(": ")
}

/// Returns the time that the server suggests, else the point of the lifetime. A certificate of another issuer than the
/// settings name is due at once.
async fn due_by_acme(c: &Clients, settings: &Acme, mark: &str, stored: &StoredCertificate) -> DueTime {
    let directory = settings.directory.to_string();
    if stored.tags.get(acme::DIRECTORY_TAG) != Some(&directory) {
        let at = Timestamp::UNIX_EPOCH;
        return DueTime { at, from: at, reason: format!("the ACME server {directory} has not issued it") };
    }
    let share = backstop(stored.not_before, stored.not_after);
    let by_lifetime = |why: &str| DueTime {
        at: share,
        from: share,
        reason: format!("{} of its lifetime{why}", if is_short(stored) { "a half" } else { "two thirds" }),
    };
    let url = acme::directory_url(settings, &c.acme);
    let window = async {
        let server = c.acme.open(url, settings.root.as_deref()).await?;
        server.renewal_window(&stored.cer).await
    };
    match window.await {
        Ok(Some(window)) => {
            let id = certificate_id(&stored.cer).unwrap_or_default();
            // A window beyond this time would leave no time for a second attempt.
            let latest = share.checked_add(stored.not_after.duration_since(share) / 2).unwrap_or(share);
            let at = window.point(&format!("{id}|{mark}")).min(latest);
            let from = at.checked_sub(SCHEDULE).unwrap_or(at).max(window.start).min(at);
            let why = window.explanation.map(|page| format!(", see {page}")).unwrap_or_default();
            let reason = format!("the server suggests {} to {}{why}", day(window.start), day(window.end));
            DueTime { at, from, reason }
        }
        Ok(None) => by_lifetime(""),
        Err(error) => by_lifetime(&format!(" (the server's suggestion is not readable: {})", error.message)),
    }
}

fn is_short(stored: &StoredCertificate) -> bool {
    stored.not_after.duration_since(stored.not_before) < crate::certificate::renewal::SHORT_LIFETIME
}

fn day(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d").to_string()
}

fn due_by_days(s: &Settings, stored: &StoredCertificate) -> DueTime {
    let days = match s.certificate.renewal {
        Some(Renewal::WhenLeft(days)) => days,
        _ => SELF_SIGNED_DAYS,
    };
    let left = SignedDuration::from_hours(24 * days);
    let at = stored.not_after.checked_sub(left).unwrap_or(stored.not_before);
    DueTime { at, from: at, reason: format!("{days} days before its end") }
}

async fn held(c: &Clients, s: &Settings) -> Result<(Vault, StoredCertificate), StepError> {
    let name = names::vault(s, c.azure.id());
    let what = format!("renew certificate {}", s.certificate.name);
    let body = c.azure.vault(&s.resource_group, &name).await.context(&what)?;
    let missing = |why: String| {
        StepError::new(Kind::Input, what.clone())
            .cause(why)
            .hint("create the environment first: landfall up; or correct key_vault.name, resource_group and certificate.name")
            .leftover(Leftover::Nothing)
    };
    let vault = body.as_ref().and_then(KeyVault::parse);
    let vault =
        vault.ok_or_else(|| missing(format!("there is no key vault {name} in {}", s.resource_group)))?;
    let client = c.vaults.at(&vault.uri).context(&what)?;
    let stored = client.certificate(&s.certificate.name).await.context(&what)?;
    let stored = stored
        .ok_or_else(|| missing(format!("key vault {name} has no certificate {}", s.certificate.name)))?;
    Ok((vault, stored))
}
