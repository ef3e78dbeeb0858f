//! The CustomResourceDefinitions of AKS add-ons, written as documents in `custom/`.
//!
//! A document is a CustomResourceDefinition with three shortcuts. `$ref: name` stands for an entry of `definitions`,
//! with the fields beside it added or replaced; as an item of a list, it may stand for several items. A field
//! `name@v1.4.1` is that of the release and of later ones (null removes it). An item or a document with `since` is
//! left out of earlier releases. The fields of every object (`apiVersion`, `kind`, `metadata`) are not written.

use std::sync::{LazyLock, OnceLock};

use serde_json::{Map, Value, json};

use super::build::string;

/// The releases of the Gateway API, oldest first.
pub const RELEASES: [&str; 4] = ["v1.2.1", "v1.3.0", "v1.4.1", "v1.5.1"];
/// The newest release.
pub const NEWEST: &str = RELEASES[RELEASES.len() - 1];

const GATEWAY_API: [&str; 5] = [
    include_str!("custom/shared.yaml"),
    include_str!("custom/filters.yaml"),
    include_str!("custom/gateways.yaml"),
    include_str!("custom/routes.yaml"),
    include_str!("custom/backend_tls_policies.yaml"),
];
const SECRETS_STORE: [&str; 1] = [include_str!("custom/secrets_store.yaml")];
const APP_ROUTING: [&str; 1] = [include_str!("custom/app_routing.yaml")];

/// Returns the definitions of a release of the Gateway API's standard channel; none of an unknown release.
pub fn gateway_api(release: &str) -> &'static [Value] {
    static DOCUMENTS: LazyLock<Vec<Value>> = LazyLock::new(|| documents(&GATEWAY_API));
    static OF_RELEASES: [OnceLock<Vec<Value>>; RELEASES.len()] = [const { OnceLock::new() }; RELEASES.len()];
    let index = RELEASES.iter().position(|known| *known == release);
    index.map_or(&[], |index| OF_RELEASES[index].get_or_init(|| of_release(&DOCUMENTS, release)))
}

/// Returns the definitions of the Secrets Store CSI driver.
pub fn secrets_store() -> &'static [Value] {
    static DOCUMENTS: LazyLock<Vec<Value>> = LazyLock::new(|| of_release(&documents(&SECRETS_STORE), ""));
    &DOCUMENTS
}

/// Returns the definitions of the application routing operator.
pub fn app_routing() -> &'static [Value] {
    static DOCUMENTS: LazyLock<Vec<Value>> = LazyLock::new(|| of_release(&documents(&APP_ROUTING), ""));
    &DOCUMENTS
}

fn documents(files: &[&str]) -> Vec<Value> {
    let read =
        |text: &&str| serde_saphyr::from_multiple::<Value>(text).expect("the embedded documents are YAML");
    files.iter().flat_map(read).collect()
}

fn of_release(documents: &[Value], release: &str) -> Vec<Value> {
    let (kinds, shared): (Vec<&Value>, Vec<&Value>) =
        documents.iter().partition(|one| one["kind"].is_string());
    let shared: Vec<&Value> = shared.into_iter().map(|one| &one["definitions"]).collect();
    let kinds = kinds.into_iter().filter_map(|kind| {
        let parts = std::iter::once(&kind["definitions"]).chain(shared.iter().copied()).collect();
        let mut object = Resolver { release, parts }.value(kind)?;
        object.as_object_mut().map(|object| object.shift_remove("definitions"));
        let versions = object.pointer_mut("/spec/versions").and_then(Value::as_array_mut);
        for version in versions.into_iter().flatten() {
            let properties = &mut version["schema"]["openAPIV3Schema"]["properties"];
            for (name, schema) in
                [("metadata", json!({"type": "object"})), ("kind", string()), ("apiVersion", string())]
            {
                properties
                    .as_object_mut()
                    .map(|properties| properties.shift_insert(0, name.to_owned(), schema));
            }
        }
        Some(object)
    });
    kinds.collect()
}

