//! The contract test of the error parser: every error in a recording of a real kube-apiserver 1.36.
//!
//! The recording is not part of this repository; without it the test is skipped.

use std::path::Path;

use http::{HeaderMap, StatusCode};
use serde_json::Value;

use crate::error::ApiErrorKind;
use crate::kubernetes::apply::is_another;
use crate::kubernetes::into_api_error::{RequestInfo, refused};

const RECORDING: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/reference/kube-apiserver-recording.jsonl");

#[test]
fn recorded_errors_have_the_kind_of_their_status() {
    let Ok(recording) = std::fs::read_to_string(Path::new(RECORDING)) else {
        println!("skipped: {RECORDING} does not exist");
        return;
    };
    let recorded = recording.lines().map(|line| serde_json::from_str(line).expect("JSON lines"));
    let mut parsed = 0;
    for request in recorded.filter(|request: &Value| request["answer"]["status"].as_u64() >= Some(400)) {
        let answer = &request["answer"];
        let body = match &answer["body"] {
            Value::String(text) => text.clone(),
            body => body.to_string(),
        };
        let path = request["path"].as_str().unwrap_or_default().to_owned();
        let request_info = RequestInfo { method: "PATCH", path };
        let code = answer["status"].as_u64().and_then(|code| u16::try_from(code).ok()).expect("a status");
        let status = StatusCode::from_u16(code).expect("a status of HTTP");
        let error = refused(&request_info, status, &HeaderMap::new(), body.as_bytes());
        let label = format!("{} {}", request["n"], request["name"]);
        let message = answer["body"]["message"].as_str().unwrap_or_default();
        assert_eq!(error.kind, kind_of(code, message), "{label}: {error:?}");
        assert_eq!(error.status, Some(code), "{label}");
        assert_eq!(error.code.as_deref(), answer["body"]["reason"].as_str(), "{label}");
        let causes = answer["body"]["details"]["causes"].as_array().map_or(0, Vec::len);
        assert_eq!(error.details.len(), causes, "{label}");
        assert!(!error.message.is_empty(), "{label}");
        assert_eq!(is_another(&error), message.contains("does not match the UID in record"), "{label}");
        parsed += 1;
    }
    assert!(parsed > 0, "the recording has no errors");
}

fn kind_of(code: u16, message: &str) -> ApiErrorKind {
    match code {
        401 => ApiErrorKind::Unauthorized,
        403 if message.contains("because it is being terminated") => ApiErrorKind::Busy,
        403 => ApiErrorKind::Forbidden,
        404 => ApiErrorKind::NotFound,
        409 if message.contains("the object has been modified") => ApiErrorKind::Busy,
        409 => ApiErrorKind::Conflict,
        // The recorded server had no outage: its 500s concern the manifest.
        400 | 405 | 406 | 415 | 422 | 500 => ApiErrorKind::Invalid,
        other => panic!("an unexpected status: {other}"),
    }
}
