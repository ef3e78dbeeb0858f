//! Conversion of API server failures into an [`ApiError`]. No other module here builds one.
//!
//! The Kubernetes API conventions describe the bodies (`Status`). Real servers have three exceptions. An
//! unknown group or path is answered in plain text. A field outside the schema is a 500 without a reason.
//! Proxies answer with arbitrary bodies.

use std::collections::BTreeMap;
use std::error::Error;
use std::time::Duration;

use http::{HeaderMap, StatusCode};
use kube_core::Status;
use kube_core::response::StatusCause;

use super::retry;
use crate::error::{ApiError, ApiErrorKind, SendStatus};
use crate::foreign_answer::{self, ForeignAnswer};
use crate::http_client::in_mebibytes;
use crate::transport::TransportError;
use crate::write_gate::WriteStopped;

/// The beginnings of the server's messages about a manifest that does not fit the schema: an unknown field or a
/// wrong type, and a value of the wrong format, such as a Secret's value that is not base64.
const UNFIT_MANIFEST: [&str; 2] = ["failed to create typed patch object", "failed to convert new object"];
/// The maximum length of a body that is not a `Status` in a message, in characters.
const PLAIN_BODY_MAX: usize = 200;

/// A boxed cause.
type Cause = Box<dyn Error + Send + Sync>;

/// The method and path of a request, for error messages.
#[derive(Clone)]
pub(crate) struct RequestInfo {
    pub method: &'static str,
    pub path: String,
}

impl RequestInfo {
    pub(crate) fn of<B>(request: &http::Request<B>) -> Self {
        let method = match request.method().as_str() {
            "PATCH" => "PATCH",
            "DELETE" => "DELETE",
            // All other requests only read.
            _ => "GET",
        };
        Self { method, path: request.uri().path().to_owned() }
    }
}

/// Fills the fields that every error has.
fn error(
    request_info: Option<&RequestInfo>,
    kind: ApiErrorKind,
    sent: SendStatus,
    message: String,
    source: Option<Cause>,
) -> ApiError {
    let mut error = ApiError::new(kind, message).with_sent(sent);
    if let Some(request_info) = request_info {
        error = error.with_request(request_info.method, &request_info.path);
    }
    match source {
        Some(source) => error.with_source(source),
        None => error,
    }
}

/// Returns the error for an unusable kubeconfig.
pub(crate) fn invalid_kubeconfig(why: &str, source: Option<Cause>) -> ApiError {
    let message = format!("use the kubeconfig of the cluster: {why}");
    error(None, ApiErrorKind::SignIn, SendStatus::Never, message, source)
}

/// Returns the error for a request that cannot be built, for example because of an invalid name.
pub(crate) fn invalid_request(what: &str, source: Cause) -> ApiError {
    error(
        None,
        ApiErrorKind::Invalid,
        SendStatus::Never,
        format!("write the request for {what}"),
        Some(source),
    )
}

/// Returns the error for an object that lacks a field that the request needs.
pub(crate) fn incomplete(why: &str) -> ApiError {
    error(None, ApiErrorKind::Invalid, SendStatus::Never, why.to_owned(), None)
}

/// Returns the error for a missing or incomplete answer.
pub(crate) fn no_response(request_info: &RequestInfo, cause: Cause) -> ApiError {
    if let Some(stopped) = cause.downcast_ref::<WriteStopped>() {
        let message = stopped.to_string();
        return error(Some(request_info), ApiErrorKind::Failed, SendStatus::Never, message, Some(cause));
    }
    let sent = if was_never_sent(cause.as_ref()) { SendStatus::Never } else { SendStatus::Unknown };
    let message = match sent {
        SendStatus::Never => "reach the API server of the cluster",
        _ => "get a response from the API server of the cluster",
    };
    error(Some(request_info), ApiErrorKind::Transport, sent, message.to_owned(), Some(cause))
}

