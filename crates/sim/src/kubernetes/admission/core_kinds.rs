//! Validation of Services.

use std::collections::BTreeSet;
use std::net::IpAddr;

use serde_json::Value;

use super::{each, names, unchanged};
use crate::kubernetes::schema::validate::matches;
use crate::kubernetes::status::FieldError;
use crate::kubernetes::write::Draft;

/// Returns the validation errors of a Service.
pub fn field_errors(draft: &Draft, object: &Value) -> Vec<FieldError> {
    let spec = &object["spec"];
    let is_external = spec["type"] == "ExternalName";
    let is_headless = spec["clusterIP"] == "None";
    let mut errors: Vec<FieldError> = address_change(draft, object).into_iter().collect();
    let count = spec["ports"].as_array().map_or(0, Vec::len);
    if count == 0 && !is_external && !is_headless {
        errors.push(FieldError::required("spec.ports", ""));
    }
    if is_external && spec["externalName"].as_str().is_none_or(str::is_empty) {
        errors.push(FieldError::required("spec.externalName", ""));
    }
    let mut names_so_far = BTreeSet::new();
    for (index, port) in each(spec, "/ports") {
        let at = format!("spec.ports[{index}]");
        match port["name"].as_str() {
            None | Some("") if count > 1 => errors.push(FieldError::required(&format!("{at}.name"), "")),
            None | Some("") => {}
            Some(name) => {
                errors.extend(names::errors(&format!("{at}.name"), name, &names::dns_label(name)));
                if !names_so_far.insert(name) {
                    errors.push(FieldError::duplicate(&format!("{at}.name"), &port["name"]));
                }
            }
        }
        errors.extend(target_error(&port["targetPort"], &format!("{at}.targetPort")));
        let node_port = port["nodePort"].as_i64().unwrap_or(0);
        if node_port != 0 && spec["type"] == "ClusterIP" {
            let why = "may not be used when `type` is 'ClusterIP'";
            errors.push(FieldError::forbidden(&format!("{at}.nodePort"), why));
        } else if node_port != 0 && !(30_000..=32_767).contains(&node_port) {
            let why = "provided port is not in the valid range. The range of valid ports is 30000-32767";
            errors.push(FieldError::invalid(&format!("{at}.nodePort"), &port["nodePort"], why));
        }
    }
    if spec["type"] == "ClusterIP" && spec.get("externalTrafficPolicy").is_some() {
        let why = "may only be set for externally-accessible services";
        let field = "spec.externalTrafficPolicy";
        errors.push(FieldError::invalid(field, &spec["externalTrafficPolicy"], why));
    }
    errors.extend(names::labels(&spec["selector"], "spec.selector"));
    errors.extend(address_errors(spec));
    errors.extend(class_change(draft, object));
    errors
}

fn address_errors(spec: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (index, address) in each(spec, "/clusterIPs") {
        let text = address.as_str().unwrap_or_default();
        if text != "None" && text.parse::<IpAddr>().is_err() {
            let why = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
            errors.push(FieldError::invalid(&format!("spec.clusterIPs[{index}]"), address, why));
        }
    }
    // The field has this spelling in the messages.
    let field = "spec.LoadBalancerSourceRanges";
    for (index, range) in each(spec, "/loadBalancerSourceRanges") {
        if spec["type"] != "LoadBalancer" {
            let why = "may only be used when `type` is 'LoadBalancer'";
            return [errors, vec![FieldError::forbidden(field, why)]].concat();
        }
        if !range.as_str().is_some_and(|range| is_range(range.trim())) {
            let why = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";
            errors.push(FieldError::invalid(&format!("{field}[{index}]"), range, why));
        }
    }
    errors
}

fn is_range(text: &str) -> bool {
    let Some((address, bits)) = text.split_once('/') else { return false };
    let most = match address.parse::<IpAddr>() {
        Ok(IpAddr::V4(_)) => 32,
        Ok(IpAddr::V6(_)) => 128,
        Err(_) => return false,
    };
    bits.parse::<u8>().is_ok_and(|bits| bits <= most)
}

/// Returns an error if an update changes the class of a load balancer, which is fixed once set.
fn class_change(draft: &Draft, object: &Value) -> Option<FieldError> {
    let live = draft.live.as_ref()?;
    let balances = |object: &Value| object["spec"]["type"] == "LoadBalancer";
    let field = "spec.loadBalancerClass";
    let changed = unchanged(draft, object, "/spec/loadBalancerClass", field, "may not change once set");
    changed.filter(|_| balances(live) && balances(object))
}

fn target_error(target: &Value, field: &str) -> Option<FieldError> {
    let why = match target {
        Value::Number(number) if !(1..=65_535).contains(&number.as_i64().unwrap_or(0)) => {
            "must be between 1 and 65535, inclusive"
        }
        Value::String(name) if name.len() > 15 => "must be no more than 15 characters",
        Value::String(name) if !matches("^[a-z0-9]([a-z0-9-]*[a-z0-9])?$", name) => {
            "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)"
        }
        _ => return None,
    };
    Some(FieldError::invalid(field, target, why))
}

fn address_change(draft: &Draft, object: &Value) -> Option<FieldError> {
    let was = draft.live.as_ref()?["spec"]["clusterIP"].as_str().filter(|address| !address.is_empty())?;
    let external = object["spec"]["type"] == "ExternalName";
    let (is, all) = (&object["spec"]["clusterIP"], &object["spec"]["clusterIPs"]);
    (!external && is != was)
        .then(|| FieldError::invalid("spec.clusterIPs[0]", all, "may not change once set"))
}
