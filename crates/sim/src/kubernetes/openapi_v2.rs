//! The OpenAPI v2 document: kubectl validates the items of a `List` by it, and looks up patch strategies.
//!
//! kubectl asks for it in protobuf, other clients in JSON. The field numbers are those of gnostic,
//! <https://github.com/google/gnostic-models/blob/main/openapiv2/OpenAPIv2.proto>.

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::definition::Definition;
use super::openapi::{item_path, parameters};
use super::protobuf::wire::{put_bytes, put_flag};
use super::schema::traverse::{ListKind, keeps_unknown, list_keys, list_kind};
use super::status::json_reply;
use super::store::Store;
use crate::request::{Reply, Request};

/// The media type of the document in protobuf, as servers write it. Clients also use `@` for the first dot.
const PROTOBUF: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";

/// Handles `/openapi/v2`.
pub fn document(store: &Store, request: &Request) -> Reply {
    let document = json_document(store);
    let accept = request.header("accept").unwrap_or_default().replace("v2@v1.0", "v2.v1.0");
    match accept.contains(PROTOBUF) {
        true => Reply::bytes(200, PROTOBUF, Bytes::from(encoded(&document))),
        false => json_reply(200, &document),
    }
}

fn json_document(store: &Store) -> Value {
    let (mut paths, mut definitions) = (Map::new(), Map::new());
    for kind in store.definitions() {
        let named = json!({"group": kind.group, "version": kind.version, "kind": kind.kind});
        let parameters: Vec<Value> = parameters()
            .map(|name| json!({"name": name, "in": "query", "type": "string", "uniqueItems": true}))
            .collect();
        paths.insert(
            item_path(&kind),
            json!({"patch": {
                "operationId": format!("patch{}", kind.kind), "parameters": parameters,
                "responses": {"200": {"description": "OK"}},
                "x-kubernetes-action": "patch", "x-kubernetes-group-version-kind": named,
            }}),
        );
        let mut schema = described(&kind.schema);
        schema["x-kubernetes-group-version-kind"] = json!([named]);
        definitions.insert(definition_name(&kind), schema);
    }
    json!({
        "swagger": "2.0", "info": {"title": "Kubernetes", "version": format!("v{}", store.version())},
        "paths": paths, "definitions": definitions,
    })
}

/// Returns the name of a schema, with the group in the order of Java packages.
fn definition_name(kind: &Definition) -> String {
    let mut parts: Vec<&str> = kind.group.split('.').filter(|part| !part.is_empty()).collect();
    parts.reverse();
    parts.extend([kind.version.as_str(), kind.kind.as_str()]);
    parts.join(".")
}

/// Returns a schema in the subset of OpenAPI v2: without defaults and constraints, which the server checks.
fn described(schema: &Value) -> Value {
    if schema["x-kubernetes-int-or-string"] == json!(true) {
        let is_quantity = schema["format"] == "quantity";
        return if is_quantity {
            json!({"type": "string"})
        } else {
            json!({"type": "string", "format": "int-or-string"})
        };
    }
    let Some(kind) = schema["type"].as_str() else { return json!({}) };
    let mut result = json!({"type": kind});
    match kind {
        "object" if keeps_unknown(schema) => {}
        "object" => {
            if let Some(fields) = schema["properties"].as_object() {
                let fields = fields.iter().map(|(name, field)| (name.clone(), described(field)));
                result["properties"] = Value::Object(fields.collect());
            }
            if schema["additionalProperties"].is_object() {
                result["additionalProperties"] = described(&schema["additionalProperties"]);
            }
            if schema["required"].is_array() {
                result["required"] = schema["required"].clone();
            }
        }
        "array" => {
            result["items"] = described(&schema["items"]);
            if list_kind(schema) != ListKind::Atomic {
                result["x-kubernetes-patch-strategy"] = json!("merge");
            }
            if let Some(key) = list_keys(schema).next() {
                result["x-kubernetes-patch-merge-key"] = json!(key);
            }
        }
        _ => {
            if schema["format"].is_string() {
                result["format"] = schema["format"].clone();
            }
        }
    }
    result
}

/// Encodes the document.
fn encoded(document: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    put_text(&mut out, 1, &document["swagger"]);
    put_bytes(
        &mut out,
        2,
        &message(|info| {
            put_text(info, 1, &document["info"]["title"]);
            put_text(info, 2, &document["info"]["version"]);
        }),
    );
    let paths = document["paths"].as_object().into_iter().flatten();
    put_bytes(
        &mut out,
        8,
        &message(|all| {
            paths.for_each(|(path, item)| {
                let patch = message(|item_out| put_bytes(item_out, 8, &operation(&item["patch"])));
                put_bytes(all, 2, &named(path, &patch));
            })
        }),
    );
    put_bytes(&mut out, 9, &schemas(&document["definitions"]));
    out
}

fn message(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    write(&mut out);
    out
}

fn put_text(out: &mut Vec<u8>, field: u32, text: &Value) {
    if let Some(text) = text.as_str() {
        put_bytes(out, field, text.as_bytes());
    }
}

/// Encodes an entry of a map: its name, and the message of its value.
fn named(name: &str, value: &[u8]) -> Vec<u8> {
    message(|out| {
        put_bytes(out, 1, name.as_bytes());
        put_bytes(out, 2, value);
    })
}