/// Returns the error for an answer that exceeded its timeout.
pub(crate) fn timed_out(request_info: &RequestInfo, after: Duration) -> ApiError {
    let message = format!("get a response from the API server of the cluster within {} s", after.as_secs());
    error(Some(request_info), ApiErrorKind::Transport, SendStatus::Unknown, message, None)
}

/// Returns the error for an answer that exceeded the size limit. The request may have been carried out.
pub(crate) fn too_large(request_info: &RequestInfo, bytes_max: usize) -> ApiError {
    let message = format!("the answer of the API server is larger than {}", in_mebibytes(bytes_max));
    error(Some(request_info), ApiErrorKind::Protocol, SendStatus::Unknown, message, None)
}

/// Returns the error for an answer that is not the API server's, but that of a proxy in between.
pub(crate) fn foreign(
    request_info: &RequestInfo,
    status: StatusCode,
    headers: &HeaderMap,
    body: &[u8],
) -> Option<ApiError> {
    let header = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let (kind, to) = (header(http::header::CONTENT_TYPE), header(http::header::LOCATION));
    let foreign = ForeignAnswer::detect("the API server", status.as_u16(), kind, to, body)?;
    let error =
        error(Some(request_info), ApiErrorKind::Protocol, SendStatus::Answered, foreign.to_string(), None);
    Some(error.with_code(foreign_answer::CODE).with_response_status(status.as_u16()))
}

/// Returns the error for a success that cannot be parsed.
pub(crate) fn unreadable(request_info: &RequestInfo, cause: impl Into<Cause>) -> ApiError {
    let message = "read the response of the API server".to_owned();
    // A parser quotes the text that it could not read, which may be a value of a Secret.
    let secret = request_info.path.split('/').any(|part| part == "secrets");
    let cause = if secret { "it is not the Secret that was expected".into() } else { cause.into() };
    error(Some(request_info), ApiErrorKind::Protocol, SendStatus::Answered, message, Some(cause))
}

