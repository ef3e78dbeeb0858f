//! Evaluation of the existing certificate: its ownership and its validity.

use super::{Certificate, HeldCertificate, Replaced, Replacing};
use crate::{key_vault::Vault, names, settings::Renewal};
use jiff::Timestamp;
use landfall_cloud::{certificate::Leaf, vault::Stored};
use landfall_engine::{Change, Check, Context, Kind, Residue, StepError};
use serde_json::json;
use std::collections::BTreeMap;

impl Certificate {
    /// Returns whether the object with these tags may be replaced: it has our ownership tag, or the whole
    /// vault is owned.
    pub(super) fn is_ours(&self, cx: &Context, tags: &BTreeMap<String, String>) -> bool {
        tags.get(names::OWNER) == Some(&self.mark) || cx.owns(self.records.vault)
    }

    /// Returns whether landfall created a stored version. Versions from before the ownership tag are
    /// recognized by the recorded thumbprint.
    pub(super) fn made(&self, cx: &Context, stored: &Stored) -> bool {
        let remembered = cx.output_of(self.records.certificate).filter(|_| cx.owns(self.records.certificate));
        self.is_ours(cx, &stored.tags)
            || remembered.is_some_and(|held| held.thumbprint == stored.thumbprint_sha1_hex)
    }

    /// Returns the message for a foreign certificate under our name: its fault and the remedy.
    fn strange(&self, vault: &Vault, fault: &str) -> String {
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
    pub(super) fn judge(
        &self,
        cx: &Context,
        vault: &Vault,
        stored: &Stored,
    ) -> Result<Check<HeldCertificate>, StepError> {
        let made = self.made(cx, stored);
        if let Check::Differs { changes } = self.fits(stored) {
            let faults: Vec<String> = changes.iter().map(ToString::to_string).collect();
            return Ok(match made {
                true => Check::Differs { changes },
                false => {
                    let fault = format!("and does not match ({})", faults.join(", "));
                    Check::Foreign { why: self.strange(vault, &fault) }
                }
            });
        }
        let held = HeldCertificate { replaces: self.replaced_by(cx, stored), ..self.held(stored) };
        // A replacement in progress is not due for another one.
        let renewed = match held.replaces {
            Some(_) => None,
            None => self.due(&held),
        };
        let at_once = self.renewal == Some(Renewal::Now);
        // For a valid certificate the recorded thumbprint is not sufficient. An attempt that sent nothing may
        // have recorded the thumbprint of a foreign import, but that import never has our tag.
        let made = self.is_ours(cx, &stored.tags);
        let ours = made && held.is_made_for(&self.domain);
        match renewed {
            Some(changes) if ours => Ok(changes),
            Some(_) if at_once && !made => {
                let fault = "and is not replaced";
                Ok(Check::Foreign { why: self.strange(vault, fault) })
            }
            Some(_) if at_once => Err(self.not_made_here(vault)),
            // The certificate expires soon and is not replaced here; the user gets a warning.
            _ => Ok(Check::Ready(held)),
        }
    }

    /// Returns the reason to replace a valid certificate, if any. A given PFX is compared by its thumbprint
    /// instead.
    fn due(&self, held: &HeldCertificate) -> Option<Check<HeldCertificate>> {
        if self.given.is_some() {
            return None;
        }
        match self.renewal? {
            Renewal::Now => Some(differs("thumbprint", &held.thumbprint, "a new one")),
            Renewal::WhenLeft(days) if held.expires_within(days, Timestamp::now()) => {
                let wanted = format!("at least {days} days from now");
                Some(differs("valid until", &held.not_after.to_string(), &wanted))
            }
            Renewal::WhenLeft(_) => None,
        }
    }

    /// Returns the certificate that this version replaces, while the replacement is in progress: its import
    /// has not ended, or the cluster is not known to have the new version yet.
    fn replaced_by(&self, cx: &Context, stored: &Stored) -> Option<Replaced> {
        let here = |thumbprint: &str| stored.thumbprint_sha1_hex.eq_ignore_ascii_case(thumbprint);
        if let Some(begun) = cx.ticket::<Replacing>().filter(|begun| here(&begun.imports)) {
            return Some(begun.replaces);
        }
        let held = cx.output_of(self.records.certificate).filter(|held| here(&held.thumbprint))?;
        let carried = cx.output_of(self.records.secret).and_then(|secret| secret.carries);
        held.replaces.filter(|_| !carried.is_some_and(|thumbprint| here(&thumbprint)))
    }

    fn not_made_here(&self, vault: &Vault) -> StepError {
        StepError::new(Kind::Failed, format!("renew certificate {}", self.name))
            .code("NotMadeHere")
            .cause(format!(
                "the one in {} comes from a PFX file: landfall renews only self-signed certificates of its \
                 own",
                vault.name
            ))
            .hint("pass the new one: landfall rotate --pfx FILE")
            .residue(Residue::Nothing)
    }

    fn fits(&self, stored: &Stored) -> Check<HeldCertificate> {
        let held = self.held(stored);
        let leaf = Leaf::from_der(&stored.cer).ok();
        if let Some(given) = &self.given {
            let wanted = &given.leaf().thumbprint_sha1;
            if held.thumbprint.eq_ignore_ascii_case(wanted) {
                return Check::Ready(held);
            }
            return differs("thumbprint", &held.thumbprint, wanted);
        }
        if held.not_after <= Timestamp::now() {
            return differs("valid until", &held.not_after.to_string(), "in the future");
        }
        let uncovered: Vec<&String> =
            self.hosts.iter().filter(|host| !leaf.as_ref().is_some_and(|leaf| leaf.covers(host))).collect();
        if let Some(host) = uncovered.first() {
            return differs("names", &held.names.join(", "), host);
        }
        Check::Ready(held)
    }
}

fn differs(field: &str, is: &str, wanted: &str) -> Check<HeldCertificate> {
    Check::Differs { changes: vec![Change { field: field.to_owned(), is: json!(is), wanted: json!(wanted) }] }
}
