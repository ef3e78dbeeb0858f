//! Admission beyond the schema: defaults that depend on other fields, and validation between fields or across
//! an update.

mod batch;
mod defaults;
mod gateways;
mod identity;
mod routes;
mod services;
mod storage;
mod workloads;

pub(super) use defaults::defaults;

use serde_json::Value;

use super::custom_kinds;
use super::schema::validate::{self, Wording};
use super::status::FieldError;
use super::write::Draft;

/// Returns all validation errors of an object before it is stored.
pub(super) fn field_errors(draft: &Draft, object: &Value) -> Vec<FieldError> {
    let definition = &draft.definition;
    let wording = if definition.custom { Wording::OpenApi } else { Wording::BuiltIn };
    let mut errors = identity::field_errors(draft, object);
    errors.extend(validate::field_errors(&definition.schema, object, wording));
    // Rules between fields require that each field has its type.
    if errors.is_empty() {
        errors.extend(match definition.kind.as_str() {
            // A custom kind may have the name of a built-in one.
            "GatewayClass" | "Gateway" => gateways::field_errors(draft, object),
            "HTTPRoute" | "GRPCRoute" => routes::field_errors(object),
            _ if definition.custom => Vec::new(),
            "Deployment" | "ReplicaSet" | "DaemonSet" | "StatefulSet" | "Pod" => {
                workloads::field_errors(draft, object)
            }
            "Job" => batch::job_errors(draft, object),
            "CronJob" => batch::cron_job_errors(object),
            "PersistentVolumeClaim" => storage::claim_errors(draft, object),
            "PersistentVolume" | "StorageClass" | "PriorityClass" | "RuntimeClass" | "IngressClass" => {
                storage::class_errors(draft, object)
            }
            "Ingress" => services::ingress_errors(object),
            "HorizontalPodAutoscaler" | "PodDisruptionBudget" => workloads::policy_errors(object),
            "Service" => services::field_errors(draft, object),
            "Secret" | "ConfigMap" => services::data_errors(draft, object),
            "RoleBinding" | "ClusterRoleBinding" => services::binding_errors(draft, object),
            "CustomResourceDefinition" => custom_kinds::field_errors(object),
            _ => Vec::new(),
        });
    }
    errors
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