/// Returns whether the connection was never established, according to the connector's message in the chain of
/// causes.
fn was_never_sent(cause: &(dyn Error + 'static)) -> bool {
    let mut next = Some(cause);
    while let Some(cause) = next {
        if let Some(cause) = cause.downcast_ref::<hyper_util::client::legacy::Error>() {
            return cause.is_connect();
        }
        if let Some(lost) = cause.downcast_ref::<TransportError>() {
            return lost.sent == SendStatus::Never;
        }
        next = cause.source();
    }
    false
}

/// Returns the error for an answer other than a success.
pub(crate) fn refused(
    request_info: &RequestInfo,
    status: StatusCode,
    headers: &HeaderMap,
    body: &[u8],
) -> ApiError {
    let parsed: Option<Status> = serde_json::from_slice(body).ok();
    let mut kube_status = parsed.unwrap_or_else(|| Status::failure(&plain_body(status, body), ""));
    if kube_status.message.trim().is_empty() {
        kube_status.message = plain_body(status, &[]);
    }
    let mut error = of_status(Some(request_info), status.as_u16(), &kube_status);
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    error.request_id = header("audit-id").or_else(|| header("x-request-id"));
    error.retry_after = retry::retry_after(headers, std::time::SystemTime::now());
    error
}

/// Returns the error for an error event inside a watch.
pub(crate) fn from_watch_event(request_info: &RequestInfo, kube_status: &Status) -> ApiError {
    of_status(Some(request_info), kube_status.code, kube_status)
}

fn of_status(request_info: Option<&RequestInfo>, code: u16, kube_status: &Status) -> ApiError {
    let causes = kube_status.details.as_ref().map(|details| details.causes.as_slice()).unwrap_or_default();
    let kind = kind_of(code, kube_status, causes);
    let message = owners(causes).unwrap_or_else(|| kube_status.message.clone());
    let mut error = error(request_info, kind, SendStatus::Answered, message, None);
    error.status = Some(code);
    error.code = Some(kube_status.reason.clone()).filter(|reason| !reason.is_empty());
    error.inner_code = causes.first().map(|cause| cause.reason.clone()).filter(|reason| !reason.is_empty());
    error.details = causes.iter().map(detail).collect();
    error
}

fn detail(cause: &StatusCause) -> (String, String) {
    let kube_status = match (cause.field.as_str(), cause.message.as_str()) {
        ("", message) => message.to_owned(),
        (field, "") => field.to_owned(),
        (field, message) => format!("{field}: {message}"),
    };
    (cause.reason.clone(), kube_status)
}

fn kind_of(code: u16, kube_status: &Status, causes: &[StatusCause]) -> ApiErrorKind {
    let caused_by = |reason: &str| causes.iter().any(|cause| cause.reason == reason);
    match code {
        // The only 500s of the server that concern the request itself.
        500 if UNFIT_MANIFEST.iter().any(|begin| kube_status.message.starts_with(begin)) => {
            ApiErrorKind::Invalid
        }
        401 => ApiErrorKind::Unauthorized,
        // The namespace is terminating; it can be recreated once it is gone.
        403 if caused_by("NamespaceTerminating") => ApiErrorKind::Busy,
        403 => ApiErrorKind::Forbidden,
        404 | 410 => ApiErrorKind::NotFound,
        408 => ApiErrorKind::Unavailable,
        409 if kube_status.message.contains("the object has been modified") => ApiErrorKind::Busy,
        409 => ApiErrorKind::Conflict,
        412 => ApiErrorKind::Precondition,
        429 => ApiErrorKind::Throttled,
        400..=499 => ApiErrorKind::Invalid,
        500..=599 => ApiErrorKind::Unavailable,
        _ => ApiErrorKind::Protocol,
    }
}

/// Returns the owners of the conflicting fields, if the causes describe a conflict.
fn owners(causes: &[StatusCause]) -> Option<String> {
    let mut owned: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for cause in causes.iter().filter(|cause| cause.reason == "FieldManagerConflict") {
        // `conflict with "kubectl-client-side-apply" using apps/v1`: the quoted text is the manager.
        let manager = cause.message.split('"').nth(1).unwrap_or(&cause.message);
        owned.entry(manager).or_default().push(&cause.field);
    }
    if owned.is_empty() {
        return None;
    }
    let owners: Vec<String> =
        owned.iter().map(|(manager, fields)| format!("{} of \"{manager}\"", fields.join(", "))).collect();
    Some(format!("take over fields of other managers: {}", owners.join("; ")))
}

/// Returns the beginning of a body that is not a `Status`.
fn plain_body(status: StatusCode, body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let shown: String = text.trim().chars().take(PLAIN_BODY_MAX).collect();
    match shown.as_str() {
        "" => format!("the API server returned {status} without a reason"),
        shown => format!("the API server returned {status}: {shown}"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refuse(status: u16, body: &serde_json::Value) -> ApiError {
        let request_info = RequestInfo { method: "PATCH", path: "/api/v1/configmaps".to_owned() };
        let status = StatusCode::from_u16(status).unwrap();
        refused(&request_info, status, &HeaderMap::new(), body.to_string().as_bytes())
    }

    #[test]
    fn an_unfit_manifest_is_invalid_although_the_status_is_500() {
        let kube_status = "failed to create typed patch object (demo/gw; gateway.networking.k8s.io/v1, Kind=Gateway): \
                    .spec.zzz: field not declared in schema";
        let error =
            refuse(500, &json!({"kind": "Status", "status": "Failure", "message": kube_status, "code": 500}));
        assert_eq!(error.kind, ApiErrorKind::Invalid);
        assert!(error.message.contains(".spec.zzz"));
        let unfit = "failed to convert new object (demo/s; /v1, Kind=Secret) to proper version: unable to convert \
                     unstructured object to /v1, Kind=Secret: illegal base64 data at input byte 0";
        let error =
            refuse(500, &json!({"kind": "Status", "status": "Failure", "message": unfit, "code": 500}));
        assert_eq!(error.kind, ApiErrorKind::Invalid);
        let error =
            refuse(500, &json!({"kind": "Status", "message": "etcdserver: request timed out", "code": 500}));
        assert_eq!(error.kind, ApiErrorKind::Unavailable);
    }

    #[test]
    fn a_field_conflict_names_the_manager_and_the_fields() {
        let cause = |field: &str, manager: &str| {
            json!({"reason": "FieldManagerConflict", "field": field,
                "message": format!("conflict with \"{manager}\" using apps/v1")})
        };
        let causes =
            [cause(".spec.replicas", "kubectl"), cause(".spec.rules", "kubectl"), cause(".data.k", "argocd")];
        let error = refuse(
            409,
            &json!({"kind": "Status", "reason": "Conflict", "code": 409,
                "message": "Apply failed with 3 conflicts", "details": {"causes": causes}}),
        );
        assert_eq!(error.kind, ApiErrorKind::Conflict);
        assert_eq!(error.inner_code.as_deref(), Some("FieldManagerConflict"));
        assert_eq!(
            error.message,
            "take over fields of other managers: .data.k of \"argocd\"; .spec.replicas, .spec.rules of \
             \"kubectl\""
        );
        assert_eq!(error.details.len(), 3);
    }

    #[test]
    fn a_write_conflict_is_not_a_field_conflict() {
        let kube_status = "Operation cannot be fulfilled on configmaps \"p1\": the object has been modified; please apply \
                    your changes to the latest version and try again";
        let error = refuse(
            409,
            &json!({"kind": "Status", "reason": "Conflict", "message": kube_status, "code": 409}),
        );
        assert_eq!(error.kind, ApiErrorKind::Busy);
    }

    #[test]
    fn an_invalid_object_lists_each_of_its_causes() {
        let cause = |field: &str, message: &str| json!({"reason": "FieldValueInvalid", "field": field, "message": message});
        let causes =
            [cause("spec.listeners[0].port", "Invalid value: 0"), cause("spec.gatewayClassName", "Required")];
        let error = refuse(
            422,
            &json!({"kind": "Status", "reason": "Invalid", "code": 422, "message": "Gateway \"bad\" is invalid",
                "details": {"causes": causes}}),
        );
        assert_eq!(error.kind, ApiErrorKind::Invalid);
        assert_eq!(error.details[1].1, "spec.gatewayClassName: Required");
    }

    #[test]
    fn a_plain_text_404_is_still_a_404() {
        let request_info = RequestInfo { method: "GET", path: "/apis/x/v1".to_owned() };
        let mut headers = HeaderMap::new();
        headers.insert("audit-id", http::HeaderValue::from_static("a-1"));
        let error = refused(&request_info, StatusCode::NOT_FOUND, &headers, b"404 page not found\n");
        assert_eq!((error.kind, error.status), (ApiErrorKind::NotFound, Some(404)));
        assert_eq!(error.message, "the API server returned 404 Not Found: 404 page not found");
        assert_eq!(error.request_id.as_deref(), Some("a-1"));
    }

    #[test]
    fn a_terminating_namespace_is_transient() {
        let error = refuse(
            403,
            &json!({"kind": "Status", "reason": "Forbidden", "code": 403, "message": "unable to create new content",
                "details": {"causes": [{"reason": "NamespaceTerminating", "message": "being terminated"}]}}),
        );
        assert_eq!(error.kind, ApiErrorKind::Busy);
    }

    #[test]
    fn a_status_without_a_message_gets_one() {
        let error = refuse(403, &json!({"kind": "Status", "reason": "Forbidden", "code": 403}));
        assert_eq!(error.message, "the API server returned 403 Forbidden without a reason");
        assert_eq!(error.code.as_deref(), Some("Forbidden"));
    }
}
