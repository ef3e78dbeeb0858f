//! Conversion of cloud errors to step errors. It requires a context, and contains the only table *service
//! error code → kind, residue, hint*.

use landfall_cloud::{ApiError, ApiErrorKind, SendStatus, kubernetes::NOT_REACHABLE};
use landfall_engine::{Context, Kind, Leftover, StepError};

/// Adds the context to a cloud error.
pub(crate) trait ErrorContext<T> {
    /// Adds the failed operation, as a fragment that fits after "failed to".
    fn context(self, what: impl Into<String>) -> Result<T, StepError>;
}

impl<T> ErrorContext<T> for Result<T, ApiError> {
    fn context(self, what: impl Into<String>) -> Result<T, StepError> {
        self.map_err(|error| step_error(what, &error))
    }
}

/// The result of a write, for the engine.
pub(crate) trait TrackWrite {
    /// Records the leftover of the write, whether it was accepted, unanswered or refused. No later failure of
    /// the turn can then revoke the ownership of its resource.
    #[must_use]
    fn track_write(self, cx: &Context) -> Self;
}

impl<T> TrackWrite for Result<T, ApiError> {
    fn track_write(self, cx: &Context) -> Self {
        cx.record_leftover(self.as_ref().map_or_else(leftover, |_| Leftover::Something));
        self
    }
}

/// Converts a cloud error; `what` is the failed operation, as a fragment that fits after "failed to".
#[must_use]
pub fn step_error(what: impl Into<String>, error: &ApiError) -> StepError {
    let mut failed = StepError::new(kind(error), what).leftover(leftover(error)).cause(error.message.clone());
    if let Some(response_summary) = response_summary(error) {
        failed = failed.cause(response_summary);
    }
    for (code, message) in &error.details {
        if *message != error.message {
            failed =
                failed.cause(if code.is_empty() { message.clone() } else { format!("{code}: {message}") });
        }
    }
    failed = error.causes().into_iter().fold(failed, StepError::cause);
    if let Some(code) = code(error) {
        failed = failed.code(code);
    }
    failed = failed.hint(error.remedy.as_deref().unwrap_or_else(|| hint(error)));
    if let Some(id) = &error.request_id {
        failed = failed.request_id(id.clone());
    }
    failed
}

/// Returns the most specific code: the inner one if there is one.
fn code(error: &ApiError) -> Option<&str> {
    error.inner_code.as_deref().or(error.code.as_deref())
}

fn response_summary(error: &ApiError) -> Option<String> {
    let status = error.status?;
    let code = code(error).map(|code| format!(" {code}")).unwrap_or_default();
    let request = format!("{} {}", error.method, error.url);
    // The SDK requests tokens itself and does not reveal the address.
    let request = if request.trim().is_empty() { "the sign-in" } else { &request };
    Some(format!("{request} returned {status}{code}"))
}

fn kind(error: &ApiError) -> Kind {
    match error.kind {
        ApiErrorKind::SignIn | ApiErrorKind::Unauthorized | ApiErrorKind::Forbidden => Kind::Refused,
        _ if code(error).is_some_and(is_refusal) => Kind::Refused,
        _ => Kind::Failed,
    }
}

