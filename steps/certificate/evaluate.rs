//! Evaluation of the existing certificate: its ownership and its validity.

use super::{
    Certificate, Replaced, ReplacementTicket, VaultCertificate, acme, import::has_chain_of, renewal,
};
use crate::{key_vault::Vault, names, settings::Renewal};
use landfall_cloud::{certificate::Leaf, vault::StoredCertificate};
use landfall_engine::{Change, Check, Context, Kind, Leftover, StepError};
use serde_json::json;
use std::collections::BTreeMap;

impl Certificate {
    /// Returns whether the object with these tags may be replaced: it has our ownership tag, or the whole
    /// vault is owned.
    pub(super) fn is_owned(&self, cx: &Context, tags: &BTreeMap<String, String>) -> bool {
        tags.get(names::OWNER) == Some(&self.mark) || cx.owns(self.records.vault)
    }

    /// Returns whether landfall created a stored version. Versions from before the ownership tag are
    /// recognized by the recorded thumbprint.
    pub(super) fn was_created(&self, cx: &Context, stored: &StoredCertificate) -> bool {
        let recorded = cx.output_of(self.records.certificate).filter(|_| cx.owns(self.records.certificate));
        self.is_owned(cx, &stored.tags)
            || recorded.is_some_and(|held| held.thumbprint == stored.thumbprint_sha1_hex)
    }

    /// Returns the message for a foreign certificate under our name: its fault and the remedy.
    fn foreign_message(&self, vault: &Vault, fault: &str) -> String {
        format!(
            "certificate {} in {} is not owned by landfall {fault}; set certificate.name to another name",
            self.name, vault.name
        )
    }

    /// Evaluates the existing certificate. A valid foreign certificate is used. One that is invalid or due
    /// for renewal is never overwritten.
    ///
    /// # Errors
    /// Returns an error if the renewal is requested and landfall did not create the certificate.
    pub(super) fn evaluate(
        &self,
        cx: &Context,
        vault: &Vault,
        stored: &StoredCertificate,
    ) -> Result<Check<VaultCertificate>, StepError> {
        let was_created = self.was_created(cx, stored);
        if let Check::Drifted { changes } = self.matches_settings(stored) {
            let faults: Vec<String> = changes.iter().map(ToString::to_string).collect();
            return Ok(match was_created {
                true => Check::Drifted { changes },
                false => {
                    let fault = format!("and does not match ({})", faults.join(", "));
                    Check::NotOwned { why: self.foreign_message(vault, &fault) }
                }
            });
        }
        let held = VaultCertificate { replaces: self.replaced_by(cx, stored), ..self.held(stored) };
        // A replacement in progress is not due for another one.
        let renewed = match held.replaces {
            Some(_) => None,
            None => self.renewal_due(&held, stored),
        };
        let immediately = self.renewal == Some(Renewal::Now);
        // For a valid certificate the recorded thumbprint is not sufficient. An attempt that sent nothing may
        // have recorded the thumbprint of a foreign import, but that import never has our tag.
        let was_created = self.is_owned(cx, &stored.tags);
        let owned = was_created && (self.issuer.is_some() || held.is_renewable_for(&self.domain));
        match renewed {
            Some(changes) if owned => Ok(changes),
            Some(_) if immediately && !was_created => {
                let fault = "and is not replaced";
                Ok(Check::NotOwned { why: self.foreign_message(vault, fault) })
            }
            Some(_) if immediately => Err(self.not_renewable(vault)),
            // The certificate expires soon and is not replaced here; the user gets a warning.
            _ => Ok(Check::InSync(held)),
        }
    }

    /// Returns the reason to replace a valid certificate, if any. A given PFX is compared by its thumbprint
    /// instead.
    fn renewal_due(
        &self,
        held: &VaultCertificate,
        stored: &StoredCertificate,
    ) -> Option<Check<VaultCertificate>> {
        if self.given.is_some() {
            return None;
        }
        let backstop = renewal::backstop(stored.not_before, stored.not_after);
        if self.issuer.is_some() && self.renewal != Some(Renewal::Now) && backstop <= self.clock.now() {
            let wanted = "more than a third of its lifetime left";
            return Some(differs("valid until", &held.not_after.to_string(), wanted));
        }
        match self.renewal? {
            Renewal::Now => Some(differs("thumbprint", &held.thumbprint, "a new one")),
            Renewal::WhenLeft(days) if held.expires_within(days, self.clock.now()) => {
                let wanted = format!("at least {days} days from now");
                Some(differs("valid until", &held.not_after.to_string(), &wanted))
            }
            Renewal::WhenLeft(_) => None,
        }
    }

