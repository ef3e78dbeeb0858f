//! The certificate's sync from a vault to the cluster's Secret: the input and the result of its diagnosis.
//!
//! The step that waits for the sync depends only on [`SyncDiagnosis`], so that it needs no diagnosis crate.

use crate::{
    ApiError, ClusterSession, Vaults,
    environment_description::{CertificateRef, VaultRef},
};
use async_trait::async_trait;
use serde_json::Value;

/// The maximum length of a displayed message, in characters.
const GIST: usize = 120;

/// The diagnosis of a stalled sync.
#[async_trait]
pub trait SyncDiagnosis: Send + Sync {
    /// Checks all stages in order and returns the first failed one. Returns `None` if all are sound and the
    /// driver has only not polled yet.
    ///
    /// # Errors
    /// Returns the error of reading the class, the pods or their events.
    async fn diagnose(
        &self,
        session: &ClusterSession,
        context: &RotationContext<'_>,
    ) -> Result<Option<Finding>, ApiError>;
}

/// The input of the diagnosis: both ends of the sync, and the names between them.
pub struct RotationContext<'a> {
    /// The cluster as Resource Manager shows it.
    pub cluster: &'a Value,
    /// The vault.
    pub vault: &'a VaultRef,
    /// The vault as Resource Manager shows it, if that could be read.
    pub vault_body: Option<&'a Value>,
    /// The data planes.
    pub vaults: &'a Vaults,
    /// The desired content of the Secret.
    pub certificate: &'a CertificateRef,
    /// The namespace of the Secret.
    pub namespace: &'a str,
    /// Its name.
    pub secret: &'a str,
}

/// A failed stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The machine-readable code, such as `ROTATION_OFF`.
    pub code: &'static str,
    /// The cause, in one sentence.
    pub cause: String,
    /// The evidence: fields, events.
    pub evidence: Vec<String>,
    /// The remedy.
    pub remedy: String,
    /// The chance that the fault passes.
    pub self_recovery: SelfRecovery,
}

/// The chance that a fault passes without intervention.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SelfRecovery {
    /// The fault may pass, like a role assignment that is not effective yet.
    Possible,
    /// The fault does not pass by itself, but may be a momentary state, like that between two pods.
    Unlikely,
    /// The fault is configured and never passes.
    Never,
}

impl Finding {
    /// Returns a finding without evidence; `cause` is a lowercase fragment, `remedy` what to do.
    #[must_use]
    pub fn new(code: &'static str, cause: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            code,
            cause: cause.into(),
            evidence: Vec::new(),
            remedy: remedy.into(),
            self_recovery: SelfRecovery::Unlikely,
        }
    }

    /// Adds a piece of evidence.
    #[must_use]
    pub fn evidence(mut self, evidence: impl Into<String>) -> Self {
        self.evidence.push(evidence.into());
        self
    }

    /// Sets the chance that the fault passes.
    #[must_use]
    pub fn self_recovery(mut self, self_recovery: SelfRecovery) -> Self {
        self.self_recovery = self_recovery;
        self
    }
}

/// Summarizes a message of the driver: the request and its response if it contains them, else its last
/// clause.
#[must_use]
pub fn message_summary(message: &str) -> String {
    let after = |word: &str| message.split_once(word).map(|(_, rest)| rest);
    let word = |text: &str| text.split(['"', '\n', ' ', ',']).next().unwrap_or_default().to_owned();
    if let (Some(url), Some(status)) =
        (after("GET ").map(word), after("RESPONSE ").map(|rest| rest[..3.min(rest.len())].to_owned()))
    {
        let inner =
            after("innererror").and_then(|rest| rest.split_once("\"code\": \"")).map(|(_, code)| word(code));
        let code = inner.or_else(|| after("ERROR CODE: ").map(word)).unwrap_or_default();
        return format!("GET {url} returned {status} {code}").trim_end().to_owned();
    }
    // The token endpoint's code, and its first sentence.
    if let Some(refusal) = message.find("AADSTS").map(|at| &message[at..]) {
        return refusal
            .split(". ")
            .next()
            .unwrap_or_default()
            .trim_end_matches('.')
            .chars()
            .take(GIST)
            .collect();
    }
    if let Some(at) = message.find("failed to fetch token: ") {
        return message[at..].lines().next().unwrap_or_default().chars().take(GIST).collect();
    }
    let last = message.rsplit("err: ").next().unwrap_or(message);
    last.lines().next().unwrap_or_default().chars().take(GIST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gist_of_a_refused_read_is_the_request_and_the_innermost_code() {
        let message = "provider mount err: rpc error: code = Unknown desc = failed to mount objects, error: failed to get \
                       objectType:secret, objectName:tls, objectVersion:: GET https://kv.vault.azure.net/secrets/tls/\n---\n\
                       RESPONSE 403: 403 Forbidden\nERROR CODE: Forbidden\n---\n{\n  \"error\": {\n    \"code\": \"Forbidden\",\n \
                       \"innererror\": {\n      \"code\": \"ForbiddenByRbac\"\n    }\n  }\n}\n---";
        assert_eq!(
            message_summary(message),
            "GET https://kv.vault.azure.net/secrets/tls/ returned 403 ForbiddenByRbac"
        );
        let refused = "ClientAssertionCredential authentication failed. \nPOST https://login/t\n{\n \"error_description\": \
                       \"AADSTS70021: No matching federated identity record found for presented assertion. Assertion Issuer: 'i'.\"";
        assert_eq!(
            message_summary(refused),
            "AADSTS70021: No matching federated identity record found for presented assertion"
        );
        assert_eq!(
            message_summary("a, err: file matching objectName x not found\nmore"),
            "file matching objectName x not found"
        );
    }
}
