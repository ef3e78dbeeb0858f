//! The fields of the Gateway API in each of its releases. The definitions in `gateway` and `routes` are those of
//! the newest one; an older one lacks some fields.

use serde_json::{Value, json};

use super::gateway::{GROUP, gateway_api};
use crate::kubernetes::definition::Definition;

/// The releases whose fields differ, oldest first.
pub const RELEASES: [&str; 4] = ["v1.2.1", "v1.3.0", "v1.4.1", "v1.5.1"];

/// Returns the definitions of the Gateway API with the fields of a release.
pub fn of_release(release: &str) -> Vec<Definition> {
    let mut kinds = gateway_api();
    for kind in &mut kinds {
        remove_later_fields(kind, release);
    }
    kinds
}

fn remove_later_fields(kind: &mut Definition, release: &str) {
    debug_assert_eq!(kind.group, GROUP);
    let is_before = |later: &str| release < later;
    let schema = &mut kind.schema;
    if is_before("v1.5") {
        remove(schema, "spec", &["allowedListeners", "tls"]);
        remove(schema, "status", &["attachedListenerSets"]);
        for filters in filters(schema) {
            remove_items(filters, &["cors"]);
            let fields = &mut filters["items"]["properties"];
            if let Some(choices) = fields["type"]["enum"].as_array_mut() {
                choices.retain(|choice| choice != "CORS");
            }
            if let Some(code) = fields.pointer_mut("/requestRedirect/properties/statusCode") {
                code["enum"] = json!([301, 302]);
            }
        }
    }
    if is_before("v1.4") {
        if let Some(rules) = schema.pointer_mut("/properties/spec/properties/rules") {
            remove_items(rules, &["name"]);
        }
        remove(schema, "status", &["supportedFeatures"]);
        if let Some(parents) = schema.pointer_mut("/properties/status/properties/parents/items") {
            parents["required"] = json!(["parentRef", "controllerName"]);
        }
    }
    if is_before("v1.3") {
        for filters in filters(schema) {
            if let Some(mirror) = filters.pointer_mut("/items/properties/requestMirror/properties") {
                mirror.as_object_mut().map(|fields| {
                    fields.shift_remove("percent");
                    fields.shift_remove("fraction")
                });
            }
        }
    }
}

/// Returns the schemas of the filters of a route's rules and of their backends.
fn filters(schema: &mut Value) -> Vec<&mut Value> {
    let Some(rule) = schema.pointer_mut("/properties/spec/properties/rules/items/properties") else {
        return Vec::new();
    };
    let Some(rule) = rule.as_object_mut() else { return Vec::new() };
    let mut found = Vec::new();
    for (name, field) in rule.iter_mut() {
        match name.as_str() {
            "filters" => found.push(field),
            "backendRefs" => found.extend(field.pointer_mut("/items/properties/filters")),
            _ => {}
        }
    }
    found
}

fn remove(schema: &mut Value, part: &str, fields: &[&str]) {
    let properties = schema.pointer_mut(&format!("/properties/{part}/properties"));
    if let Some(properties) = properties.and_then(Value::as_object_mut) {
        properties.retain(|name, _| !fields.contains(&name.as_str()));
    }
}

fn remove_items(list: &mut Value, fields: &[&str]) {
    if let Some(properties) = list.pointer_mut("/items/properties").and_then(Value::as_object_mut) {
        properties.retain(|name, _| !fields.contains(&name.as_str()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(release: &str, kind: &str, path: &str) -> bool {
        let kinds = of_release(release);
        let kind = kinds.iter().find(|one| one.kind == kind).expect("the release has the kind");
        kind.schema.pointer(path).is_some()
    }

    #[test]
    fn a_field_is_in_the_releases_since_its_first() {
        let rule = "/properties/spec/properties/rules/items/properties";
        for (kind, path, first) in [
            ("HTTPRoute", format!("{rule}/filters/items/properties/cors"), "v1.5.1"),
            ("HTTPRoute", format!("{rule}/name"), "v1.4.1"),
            ("GRPCRoute", format!("{rule}/name"), "v1.4.1"),
            (
                "HTTPRoute",
                format!("{rule}/filters/items/properties/requestMirror/properties/percent"),
                "v1.3.0",
            ),
            ("Gateway", "/properties/spec/properties/tls".to_owned(), "v1.5.1"),
            ("Gateway", "/properties/spec/properties/infrastructure".to_owned(), "v1.2.1"),
        ] {
            for release in RELEASES {
                assert_eq!(field(release, kind, &path), release >= first, "{kind} {path} in {release}");
            }
        }
        assert_eq!(of_release("v1.5.1"), gateway_api());
    }
}