    /// Returns the certificate that this version replaces, while the replacement is in progress: its import
    /// has not ended, or the cluster is not known to have the new version yet.
    fn replaced_by(&self, cx: &Context, stored: &StoredCertificate) -> Option<Replaced> {
        let is_same = |thumbprint: &str| stored.thumbprint_sha1_hex.eq_ignore_ascii_case(thumbprint);
        if let Some(ticket) = cx.ticket::<ReplacementTicket>().filter(|ticket| is_same(&ticket.imports)) {
            return Some(ticket.replaces);
        }
        let held = cx.output_of(self.records.certificate).filter(|held| is_same(&held.thumbprint))?;
        let synced = cx.output_of(self.records.secret).and_then(|secret| secret.thumbprint);
        let provided = || cx.output_of(self.records.provided).map(|provided| provided.thumbprint);
        let synced = synced.or_else(provided);
        held.replaces.filter(|_| !synced.is_some_and(|thumbprint| is_same(&thumbprint)))
    }

    fn not_renewable(&self, vault: &Vault) -> StepError {
        StepError::new(Kind::Failed, format!("renew certificate {}", self.name))
            .code("NotMadeHere")
            .cause(format!(
                "the one in {} comes from a PFX file: landfall renews only self-signed certificates of its \
                 own",
                vault.name
            ))
            .hint("pass the new certificate as a PFX file: landfall rotate --pfx FILE")
            .leftover(Leftover::Nothing)
    }

    /// Returns the reason to replace a certificate of another issuer than the settings name: a self-signed one, or one
    /// of another ACME server.
    fn issuer_changed(&self, stored: &StoredCertificate) -> Option<Check<VaultCertificate>> {
        let wanted = self.issuer.as_ref()?.acme.directory.to_string();
        // The owner of a foreign certificate decides on its issuer.
        if stored.tags.get(names::OWNER) != Some(&self.mark) {
            return None;
        }
        let is = stored.tags.get(acme::DIRECTORY_TAG).map_or("not ACME", String::as_str);
        let is_same = is == wanted.chars().take(256).collect::<String>();
        (!is_same).then(|| differs("issuer", is, &format!("ACME {wanted}")))
    }

    fn matches_settings(&self, stored: &StoredCertificate) -> Check<VaultCertificate> {
        let held = self.held(stored);
        let immediately = self.renewal == Some(Renewal::Now);
        let leaf = Leaf::from_der(&stored.cer).ok();
        if let Some(given) = &self.given {
            let wanted = &given.leaf().thumbprint_sha1;
            if !held.thumbprint.eq_ignore_ascii_case(wanted) {
                return differs("thumbprint", &held.thumbprint, wanted);
            }
            // The same leaf with the intermediates that the earlier file lacked, for example.
            return match has_chain_of(stored, given) {
                Some(false) => differs("chain", &stored.tags[names::CHAIN], &given.chain_digest()),
                None if immediately && stored.tags.contains_key(names::OWNER) => {
                    differs("chain", "unknown", &given.chain_digest())
                }
                _ => Check::InSync(held),
            };
        }
        if held.not_after <= self.clock.now() {
            return differs("valid until", &held.not_after.to_string(), "in the future");
        }
        if let Some(changed) = self.issuer_changed(stored) {
            return changed;
        }
        let uncovered: Vec<&String> =
            self.hosts.iter().filter(|host| !leaf.as_ref().is_some_and(|leaf| leaf.covers(host))).collect();
        if let Some(host) = uncovered.first() {
            return differs("names", &held.names.join(", "), host);
        }
        Check::InSync(held)
    }
}

fn differs(field: &str, is: &str, wanted: &str) -> Check<VaultCertificate> {
    Check::Drifted { changes: vec![Change { field: field.to_owned(), is: json!(is), wanted: json!(wanted) }] }
}
