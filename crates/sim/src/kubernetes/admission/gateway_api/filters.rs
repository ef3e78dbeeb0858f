//! The rules of filters, of a route's rule or of a backend.

use serde_json::Value;

use super::{Rules, each};
use crate::kubernetes::status::FieldError;

/// The filter types, each with the field of its settings.
const KINDS: [(&str, &str); 7] = [
    ("CORS", "cors"),
    ("RequestHeaderModifier", "requestHeaderModifier"),
    ("ResponseHeaderModifier", "responseHeaderModifier"),
    ("RequestMirror", "requestMirror"),
    ("RequestRedirect", "requestRedirect"),
    ("URLRewrite", "urlRewrite"),
    ("ExtensionRef", "extensionRef"),
];
/// The filter types that may occur only once.
const UNIQUE: [&str; 5] =
    ["CORS", "RequestHeaderModifier", "ResponseHeaderModifier", "RequestRedirect", "URLRewrite"];

/// Adds the violated rules of the filters of a rule or a backend.
pub fn filter_errors(place: &Value, at: &str, errors: &mut Vec<FieldError>) {
    let count = |kind: &str| each(place, "/filters").filter(|(_, filter)| filter["type"] == kind).count();
    let mut rules = Rules::at(format!("{at}.filters"), errors);
    rules.require(
        count("RequestRedirect") == 0 || count("URLRewrite") == 0,
        "May specify either httpRouteFilterRequestRedirect or httpRouteFilterRequestRewrite, but not both",
    );
    for kind in UNIQUE {
        rules.require(count(kind) <= 1, &format!("{kind} filter cannot be repeated"));
    }
    for (index, filter) in each(place, "/filters") {
        one_filter(filter, &format!("{at}.filters[{index}]"), errors);
    }
}

fn one_filter(filter: &Value, at: &str, errors: &mut Vec<FieldError>) {
    let mut rules = Rules::at(at, errors);
    for (kind, field) in KINDS {
        let (is_kind, has_field) = (filter["type"] == kind, filter.get(field).is_some());
        let why = format!("filter.{field} must be nil if the filter.type is not {kind}");
        rules.require(is_kind || !has_field, &why);
        let why = format!("filter.{field} must be specified for {kind} filter.type");
        rules.require(has_field || !is_kind, &why);
    }
    for field in ["requestRedirect", "urlRewrite"] {
        if let Some(path) = filter[field].get("path") {
            replacement(path, &format!("{at}.{field}.path"), errors);
        }
    }
    mirror(&filter["requestMirror"], &format!("{at}.requestMirror"), errors);
    for (field, title, others) in [
        ("allowHeaders", "AllowHeaders", "methods"),
        ("allowMethods", "AllowMethods", "methods"),
        ("allowOrigins", "AllowOrigins", "origins"),
    ] {
        let values = || filter["cors"][field].as_array().into_iter().flatten();
        let any = values().any(|value| value == "*");
        let why = format!("{title} cannot contain '*' alongside other {others}");
        Rules::at(format!("{at}.cors.{field}"), errors).require(!any || values().count() == 1, &why);
    }
}

fn replacement(path: &Value, at: &str, errors: &mut Vec<FieldError>) {
    let mut rules = Rules::at(at, errors);
    for (kind, field) in
        [("ReplaceFullPath", "replaceFullPath"), ("ReplacePrefixMatch", "replacePrefixMatch")]
    {
        let (is_kind, has_field) = (path["type"] == kind, path.get(field).is_some());
        let why = format!("{field} must be specified when type is set to '{kind}'");
        rules.require(has_field || !is_kind, &why);
        rules.require(is_kind || !has_field, &format!("type must be '{kind}' when {field} is set"));
    }
}

fn mirror(mirror: &Value, at: &str, errors: &mut Vec<FieldError>) {
    if mirror.is_null() {
        return;
    }
    Rules::at(at, errors).require(
        mirror.get("percent").is_none() || mirror.get("fraction").is_none(),
        "Only one of percent or fraction may be specified in HTTPRequestMirrorFilter",
    );
    backend_has_port(&mirror["backendRef"], &format!("{at}.backendRef"), errors);
    let fraction = &mirror["fraction"];
    Rules::at(format!("{at}.fraction"), errors).require(
        fraction["numerator"].as_i64() <= fraction["denominator"].as_i64(),
        "numerator must be less than or equal to denominator",
    );
}

/// Adds the violated rule of a reference to a Service without a port.
pub fn backend_has_port(backend: &Value, at: &str, errors: &mut Vec<FieldError>) {
    let is_service = backend["group"] == "" && backend["kind"] == "Service";
    let has_port = backend.get("port").is_some();
    Rules::at(at, errors).require(has_port || !is_service, "Must have port for Service reference");
}
