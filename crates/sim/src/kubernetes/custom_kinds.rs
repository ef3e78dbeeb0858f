//! The kinds of a user's CustomResourceDefinitions: served once the definition is established.
//!
//! <https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/>

use http::Method;
use serde_json::{Value, json};

use super::decode;
use super::definition::Definition;
use super::schema::rules;
use super::status::{FieldError, StatusError};
use super::store::{Store, names};
use super::verbs::ApiCall;
use crate::clock::SimTime;

/// The resource of CustomResourceDefinitions.
pub(super) const DEFINITIONS: &str = "customresourcedefinitions.apiextensions.k8s.io";
/// The field manager of their status.
pub(super) const MANAGER: &str = "kube-apiserver";
/// The time until a new definition is established, in milliseconds.
const ESTABLISHED_AFTER_MS: i64 = 1_500;

/// Returns the errors of a definition: a name that is not `plural.group`, not exactly one storage version, or rules
/// that do not compile.
pub(super) fn field_errors(object: &Value) -> Vec<FieldError> {
    let (name, spec) = (&object["metadata"]["name"], &object["spec"]);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let expected = format!("{}.{}", text(&spec["names"]["plural"]), text(&spec["group"]));
    let stored = spec["versions"].as_array().into_iter().flatten().filter(|v| v["storage"] == true).count();
    let mut errors = Vec::new();
    if *name != expected {
        let why = "must be spec.names.plural+\".\"+spec.group";
        errors.push(FieldError::invalid("metadata.name", name, why));
    }
    if stored != 1 {
        let why = "must have exactly one version marked as storage version";
        errors.push(FieldError::invalid("spec.versions", &spec["versions"], why));
    }
    let schemas: Vec<&Value> = spec["versions"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|version| &version["schema"]["openAPIV3Schema"])
        .collect();
    // The API server keeps the schema that all versions share in one place.
    if schemas.windows(2).all(|pair| pair[0] == pair[1]) {
        let shared =
            schemas.first().map(|schema| rules::compile_errors(schema, "spec.validation.openAPIV3Schema"));
        errors.extend(shared.unwrap_or_default());
        return errors;
    }
    for (index, schema) in schemas.iter().enumerate() {
        errors
            .extend(rules::compile_errors(schema, &format!("spec.versions[{index}].schema.openAPIV3Schema")));
    }
    errors
}

/// Returns the name of the definition that a request writes.
///
/// # Errors
/// 405 for a definition that the cluster's operator installs: clients can only read it.
pub(super) fn written_name(store: &Store, call: &ApiCall<'_>) -> Result<String, StatusError> {
    let name = match call.resource_path.name.clone() {
        Some(name) => name,
        None if call.request.method == Method::POST => names(&decode::object(call.request)?).1,
        None => return Err(StatusError::method_not_allowed()),
    };
    if store.definition(&name).is_some_and(|kind| !kind.embedded.is_empty()) {
        Err(StatusError::method_not_allowed())
    } else {
        Ok(name)
    }
}

/// Follows a client's write of a definition: plans its establishment, serves a changed one at once, and removes
/// a deleted one with its objects.
pub(super) fn follow_write(store: &mut Store, name: &str, at: SimTime) {
    let Some(object) = store.get(DEFINITIONS, "", name).cloned() else {
        store.stop_serving(name, at);
        return;
    };
    if store.definition(name).is_some() {
        serve(store, name, &object);
    } else {
        store.pending_kinds_mut().entry(name.to_owned()).or_insert(at.plus_ms(ESTABLISHED_AFTER_MS));
    }
}

/// Establishes the definitions that are due.
pub(super) fn establish(store: &mut Store, now: SimTime) {
    let pending = store.pending_kinds();
    let due: Vec<(String, SimTime)> =
        pending.iter().filter(|(_, at)| **at <= now).map(|(name, at)| (name.clone(), *at)).collect();
    for (name, at) in due {
        store.pending_kinds_mut().remove(&name);
        let Some(object) = store.get(DEFINITIONS, "", &name).cloned() else { continue };
        serve(store, &name, &object);
        let status = established(&object, at);
        store.put_status(DEFINITIONS, "", &name, status, MANAGER, at);
    }
}

/// Returns the status of a definition that is established since `at`.
pub(super) fn established(object: &Value, at: SimTime) -> Value {
    let condition = |kind: &str, reason: &str, message: &str| {
        json!({"type": kind, "status": "True", "lastTransitionTime": at.rfc3339(), "reason": reason,
            "message": message})
    };
    let versions = object["spec"]["versions"].as_array().into_iter().flatten();
    let stored = versions.filter(|version| version["storage"] == true).map(|version| &version["name"]);
    json!({
        "conditions": [
            condition("NamesAccepted", "NoConflicts", "no conflicts found"),
            condition("Established", "InitialNamesAccepted", "the initial names have been accepted"),
        ],
        "acceptedNames": object["spec"]["names"],
        "storedVersions": stored.collect::<Vec<_>>(),
    })
}