/// Writes the `x-` fields. Their values are YAML, of which JSON is a subset.
fn put_extensions(out: &mut Vec<u8>, field: u32, object: &Value) {
    let extensions = object.as_object().into_iter().flatten().filter(|(name, _)| name.starts_with("x-"));
    for (name, value) in extensions {
        let any = message(|out| put_bytes(out, 2, value.to_string().as_bytes()));
        put_bytes(out, field, &named(name, &any));
    }
}

fn operation(patch: &Value) -> Vec<u8> {
    message(|out| {
        put_text(out, 5, &patch["operationId"]);
        for parameter in patch["parameters"].as_array().into_iter().flatten() {
            let query = message(|out| {
                put_text(out, 2, &parameter["in"]);
                put_text(out, 4, &parameter["name"]);
                put_text(out, 6, &parameter["type"]);
                put_flag(out, 20);
            });
            // A query parameter is one of the parameters without a body, which are one of all parameters.
            let not_body = message(|out| put_bytes(out, 3, &query));
            let parameter = message(|out| put_bytes(out, 2, &not_body));
            put_bytes(out, 8, &message(|out| put_bytes(out, 1, &parameter)));
        }
        let response = message(|out| put_text(out, 1, &patch["responses"]["200"]["description"]));
        let response = message(|out| put_bytes(out, 1, &response));
        put_bytes(out, 9, &message(|out| put_bytes(out, 1, &named("200", &response))));
        put_extensions(out, 13, patch);
    })
}

fn schemas(all: &Value) -> Vec<u8> {
    message(|out| {
        for (name, value) in all.as_object().into_iter().flatten() {
            put_bytes(out, 1, &named(name, &schema(value)));
        }
    })
}

fn schema(value: &Value) -> Vec<u8> {
    message(|out| {
        put_text(out, 2, &value["format"]);
        for name in value["required"].as_array().into_iter().flatten() {
            put_text(out, 19, name);
        }
        if value["additionalProperties"].is_object() {
            let values = schema(&value["additionalProperties"]);
            put_bytes(out, 21, &message(|out| put_bytes(out, 1, &values)));
        }
        if value["type"].is_string() {
            put_bytes(out, 22, &message(|out| put_text(out, 1, &value["type"])));
        }
        if value["items"].is_object() {
            let items = schema(&value["items"]);
            put_bytes(out, 23, &message(|out| put_bytes(out, 1, &items)));
        }
        if value["properties"].is_object() {
            put_bytes(out, 25, &schemas(&value["properties"]));
        }
        put_extensions(out, 31, value);
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kubernetes::fixture::Cluster;
    use crate::kubernetes::protobuf::wire::{WireValue, parts};
    use http::Method;

    fn text(bytes: &[u8]) -> &str {
        std::str::from_utf8(bytes).unwrap()
    }

    /// Returns the value of the first field with that number.
    fn field(message: &[u8], number: u64) -> Vec<u8> {
        let all = parts(message).unwrap();
        let found =
            all.into_iter().find(|(field, _)| *field == number).map(|(_, value)| value.bytes().unwrap());
        found.unwrap_or_default().to_vec()
    }

    #[test]
    fn the_json_document_has_a_schema_and_a_patch_of_each_kind() {
        let mut cluster = Cluster::new();
        let document = cluster.get("/openapi/v2").value();
        let config_map = &document["definitions"]["v1.ConfigMap"];
        assert_eq!(config_map["properties"]["data"]["additionalProperties"]["type"], "string");
        assert_eq!(config_map["x-kubernetes-group-version-kind"][0]["kind"], "ConfigMap");
        let containers = &document["definitions"]["apps.v1.Deployment"]["properties"]["spec"]["properties"]["template"]
            ["properties"]["spec"]["properties"]["containers"];
        assert_eq!(containers["x-kubernetes-patch-merge-key"], "name");
        assert!(document["definitions"]["io.k8s.networking.gateway.v1beta1.Gateway"].is_object());
        let patch = &document["paths"]["/api/v1/namespaces/{namespace}/configmaps/{name}"]["patch"];
        assert!(patch["parameters"].as_array().unwrap().iter().any(|one| one["name"] == "fieldValidation"));
    }

    #[test]
    fn the_protobuf_document_has_the_same_definitions() {
        let mut cluster = Cluster::new();
        let accept = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";
        let request = Request::new(Method::GET, "c", "/openapi/v2").with_header("accept", accept);
        let reply = cluster.send_request(&request).reply;
        assert_eq!(reply.headers["content-type"], PROTOBUF);
        assert_eq!(text(&field(&reply.body, 1)), "2.0");
        let definitions = field(&reply.body, 9);
        let found = parts(&definitions).unwrap();
        let names = found.iter().map(|(_, value)| match value {
            WireValue::Bytes(named) => text(&field(named, 1)).to_owned(),
            WireValue::Number(_) => panic!("a number"),
        });
        let names: Vec<String> = names.collect();
        let document = cluster.get("/openapi/v2").value();
        assert_eq!(names.len(), document["definitions"].as_object().unwrap().len());
        assert!(names.contains(&"apps.v1.StatefulSet".to_owned()));
    }
}