struct Resolver<'d> {
    release: &'d str,
    /// The entries that `$ref` can name.
    parts: Vec<&'d Value>,
}

impl Resolver<'_> {
    fn part(&self, name: &str) -> &Value {
        let found = self.parts.iter().find_map(|part| part.get(name));
        found.unwrap_or_else(|| panic!("the embedded documents define {name}"))
    }

    /// Returns a value of the release; `None` if the release does not have it.
    fn value(&self, value: &Value) -> Option<Value> {
        match value {
            Value::Object(map) => self.map(map),
            Value::Array(list) => Some(Value::Array(list.iter().flat_map(|item| self.item(item)).collect())),
            other => Some(other.clone()),
        }
    }

    fn item(&self, item: &Value) -> Vec<Value> {
        let named = item["$ref"].as_str().map(|name| self.part(name)).filter(|part| part.is_array());
        match self.value(named.unwrap_or(item)) {
            Some(Value::Array(items)) if named.is_some() => items,
            other => other.into_iter().collect(),
        }
    }

    fn map(&self, map: &Map<String, Value>) -> Option<Value> {
        if map.get("since").and_then(Value::as_str).is_some_and(|since| self.release < since) {
            return None;
        }
        let named = map.get("$ref").and_then(Value::as_str).and_then(|name| self.value(self.part(name)));
        let mut result = match named {
            Some(Value::Object(fields)) => fields,
            _ => Map::new(),
        };
        for (name, value) in map {
            let (name, since) = name.split_once('@').unwrap_or((name, ""));
            if name == "$ref" || self.release < since || (name == "since" && value.is_string()) {
                continue;
            }
            match self.value(value) {
                None | Some(Value::Null) => drop(result.shift_remove(name)),
                Some(value) => drop(result.insert(name.to_owned(), value)),
            }
        }
        Some(Value::Object(result))
    }
}

#[cfg(test)]
mod tests {
    use super::super::rules;
    use super::*;

    fn schema(release: &str, kind: &str) -> Option<Value> {
        let kinds = gateway_api(release);
        let kind = kinds.iter().find(|one| one["spec"]["names"]["kind"] == kind)?;
        Some(kind["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone())
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
            ("BackendTLSPolicy", "/properties/spec".to_owned(), "v1.4.1"),
            ("TLSRoute", "/properties/spec".to_owned(), "v1.5.1"),
        ] {
            for release in RELEASES {
                let has = schema(release, kind).is_some_and(|schema| schema.pointer(&path).is_some());
                assert_eq!(has, release >= first, "{kind} {path} in {release}");
            }
        }
    }

    #[test]
    fn the_rules_of_the_documents_compile() {
        let kinds = RELEASES.iter().flat_map(|release| gateway_api(release)).chain(secrets_store());
        for kind in kinds.chain(app_routing()) {
            for version in kind["spec"]["versions"].as_array().into_iter().flatten() {
                let errors = rules::compile_errors(&version["schema"]["openAPIV3Schema"], "");
                assert!(errors.is_empty(), "{}: {errors:#?}", kind["metadata"]["name"]);
            }
        }
    }

    #[test]
    fn a_reference_may_be_extended_and_may_stand_for_several_items() {
        let documents: Vec<Value> = serde_saphyr::from_multiple(
            "definitions: {a: {x: 1, y: 2}, more: [3, {since: v2, n: 4}]}\n---\nkind: K\nspec: {one: {$ref: a, y: 5}, list: [2, {$ref: more}], z: 6, z@v2: 7, y@v2: null}\n",
        )
        .unwrap();
        let spec = |release: &str| of_release(&documents, release)[0]["spec"].clone();
        assert_eq!(spec("v1"), json!({"one": {"x": 1, "y": 5}, "list": [2, 3], "z": 6}));
        assert_eq!(spec("v2")["list"], json!([2, 3, {"n": 4}]));
        assert_eq!(spec("v2")["z"], 7);
    }
}
