//! The storage classes, drivers and priority classes of every AKS cluster.
//!
//! <https://learn.microsoft.com/azure/aks/concepts-storage#storage-classes>

use serde_json::{Value, json};

use super::reconcile_context::ReconcileContext;

const MANAGER: &str = "aks-addon-manager";
const DISK: &str = "disk.csi.azure.com";
const FILE: &str = "file.csi.azure.com";
const DEFAULT: &str = "storageclass.kubernetes.io/is-default-class";

/// Writes the classes and drivers.
pub(super) fn install(cx: &mut ReconcileContext<'_>) {
    for (name, sku) in [
        ("default", "StandardSSD_LRS"),
        ("managed", "StandardSSD_LRS"),
        ("managed-csi", "StandardSSD_LRS"),
        ("managed-premium", "Premium_LRS"),
        ("managed-csi-premium", "Premium_LRS"),
    ] {
        let mut class = class(name, DISK, "WaitForFirstConsumer");
        class["parameters"] = json!({"skuname": sku});
        if name == "default" {
            class["metadata"]["annotations"][DEFAULT] = json!("true");
        }
        cx.put("storageclasses.storage.k8s.io", class, MANAGER);
    }
    for (name, sku) in [
        ("azurefile", "Standard_LRS"),
        ("azurefile-csi", "Standard_LRS"),
        ("azurefile-premium", "Premium_LRS"),
        ("azurefile-csi-premium", "Premium_LRS"),
    ] {
        let mut class = class(name, FILE, "Immediate");
        class["parameters"] = json!({"skuName": sku});
        class["mountOptions"] = json!(["mfsymlinks", "actimeo=30", "nosharesock"]);
        cx.put("storageclasses.storage.k8s.io", class, MANAGER);
    }
    for (name, attach) in [(DISK, true), (FILE, false)] {
        let driver = json!({
            "apiVersion": "storage.k8s.io/v1", "kind": "CSIDriver", "metadata": {"name": name},
            "spec": {"attachRequired": attach, "podInfoOnMount": !attach, "volumeLifecycleModes": ["Persistent"]},
        });
        cx.put("csidrivers.storage.k8s.io", driver, MANAGER);
    }
    for (name, value) in [("system-cluster-critical", 2_000_000_000), ("system-node-critical", 2_000_001_000)]
    {
        let class = json!({
            "apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": name},
            "value": value, "preemptionPolicy": "PreemptLowerPriority",
        });
        cx.put("priorityclasses.scheduling.k8s.io", class, "kube-apiserver");
    }
}

fn class(name: &str, provisioner: &str, binding: &str) -> Value {
    json!({
        "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass",
        "metadata": {"name": name, "labels": {
            "addonmanager.kubernetes.io/mode": "EnsureExists", "kubernetes.io/cluster-service": "true",
        }},
        "provisioner": provisioner, "reclaimPolicy": "Delete", "volumeBindingMode": binding,
        "allowVolumeExpansion": true,
    })
}
