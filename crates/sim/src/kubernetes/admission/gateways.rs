//! The CEL rules of the Gateway API definitions: GatewayClass and Gateway.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{each, unchanged};
use crate::kubernetes::status::FieldError;
use crate::kubernetes::write::Draft;

/// Returns the validation errors of a GatewayClass or a Gateway.
pub fn field_errors(draft: &Draft, object: &Value) -> Vec<FieldError> {
    if draft.definition.kind == "GatewayClass" {
        let field = "spec.controllerName";
        let changed = unchanged(draft, object, "/spec/controllerName", field, "Value is immutable");
        return changed.into_iter().collect();
    }
    let spec = &object["spec"];
    let mut errors = listener_errors(spec);
    for (index, listener) in each(spec, "/listeners") {
        errors.extend(tls_error(&listener["tls"], &format!("spec.listeners[{index}].tls")));
    }
    let addresses: Vec<String> = each(spec, "/addresses").map(|(_, address)| address.to_string()).collect();
    if addresses.iter().collect::<BTreeSet<_>>().len() < addresses.len() {
        errors.push(rule("spec.addresses", "IPAddress values must be unique"));
    }
    errors
}

/// Returns the error of a CEL rule, which contains only the type of the value, not the value.
pub fn rule(field: &str, why: &str) -> FieldError {
    let kind = if field.ends_with("listeners") || field.ends_with("addresses") || field.ends_with("Refs") {
        "array"
    } else {
        "object"
    };
    FieldError::invalid(field, &json!(kind), why)
}

fn listener_errors(spec: &Value) -> Vec<FieldError> {
    let is = |listener: &Value, protocols: &[&str]| {
        protocols.iter().any(|protocol| listener["protocol"] == *protocol)
    };
    let listeners = || each(spec, "/listeners").map(|(_, listener)| listener);
    let mut errors = Vec::new();
    let mut refuse = |bad: bool, why: &str| {
        if bad {
            errors.push(rule("spec.listeners", why));
        }
    };
    refuse(
        listeners().any(|it| is(it, &["HTTP", "TCP", "UDP"]) && it.get("tls").is_some()),
        "tls must not be specified for protocols ['HTTP', 'TCP', 'UDP']",
    );
    refuse(
        listeners()
            .any(|it| is(it, &["HTTPS"]) && it.get("tls").is_some() && it["tls"]["mode"] != "Terminate"),
        "tls mode must be Terminate for protocol HTTPS",
    );
    refuse(
        listeners().any(|it| is(it, &["TLS"]) && it["tls"]["mode"].is_null()),
        "tls mode must be set for protocol TLS",
    );
    refuse(
        listeners()
            .any(|it| is(it, &["TCP", "UDP"]) && it["hostname"].as_str().is_some_and(|it| !it.is_empty())),
        "hostname must not be specified for protocols ['TCP', 'UDP']",
    );
    let place = |listener: &Value| {
        (listener["port"].to_string(), listener["protocol"].to_string(), listener["hostname"].to_string())
    };
    refuse(
        listeners().map(place).collect::<BTreeSet<_>>().len() < listeners().count(),
        "Combination of port, protocol and hostname must be unique for each listener",
    );
    errors
}

fn tls_error(tls: &Value, field: &str) -> Option<FieldError> {
    let has_references = tls["certificateRefs"].as_array().is_some_and(|list| !list.is_empty());
    let has_options = tls["options"].as_object().is_some_and(|map| !map.is_empty());
    (tls["mode"] == "Terminate" && !has_references && !has_options)
        .then(|| rule(field, "certificateRefs or options must be specified when mode is Terminate"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listeners_must_differ_and_only_some_have_tls() {
        let say = |listeners: Value| -> Vec<String> {
            listener_errors(&json!({"listeners": listeners})).iter().map(ToString::to_string).collect()
        };
        let plain = json!({"name": "a", "port": 80, "protocol": "HTTP"});
        assert!(say(json!([plain])).is_empty());
        assert_eq!(say(json!([plain, plain])).len(), 1);
        assert_eq!(say(json!([{"port": 80, "protocol": "HTTP", "tls": {}}])).len(), 1);
        assert_eq!(say(json!([{"port": 443, "protocol": "HTTPS", "tls": {"mode": "Passthrough"}}])).len(), 1);
    }
}
