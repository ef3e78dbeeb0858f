use super::*;
use serde_json::json;

fn read(status: u16, body: Value) -> ApiError {
    from_response(status, &Headers::new(), body.to_string().as_bytes())
}

#[test]
fn the_arm_error_envelope_is_parsed() {
    let error = read(
        404,
        json!({"error": {"code": "ResourceGroupNotFound", "message": "Resource group 'x' could not be found."}}),
    );
    assert_eq!(error.kind, ApiErrorKind::NotFound);
    assert_eq!(error.code.as_deref(), Some("ResourceGroupNotFound"));
    assert_eq!(error.message, "Resource group 'x' could not be found.");
}

#[test]
fn aks_errors_without_an_envelope_are_parsed_and_a_running_operation_is_busy() {
    let error = read(
        409,
        json!({
            "code": "EtagMismatch",
            "details": [{"code": "Unspecified", "message": "rpc error: code = FailedPrecondition desc = Etag mismatched"}],
            "message": "Operation is not allowed: Another operation is in progress",
            "subcode": "PutManagedClusterAndComponents_FailedPrecondition"
        }),
    );
    assert_eq!((error.kind, error.code.as_deref()), (ApiErrorKind::Busy, Some("EtagMismatch")));
    assert_eq!(error.details.len(), 1);
    let message = "Operation is not allowed: Another operation (Updating) is in progress, please wait";
    assert_eq!(
        read(409, json!({"code": "OperationNotAllowed", "message": message})).kind,
        ApiErrorKind::Busy
    );
    let deleting =
        json!({"code": "OperationNotAllowed", "message": "the cluster is being deleted", "details": null});
    assert_eq!(read(409, deleting).kind, ApiErrorKind::Conflict);
}

#[test]
fn an_error_nested_in_a_deployment_message_takes_precedence() {
    let inner = json!({"code": "SkuNotAvailable", "details": null, "message": "The VM size is not available.", "subcode": ""});
    let error = read(
        400,
        json!({"error": {
            "code": "DeploymentFailed", "message": "At least one resource deployment operation failed.",
            "details": [{"code": "BadRequest", "message": inner.to_string()}]
        }}),
    );
    assert_eq!(error.code.as_deref(), Some("SkuNotAvailable"));
    assert_eq!(error.message, "The VM size is not available.");
    assert_eq!(error.details[0].0, "DeploymentFailed");
}

#[test]
fn a_network_with_an_operation_in_progress_is_busy_and_not_throttled() {
    let error = read(
        429,
        json!({"error": {
            "code": "RetryableError", "message": "A retryable error occurred.",
            "details": [{"code": "RetryableErrorDueToAnotherOperation", "message": "Operation PutSubnetOperation is updating resource."}]
        }}),
    );
    assert_eq!(error.kind, ApiErrorKind::Busy);
    assert_eq!(error.code.as_deref(), Some("RetryableErrorDueToAnotherOperation"));
    assert_eq!(
        read(429, json!({"error": {"code": "TooManyRequests", "message": "x"}})).kind,
        ApiErrorKind::Throttled
    );
}

#[test]
fn a_concurrent_write_on_the_same_parent_is_busy_and_a_taken_name_is_a_conflict() {
    let kind =
        |code: &str, message: &str| read(409, json!({"error": {"code": code, "message": message}})).kind;
    let identity = "ConcurrentFederatedIdentityCredentialsWritesForSingleManagedIdentity";
    assert_eq!(kind(identity, "Too many Federated Identity Credentials are written."), ApiErrorKind::Busy);
    let parallel = "A conflict occurred that prevented the operation from completing. The operation failed because the \
                    Key Vault 'kv' changed from the point the operation began. This can happen if parallel operations \
                    are being performed on the Key Vault.";
    assert_eq!(kind("ConflictError", parallel), ApiErrorKind::Busy);
    let deleted = "A vault with the same name already exists in deleted state.";
    assert_eq!(kind("ConflictError", deleted), ApiErrorKind::Conflict);
    assert_eq!(kind("StorageAccountOperationInProgress", "x"), ApiErrorKind::Busy);
}

