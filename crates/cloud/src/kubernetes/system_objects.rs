//! Cluster-scoped objects and namespaces that Kubernetes and AKS create themselves. Pure.
//!
//! The rules rely on the marks of AKS: the labels of its add-on manager, the Helm releases of its managed
//! charts, and Services in its own namespaces. Names decide only where AKS sets no mark.
//! <https://learn.microsoft.com/azure/aks/core-aks-concepts>

use kube_core::DynamicObject;
use serde_json::Value;

/// Kinds whose objects describe nodes, volumes, addresses or requests; the cluster writes them.
const DERIVED: [&str; 15] = [
    "CSINode",
    "CertificateSigningRequest",
    "CiliumIdentity",
    "CiliumNode",
    "ClusterTrustBundle",
    "ComponentStatus",
    "IPAddress",
    "Namespace",
    "Node",
    "NodeMetrics",
    "NodeNetworkConfig",
    "ResourceSlice",
    "StorageVersion",
    "StorageVersionMigration",
    "VolumeAttachment",
];
/// API groups of the definitions that AKS and its add-ons install. Their objects are examined nevertheless.
const ADD_ON_GROUPS: [&str; 12] = [
    "azure.com",
    "cilium.io",
    "crd.projectcalico.org",
    "dapr.io",
    "fluxcd.io",
    "gatekeeper.sh",
    "gateway.networking.k8s.io",
    "istio.io",
    "keda.sh",
    "operator.tigera.io",
    "secrets-store.csi.x-k8s.io",
    "snapshot.storage.k8s.io",
];
/// Kinds for which AKS uses names that begin with `aks-` and sets no label.
const NAMED_BY_AKS: [&str; 6] = [
    "ClusterRole",
    "ClusterRoleBinding",
    "MutatingWebhookConfiguration",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
    "ValidatingWebhookConfiguration",
];
/// Other objects of AKS without a label: kind and name.
const UNLABELLED: [(&str, &str); 5] = [
    ("IngressClass", "webapprouting.kubernetes.azure.com"),
    ("RuntimeClass", "kata-mshv-vm-isolation"),
    ("RuntimeClass", "runc"),
    ("ServiceCIDR", "kubernetes"),
    ("GatewayClass", "istio-remote"),
];
/// Namespaces of add-ons without a label.
const ADD_ON_SPACES: [&str; 4] =
    ["gatekeeper-system", "app-routing-system", "calico-system", "tigera-operator"];

/// Returns whether Kubernetes or AKS created a namespace, by its name alone.
pub(super) fn is_system_name(name: &str) -> bool {
    name.starts_with("kube-") || name.starts_with("aks-") || ADD_ON_SPACES.contains(&name)
}

/// Returns the same by the name or by the label that AKS sets.
pub(super) fn is_system_namespace(space: &DynamicObject) -> bool {
    is_system_name(space.metadata.name.as_deref().unwrap_or_default())
        || label(space, "kubernetes.azure.com/managedby") == Some("aks")
}

/// Returns whether Kubernetes or AKS created a cluster-scoped object. `is_system` classifies a namespace.
pub(super) fn is_system_object(object: &DynamicObject, is_system: impl Fn(&str) -> bool) -> bool {
    let kind = object.types.as_ref().map(|types| types.kind.as_str()).unwrap_or_default();
    let name = object.metadata.name.as_deref().unwrap_or_default();
    DERIVED.contains(&kind)
        || name.starts_with("system:")
        || is_labelled(object)
        || annotation(object, "meta.helm.sh/release-namespace").is_some_and(&is_system)
        || (NAMED_BY_AKS.contains(&kind) && name.starts_with("aks-"))
        || UNLABELLED.contains(&(kind, name))
        || match kind {
            "APIService" => is_local(object) || backend(object).is_some_and(|(space, _)| is_system(space)),
            "CSIDriver" => name.ends_with(".csi.azure.com") || name == "secrets-store.csi.k8s.io",
            "ClusterRoleBinding" => {
                all(&object.data["subjects"], |subject| is_system_subject(subject, &is_system))
            }
            "CustomResourceDefinition" => is_add_on_group(object.data["spec"]["group"].as_str()),
            "FlowSchema" | "PriorityLevelConfiguration" => {
                annotation(object, "apf.kubernetes.io/autoupdate-spec").is_some()
            }
            "GatewayClass" => {
                let controller = object.data["spec"]["controllerName"].as_str().unwrap_or_default();
                controller.split('/').next().is_some_and(|host| host.ends_with(".aks.azure.com"))
            }
            "MutatingWebhookConfiguration" | "ValidatingWebhookConfiguration" => {
                all(&object.data["webhooks"], |webhook| {
                    webhook["clientConfig"]["service"]["namespace"].as_str().is_some_and(&is_system)
                })
            }
            "PersistentVolume" => is_of_system_claim(object, is_system),
            "PriorityClass" => name.starts_with("system-"),
            _ => false,
        }
}

