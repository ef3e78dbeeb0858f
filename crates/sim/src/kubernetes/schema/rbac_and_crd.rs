//! Cluster-level kinds: RBAC and CustomResourceDefinitions.

use serde_json::{Value, json};

use super::build::{Constrain, anything, boolean, conditions, integer, list, object, set, string};
use crate::kubernetes::definition::{Column, Definition};

const RBAC: &str = "rbac.authorization.k8s.io";

/// Returns the kinds of rbac.authorization.k8s.io/v1, apiextensions.k8s.io/v1 and apiregistration.k8s.io/v1.
pub fn kinds() -> Vec<Definition> {
    let created = || Column::new("Created At", "date", "=created");
    vec![
        Definition::new(RBAC, "v1", "Role", "roles", role()).columns(vec![created()]),
        Definition::new(RBAC, "v1", "RoleBinding", "rolebindings", binding()).columns(binding_columns()),
        Definition::new(RBAC, "v1", "ClusterRole", "clusterroles", role())
            .cluster_wide()
            .columns(vec![created()]),
        Definition::new(RBAC, "v1", "ClusterRoleBinding", "clusterrolebindings", binding())
            .cluster_wide()
            .columns(binding_columns()),
        Definition::new(
            "apiextensions.k8s.io",
            "v1",
            "CustomResourceDefinition",
            "customresourcedefinitions",
            custom_resource_definition(),
        )
        .cluster_wide()
        .status()
        .generation()
        .short(&["crd", "crds"])
        .columns(vec![created()]),
        Definition::new("apiregistration.k8s.io", "v1", "APIService", "apiservices", api_service())
            .cluster_wide()
            .status()
            .categories(&["api-extensions"])
            .columns(vec![
                Column::new("Service", "string", ".spec.service.name"),
                Column::new("Available", "string", ".status.conditions[?(@.type==\"Available\")].status"),
                Column::new("Age", "date", ".metadata.creationTimestamp"),
            ]),
    ]
}

fn binding_columns() -> Vec<Column> {
    let wide = |name: &str, path: &str| Column::new(name, "string", path).wide();
    vec![
        Column::new("Role", "string", "=binding.role"),
        Column::new("Age", "date", ".metadata.creationTimestamp"),
        wide("Users", "=binding.User"),
        wide("Groups", "=binding.Group"),
        wide("ServiceAccounts", "=binding.ServiceAccount"),
    ]
}

fn role() -> Value {
    let rule = object(&[
        ("verbs", list(string())),
        ("apiGroups", list(string())),
        ("resources", list(string())),
        ("resourceNames", list(string())),
        ("nonResourceURLs", list(string())),
    ])
    .required(&["verbs"]);
    object(&[
        ("rules", list(rule)),
        ("aggregationRule", object(&[("clusterRoleSelectors", list(anything()))])),
    ])
}

fn binding() -> Value {
    let reference = object(&[("apiGroup", string()), ("kind", string()), ("name", string())])
        .required(&["apiGroup", "kind", "name"])
        .atomic_map();
    let subject =
        object(&[("kind", string()), ("apiGroup", string()), ("name", string()), ("namespace", string())])
            .required(&["kind", "name"])
            .atomic_map();
    object(&[("roleRef", reference), ("subjects", list(subject))]).required(&["roleRef"])
}

fn api_service() -> Value {
    let service = object(&[("namespace", string()), ("name", string()), ("port", integer())]);
    let spec = object(&[
        ("service", service),
        ("group", string()),
        ("version", string()),
        ("insecureSkipTLSVerify", boolean()),
        ("caBundle", string()),
        ("groupPriorityMinimum", integer()),
        ("versionPriority", integer()),
    ])
    .required(&["groupPriorityMinimum", "versionPriority"]);
    let status = object(&[("conditions", conditions())]);
    object(&[("spec", spec), ("status", status)])
}

fn custom_resource_definition() -> Value {
    let names = || {
        object(&[
            ("plural", string()),
            ("singular", string()),
            ("kind", string()),
            ("listKind", string()),
            ("shortNames", list(string())),
            ("categories", list(string())),
        ])
        .required(&["plural", "kind"])
    };
    let spec = object(&[
        ("group", string()),
        ("names", names()),
        ("scope", string().one_of(&["Cluster", "Namespaced"])),
        ("versions", list(anything())),
        ("conversion", anything().default(json!({"strategy": "None"}))),
        ("preserveUnknownFields", json!({"type": "boolean"})),
    ])
    .required(&["group", "names", "scope", "versions"]);
    let status = object(&[
        ("conditions", conditions()),
        ("acceptedNames", names()),
        ("storedVersions", set(string())),
    ]);
    object(&[("spec", spec), ("status", status)]).required(&["spec"])
}
