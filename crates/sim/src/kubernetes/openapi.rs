//! OpenAPI v3 documents: enough for kubectl to send its patches and to explain fields.

use serde_json::{Map, Value, json};

use super::definition::Definition;
use super::status::{StatusError, json_reply};
use super::store::Store;
use crate::request::Reply;

/// Handles `/openapi/v3`: the group versions with the URLs of their documents.
pub fn index(store: &Store) -> Reply {
    let mut paths = Map::new();
    for kind in store.definitions() {
        let place = place(&kind.group, &kind.version);
        // The number of kinds stands for the document's hash: it changes with the installed kinds.
        let url = format!("/openapi/v3/{place}?hash={:X}", store.definitions().len());
        paths.entry(place).or_insert(json!({"serverRelativeURL": url}));
    }
    json_reply(200, &json!({"paths": paths}))
}

fn place(group: &str, version: &str) -> String {
    if group.is_empty() { format!("api/{version}") } else { format!("apis/{group}/{version}") }
}

/// Returns the path of an object of a kind, with placeholders.
pub(super) fn item_path(kind: &Definition) -> String {
    let scope = if kind.namespaced { "/namespaces/{namespace}" } else { "" };
    format!("/{}{scope}/{}/{{name}}", place(&kind.group, &kind.version), kind.plural)
}

/// Returns the query parameters of every patch.
pub(super) fn parameters() -> impl Iterator<Item = &'static str> {
    ["dryRun", "fieldManager", "fieldValidation", "force"].into_iter()
}

/// Handles `/openapi/v3/{place}`: per kind one path with its patch, and its schema.
pub fn document(store: &Store, wanted: &str) -> Reply {
    let mut paths = Map::new();
    let mut schemas = Map::new();
    for kind in store.definitions() {
        if place(&kind.group, &kind.version) != wanted {
            continue;
        }
        let named = json!({"group": kind.group, "version": kind.version, "kind": kind.kind});
        let parameter = |name: &str| json!({"name": name, "in": "query", "schema": {"type": "string", "uniqueItems": true}});
        let parameters: Vec<Value> = parameters().map(parameter).collect();
        let body = json!({"content": {"application/apply-patch+yaml": {"schema": {"type": "object"}}}});
        paths.insert(
            item_path(&kind),
            json!({"patch": {
                "operationId": format!("patch{}", kind.kind), "parameters": parameters, "requestBody": body,
                "responses": {"200": {"description": "OK"}},
                "x-kubernetes-action": "patch", "x-kubernetes-group-version-kind": named,
            }}),
        );
        let mut schema = kind.schema.clone();
        schema["x-kubernetes-group-version-kind"] = json!([named]);
        let group = if kind.group.is_empty() { "core" } else { kind.group.as_str() };
        schemas.insert(format!("{group}.{}.{}", kind.version, kind.kind), schema);
    }
    if paths.is_empty() {
        return StatusError::no_such_resource().reply();
    }
    json_reply(
        200,
        &json!({
            "openapi": "3.0.0", "info": {"title": "Kubernetes", "version": format!("v{}", store.version())},
            "paths": paths, "components": {"schemas": schemas},
        }),
    )
}
