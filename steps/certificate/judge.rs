//! Judging the certificate that is there: whose it is, and whether it will do.

use super::{Certificate, HeldCertificate};
use crate::{key_vault::Vault, names};
use jiff::Timestamp;
use landfall_cloud::{certificate::Leaf, vault::Stored};
use landfall_engine::{Change, Check, Context};
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
            "certificate {} in {} is somebody else's and {fault}; set certificate.name to another name",
            self.name, vault.name
        )
    }

    /// Judges what is there. A stranger's that fits is used; one that does not is never written over.
    pub(super) fn judge(&self, cx: &Context, vault: &Vault, stored: &Stored) -> Check<HeldCertificate> {
        match self.fits(stored) {
            Check::Differs { changes } if !self.made(cx, stored) => {
                let faults: Vec<String> = changes.iter().map(ToString::to_string).collect();
                Check::Foreign { why: self.strange(vault, &format!("does not fit ({})", faults.join(", "))) }
            }
            judged => judged,
        }
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
