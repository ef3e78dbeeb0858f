//! The CRDs that AKS would install, in their loosest form. They accept any field, so that the tests cover our
//! client and not a schema.

use serde_json::{Value, json};

/// Group, version, kind, plural, and `true` if it is namespaced.
pub const KINDS: [(&str, &str, &str, &str, bool); 4] = [
    ("gateway.networking.k8s.io", "v1", "GatewayClass", "gatewayclasses", false),
    ("gateway.networking.k8s.io", "v1", "Gateway", "gateways", true),
    ("gateway.networking.k8s.io", "v1", "HTTPRoute", "httproutes", true),
    ("secrets-store.csi.x-k8s.io", "v1", "SecretProviderClass", "secretproviderclasses", true),
];

/// Returns the CustomResourceDefinition of a kind.
pub fn definition((group, version, kind, plural, namespaced): (&str, &str, &str, &str, bool)) -> Value {
    let loose = json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true });
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {
            "name": format!("{plural}.{group}"),
            // The API server requires this annotation for CRDs in k8s.io groups.
            "annotations": { "api-approved.kubernetes.io": "unapproved, for a test" },
        },
        "spec": {
            "group": group, "scope": if namespaced { "Namespaced" } else { "Cluster" },
            "names": {
                "kind": kind, "listKind": format!("{kind}List"), "plural": plural, "singular": kind.to_lowercase(),
            },
            "versions": [{
                "name": version, "served": true, "storage": true, "subresources": { "status": {} },
                "schema": { "openAPIV3Schema": { "type": "object", "properties": { "spec": loose, "status": loose } } },
            }],
        },
    })
}
