use super::*;
use serde_json::json;

const BASE: &str =
    "https://management.azure.com/subscriptions/s/resourceGroups/g/providers/P/t/n?api-version=1";

fn url() -> Url {
    Url::parse(BASE).expect("a constant that parses")
}

fn first(
    verb: Verb,
    status: u16,
    headers: &[(&'static str, &str)],
    body: Value,
) -> Result<WriteResult, ApiError> {
    let mut sent = Headers::new();
    headers.iter().for_each(|(name, value)| sent.insert(*name, (*value).to_owned()));
    let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
    parse_write(verb, &url(), "1", &Response { status, headers: &sent, body: &body })
}

fn accepted(verb: Verb, status: u16, headers: &[(&'static str, &str)], body: Value) -> Operation {
    match first(verb, status, headers, body) {
        Ok(WriteResult::Accepted { operation, .. }) => operation,
        other => panic!("not accepted: {other:?}"),
    }
}

fn poll(operation: &Operation, status: u16, body: Value) -> Result<PollResult, ApiError> {
    let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
    parse_poll(operation, &Response { status, headers: &Headers::new(), body: &body })
}

const STATUS: &str = "https://management.azure.com/subscriptions/s/operations/1?api-version=2&t=1&s=a%2Fb";

#[test]
fn azure_async_operation_precedes_location_and_the_resource() {
    let both = [("azure-asyncoperation", STATUS), ("location", "https://management.azure.com/results/1")];
    let operation = accepted(Verb::Delete, 202, &both, Value::Null);
    assert_eq!(operation.style, Style::AsyncOperation);
    assert_eq!(operation.path_and_query, "/subscriptions/s/operations/1?api-version=2&t=1&s=a%2Fb");
    assert_eq!(accepted(Verb::Delete, 202, &both[1..], Value::Null).style, Style::Location);
    let creating = json!({"properties": {"provisioningState": "RegisteringDns"}});
    assert_eq!(accepted(Verb::Put, 200, &[], creating).style, Style::ProvisioningState);
    assert_eq!(accepted(Verb::Put, 202, &[], Value::Null).style, Style::ProvisioningState);
}

#[test]
fn a_write_without_a_state_or_with_a_successful_one_is_done() {
    for body in [json!({"properties": {}}), json!({"properties": {"provisioningState": "succeeded"}})] {
        assert_eq!(first(Verb::Put, 201, &[], body.clone()), Ok(WriteResult::Done(Some(body))));
    }
    assert_eq!(first(Verb::Delete, 204, &[], Value::Null), Ok(WriteResult::Done(None)));
    // The `Location` of a 201 is the new resource, not an operation.
    let created = [("location", "https://management.azure.com/things/1")];
    assert!(matches!(first(Verb::Put, 201, &created, json!({})), Ok(WriteResult::Done(_))));
}

#[test]
fn a_write_that_returns_a_failed_resource_failed() {
    let body = json!({"properties": {"provisioningState": "Failed",
        "status": {"provisioningError": {"code": "SubnetIsFull", "message": "no addresses left"}}}});
    let error = first(Verb::Put, 200, &[], body).expect_err("the resource failed");
    assert_eq!((error.kind, error.code.as_deref()), (ApiErrorKind::Failed, Some("SubnetIsFull")));
}

#[test]
fn foreign_urls_are_refused_in_every_spelling() {
    let foreign = [
        "https://evil.example/operations/1",
        "//evil.example/operations/1",
        "http://management.azure.com/operations/1",
        "https://management.azure.com:444/operations/1",
        "https://management.azure.com@evil.example/operations/1",
        "https://management.azure.com.evil.example/operations/1",
        "\\\\evil.example\\operations",
        "file:///etc/passwd",
    ];
    for address in foreign {
        let error =
            first(Verb::Put, 201, &[("azure-asyncoperation", address)], Value::Null).expect_err(address);
        assert_eq!(error.kind, ApiErrorKind::Protocol, "{address}");
    }
    let doubled = local_address(&url(), "https://management.azure.com//a/b").expect("the same origin");
    assert_eq!(doubled, "/a/b");
}

#[test]
fn only_terminal_states_end_an_operation_in_any_case() {
    let operation = accepted(Verb::Put, 201, &[("azure-asyncoperation", STATUS)], Value::Null);
    for running_state in ["InProgress", "Creating", "ReconcilingAddons", "Succeeding", ""] {
        let Ok(PollResult::Plain(Progress::Running { state, .. })) =
            poll(&operation, 200, json!({"status": running_state}))
        else {
            panic!("{running_state} is not an end");
        };
        assert_eq!(state, running_state);
    }
    for good in ["Succeeded", "succeeded", "SUCCEEDED"] {
        assert!(
            matches!(poll(&operation, 200, json!({"status": good})), Ok(PollResult::ResultAt { .. })),
            "{good}"
        );
    }
    for bad in ["Failed", "failed", "Canceled", "Cancelled", "CANCELLED"] {
        let error = poll(&operation, 200, json!({"status": bad})).expect_err(bad);
        assert_eq!(
            (error.kind, error.code.as_deref(), error.status),
            (ApiErrorKind::Failed, Some(bad), Some(200))
        );
    }
}

#[test]
fn times_and_percentages_are_read_from_the_document() {
    let operation = accepted(Verb::Delete, 202, &[("azure-asyncoperation", STATUS)], Value::Null);
    let running = poll(&operation, 200, json!({"status": "InProgress", "percentComplete": 42}));
    assert!(matches!(running, Ok(PollResult::Plain(Progress::Running { percent: Some(42.0), .. }))));
    let times = json!({"status": "Succeeded", "startTime": "2026-11-23T08:00:00.125Z", "endTime": "2026-11-23T08:04:40.5Z"});
    let Ok(PollResult::Plain(Progress::Succeeded { started_at: Some(began), ended_at: Some(ended), .. })) =
        poll(&operation, 200, times)
    else {
        panic!("both times are there")
    };
    assert_eq!(ended.duration_since(began).expect("in order"), Duration::from_millis(280_375));
}

#[test]
fn an_unknown_operation_has_expired() {
    let operation = accepted(Verb::Put, 201, &[("azure-asyncoperation", STATUS)], Value::Null);
    for status in [404, 410] {
        assert_eq!(poll(&operation, status, Value::Null), Ok(PollResult::Plain(Progress::Expired)));
    }
    for (status, kind) in [(503, ApiErrorKind::Unavailable), (302, ApiErrorKind::Protocol)] {
        assert_eq!(poll(&operation, status, Value::Null).expect_err("reading failed").kind, kind);
    }
}

#[test]
fn a_deletion_ends_when_the_resource_is_not_found() {
    let operation = accepted(Verb::Delete, 202, &[], Value::Null);
    let there = poll(&operation, 200, json!({"properties": {"provisioningState": "Succeeded"}}));
    assert!(matches!(there, Ok(PollResult::Plain(Progress::Running { .. }))));
    assert!(matches!(
        poll(&operation, 404, Value::Null),
        Ok(PollResult::Plain(Progress::Succeeded { value: None, .. }))
    ));
}

#[test]
fn the_result_of_a_post_is_at_its_location() {
    let both = [("azure-asyncoperation", STATUS), ("location", "https://management.azure.com/results/1?x=1")];
    let operation = accepted(Verb::Post, 202, &both, Value::Null);
    let Ok(PollResult::ResultAt { path_and_query, .. }) =
        poll(&operation, 200, json!({"status": "Succeeded"}))
    else {
        panic!("a result is to be fetched")
    };
    assert_eq!(path_and_query.as_deref(), Some("/results/1?x=1"));
}

#[test]
fn an_operation_survives_a_json_round_trip() {
    let operation = accepted(Verb::Put, 201, &[("azure-asyncoperation", STATUS)], Value::Null);
    let text = serde_json::to_string(&operation).expect("plain data");
    assert!(!text.contains("management.azure.com"), "{text}");
    assert_eq!(serde_json::from_str::<Operation>(&text).expect("what was written"), operation);
}

impl PartialEq for ApiError {
    fn eq(&self, other: &Self) -> bool {
        self.to_string() == other.to_string()
    }
}
