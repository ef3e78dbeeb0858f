//! The contract test of the data plane: requests and the answers of a real Envoy with routes translated as
//! Istio does. The recording is not part of the repository; without it the test is skipped.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::data_plane::{DataPlane, RawResponse};

/// The folder of the recording, relative to this crate.
const FOLDER: &str = "../../../shared/reference";
/// The domain of the recorded requests to landfall's own routes.
const DOMAIN: &str = "demo.example.com";
/// The lower bound of equal answers.
const EQUAL_MIN: usize = 145;

/// Returns the gateway and the port of a recorded listener.
fn gateway(listener: &str) -> (&'static str, u16) {
    match listener {
        "cmp" => ("cmp-gateway", 80),
        "httpbin-http" => ("httpbin-gateway", 80),
        "httpbin-https" => ("httpbin-gateway", 443),
        "echo-http" => ("echo-gateway", 80),
        "echo-https" => ("echo-gateway", 443),
        other => panic!("no gateway has the listener {other}"),
    }
}

/// Returns the manifests that landfall applies, in their order.
fn built_in_manifests() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../steps/templates/manifests");
    let entries = std::fs::read_dir(folder).expect("the folder of the manifests");
    let mut files: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    let read = |file| std::fs::read_to_string(file).expect("a manifest");
    files.iter().map(|file| read(file).replace("__DOMAIN_NAME__", DOMAIN)).collect()
}

/// Returns the differences between a recorded answer and a response.
fn differences(recorded: &Map<String, Value>, response: &RawResponse) -> Vec<String> {
    let seen: Value = serde_json::from_str(&response.body).unwrap_or_default();
    let mut own = json!({
        "status": response.status,
        "location": response.header("location"),
        "x-rule": response.header("x-rule"),
    });
    for key in recorded.keys() {
        own[key] = match key.as_str() {
            "status" => continue,
            "body" => json!(response.body.trim_end()),
            "method" => seen["method"].clone(),
            "to" => seen["url"].as_str().map_or(Value::Null, |_| json!("httpbin")),
            "url" => {
                let url = seen["url"].as_str().unwrap_or_default();
                json!(url.strip_prefix("https:").or(url.strip_prefix("http:")).unwrap_or(url))
            }
            "h" => recorded_headers(&seen["headers"]),
            header => json!(response.header(header)),
        };
    }
    let own = own.as_object().expect("an object");
    let absent = json!([]);
    own.iter()
        .map(|(key, own)| (key, recorded.get(key).unwrap_or(&absent), own))
        .filter(|(_, recorded, own)| recorded != own)
        .map(|(key, recorded, own)| format!("{key}: {recorded}, here {own}"))
        .collect()
}

/// Returns the request headers that the recording holds: the host and the headers that start with `X-`,
/// without the ones whose value Envoy makes up.
fn recorded_headers(seen: &Value) -> Value {
    let is_recorded = |name: &str| {
        let is_made_up = ["X-Request-Id", "X-Forwarded-For"].contains(&name) || name.starts_with("X-Envoy-");
        name == "Host" || name.starts_with("X-") && !is_made_up
    };
    let headers = seen.as_object().into_iter().flatten().filter(|(name, _)| is_recorded(name));
    Value::Object(headers.map(|(name, values)| (name.clone(), values.clone())).collect())
}

#[tokio::test]
async fn the_data_plane_answers_as_the_recorded_envoy() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(FOLDER);
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).ok();
    let (Some(recording), Some(routes)) =
        (read("envoy-recording.jsonl"), read("envoy-recording-routes.yaml"))
    else {
        println!("skipped: no recording in {}", folder.display());
        return;
    };
    let mut manifests = built_in_manifests();
    manifests.push(routes);
    let data_plane = DataPlane::new(&manifests, DOMAIN);
    let (mut compared, mut different) = (0, 0);
    for row in recording.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON")) {
        let Some(recorded) = row["answer"].as_object() else { continue };
        let field = |name: &str| row[name].as_str().unwrap_or_default();
        let line = format!("{} {}", field("method"), field("path"));
        let mut headers: Vec<(&str, &str)> =
            row["host"].as_str().map(|host| ("Host", host)).into_iter().collect();
        for header in row["headers"].as_array().into_iter().flatten() {
            headers.push((header[0].as_str().unwrap_or_default(), header[1].as_str().unwrap_or_default()));
        }
        let (gateway, port) = gateway(field("listener"));
        let response = data_plane.send(gateway, port, &line, &headers).await;
        let differences = differences(recorded, &response);
        compared += 1;
        different += usize::from(!differences.is_empty());
        if !differences.is_empty() {
            println!(
                "{}: {} {line} {headers:?}\n  {}",
                row["n"],
                field("listener"),
                differences.join("\n  ")
            );
        }
    }
    let equal = compared - different;
    println!("{compared} compared, {equal} equal, {different} different");
    assert!(equal >= EQUAL_MIN, "{equal} of {compared} answers are equal, expected at least {EQUAL_MIN}");
}