/// Returns whether a code is a permanent refusal by the cloud: policy, quota, region.
fn is_refusal(code: &str) -> bool {
    const REFUSAL_CODES: [&str; 11] = [
        NOT_REACHABLE,
        "ScopeLocked",
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
    REFUSAL_CODES.iter().any(|known| code.contains(known))
}

fn leftover(error: &ApiError) -> Leftover {
    match error.sent {
        SendStatus::Never => Leftover::Nothing,
        SendStatus::Accepted => Leftover::Something,
        SendStatus::Unknown => Leftover::Unknown,
        SendStatus::Answered if error.status.is_some_and(|status| status >= 500) => Leftover::Unknown,
        SendStatus::Answered => Leftover::Nothing,
    }
}

/// Returns the hint for an error. All hints are in this table, one line per code.
fn hint(error: &ApiError) -> &'static str {
    let by_code = match code(error).unwrap_or_default() {
        "AuthorizationFailed" => {
            "request the role that the message names at this scope; granting roles requires Owner, User \
             Access Administrator or Role Based Access Control Administrator; Contributor is not enough"
        }
        "LinkedAuthorizationFailed" => {
            "the signed-in identity needs Network Contributor on the subnet to join it"
        }
        "RequestDisallowedByPolicy" => {
            "an Azure Policy forbids this; ask the owner of the policy in the message for an exemption"
        }
        "DenyAssignmentAuthorizationFailed" => {
            "a deny assignment protects this scope; another managed application owns it"
        }
        "ScopeLocked" => {
            "a resource lock forbids it: find it with az lock list, remove it, and run again, or keep the \
             locked resource with --keep"
        }
        "K8sVersionNotSupported" | "AgentPoolK8sVersionNotSupported" => {
            "set cluster.version to one that the region offers, or omit it for the newest"
        }
        "VMSizeNotSupported" | "SkuNotAvailable" | "SkuNotAvailableForSubscription" => {
            "set cluster.node_size to a size that this subscription may use in the region"
        }
        "PublicIPCountLimitReached" => {
            "delete unused public addresses, choose another location, or request a quota increase: \
             https://aka.ms/quota"
        }
        "LocationNotAvailableForResourceType" | "LocationNotAvailableForResourceGroup" => {
            "set location to one of the regions that the message lists"
        }
        code if code.contains("Quota") || code.contains("CountLimit") => {
            "lower cluster.nodes_max, choose another cluster.node_size or region, or request a quota \
             increase"
        }
        "InsufficientSubnetSize" | "SubnetIsFull" => {
            "choose a larger network.subnet_prefix, or a lower cluster.nodes_max"
        }
        "NodeResourceGroupAlreadyExists" => {
            "the nodes of an earlier cluster may still be being deleted: run again in some minutes, or set \
             node_resource_group"
        }
        "VaultAlreadyExists" | "ConflictError" => {
            "vault names are unique in all of Azure: set key_vault.name to another one"
        }
        "MissingSubscriptionRegistration" => {
            "register the provider that the message names, with rights on the subscription"
        }
        "InvalidResourceGroupLocation" => {
            "the group exists in another region: set location to that region, or choose another group"
        }
        "SubscriptionNotFound" => {
            "the signed-in identity does not see this subscription; check subscription and tenant"
        }
        "AKV10032" => "the token is of another tenant than the vault's: set tenant to the vault's",
        "ForbiddenByConnection" => {
            "publicNetworkAccess of the vault is Disabled: run landfall in a network with a private endpoint of the \
             vault, or enable it: az keyvault update --name VAULT --public-network-access Enabled; if an Azure Policy \
             disables it, ask the owner of the policy for an exemption"
        }
        "ForbiddenByFirewall" => {
            "networkAcls of the vault do not admit this machine: add its public address (az keyvault network-rule add \
             --name VAULT --ip-address ADDRESS), or run landfall in an admitted network"
        }
        "AccessDenied" => {
            "the vault uses access policies instead of role-based access: choose another vault name"
        }
        "NotFromService" if error.sent != SendStatus::Accepted => {
            "open a page in a browser and sign in to the network, or set HTTPS_PROXY and NO_PROXY for it; \
             with [endpoints], check the addresses"
        }
        "CertificateNotValidNow" => {
            "check this machine's clock: by it, the server's certificate is not valid now"
        }
        "UntrustedCertificate" => {
            "a proxy may replace the certificates of servers: install its authority on this machine; with \
             [endpoints], set endpoints.ca_file"
        }
        _ => "",
    };
    if error.message.starts_with("failed to create typed patch object") {
        return "the schema has no such field, or another type for it: fix it in the manifest";
    }
    if !by_code.is_empty() {
        return by_code;
    }
    if error.sent == SendStatus::Accepted && error.kind == ApiErrorKind::Protocol {
        return "the service accepted the request, and its answer cannot be read: run again, which looks at what is \
                there; if it stays so, look for a proxy in between; -v shows the request";
    }
    match error.kind {
        ApiErrorKind::SignIn => {
            "sign in with `az login`, or set AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET; auth and \
             tenant select the identity"
        }
        ApiErrorKind::Throttled => "rate limited by the service; run again in a minute to resume",
        ApiErrorKind::Unavailable | ApiErrorKind::Transport => "run again to resume",
        ApiErrorKind::Busy => "another operation is running on it; run again to wait for it",
        ApiErrorKind::Forbidden => {
            "the signed-in identity lacks a right: request the role that the message names; a new role may \
             need some minutes to take effect"
        }
        ApiErrorKind::Unauthorized => {
            "the token was refused, and a fresh one too: sign in again, and check this machine's clock"
        }
        ApiErrorKind::NotFound => "a dependency no longer exists: run again, landfall reads it again",
        ApiErrorKind::Conflict => {
            "an existing resource conflicts: the message names it; fix that, then run again"
        }
        ApiErrorKind::Precondition => "it was changed concurrently: run again",
        ApiErrorKind::Invalid => {
            "the service rejects the request: change the setting that the message names; -v shows the \
             request"
        }
        ApiErrorKind::Protocol => {
            "the response is not from this service: check for a proxy and check [endpoints]; -v shows the \
             request"
        }
        ApiErrorKind::Failed => {
            "the service accepted the operation, but it failed: fix what the message names, then run again"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_code_is_found_anywhere_in_a_code() {
        assert!(is_refusal("ErrCode_InsufficientVCPUQuota"));
        assert!(is_refusal("ManagedClusterCountExceedsQuotaLimit"));
        assert!(!is_refusal("OperationNotAllowed"));
    }
}
