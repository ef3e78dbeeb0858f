//! The crossing from cloud to engine: it demands to know what was being done, and holds the one
//! table *service error code → kind, residue, hint*.

use landfall_cloud::{ApiError, ApiErrorKind, Sent};
use landfall_engine::{Kind, Residue, StepError};
use std::error::Error as _;

/// Gives a cloud's error the words a person reads.
pub(crate) trait Doing<T> {
    /// Says what was being done, as a fragment that fits after "failed to".
    fn doing(self, what: impl Into<String>) -> Result<T, StepError>;
}

impl<T> Doing<T> for Result<T, ApiError> {
    fn doing(self, what: impl Into<String>) -> Result<T, StepError> {
        self.map_err(|error| step_error(what.into(), &error))
    }
}

fn step_error(what: String, error: &ApiError) -> StepError {
    let mut failed = StepError::new(kind(error), what).residue(residue(error)).cause(error.message.clone());
    if let Some(answered) = answered(error) {
        failed = failed.cause(answered);
    }
    for (code, message) in &error.details {
        if *message != error.message {
            failed =
                failed.cause(if code.is_empty() { message.clone() } else { format!("{code}: {message}") });
        }
    }
    let mut source = error.source();
    while let Some(cause) = source {
        failed = failed.cause(cause.to_string());
        source = cause.source();
    }
    if let Some(code) = code(error) {
        failed = failed.code(code);
    }
    if let Some(hint) = hint(error) {
        failed = failed.hint(hint);
    }
    if let Some(id) = &error.request_id {
        failed = failed.request_id(id.clone());
    }
    failed
}

/// The most telling code: the inner one where a service hides it.
fn code(error: &ApiError) -> Option<&str> {
    error.inner_code.as_deref().or(error.code.as_deref())
}

fn answered(error: &ApiError) -> Option<String> {
    let status = error.status?;
    let code = code(error).map(|code| format!(" {code}")).unwrap_or_default();
    Some(format!("{} {} answered {status}{code}", error.method, error.url))
}

fn kind(error: &ApiError) -> Kind {
    match error.kind {
        ApiErrorKind::SignIn | ApiErrorKind::Unauthorized | ApiErrorKind::Forbidden => Kind::Refused,
        _ if code(error).is_some_and(refuses) => Kind::Refused,
        _ => Kind::Failed,
    }
}

/// Codes with which the cloud says no for good, whatever we try: policy, quota, region.
fn refuses(code: &str) -> bool {
    const WORDS: [&str; 9] = [
        "QuotaExceeded",
        "InsufficientVCPUQuota",
        "RequestDisallowedByPolicy",
        "K8sVersionNotSupported",
        "VMSizeNotSupported",
        "SkuNotAvailable",
        "PublicIPCountLimitReached",
        "CountExceedsQuotaLimit",
        "RoleAssignmentLimitExceeded",
    ];
    WORDS.iter().any(|word| code.contains(word))
}

fn residue(error: &ApiError) -> Residue {
    match error.sent {
        Sent::Never => Residue::Nothing,
        Sent::Unknown => Residue::Unknown,
        Sent::Answered if error.status.is_some_and(|status| status >= 500) => Residue::Unknown,
        Sent::Answered => Residue::Nothing,
    }
}

/// What to do about it. Kept here and nowhere else, one line a code.
fn hint(error: &ApiError) -> Option<String> {
    let by_code = match code(error).unwrap_or_default() {
        "AuthorizationFailed" => {
            "ask for the role that the message names at that scope; granting roles needs Owner, User Access \
             Administrator or Role Based Access Control Administrator, Contributor is not enough"
        }
        "LinkedAuthorizationFailed" => {
            "the signed-in identity needs Network Contributor on the subnet to join it"
        }
        "RequestDisallowedByPolicy" => {
            "an Azure Policy forbids this; the message names it, ask its owner for an exemption"
        }
        "DenyAssignmentAuthorizationFailed" => {
            "a deny assignment protects this scope; another managed application owns it"
        }
        "ScopeLocked" => "a resource lock forbids it; remove the lock that the message names, and run again",
        "K8sVersionNotSupported" | "AgentPoolK8sVersionNotSupported" => {
            "set cluster.version to one that the region offers, or leave it out for the newest"
        }
        "VMSizeNotSupported" | "SkuNotAvailable" | "SkuNotAvailableForSubscription" => {
            "set cluster.node_size to a size that this subscription may use in the region"
        }
        code if code.contains("Quota") || code.contains("CountLimit") => {
            "lower cluster.nodes_max, choose another cluster.node_size or region, or ask for more quota"
        }
        "InsufficientSubnetSize" | "SubnetIsFull" => {
            "choose a larger network.subnet_prefix, or a lower cluster.nodes_max"
        }
        "NodeResourceGroupAlreadyExists" => {
            "an earlier cluster's nodes may still be going away: run again in some minutes, or set node_resource_group"
        }
        "VaultAlreadyExists" | "ConflictError" => {
            "vault names are unique in the world: set key_vault.name to another one"
        }
        "MissingSubscriptionRegistration" => {
            "register the provider that the message names, with rights on the subscription"
        }
        "InvalidResourceGroupLocation" => {
            "the group is there in another region: set location to that one, or choose another group"
        }
        "SubscriptionNotFound" => {
            "the signed-in identity does not see this subscription; check subscription and tenant"
        }
        "AKV10032" => "the token is of another tenant than the vault's: set tenant to the vault's",
        "AccessDenied" => {
            "the vault uses access policies instead of role-based access: choose another vault name"
        }
        _ => "",
    };
    if error.message.starts_with("failed to create typed patch object") {
        return Some(
            "the schema does not know this field, or wants another type: mend it in the manifest".to_owned(),
        );
    }
    if !by_code.is_empty() {
        return Some(by_code.to_owned());
    }
    let by_kind = match error.kind {
        ApiErrorKind::SignIn => "check who is signed in: auth, tenant and the AZURE_* variables decide it",
        ApiErrorKind::Throttled => {
            "the service asks for patience; run again in a minute, it goes on from here"
        }
        ApiErrorKind::Unavailable | ApiErrorKind::Transport => "run again: it goes on from here",
        ApiErrorKind::Busy => "another operation is running on it; run again, it waits for it",
        _ => return None,
    };
    Some(by_kind.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_of_refusal_is_a_refusal_wherever_it_stands() {
        assert!(refuses("ErrCode_InsufficientVCPUQuota"));
        assert!(refuses("ManagedClusterCountExceedsQuotaLimit"));
        assert!(!refuses("OperationNotAllowed"));
    }
}