fn serve(store: &mut Store, name: &str, object: &Value) {
    match Definition::of_custom_resource_definition(object) {
        Some(definition) => store.install(definition),
        None => store.uninstall(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kubernetes::fixture::Cluster;

    const DEFINITION: &str =
        "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/widgets.shop.example.com";
    const WIDGET: &str = "/apis/shop.example.com/v1/namespaces/demo/widgets/one";

    fn definition() -> Value {
        json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": "widgets.shop.example.com"},
            "spec": {
                "group": "shop.example.com", "scope": "Namespaced",
                "names": {"plural": "widgets", "singular": "widget", "kind": "Widget", "listKind": "WidgetList"},
                "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema":
                    {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}],
            },
        })
    }

    fn widget() -> Value {
        json!({"apiVersion": "shop.example.com/v1", "kind": "Widget", "metadata": {"name": "one"},
            "spec": {"size": 3}})
    }

    #[test]
    fn a_custom_resource_is_served_while_its_definition_is_established() {
        let mut cluster = Cluster::new();
        assert_eq!(cluster.apply(DEFINITION, "me", &definition()).status, 201);
        assert_eq!(cluster.apply(WIDGET, "me", &widget()).status, 404, "it is not established yet");
        cluster.now = cluster.now.plus_ms(ESTABLISHED_AFTER_MS);
        let live: Value = serde_json::from_slice(&cluster.get(DEFINITION).body).unwrap();
        assert_eq!(live["status"]["conditions"][1]["type"], "Established");
        assert_eq!(cluster.get("/apis/shop.example.com/v1").status, 200);
        assert_eq!(cluster.apply(WIDGET, "me", &widget()).status, 201);
        let live: Value = serde_json::from_slice(&cluster.get(WIDGET).body).unwrap();
        assert_eq!(live["spec"]["size"], 3);
        assert_eq!(cluster.apply(DEFINITION, "me", &definition()).status, 200);

        let stored = serde_json::to_string(&cluster.store).unwrap();
        cluster.store = serde_json::from_str(&stored).unwrap();
        assert_eq!(cluster.get(WIDGET).status, 200, "a stored cluster still serves it");

        assert_eq!(cluster.send(Method::DELETE, DEFINITION, "", &Value::Null).status, 200);
        assert_eq!(cluster.get(WIDGET).status, 404);
        assert_eq!(
            cluster.store.all_objects().filter(|(resource, _)| resource.starts_with("widgets")).count(),
            0
        );
    }

    #[test]
    fn a_wrong_definition_is_refused_and_those_of_the_operator_are_read_only() {
        let mut cluster = Cluster::new();
        let mut wrong = definition();
        wrong["spec"]["names"]["plural"] = json!("gadgets");
        assert_eq!(cluster.apply(DEFINITION, "me", &wrong).status, 422);
        let gateways =
            "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/gateways.gateway.networking.k8s.io";
        assert_eq!(cluster.send(Method::DELETE, gateways, "", &Value::Null).status, 405);
        assert_eq!(cluster.get(gateways).status, 200);
    }

    #[test]
    fn the_rules_of_a_definition_are_compiled_and_applied_to_its_objects() {
        let mut cluster = Cluster::new();
        let with_rules = |rules: Value| {
            let mut definition = definition();
            definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"] = json!({
                "type": "object", "required": ["spec"],
                "properties": {"spec": {"type": "object", "x-kubernetes-validations": rules, "properties": {
                    "size": {"type": "integer"},
                    "color": {"type": "string", "x-kubernetes-validations": [
                        {"rule": "self == oldSelf", "message": "the color stays"}]},
                }}},
            });
            definition
        };
        let refused = cluster.apply(DEFINITION, "me", &with_rules(json!([{"rule": "self.sise < 5"}])));
        assert_eq!(refused.status, 422);
        let message = refused.value()["message"].as_str().unwrap().to_owned();
        let start = "CustomResourceDefinition.apiextensions.k8s.io \"widgets.shop.example.com\" is invalid: \
                     spec.validation.openAPIV3Schema.properties[spec].x-kubernetes-validations[0].rule: Invalid value: ";
        assert!(message.starts_with(start), "{message}");
        assert!(message.ends_with(
            "compilation failed: ERROR: <input>:1:5: undefined field 'sise'\n | self.sise < 5\n | ....^"
        ));

        let rules = json!([{"rule": "self.size < 5", "messageExpression": "'%d is too large'.format([self.size])",
            "fieldPath": ".size", "reason": "FieldValueForbidden"}]);
        assert_eq!(cluster.apply(DEFINITION, "me", &with_rules(rules)).status, 201);
        cluster.now = cluster.now.plus_ms(ESTABLISHED_AFTER_MS);
        cluster.get(DEFINITION);
        let mut widget = widget();
        widget["spec"] = json!({"size": 7, "color": "red"});
        let refused = cluster.apply(WIDGET, "me", &widget);
        assert_eq!(refused.status, 422);
        let cause = &refused.value()["details"]["causes"][0];
        assert_eq!(cause["message"], "Forbidden: 7 is too large");
        assert_eq!((&cause["field"], &cause["reason"]), (&json!("spec.size"), &json!("FieldValueForbidden")));
        widget["spec"]["size"] = json!(3);
        assert_eq!(cluster.apply(WIDGET, "me", &widget).status, 201);
        widget["spec"]["color"] = json!("blue");
        let refused = cluster.apply(WIDGET, "me", &widget);
        assert_eq!(
            refused.value()["details"]["causes"][0]["message"],
            "Invalid value: \"blue\": the color stays"
        );
    }
}
