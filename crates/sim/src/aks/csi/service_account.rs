//! The token of a pod's service account, which the kubelet requests for the driver (`tokenRequests` of the
//! CSIDriver) and passes to the provider.
//!
//! Source: "Token Requests", kubernetes-csi.github.io.

use serde_json::Value;

use crate::aks::object::{namespace, text};
use crate::aks::reconcile_context::ReconcileContext;

/// The audience in the driver's `tokenRequests`.
pub(in crate::aks) const AUDIENCE: &str = "api://AzureADTokenExchange";

/// Returns the name of a pod's service account.
fn account(pod: &Value) -> &str {
    match text(pod, "/spec/serviceAccountName") {
        "" => "default",
        name => name,
    }
}

/// Returns the subject of the token of a pod's service account.
pub(super) fn subject(pod: &Value) -> String {
    format!("system:serviceaccount:{}:{}", namespace(pod), account(pod))
}

/// Checks that a token can be issued: the service account exists.
///
/// # Errors
/// The error of the token request.
pub(super) fn check(cx: &ReconcileContext<'_>, pod: &Value) -> Result<(), String> {
    let name = account(pod);
    match cx.store.get("serviceaccounts", namespace(pod), name) {
        Some(_) => Ok(()),
        None => Err(format!("failed to fetch token: serviceaccounts \"{name}\" not found")),
    }
}