/// Returns namespace and name of an APIService's Service; `None` if the API server itself serves the API.
pub(super) fn backend(api_service: &DynamicObject) -> Option<(&str, &str)> {
    let service = &api_service.data["spec"]["service"];
    Some((service["namespace"].as_str()?, service["name"].as_str()?))
}

fn is_local(api_service: &DynamicObject) -> bool {
    let service = &api_service.data["spec"]["service"];
    service.is_null() && label(api_service, "kube-aggregator.kubernetes.io/automanaged").is_some()
}

fn is_labelled(object: &DynamicObject) -> bool {
    label(object, "kubernetes.io/bootstrapping").is_some()
        || label(object, "addonmanager.kubernetes.io/mode").is_some()
        || label(object, "kubernetes.io/cluster-service") == Some("true")
        || label(object, "kubernetes.azure.com/managedby") == Some("aks")
        || label(object, "app.kubernetes.io/managed-by") == Some("aks")
        || label(object, "managed-by") == Some("azure-policy-addon")
}

fn is_add_on_group(group: Option<&str>) -> bool {
    let group = group.unwrap_or_default();
    ADD_ON_GROUPS
        .iter()
        .any(|known| group.strip_suffix(known).is_some_and(|rest| rest.is_empty() || rest.ends_with('.')))
}

fn is_system_subject(subject: &Value, is_system: impl Fn(&str) -> bool) -> bool {
    match subject["kind"].as_str() {
        Some("ServiceAccount") => subject["namespace"].as_str().is_some_and(is_system),
        _ => subject["name"].as_str().is_some_and(|name| name.starts_with("system:")),
    }
}

/// Returns whether a volume was provisioned for a claim and is deleted with it: the claim then represents it.
fn is_of_system_claim(volume: &DynamicObject, is_system: impl Fn(&str) -> bool) -> bool {
    let spec = &volume.data["spec"];
    let provisioned = annotation(volume, "pv.kubernetes.io/provisioned-by").is_some()
        && spec["persistentVolumeReclaimPolicy"] == "Delete";
    provisioned || spec["claimRef"]["namespace"].as_str().is_some_and(is_system)
}

fn all(list: &Value, holds: impl Fn(&Value) -> bool) -> bool {
    list.as_array().is_some_and(|items| !items.is_empty() && items.iter().all(holds))
}

fn label<'a>(object: &'a DynamicObject, key: &str) -> Option<&'a str> {
    object.metadata.labels.as_ref()?.get(key).map(String::as_str)
}

