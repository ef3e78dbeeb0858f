//! The workloads of AKS in `kube-system`.

use serde_json::{Value, json};

use super::csi;
use super::reconcile_context::ReconcileContext;

const MANAGER: &str = "aks-addon-manager";
const NAMESPACE: &str = "kube-system";
/// The DaemonSets of the Key Vault secrets provider add-on, with the value of their `app` label (documented).
const SECRETS_STORE: [(&str, &str, &str); 2] = [
    (
        "aks-secrets-store-csi-driver",
        "secrets-store-csi-driver",
        "mcr.microsoft.com/oss/v2/kubernetes-csi/secrets-store/driver:v1.5.5",
    ),
    (
        "aks-secrets-store-provider-azure",
        "secrets-store-provider-azure",
        "mcr.microsoft.com/oss/v2/azure/secrets-store/provider-azure:v1.7.2",
    ),
];

/// Writes the objects of every cluster.
pub(super) fn install(cx: &mut ReconcileContext<'_>) {
    let dns = json!({"k8s-app": "kube-dns"});
    deployment(cx, "coredns", 2, &dns, "mcr.microsoft.com/oss/v2/kubernetes/coredns:v1.12.1-9");
    let metrics = json!({"k8s-app": "metrics-server"});
    deployment(
        cx,
        "metrics-server",
        2,
        &metrics,
        "mcr.microsoft.com/oss/v2/kubernetes/metrics-server:v0.8.0",
    );
    let konnectivity = json!({"app": "konnectivity-agent"});
    deployment(
        cx,
        "konnectivity-agent",
        2,
        &konnectivity,
        "mcr.microsoft.com/oss/v2/kubernetes/apiserver-network-proxy/agent:v0.31.4",
    );
    for (name, labels, image) in [
        (
            "azure-ip-masq-agent",
            json!({"k8s-app": "azure-ip-masq-agent"}),
            "mcr.microsoft.com/aks/ip-masq-agent-v2:v0.1.15",
        ),
        (
            "cloud-node-manager",
            json!({"k8s-app": "cloud-node-manager"}),
            "mcr.microsoft.com/oss/v2/kubernetes/azure-cloud-node-manager:v1.34.1",
        ),
        (
            "csi-azuredisk-node",
            json!({"app": "csi-azuredisk-node"}),
            "mcr.microsoft.com/oss/v2/kubernetes-csi/azuredisk-csi:v1.33.5",
        ),
        (
            "csi-azurefile-node",
            json!({"app": "csi-azurefile-node"}),
            "mcr.microsoft.com/oss/v2/kubernetes-csi/azurefile-csi:v1.34.1",
        ),
        (
            "kube-proxy",
            json!({"component": "kube-proxy", "tier": "node"}),
            "mcr.microsoft.com/oss/v2/kubernetes/kube-proxy:v1.34.2",
        ),
    ] {
        daemon_set(cx, name, &labels, image);
    }
    services(cx, &dns, &metrics);
}

fn services(cx: &mut ReconcileContext<'_>, dns: &Value, metrics: &Value) {
    // Tools find the cluster's services by these labels.
    let offered = |labels: &Value, name: &str| {
        let mut labels = labels.clone();
        labels["kubernetes.io/cluster-service"] = json!("true");
        labels["kubernetes.io/name"] = json!(name);
        labels
    };
    cx.put(
        "services",
        json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {"name": "kube-dns", "namespace": NAMESPACE, "labels": offered(dns, "CoreDNS")},
            "spec": {
                "type": "ClusterIP", "clusterIP": "10.0.0.10", "clusterIPs": ["10.0.0.10"],
                "selector": dns,
                "ports": [
                    {"name": "dns", "protocol": "UDP", "port": 53, "targetPort": 53},
                    {"name": "dns-tcp", "protocol": "TCP", "port": 53, "targetPort": 53},
                ],
            },
            "status": {"loadBalancer": {}},
        }),
        MANAGER,
    );
    cx.put(
        "services",
        json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {"name": "metrics-server", "namespace": NAMESPACE, "labels": offered(metrics, "Metrics-server")},
            "spec": {
                "type": "ClusterIP", "selector": metrics,
                "ports": [{"name": "https", "protocol": "TCP", "port": 443, "targetPort": 4443}],
            },
            "status": {"loadBalancer": {}},
        }),
        MANAGER,
    );
}

/// Writes the pods of the Key Vault secrets provider add-on.
pub(super) fn install_secrets_store(cx: &mut ReconcileContext<'_>) {
    for (name, app, image) in SECRETS_STORE {
        daemon_set(cx, name, &json!({"app": app}), image);
    }
    let driver = json!({
        "apiVersion": "storage.k8s.io/v1", "kind": "CSIDriver", "metadata": {"name": csi::DRIVER},
        "spec": {
            "attachRequired": false, "podInfoOnMount": true, "volumeLifecycleModes": ["Ephemeral"],
            "tokenRequests": [{"audience": csi::AUDIENCE}],
        },
    });
    cx.put("csidrivers.storage.k8s.io", driver, MANAGER);
}

/// Removes the pods of the add-on; its kinds and their objects stay.
pub(super) fn remove_secrets_store(cx: &mut ReconcileContext<'_>) {
    for (name, _, _) in SECRETS_STORE {
        cx.store.remove("daemonsets.apps", NAMESPACE, name, cx.at);
    }
    cx.store.remove("csidrivers.storage.k8s.io", "", csi::DRIVER, cx.at);
}

fn template(name: &str, labels: &Value, image: &str) -> Value {
    json!({
        "metadata": {"labels": labels},
        "spec": {
            "containers": [{"name": name, "image": image, "imagePullPolicy": "IfNotPresent"}],
            "serviceAccountName": name,
            "priorityClassName": "system-node-critical",
            "restartPolicy": "Always",
        },
    })
}

fn labels_of(labels: &Value) -> Value {
    let mut all = labels.clone();
    all["kubernetes.azure.com/managedby"] = json!("aks");
    all
}

fn deployment(cx: &mut ReconcileContext<'_>, name: &str, replicas: u32, labels: &Value, image: &str) {
    service_account(cx, name);
    let wanted = json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": name, "namespace": NAMESPACE, "labels": labels_of(labels)},
        "spec": {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template(name, labels, image)},
    });
    cx.ensure("deployments.apps", wanted, MANAGER);
}

fn daemon_set(cx: &mut ReconcileContext<'_>, name: &str, labels: &Value, image: &str) {
    service_account(cx, name);
    let wanted = json!({
        "apiVersion": "apps/v1", "kind": "DaemonSet",
        "metadata": {"name": name, "namespace": NAMESPACE, "labels": labels_of(labels)},
        "spec": {"selector": {"matchLabels": labels}, "template": template(name, labels, image)},
    });
    cx.ensure("daemonsets.apps", wanted, MANAGER);
}

fn service_account(cx: &mut ReconcileContext<'_>, name: &str) {
    let wanted = json!({
        "apiVersion": "v1", "kind": "ServiceAccount",
        "metadata": {"name": name, "namespace": NAMESPACE},
    });
    cx.ensure("serviceaccounts", wanted, MANAGER);
}
