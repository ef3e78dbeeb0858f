//! The renewal of a certificate by ACME: whether it is overdue or fails, and for which cause.
//!
//! The job that renews it records its last failure in the tags of the certificate. It has its own identity and network, so
//! its record says more than a request from here.

use super::{Finding, rules::Findings, snapshot::Snapshot};
use jiff::{SignedDuration, Timestamp};
use landfall_cloud::vault::{PendingCertificate, StoredCertificate};
use std::collections::BTreeMap;

/// The tag of a certificate by ACME, with its server.
const ACME_TAG: &str = "landfall-acme";

/// The record of a certificate's renewal in its tags.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RenewalRecord {
    /// The ACME server, as the settings name it.
    pub server: String,
    /// The failures in a row.
    pub failures: usize,
    /// The time before which no attempt is made.
    pub not_before: Option<Timestamp>,
    /// The cause of the last failure.
    pub error: Option<String>,
}

impl RenewalRecord {
    /// Reads the tags; `None` if no ACME server issued the certificate.
    #[must_use]
    pub fn of(tags: &BTreeMap<String, String>) -> Option<Self> {
        let tag = |name: &str| tags.get(&format!("landfall-renew-{name}"));
        Some(Self {
            server: tags.get(ACME_TAG)?.clone(),
            failures: tag("failures").and_then(|text| text.parse().ok()).unwrap_or_default(),
            not_before: tag("not-before").and_then(|text| text.parse().ok()),
            error: tag("error").cloned(),
        })
    }
}

/// Returns the remaining and all days of a certificate: `60 of 90 days left`.
#[must_use]
pub fn days_left(stored: &StoredCertificate, now: Timestamp) -> String {
    let days = |duration: SignedDuration| (duration.as_hours() / 24).max(0);
    // An authority may date a certificate back by an hour, and end it a second early.
    let lifetime = stored.not_after.duration_since(stored.not_before).as_secs() as f64 / 86_400.0;
    format!("{} of {} days left", days(stored.not_after.duration_since(now)), lifetime.round())
}

/// A cause of a failing renewal: the codes by which it is known, the code of its finding, its text and its remedy.
struct Cause {
    known_by: &'static [&'static str],
    code: &'static str,
    text: &'static str,
    fix: &'static str,
}

const CAUSES: [Cause; 8] = [
    Cause {
        known_by: &["rateLimited"],
        code: "RENEWAL_LIMITED",
        text: "the authority accepts no order before a time",
        fix: "wait until the time that it names; landfall renew asks no sooner",
    },
    Cause {
        known_by: &["AuthorizationFailed", "LinkedAuthorizationFailed"],
        code: "RENEWAL_ZONE_RIGHTS",
        text: "the identity of the job may not write the TXT record",
        fix: "grant it the role DNS Zone Contributor at the zone, then landfall renew",
    },
    Cause {
        known_by: &["ForbiddenByRbac", "ForbiddenByPolicy", "ForbiddenByFirewall"],
        code: "RENEWAL_VAULT_RIGHTS",
        text: "the identity of the job may not use the vault",
        fix: "grant it Key Vault Certificates Officer and Key Vault Secrets Officer at the vault, then landfall renew",
    },
    Cause {
        known_by: &["ZoneNotDelegated", "NoZone", "dns"],
        code: "RENEWAL_ZONE_NOT_DELEGATED",
        text: "the public DNS does not lead to the zone",
        fix: "enter the zone's name servers at the registrar or in the zone above it, then landfall renew",
    },
    Cause {
        known_by: &["CaaForbids", "caa"],
        code: "RENEWAL_CAA",
        text: "a CAA record forbids the authority",
        fix: "add a CAA record for the authority, or delete the one that forbids it, then landfall renew",
    },
    Cause {
        known_by: &["PendingRequestForeign"],
        code: "RENEWAL_REQUEST_PENDING",
        text: "another signing request is pending under the name of the certificate",
        fix: "complete or delete it with az keyvault certificate pending, then landfall renew",
    },
    Cause {
        known_by: &["accountRefused", "accountDoesNotExist"],
        code: "RENEWAL_ACCOUNT_REFUSED",
        text: "the authority refuses the account",
        fix: "delete its secret acme-account-… from the key vault, so that landfall renew registers another account",
    },
    Cause {
        known_by: &["unauthorized", "incorrectResponse"],
        code: "RENEWAL_VALIDATION_FAILED",
        text: "the authority does not find the TXT value",
        fix: "look for another program that manages the TXT record; raise certificate.acme.propagation, then landfall renew",
    },
];

const OTHER: Cause = Cause {
    known_by: &[],
    code: "RENEWAL_FAILED",
    text: "the last attempt failed",
    fix: "fix what the error says, then landfall renew",
};

/// Reports a renewal that is overdue or fails. A failure does no harm before the renewal is overdue.
pub(super) fn evaluate(
    snapshot: &Snapshot<'_>,
    vault: &str,
    stored: &StoredCertificate,
    findings: &mut Findings,
) {
    let certificate = &snapshot.environment.certificate_name;
    let Some(record) = RenewalRecord::of(&stored.tags) else {
        report_pending(snapshot, vault, findings);
        return;
    };
    // A renewal starts when a third of the lifetime is left; at a sixth, no job has done it.
    let sixth = stored.not_after.duration_since(stored.not_before) / 6;
    let is_overdue = stored.not_after.checked_sub(sixth).is_ok_and(|at| at < snapshot.now);
    let validity =
        format!("it is valid until {}, {}", minute(stored.not_after), days_left(stored, snapshot.now));
    if record.failures == 0 {
        if is_overdue {
            let finding = Finding::new(
                "CERTIFICATE_RENEWAL_OVERDUE",
                format!(
                    "no job has renewed the certificate {certificate} in {vault}, and none recorded a failure"
                ),
                "landfall renew; landfall renew --print github writes a job that does it in time",
            );
            findings.report(finding.evidence(validity));
        }
        return;
    }
    let error = record.error.unwrap_or_default();
    let code = error.split(':').next().unwrap_or_default();
    let cause = CAUSES.iter().find(|cause| cause.known_by.contains(&code)).unwrap_or(&OTHER);
    let text = format!("the renewal of certificate {certificate} in {vault} fails: {}", cause.text);
    let attempts = match record.failures {
        1 => "the last attempt failed".to_owned(),
        failures => format!("the last {failures} attempts failed"),
    };
    let next = record.not_before.map(|at| format!("; the next one is due at {}", minute(at)));
    let finding = Finding::new(cause.code, text, cause.fix)
        .evidence(format!("{attempts}{}: {error}", next.unwrap_or_default()))
        .evidence(validity);
    match is_overdue {
        true => findings.report(finding),
        false => findings.report_latent(finding),
    }
}

/// Reports a pending request that blocks every import.
fn report_pending(snapshot: &Snapshot<'_>, vault: &str, findings: &mut Findings) {
    let Ok(Some(pending)) = &snapshot.pending else { return };
    if !PendingCertificate::is_in_progress(pending) {
        return;
    }
    let certificate = &snapshot.environment.certificate_name;
    let finding = Finding::new(
        "CERTIFICATE_REQUEST_PENDING",
        format!(
            "a signing request is pending for {certificate} in {vault}, and the vault accepts no import until it ends"
        ),
        format!(
            "complete it, or az keyvault certificate pending delete --vault-name {vault} --name {certificate}"
        ),
    );
    findings.report_latent(
        finding.evidence(format!("request {}, issuer {}", pending.request_id, pending.issuer)),
    );
}

fn minute(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M UTC").to_string()
}
