//! Checks of the vault and of the certificate in it.

use super::{Finding, renewal, rules::Findings, snapshot::Snapshot};
use crate::object_fields::text;
use landfall_cloud::{certificate::Leaf, vault::CertificateVersion};

/// The tag of a certificate by ACME.
const ACME_TAG: &str = "landfall-acme";

/// Key of the symptoms that the vault's failure to return a certificate explains.
pub(super) const CERTIFICATE: &str = "certificate";

pub(super) fn evaluate(snapshot: &Snapshot<'_>, findings: &mut Findings) {
    let certificate = &snapshot.environment.certificate_name;
    let vault = match &snapshot.vault {
        Ok(Some(body)) => text(body, "/name").to_owned(),
        Ok(None) => {
            let vault = &snapshot.environment.vault_name;
            let finding = Finding::new(
                "VAULT_MISSING",
                format!("the key vault {vault} does not exist"),
                "landfall up: it recovers its deleted vault, or creates a new one",
            );
            findings.mark_explained(CERTIFICATE);
            findings.report_missing(finding.evidence(format!(
                "GET {vault} in resource group {}: 404",
                snapshot.environment.resource_group
            )));
            return;
        }
        Err(_) => return,
    };
    if matches!(snapshot.stored, Ok(None)) && matches!(snapshot.versions, Some(Ok(_))) {
        let finding = Finding::new(
            "CERTIFICATE_MISSING",
            format!("the vault {vault} contains no certificate {certificate}"),
            "landfall up: it recovers the certificate or imports it again",
        );
        findings.mark_explained(CERTIFICATE);
        findings.report(finding.evidence(format!("GET {vault}/certificates/{certificate}: 404")));
        return;
    }
    let Ok(Some(stored)) = &snapshot.stored else { return };
    if let Some(version) = newest(snapshot).filter(|version| !version.enabled) {
        let finding = Finding::new(
            "CERTIFICATE_DISABLED",
            format!("certificate {certificate} is disabled in {vault}, so the vault does not return it"),
            format!(
                "az keyvault certificate set-attributes --vault-name {vault} --name {certificate} --enabled true"
            ),
        );
        findings.mark_explained(CERTIFICATE);
        findings.report(finding.evidence(format!("version {} has enabled = false", version.version)));
    }
    let is_by_acme = stored.tags.contains_key(ACME_TAG);
    let renew = || match is_by_acme {
        true => "landfall renew; landfall renew --print github writes a job that does it in time",
        false => {
            "landfall rotate: it replaces a self-signed certificate of landfall; otherwise landfall rotate --pfx \
         FILE"
        }
    };
    renewal::evaluate(snapshot, &vault, stored, findings);
    if stored.not_after < snapshot.now {
        let finding = Finding::new(
            "CERTIFICATE_EXPIRED",
            format!("the certificate {certificate} in {vault} has expired, and browsers refuse it"),
            renew(),
        );
        findings.report(
            finding
                .evidence(format!("it was valid until {}", stored.not_after.strftime("%Y-%m-%d %H:%M UTC"))),
        );
    } else if stored.not_before > snapshot.now {
        let finding = Finding::new(
            "CERTIFICATE_NOT_YET_VALID",
            format!("the certificate {certificate} in {vault} is not valid yet"),
            renew(),
        );
        findings.report(
            finding
                .evidence(format!("it is valid from {}", stored.not_before.strftime("%Y-%m-%d %H:%M UTC"))),
        );
    }
    let Ok(leaf) = Leaf::from_der(&stored.cer) else { return };
    let uncovered: Vec<String> = snapshot.hosts().into_iter().filter(|host| !leaf.covers(host)).collect();
    if !uncovered.is_empty() {
        let finding = Finding::new(
            "CERTIFICATE_NAMES",
            format!("the certificate {certificate} in {vault} does not cover {}", uncovered.join(", ")),
            "landfall rotate --pfx FILE, with a certificate for these names",
        );
        findings.report(finding.evidence(format!("its names are {}", leaf.names.join(", "))));
    }
}

/// Returns the newest version of the certificate. Creation times have a resolution of one second and cannot
/// order versions within it.
pub(super) fn newest<'a>(snapshot: &'a Snapshot<'_>) -> Option<&'a CertificateVersion> {
    let versions = snapshot.versions.as_ref()?.as_ref().ok()?;
    let known = snapshot.stored.as_ref().ok().and_then(Option::as_ref);
    let is = |version: &&CertificateVersion| known.is_some_and(|known| known.version == version.version);
    versions.iter().find(is).or_else(|| versions.iter().max_by_key(|version| version.created))
}
