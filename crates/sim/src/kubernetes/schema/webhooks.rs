//! Admission webhooks and policies. They are stored and never called: containers do not run here.

use serde_json::{Value, json};

use super::build::{Constrain, anything, conditions, integer, keyed, list, object, string};
use crate::kubernetes::definition::{Column, Definition};

const GROUP: &str = "admissionregistration.k8s.io";

/// Returns the kinds of admissionregistration.k8s.io/v1.
pub fn kinds() -> Vec<Definition> {
    let age = || Column::new("Age", "date", ".metadata.creationTimestamp");
    let kind = |kind: &str, plural: &str, schema: Value| {
        Definition::new(GROUP, "v1", kind, plural, schema).cluster_wide().generation()
    };
    let count = || vec![Column::new("Webhooks", "integer", "=webhooks"), age()];
    vec![
        kind("MutatingWebhookConfiguration", "mutatingwebhookconfigurations", webhooks()).columns(count()),
        kind("ValidatingWebhookConfiguration", "validatingwebhookconfigurations", webhooks())
            .columns(count()),
        kind("ValidatingAdmissionPolicy", "validatingadmissionpolicies", policy())
            .status()
            .columns(vec![age()]),
        kind("ValidatingAdmissionPolicyBinding", "validatingadmissionpolicybindings", policy_binding())
            .columns(vec![Column::new("PolicyName", "string", ".spec.policyName"), age()]),
    ]
}

fn webhooks() -> Value {
    let webhook = object(&[
        ("name", string()),
        ("clientConfig", anything()),
        ("rules", list(anything())),
        ("failurePolicy", string().one_of(&["Fail", "Ignore"]).default(json!("Fail"))),
        ("matchPolicy", string().one_of(&["Equivalent", "Exact"]).default(json!("Equivalent"))),
        ("namespaceSelector", super::build::label_selector().default(json!({}))),
        ("objectSelector", super::build::label_selector().default(json!({}))),
        ("sideEffects", string()),
        ("timeoutSeconds", integer().range(1, 30).default(json!(10))),
        ("admissionReviewVersions", list(string())),
        ("reinvocationPolicy", string()),
        ("matchConditions", keyed(object(&[("name", string()), ("expression", string())]), &["name"])),
    ])
    .required(&["name", "clientConfig", "sideEffects", "admissionReviewVersions"]);
    object(&[("webhooks", keyed(webhook, &["name"]))])
}

fn policy() -> Value {
    let spec = object(&[
        ("paramKind", object(&[("apiVersion", string()), ("kind", string())]).atomic_map()),
        ("matchConstraints", anything()),
        ("validations", list(anything())),
        ("failurePolicy", string().one_of(&["Fail", "Ignore"]).default(json!("Fail"))),
        ("auditAnnotations", list(anything())),
        ("matchConditions", keyed(object(&[("name", string()), ("expression", string())]), &["name"])),
        ("variables", keyed(object(&[("name", string()), ("expression", string())]), &["name"])),
    ]);
    let status = object(&[
        ("observedGeneration", integer()),
        ("typeChecking", anything()),
        ("conditions", conditions()),
    ]);
    object(&[("spec", spec), ("status", status)]).required(&["spec"])
}

fn policy_binding() -> Value {
    let spec = object(&[
        ("policyName", string()),
        ("paramRef", anything().atomic_map()),
        ("matchResources", anything()),
        ("validationActions", super::build::set(string())),
    ]);
    object(&[("spec", spec)]).required(&["spec"])
}
