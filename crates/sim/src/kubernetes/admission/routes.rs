//! The CEL rules of the Gateway API definitions: routes.

use std::collections::BTreeSet;

use serde_json::Value;

use super::each;
use super::gateways::rule;
use crate::kubernetes::status::FieldError;

/// Returns the validation errors of a route.
pub fn field_errors(object: &Value) -> Vec<FieldError> {
    let spec = &object["spec"];
    let mut errors: Vec<FieldError> = parent_errors(spec).into_iter().collect();
    for (index, of_rule) in each(spec, "/rules") {
        let at = format!("spec.rules[{index}]");
        errors.extend(rule_errors(of_rule, &at));
    }
    errors
}

fn parent_errors(spec: &Value) -> Option<FieldError> {
    let parents: Vec<&Value> = each(spec, "/parentRefs").map(|(_, parent)| parent).collect();
    let same = |a: &Value, b: &Value| {
        ["group", "kind", "namespace", "name"].iter().all(|field| a[field] == b[field])
    };
    let section = |parent: &Value| (parent["sectionName"].to_string(), parent["port"].to_string());
    for (index, parent) in parents.iter().enumerate() {
        for other in &parents[index + 1..] {
            if same(parent, other) && section(parent) == section(other) {
                let why = if parent["sectionName"].is_string() {
                    "sectionName must be unique when parentRefs includes 2 or more references to the same parent"
                } else {
                    "sectionName must be specified when parentRefs includes 2 or more references to the same parent"
                };
                return Some(rule("spec.parentRefs", why));
            }
        }
    }
    None
}

fn rule_errors(of_rule: &Value, at: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let redirects = each(of_rule, "/filters").any(|(_, filter)| filter["type"] == "RequestRedirect");
    let has_backends = each(of_rule, "/backendRefs").next().is_some();
    if redirects && has_backends {
        errors.push(rule(at, "RequestRedirect filter must not be used together with backendRefs"));
    }
    for (index, one) in each(of_rule, "/matches") {
        errors.extend(path_error(&one["path"], &format!("{at}.matches[{index}].path")));
    }
    for (index, filter) in each(of_rule, "/filters") {
        errors.extend(filter_errors(filter, &format!("{at}.filters[{index}]")));
    }
    for (index, backend) in each(of_rule, "/backendRefs") {
        let here = format!("{at}.backendRefs[{index}]");
        if backend["group"] == "" && backend["kind"] == "Service" && backend["port"].is_null() {
            errors.push(rule(&here, "Must have port for Service reference"));
        }
    }
    let kinds: Vec<String> =
        each(of_rule, "/filters").map(|(_, filter)| filter["type"].to_string()).collect();
    for kind in ["RequestRedirect", "URLRewrite", "RequestHeaderModifier", "ResponseHeaderModifier", "CORS"] {
        if kinds.iter().filter(|is| **is == format!("{kind:?}")).count() > 1 {
            errors.push(rule(&format!("{at}.filters"), &format!("{kind} filter cannot be repeated")));
        }
    }
    if redirects && kinds.iter().collect::<BTreeSet<_>>().contains(&"\"URLRewrite\"".to_owned()) {
        let why = "May specify either httpRouteFilterRequestRedirect or httpRouteFilterRequestRewrite, but not both";
        errors.push(rule(&format!("{at}.filters"), why));
    }
    errors
}

fn path_error(path: &Value, field: &str) -> Option<FieldError> {
    let value = path["value"].as_str()?;
    let is_literal = path["type"] == "Exact" || path["type"] == "PathPrefix";
    let why = if !is_literal {
        return None;
    } else if !value.starts_with('/') {
        "value must be an absolute path and start with '/' when type one of ['Exact', 'PathPrefix']"
            .to_owned()
    } else {
        let bad = ["//", "/./", "/../", "%2f", "%2F", "#"].into_iter().find(|part| value.contains(part))?;
        format!("must not contain '{bad}' when type one of ['Exact', 'PathPrefix']")
    };
    Some(rule(field, &why))
}

fn filter_errors(filter: &Value, field: &str) -> Vec<FieldError> {
    let fields = [
        ("RequestHeaderModifier", "requestHeaderModifier"),
        ("ResponseHeaderModifier", "responseHeaderModifier"),
        ("RequestMirror", "requestMirror"),
        ("RequestRedirect", "requestRedirect"),
        ("URLRewrite", "urlRewrite"),
        ("ExtensionRef", "extensionRef"),
        ("CORS", "cors"),
    ];
    let mut errors = Vec::new();
    for (kind, name) in fields {
        let (is_kind, has_field) = (filter["type"] == kind, filter.get(name).is_some());
        if has_field && !is_kind {
            let why = format!("filter.{name} must be nil if the filter.type is not {kind}");
            errors.push(rule(field, &why));
        } else if is_kind && !has_field {
            let why = format!("filter.{name} must be specified for {kind} filter.type");
            errors.push(rule(field, &why));
        }
    }
    errors
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_redirect_has_no_backends_and_a_path_begins_with_a_slash() {
        let route = json!({"spec": {"rules": [{
            "matches": [{"path": {"type": "PathPrefix", "value": "shop"}}],
            "filters": [{"type": "RequestRedirect", "requestRedirect": {"scheme": "https"}}],
            "backendRefs": [{"group": "", "kind": "Service", "name": "web"}],
        }]}});
        let errors: Vec<String> = field_errors(&route).iter().map(ToString::to_string).collect();
        assert_eq!(errors.len(), 3, "{errors:?}");
        assert!(errors[0].contains("must not be used together with backendRefs"));
    }
}