fn annotation<'a>(object: &'a DynamicObject, key: &str) -> Option<&'a str> {
    object.metadata.annotations.as_ref()?.get(key).map(String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object(kind: &str, name: &str, rest: &Value) -> DynamicObject {
        let mut value = json!({ "apiVersion": "v1", "kind": kind, "metadata": { "name": name } });
        for (key, part) in rest.as_object().into_iter().flatten() {
            match (key.as_str(), value.get_mut(key), part) {
                ("metadata", Some(Value::Object(there)), Value::Object(more)) => there.extend(more.clone()),
                _ => value[key] = part.clone(),
            }
        }
        serde_json::from_value(value).unwrap()
    }

    fn is_systems(kind: &str, name: &str, rest: &Value) -> bool {
        is_system_object(&object(kind, name, rest), is_system_name)
    }

    #[test]
    fn cluster_scoped_objects_of_kubernetes_and_of_aks_are_not_foreign() {
        let labels = |key: &str, value: &str| json!({ "metadata": { "labels": { key: value } } });
        let add_on = labels("addonmanager.kubernetes.io/mode", "EnsureExists");
        let service = |space: &str| json!({ "spec": { "service": { "namespace": space, "name": "m" } } });
        let group = |group: &str| json!({ "spec": { "group": group } });
        let webhooks =
            json!({ "webhooks": [{ "clientConfig": { "service": { "namespace": "aks-istio-system" } } }] });
        let helm =
            json!({ "metadata": { "annotations": { "meta.helm.sh/release-namespace": "kube-system" } } });
        let apf = json!({ "metadata": { "annotations": { "apf.kubernetes.io/autoupdate-spec": "true" } } });
        let subjects =
            json!({ "subjects": [{ "kind": "ServiceAccount", "namespace": "kube-system", "name": "x" }] });
        let volume = json!({
            "metadata": { "annotations": { "pv.kubernetes.io/provisioned-by": "disk.csi.azure.com" } },
            "spec": { "persistentVolumeReclaimPolicy": "Delete" },
        });
        let none = json!({});
        for (kind, name, rest) in [
            ("Node", "aks-nodepool1-1", &none),
            ("CSINode", "aks-nodepool1-1", &none),
            ("ClusterRole", "system:node", &none),
            ("ClusterRole", "view", &labels("kubernetes.io/bootstrapping", "rbac-defaults")),
            ("ClusterRole", "ama-logs-reader", &add_on),
            ("ClusterRole", "istiod", &helm),
            ("ClusterRoleBinding", "aks-cluster-admin-binding", &none),
            ("ClusterRoleBinding", "csi-azuredisk-node", &subjects),
            ("StorageClass", "managed-csi", &add_on),
            ("PriorityClass", "system-node-critical", &none),
            ("FlowSchema", "exempt", &apf),
            ("APIService", "v1.apps", &labels("kube-aggregator.kubernetes.io/automanaged", "onstart")),
            ("APIService", "v1beta1.metrics.k8s.io", &service("kube-system")),
            (
                "CustomResourceDefinition",
                "gateways.gateway.networking.k8s.io",
                &group("gateway.networking.k8s.io"),
            ),
            ("CustomResourceDefinition", "a.acn.azure.com", &group("acn.azure.com")),
            (
                "GatewayClass",
                "approuting-istio",
                &json!({ "spec": { "controllerName": "istio.aks.azure.com/gateway-controller" } }),
            ),
            ("GatewayClass", "istio-remote", &none),
            ("ValidatingWebhookConfiguration", "istio-validator", &webhooks),
            ("PersistentVolume", "pvc-1", &volume),
            ("CSIDriver", "disk.csi.azure.com", &none),
        ] {
            assert!(is_systems(kind, name, rest), "{kind} {name}");
        }
    }

    #[test]
    fn cluster_scoped_objects_of_users_are_foreign() {
        let retained = json!({
            "metadata": { "annotations": { "pv.kubernetes.io/provisioned-by": "disk.csi.azure.com" } },
            "spec": { "persistentVolumeReclaimPolicy": "Retain", "claimRef": { "namespace": "shop" } },
        });
        let group = |group: &str| json!({ "spec": { "group": group } });
        let subjects = json!({ "subjects": [
            { "kind": "ServiceAccount", "namespace": "kube-system", "name": "x" },
            { "kind": "User", "name": "ann@example.com" },
        ] });
        let service = json!({ "spec": { "service": { "namespace": "shop", "name": "m" } } });
        let webhooks = json!({ "webhooks": [{ "clientConfig": { "url": "https://example.com" } }] });
        let none = json!({});
        for (kind, name, rest) in [
            ("CustomResourceDefinition", "widgets.example.com", &group("example.com")),
            ("CustomResourceDefinition", "a.notistio.io", &group("notistio.io")),
            ("ClusterRole", "shop-reader", &none),
            ("ClusterRoleBinding", "shop-admins", &subjects),
            ("ClusterRoleBinding", "of-nobody", &none),
            ("StorageClass", "aks-fast", &none),
            ("PersistentVolume", "pvc-2", &retained),
            ("APIService", "v1.packages.example.com", &service),
            ("PriorityClass", "shop-first", &none),
            (
                "GatewayClass",
                "envoy",
                &json!({ "spec": { "controllerName": "gateway.envoyproxy.io/gatewayclass-controller" } }),
            ),
            ("MutatingWebhookConfiguration", "shop", &webhooks),
            ("FlowSchema", "shop", &none),
        ] {
            assert!(!is_systems(kind, name, rest), "{kind} {name}");
        }
    }

    #[test]
    fn system_namespaces_are_distinguished_from_user_namespaces() {
        for name in ["kube-system", "aks-istio-system", "gatekeeper-system"] {
            assert!(is_system_namespace(&object("Namespace", name, &json!({}))), "{name}");
        }
        assert!(!is_system_namespace(&object("Namespace", "shop", &json!({}))));
        let labels = json!({ "metadata": { "labels": { "kubernetes.azure.com/managedby": "aks" } } });
        assert!(is_system_namespace(&object("Namespace", "fleet", &labels)));
    }
}
