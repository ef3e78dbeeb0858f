//! The rules of GatewayClass and Gateway.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{Rules, each};
use crate::kubernetes::schema::validate::matches;
use crate::kubernetes::status::FieldError;
use crate::kubernetes::write::Draft;

const HOSTNAME: &str = r"^(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";
const KEY: &str = r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?([A-Za-z0-9][-A-Za-z0-9_.]{0,61})?[A-Za-z0-9]$";
/// The least length of a key's prefix that is too long.
const PREFIX_LIMIT: usize = 253;

/// Returns the violated rules of a GatewayClass or a Gateway.
pub fn field_errors(draft: &Draft, object: &Value) -> Vec<FieldError> {
    let spec = &object["spec"];
    let mut errors = Vec::new();
    if draft.definition.kind == "GatewayClass" {
        let is = &spec["controllerName"];
        if draft.live.as_ref().is_some_and(|live| live["spec"]["controllerName"] != *is) {
            errors.push(FieldError::invalid("spec.controllerName", is, "Value is immutable"));
        }
        return errors;
    }
    listener_errors(spec, &mut errors);
    for (index, listener) in each(spec, "/listeners") {
        tls_error(&listener["tls"], &format!("spec.listeners[{index}].tls"), &mut errors);
    }
    address_errors(spec, &mut errors);
    for (field, word, name) in [("annotations", "Annotation", "annotation"), ("labels", "Label", "label")] {
        key_errors(&spec["infrastructure"], field, word, name, &mut errors);
    }
    let ports: Vec<String> =
        each(&spec["tls"], "/frontend/perPort").map(|(_, one)| one["port"].to_string()).collect();
    Rules::at("spec.tls.frontend.perPort", &mut errors).require(
        ports.iter().collect::<BTreeSet<_>>().len() == ports.len(),
        "Port for TLS configuration must be unique within the Gateway",
    );
    errors
}

fn listener_errors(spec: &Value, errors: &mut Vec<FieldError>) {
    let is = |listener: &Value, protocols: &[&str]| {
        protocols.iter().any(|protocol| listener["protocol"] == *protocol)
    };
    let listeners = || each(spec, "/listeners").map(|(_, listener)| listener);
    let mut rules = Rules::at("spec.listeners", errors);
    rules.require(
        !listeners().any(|it| is(it, &["HTTP", "TCP", "UDP"]) && it.get("tls").is_some()),
        "tls must not be specified for protocols ['HTTP', 'TCP', 'UDP']",
    );
    rules.require(
        !listeners()
            .any(|it| is(it, &["HTTPS"]) && it.get("tls").is_some() && it["tls"]["mode"] != "Terminate"),
        "tls mode must be Terminate for protocol HTTPS",
    );
    rules.require(
        !listeners().any(|it| is(it, &["TLS"]) && it["tls"]["mode"].is_null()),
        "tls mode must be set for protocol TLS",
    );
    rules.require(
        !listeners()
            .any(|it| is(it, &["TCP", "UDP"]) && it["hostname"].as_str().is_some_and(|it| !it.is_empty())),
        "hostname must not be specified for protocols ['TCP', 'UDP']",
    );
    let place = |listener: &Value| {
        (listener["port"].to_string(), listener["protocol"].to_string(), listener["hostname"].to_string())
    };
    rules.require(
        listeners().map(place).collect::<BTreeSet<_>>().len() == listeners().count(),
        "Combination of port, protocol and hostname must be unique for each listener",
    );
}

fn tls_error(tls: &Value, at: &str, errors: &mut Vec<FieldError>) {
    const WHY: &str = "certificateRefs or options must be specified when mode is Terminate";
    let references = tls["certificateRefs"].as_array().map(|list| !list.is_empty());
    let options = tls["options"].as_object().map(|map| !map.is_empty());
    if tls["mode"] != "Terminate" || references == Some(true) || options == Some(true) {
        return;
    }
    // The rule reads both fields without a test of their presence.
    let absent = [("certificateRefs", references), ("options", options)].into_iter();
    match absent.filter(|(_, is)| is.is_none()).map(|(field, _)| field).next() {
        Some(field) => {
            let why = format!("no such key: {field} evaluating rule: {WHY}");
            errors.push(FieldError::invalid(at, &json!("object"), &why));
        }
        None => errors.push(FieldError::rule(at, WHY)),
    }
}

fn address_errors(spec: &Value, errors: &mut Vec<FieldError>) {
    for kind in ["IPAddress", "Hostname"] {
        let values = || each(spec, "/addresses").map(|(_, one)| one).filter(|one| one["type"] == kind);
        let values = || values().filter_map(|one| one["value"].as_str());
        let why = format!("{kind} values must be unique");
        Rules::at("spec.addresses", errors)
            .require(values().collect::<BTreeSet<_>>().len() == values().count(), &why);
    }
    for (index, address) in each(spec, "/addresses") {
        let is_valid = address["value"].as_str().is_none_or(|value| matches(HOSTNAME, value));
        let why =
            format!("Hostname value must be empty or contain only valid characters (matching {HOSTNAME})");
        Rules::at(format!("spec.addresses[{index}]"), errors)
            .require(address["type"] != "Hostname" || is_valid, &why);
    }
}

fn key_errors(infrastructure: &Value, field: &str, word: &str, name: &str, errors: &mut Vec<FieldError>) {
    let keys = || infrastructure[field].as_object().into_iter().flat_map(|map| map.keys());
    let mut rules = Rules::at(format!("spec.infrastructure.{field}"), errors);
    let why = format!(
        "{word} keys must be in the form of an optional DNS subdomain prefix followed by a required name \
         segment of up to 63 characters."
    );
    rules.require(keys().all(|key| matches(KEY, key)), &why);
    let why = format!(
        "If specified, the {name} key's prefix must be a DNS subdomain not longer than 253 characters in total."
    );
    let prefix = |key: &String| key.split('/').next().map_or(0, |prefix| prefix.chars().count());
    rules.require(keys().all(|key| prefix(key) < PREFIX_LIMIT), &why);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listeners_must_differ_and_only_some_have_tls() {
        let say = |listeners: Value| -> Vec<String> {
            let mut errors = Vec::new();
            listener_errors(&json!({"listeners": listeners}), &mut errors);
            errors.iter().map(ToString::to_string).collect()
        };
        let plain = json!({"name": "a", "port": 80, "protocol": "HTTP"});
        assert!(say(json!([plain])).is_empty());
        assert_eq!(say(json!([plain, plain])).len(), 1);
        assert_eq!(say(json!([{"port": 80, "protocol": "HTTP", "tls": {}}])).len(), 1);
        assert_eq!(say(json!([{"port": 443, "protocol": "HTTPS", "tls": {"mode": "Passthrough"}}])).len(), 1);
    }

    #[test]
    fn a_rule_that_reads_an_absent_field_names_it() {
        let say = |tls: Value| -> Vec<String> {
            let mut errors = Vec::new();
            tls_error(&tls, "tls", &mut errors);
            errors.iter().map(ToString::to_string).collect()
        };
        assert!(say(json!({"mode": "Terminate", "options": {"a": "b"}})).is_empty());
        assert!(say(json!({"mode": "Terminate"}))[0].contains("no such key: certificateRefs"));
        assert!(say(json!({"mode": "Terminate", "certificateRefs": []}))[0].contains("no such key: options"));
    }
}
