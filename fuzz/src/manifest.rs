//! Fuzz target: manifest files, with any text. Parsing and substitution never panic, every error has a line,
//! and the duration is bounded.

use landfall_cloud::kubernetes::{differences, manifest, readiness};
use std::time::{Duration, Instant};

/// The placeholders and their values, which would be YAML syntax if they were inserted as plain text.
const VALUES: [(&str, &str); 3] =
    [("__DOMAIN_NAME__", "demo.example.com"), ("__TENANT_ID__", "}\n---\na: [b"), ("e", "")];
/// The timeout, far above the duration for any file of a fuzzer's size.
const TIME_MAX: Duration = Duration::from_secs(20);

/// Checks one file.
pub fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let began = Instant::now();
    // A lone carriage return ends a line of YAML too.
    let lines = text.matches(['\n', '\r']).count() + 2;
    match manifest::parse("fuzz.yaml", text) {
        Ok(mut manifests) => {
            for one in &manifests {
                assert!(one.document >= 1 && (1..=lines).contains(&one.line), "{one:?}");
                let whole = serde_json::to_value(&one.object).expect("what was YAML is JSON");
                let _ = differences(&whole, &whole);
                let _ = readiness::gateway(&one.object);
                let _ = readiness::deployment(&one.object);
                let _ = readiness::route(&one.object, "gateway");
                let _ = readiness::gateway_class(&one.object);
            }
            for (placeholder, value) in VALUES {
                manifest::fill(&mut manifests, placeholder, value);
            }
        }
        Err(errors) => {
            assert!(!errors.is_empty(), "refused without a reason");
            for error in &errors {
                assert!(error.line.is_some_and(|line| (1..=lines).contains(&line)), "{error:?}");
                assert!(!error.message.is_empty() && !error.to_string().is_empty());
            }
        }
    }
    let took = began.elapsed();
    assert!(took < TIME_MAX, "reading it took {took:?}");
}
