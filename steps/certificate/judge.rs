//! Judging the certificate that is there: whose it is, and whether it will do.

use super::{Certificate, HeldCertificate, Replaced, Replacing};
use crate::{key_vault::Vault, names, settings::Renewal};
use jiff::Timestamp;
use landfall_cloud::{certificate::Leaf, vault::Stored};
use landfall_engine::{Change, Check, Context, Kind, Residue, StepError};
use serde::Deserialize;
use serde_json::json;
use std::collections::BTreeMap;

impl Certificate {
    /// Tells whether what bears these tags is ours to replace: by the mark, or because the whole vault is ours.
    pub(super) fn is_ours(&self, cx: &Context, tags: &BTreeMap<String, String>) -> bool {
        tags.get(names::OWNER) == Some(&self.mark) || cx.is_ours("key-vault")
    }

    /// Tells the same of a version that is there; one from before there were marks is remembered by its thumbprint.
    pub(super) fn made(&self, cx: &Context, stored: &Stored) -> bool {
        let remembered = cx.output::<HeldCertificate>("certificate").filter(|_| cx.is_ours("certificate"));
        self.is_ours(cx, &stored.tags)
            || remembered.is_some_and(|held| held.thumbprint == stored.thumbprint_sha1_hex)
    }

    /// What is wrong with a stranger's certificate under our name, and what to do.
    fn strange(&self, vault: &Vault, fault: &str) -> String {
        format!(
            "certificate {} in {} is somebody else's {fault}; set certificate.name to another name",
            self.name, vault.name
        )
    }

    /// Judges what is there. A stranger's that fits is used; one that does not, or is to be replaced, is never written
    /// over.
    ///
    /// # Errors
    /// When it is to be renewed and was not made here.
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
                    let fault = format!("and does not fit ({})", faults.join(", "));
                    Check::Foreign { why: self.strange(vault, &fault) }
                }
            });
        }
        let held = HeldCertificate { replaces: self.replaced_by(cx, stored), ..self.held(stored) };
        // Begun is begun: what takes another one's place already needs nobody to take its own.
        let renewed = match held.replaces {
            Some(_) => None,
            None => self.due(&held),
        };
        let at_once = self.renewal == Some(Renewal::Now);
        // What would still do needs the better proof: an attempt that sent nothing may have been remembered over
        // what somebody else imported meanwhile, but never has its mark.
        let made = self.is_ours(cx, &stored.tags);
        let ours = made && held.is_made_for(&self.domain);
        match renewed {
            Some(changes) if ours => Ok(changes),
            Some(_) if at_once && !made => {
                let fault = "and is not replaced";
                Ok(Check::Foreign { why: self.strange(vault, fault) })
            }
            Some(_) if at_once => Err(self.not_made_here(vault)),
            // Its end comes nearer, and that is all: a person is warned of it.
            _ => Ok(Check::Ready(held)),
        }
    }

    /// Why one that would still do is to be replaced, if it is. A PFX that is given was asked for by its thumbprint.
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

    /// The certificate that this version takes the place of, while that is still under way: its import was begun and
    /// not seen to its end, or the cluster is not known to carry it yet.
    fn replaced_by(&self, cx: &Context, stored: &Stored) -> Option<Replaced> {
        let here = |thumbprint: &str| stored.thumbprint_sha1_hex.eq_ignore_ascii_case(thumbprint);
        if let Some(begun) = cx.ticket::<Replacing>().filter(|begun| here(&begun.imports)) {
            return Some(begun.replaces);
        }
        let held = cx.output::<HeldCertificate>("certificate").filter(|held| here(&held.thumbprint))?;
        let carried = cx.output::<Carries>("tls-secret").and_then(|secret| secret.carries);
        held.replaces.filter(|_| !carried.is_some_and(|thumbprint| here(&thumbprint)))
    }

    fn not_made_here(&self, vault: &Vault) -> StepError {
        StepError::new(Kind::Failed, format!("renew certificate {}", self.name))
            .code("NotMadeHere")
            .cause(format!(
                "the one in {} was given: landfall renews only what it has signed itself",
                vault.name
            ))
            .hint("give the new one: landfall rotate --pfx FILE")
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

/// What the step of the Secret gave, as far as it matters here.
#[derive(Deserialize)]
struct Carries {
    #[serde(default)]
    carries: Option<String>,
}

fn differs(field: &str, is: &str, wanted: &str) -> Check<HeldCertificate> {
    Check::Differs { changes: vec![Change { field: field.to_owned(), is: json!(is), wanted: json!(wanted) }] }
}