#[test]
fn the_reason_of_a_vault_is_the_inner_code() {
    let error = read(
        403,
        json!({"error": {"code": "Forbidden", "message": "Caller is not authorized to perform action on resource.",
            "innererror": {"code": "ForbiddenByRbac"}}}),
    );
    assert_eq!(error.kind, ApiErrorKind::Forbidden);
    assert_eq!(
        (error.code.as_deref(), error.inner_code.as_deref()),
        (Some("Forbidden"), Some("ForbiddenByRbac"))
    );
    let recovering = json!({"error": {"code": "Conflict", "message": "x", "innererror": {"code": "ObjectIsBeingRecovered"}}});
    assert_eq!(read(409, recovering).kind, ApiErrorKind::Busy);
}

#[test]
fn a_refused_token_reports_the_expected_tenant() {
    let tenant = "11111111-1111-1111-1111-111111111111";
    let mut headers = Headers::new();
    let uri =
        format!("Bearer authorization_uri=\"https://login.windows.net/{tenant}\", error=\"invalid_token\"");
    headers.insert("www-authenticate", uri);
    let body = json!({"error": {"code": "InvalidAuthenticationTokenTenant", "message": "wrong issuer"}});
    let error = from_response(401, &headers, body.to_string().as_bytes());
    assert_eq!(error.kind, ApiErrorKind::SignIn);
    assert_eq!(error.details, [("ExpectedTenant".to_owned(), tenant.to_owned())]);
}

#[test]
fn an_html_error_page_becomes_its_title() {
    let page = b"<html><head><title>502 Bad Gateway</title></head><body><h1>502</h1></body></html>";
    let error = from_response(502, &Headers::new(), page);
    assert_eq!((error.kind, error.message.as_str()), (ApiErrorKind::Unavailable, "502 Bad Gateway"));
    let silent = from_response(503, &Headers::new(), b"");
    assert_eq!(silent.message, "the service returned 503 without a reason");
    let odd = from_response(500, &Headers::new(), b"[1,2]");
    assert_eq!(odd.message, "the service returned 500 without a reason");
}

#[test]
fn a_schema_violation_is_invalid_although_the_status_is_500() {
    for message in [
        "failed to create typed patch object (x): .spec.y: field not declared in schema",
        "failed to convert new object (x) to proper version: illegal base64 data at input byte 0",
    ] {
        assert_eq!(read(500, json!({ "message": message })).kind, ApiErrorKind::Invalid);
    }
}

#[test]
fn a_failed_operation_reports_its_code_or_its_state() {
    let api_error =
        from_operation("Failed", Some(&json!({"code": "QuotaExceeded", "message": "too few cores"})));
    assert_eq!((api_error.kind, api_error.code.as_deref()), (ApiErrorKind::Failed, Some("QuotaExceeded")));
    let silent = from_operation("Canceled", None);
    assert_eq!(
        (silent.code.as_deref(), silent.message.as_str()),
        (Some("Canceled"), "the operation ended as Canceled")
    );
    let pushed_aside =
        from_operation("Failed", Some(&json!({"code": "AKSOperationPreempted", "message": "x"})));
    assert_eq!(pushed_aside.kind, ApiErrorKind::Busy);
}

#[test]
fn nested_errors_are_parsed_to_a_maximum_depth() {
    let mut text = "the end".to_owned();
    for _ in 0..20 {
        text = json!({"code": "DeploymentFailed", "message": text}).to_string();
    }
    assert_eq!(from_response(400, &Headers::new(), text.as_bytes()).kind, ApiErrorKind::Invalid);
}

#[test]
fn an_error_with_only_a_code_has_a_message() {
    let error = read(409, json!({"error": {"code": "Conflict", "message": " "}}));
    assert_eq!(error.code.as_deref(), Some("Conflict"));
    assert_eq!(error.message, "the service returned 409 without a reason");
}
