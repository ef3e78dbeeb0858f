//! Admission beyond the schema: defaults that depend on other fields, and validation between fields or across
//! an update.

mod batch;
mod core_kinds;
mod data;
mod defaults;
mod ingress;
mod job;
mod metadata;
mod names;
mod pods;
mod storage;
mod workloads;

pub(super) use defaults::defaults;
pub(super) use metadata::{new_finalizers, other_uid};

use serde_json::Value;

use super::custom_kinds;
use super::schema::rules;
use super::schema::validate::{self, Wording};
use super::status::FieldError;
use super::write::Draft;

/// Returns all validation errors of an object before it is stored.
pub(super) fn field_errors(draft: &Draft, object: &Value) -> Vec<FieldError> {
    let definition = &draft.definition;
    let wording = if definition.custom { Wording::OpenApi } else { Wording::BuiltIn };
    let mut errors = metadata::field_errors(draft, object);
    errors.extend(validate::field_errors(&definition.schema, object, wording));
    if definition.custom {
        errors.extend(rule_errors(draft, object, &errors));
        return errors;
    }
    // Rules between fields require that each field has its type.
    if errors.is_empty() {
        errors.extend(match definition.kind.as_str() {
            "Deployment" | "ReplicaSet" | "DaemonSet" | "StatefulSet" | "Pod" => {
                workloads::field_errors(draft, object)
            }
            "Job" => job::field_errors(draft, object),
            "CronJob" => batch::cron_job_errors(object),
            "PersistentVolumeClaim" => storage::claim_errors(draft, object),
            "PersistentVolume" | "StorageClass" | "PriorityClass" | "RuntimeClass" | "IngressClass" => {
                storage::class_errors(draft, object)
            }
            "Ingress" => ingress::field_errors(object),
            "HorizontalPodAutoscaler" | "PodDisruptionBudget" => workloads::policy_errors(object),
            "Service" => core_kinds::field_errors(draft, object),
            "Secret" | "ConfigMap" => data::field_errors(draft, object),
            "RoleBinding" | "ClusterRoleBinding" => data::binding_errors(draft, object),
            "CustomResourceDefinition" => custom_kinds::field_errors(object),
            _ => Vec::new(),
        });
    }
    errors
}

/// Returns the warnings about an object that was stored.
pub(super) fn warnings(draft: &Draft, object: &Value) -> Vec<String> {
    let definition = &draft.definition;
    match (definition.custom, definition.group.as_str()) {
        (false, "apps" | "batch") => workloads::warnings(draft, object),
        (false, "") if definition.kind == "Pod" => pods::warnings(&object["spec"], "spec"),
        _ => Vec::new(),
    }
}

/// Returns the violated rules of a custom resource. An error that leaves fields unreliable prevents their
/// evaluation.
fn rule_errors(draft: &Draft, object: &Value, schema_errors: &[FieldError]) -> Vec<FieldError> {
    let schema = &draft.definition.schema;
    if !schema_errors.iter().any(FieldError::prevents_rules) {
        return rules::field_errors(schema, object, draft.live.as_deref());
    }
    if !has_rules(schema) {
        return Vec::new();
    }
    let why = "some validation rules were not checked because the object was invalid; correct the existing errors to \
               complete validation";
    vec![FieldError::invalid("", &Value::Null, why)]
}

/// Returns whether a schema has CEL rules at any place.
fn has_rules(schema: &Value) -> bool {
    match schema {
        Value::Object(map) => map.contains_key("x-kubernetes-validations") || map.values().any(has_rules),
        Value::Array(list) => list.iter().any(has_rules),
        _ => false,
    }
}

/// Returns the items of an existing list with their indexes.
fn each<'v>(value: &'v Value, path: &str) -> impl Iterator<Item = (usize, &'v Value)> {
    value.pointer(path).and_then(Value::as_array).into_iter().flatten().enumerate()
}

/// Returns an error if an update changes an immutable field.
fn unchanged(draft: &Draft, object: &Value, pointer: &str, field: &str, why: &str) -> Option<FieldError> {
    let live = draft.live.as_ref()?;
    let (was, is) = (live.pointer(pointer), object.pointer(pointer));
    (was != is).then(|| FieldError::invalid(field, is.unwrap_or(&Value::Null), why))
}
