//! The empty object of a built-in kind: the structures that its Go type always contains.
//!
//! A create owns the fields that differ from the empty object, so it does not own these structures themselves.

use serde_json::{Value, json};

use crate::kubernetes::definition::Definition;

/// Returns the empty object of a kind; that of a custom kind has no fields.
pub fn object(definition: &Definition) -> Value {
    if definition.custom {
        return json!({});
    }
    match definition.kind.as_str() {
        // The server itself adds these fields, without an owner.
        "Namespace" => json!({"spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"}}),
        "Service" => json!({"spec": {}, "status": {"loadBalancer": {}}}),
        "Pod" => json!({"spec": {"containers": null}, "status": {}}),
        "Deployment" => json!({"spec": {"strategy": {}, "template": template()}, "status": {}}),
        "ReplicaSet" | "Job" => json!({"spec": {"template": template()}, "status": {}}),
        "DaemonSet" | "StatefulSet" => {
            json!({"spec": {"template": template(), "updateStrategy": {}}, "status": {}})
        }
        "CronJob" => {
            let job = json!({"metadata": {}, "spec": {"template": template()}});
            json!({"spec": {"jobTemplate": job}, "status": {}})
        }
        "PersistentVolumeClaim" => json!({"spec": {"resources": {}}, "status": {}}),
        _ => {
            let properties = &definition.schema["properties"];
            let fields = ["spec", "status"].into_iter();
            let structures = fields.filter(|field| properties[*field]["properties"].is_object());
            structures.map(|field| (field.to_owned(), json!({}))).collect()
        }
    }
}

fn template() -> Value {
    json!({"metadata": {}, "spec": {"containers": null}})
}
