//! The standard variables of OpenTelemetry that decide whether anything is sent, and where the trace begins.
//!
//! Contract: OpenTelemetry, "Environment Variable Specification" and "SDK configuration". The exporter itself reads
//! endpoint, headers, timeout, compression, sampler and batch sizes. It does not read `OTEL_SDK_DISABLED`,
//! `OTEL_TRACES_EXPORTER`, `OTEL_METRICS_EXPORTER` and `TRACEPARENT`, so they are read here.

use crate::settings::sources::Environment;
use std::collections::HashMap;
use url::Url;

/// What is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Spans are sent.
    pub traces: bool,
    /// Metrics are sent.
    pub metrics: bool,
    /// The variables that name the parent of the root span, by lower-case name.
    pub parent: HashMap<String, String>,
    /// True if a variable names the service.
    pub has_service_name: bool,
}

/// Reads the variables; `None` if nothing is to be sent.
///
/// # Errors
/// A value that landfall cannot follow, as a sentence without its full stop.
pub fn read(environment: &Environment) -> Result<Option<Config>, String> {
    let get = |name: &str| environment.get(name).filter(|value| !value.is_empty());
    if get("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
        return Ok(None);
    }
    let traces = is_wanted(environment, "TRACES")?;
    let metrics = is_wanted(environment, "METRICS")?;
    if !traces && !metrics {
        return Ok(None);
    }
    let parent = ["TRACEPARENT", "TRACESTATE", "BAGGAGE"];
    let parent = parent.iter().filter_map(|name| Some((name.to_lowercase(), get(name)?.to_owned())));
    let attributes = get("OTEL_RESOURCE_ATTRIBUTES").unwrap_or_default();
    let has_service_name = get("OTEL_SERVICE_NAME").is_some()
        || attributes.split(',').any(|pair| pair.trim_start().starts_with("service.name="));
    Ok(Some(Config { traces, metrics, parent: parent.collect(), has_service_name }))
}

/// Returns whether a signal is to be sent: its exporter is `otlp`, or none is named and an endpoint is.
fn is_wanted(environment: &Environment, signal: &str) -> Result<bool, String> {
    let get = |name: &str| environment.get(name).filter(|value| !value.is_empty());
    let own = format!("OTEL_EXPORTER_OTLP_{signal}_ENDPOINT");
    let endpoint = get(&own)
        .map(|value| (own.as_str(), value))
        .or_else(|| get("OTEL_EXPORTER_OTLP_ENDPOINT").map(|value| ("OTEL_EXPORTER_OTLP_ENDPOINT", value)));
    let exporter = format!("OTEL_{signal}_EXPORTER");
    match get(&exporter) {
        Some("none") => return Ok(false),
        Some("otlp") => {}
        Some(other) => return Err(format!("{exporter} is {other}, and only otlp and none are supported")),
        None if endpoint.is_none() => return Ok(false),
        None => {}
    }
    if let Some((name, value)) = endpoint
        && !Url::parse(value).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
    {
        return Err(format!("{name} is {value}, and must be a URL such as http://127.0.0.1:4318"));
    }
    for name in [format!("OTEL_EXPORTER_OTLP_{signal}_PROTOCOL"), "OTEL_EXPORTER_OTLP_PROTOCOL".to_owned()] {
        if let Some(value) = get(&name).filter(|value| *value != "http/protobuf") {
            return Err(format!("{name} is {value}, and only http/protobuf is supported"));
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_from(pairs: &[(&str, &str)]) -> Result<Option<Config>, String> {
        read(&Environment::of_pairs(pairs))
    }

    #[test]
    fn nothing_is_sent_unless_a_variable_asks_for_it() {
        assert_eq!(read_from(&[]), Ok(None));
        assert_eq!(read_from(&[("OTEL_SERVICE_NAME", "x"), ("TRACEPARENT", "x")]), Ok(None));
        let both = read_from(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318")]).unwrap().unwrap();
        assert!(both.traces && both.metrics && !both.has_service_name);
        let own = [("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://127.0.0.1:4318/v1/traces")];
        let own = read_from(&own).unwrap().unwrap();
        assert!(own.traces && !own.metrics);
        let none = [("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1"), ("OTEL_METRICS_EXPORTER", "none")];
        assert!(!read_from(&none).unwrap().unwrap().metrics);
        let off = [("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1"), ("OTEL_SDK_DISABLED", "TRUE")];
        assert_eq!(read_from(&off), Ok(None));
    }

    #[test]
    fn what_cannot_be_followed_is_named() {
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318");
        for (pairs, why) in [
            (vec![("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318")], "must be a URL"),
            (vec![endpoint, ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")], "only http/protobuf is supported"),
            (vec![endpoint, ("OTEL_TRACES_EXPORTER", "zipkin")], "only otlp and none are supported"),
        ] {
            let refused = read_from(&pairs).unwrap_err();
            assert!(refused.contains(why), "{refused}");
        }
    }

    #[test]
    fn the_parent_and_the_service_come_from_the_environment() {
        let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let config = read_from(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318"),
            ("TRACEPARENT", parent),
            ("OTEL_RESOURCE_ATTRIBUTES", "team=blue, service.name=gateways"),
        ]);
        let config = config.unwrap().unwrap();
        assert_eq!(config.parent.get("traceparent").map(String::as_str), Some(parent));
        assert!(config.has_service_name);
    }
}
