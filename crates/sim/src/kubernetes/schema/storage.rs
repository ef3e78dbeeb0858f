//! Volumes: claims, volumes, classes and drivers.

use serde_json::{Value, json};

use super::build::{
    Constrain, anything, boolean, conditions, label_selector, list, map, object, quantity, string,
};
use crate::kubernetes::definition::{Column, Definition};

const GROUP: &str = "storage.k8s.io";

/// Returns the kinds of storage.k8s.io/v1, and those of volumes in the core group.
pub fn kinds() -> Vec<Definition> {
    let age = || Column::new("Age", "date", ".metadata.creationTimestamp");
    let text = |name: &str, path: &str| Column::new(name, "string", path);
    vec![
        Definition::new("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims", claim())
            .status()
            .short(&["pvc"])
            .columns(vec![
                text("Status", ".status.phase"),
                text("Volume", ".spec.volumeName"),
                text("Capacity", "=volume.claimed"),
                text("Access Modes", "=volume.claim-modes"),
                text("StorageClass", ".spec.storageClassName"),
                text("VolumeAttributesClass", "=volume.attributes-class"),
                age(),
                text("VolumeMode", ".spec.volumeMode").wide(),
            ]),
        Definition::new("", "v1", "PersistentVolume", "persistentvolumes", volume())
            .cluster_wide()
            .status()
            .short(&["pv"])
            .columns(vec![
                text("Capacity", ".spec.capacity.storage"),
                text("Access Modes", "=volume.modes"),
                text("Reclaim Policy", ".spec.persistentVolumeReclaimPolicy"),
                text("Status", ".status.phase"),
                text("Claim", "=volume.claim"),
                text("StorageClass", ".spec.storageClassName"),
                text("VolumeAttributesClass", "=volume.attributes-class"),
                text("Reason", ".status.reason"),
                age(),
                text("VolumeMode", ".spec.volumeMode").wide(),
            ]),
        Definition::new(GROUP, "v1", "StorageClass", "storageclasses", class())
            .cluster_wide()
            .short(&["sc"])
            .columns(vec![
                text("Name", "=volume.class"),
                text("Provisioner", ".provisioner"),
                text("ReclaimPolicy", ".reclaimPolicy"),
                text("VolumeBindingMode", ".volumeBindingMode"),
                Column::new("AllowVolumeExpansion", "string", "=volume.expansion"),
                age(),
            ]),
        Definition::new(GROUP, "v1", "CSIDriver", "csidrivers", driver()).cluster_wide().columns(vec![
            Column::new("AttachRequired", "boolean", ".spec.attachRequired"),
            Column::new("PodInfoOnMount", "boolean", ".spec.podInfoOnMount"),
            age(),
        ]),
    ]
}

fn modes() -> Value {
    let mode = string().one_of(&["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"]);
    list(mode)
}

fn volume_mode() -> Value {
    string().one_of(&["Block", "Filesystem"]).default(json!("Filesystem"))
}

/// The schema of a PersistentVolumeClaim, also in the template of a StatefulSet.
pub(super) fn claim() -> Value {
    let reference = || {
        object(&[("apiGroup", string()), ("kind", string()), ("name", string()), ("namespace", string())])
            .required(&["kind", "name"])
    };
    let spec = object(&[
        ("accessModes", modes()),
        ("selector", label_selector()),
        ("resources", object(&[("limits", map(quantity())), ("requests", map(quantity()))])),
        ("volumeName", string()),
        ("storageClassName", string()),
        ("volumeMode", volume_mode()),
        ("dataSource", reference()),
        ("dataSourceRef", reference()),
        ("volumeAttributesClassName", string()),
    ]);
    let status = object(&[
        ("phase", string()),
        ("accessModes", modes()),
        ("capacity", map(quantity())),
        ("conditions", conditions()),
        ("allocatedResources", map(quantity())),
        ("allocatedResourceStatuses", map(string())),
        ("currentVolumeAttributesClassName", string()),
        ("modifyVolumeStatus", anything()),
    ]);
    object(&[("spec", spec), ("status", status.default(json!({"phase": "Pending"})))])
}

fn volume() -> Value {
    let claim = object(&[
        ("apiVersion", string()),
        ("kind", string()),
        ("namespace", string()),
        ("name", string()),
        ("uid", string()),
        ("resourceVersion", string()),
        ("fieldPath", string()),
    ]);
    let sources =
        ["azureDisk", "azureFile", "csi", "fc", "hostPath", "iscsi", "local", "nfs", "nodeAffinity"];
    let spec = object(&[
        ("capacity", map(quantity())),
        ("accessModes", modes()),
        ("claimRef", claim),
        (
            "persistentVolumeReclaimPolicy",
            string().one_of(&["Delete", "Recycle", "Retain"]).default(json!("Retain")),
        ),
        ("storageClassName", string()),
        ("mountOptions", list(string())),
        ("volumeMode", volume_mode()),
        ("volumeAttributesClassName", string()),
    ]);
    let spec = sources.iter().fold(spec, |spec, source| spec.and(&[(*source, anything())]));
    let status = object(&[
        ("phase", string()),
        ("message", string()),
        ("reason", string()),
        ("lastPhaseTransitionTime", super::build::time()),
    ]);
    object(&[("spec", spec), ("status", status.default(json!({"phase": "Pending"})))]).required(&["spec"])
}

fn class() -> Value {
    object(&[
        ("provisioner", string().with("minLength", json!(1))),
        ("parameters", map(string())),
        ("reclaimPolicy", string().one_of(&["Delete", "Retain"]).default(json!("Delete"))),
        ("mountOptions", list(string())),
        ("allowVolumeExpansion", boolean()),
        (
            "volumeBindingMode",
            string().one_of(&["Immediate", "WaitForFirstConsumer"]).default(json!("Immediate")),
        ),
        ("allowedTopologies", list(anything())),
    ])
    .required(&["provisioner"])
}

fn driver() -> Value {
    let spec = object(&[
        ("attachRequired", boolean().default(json!(true))),
        ("podInfoOnMount", boolean().default(json!(false))),
        ("volumeLifecycleModes", super::build::set(string())),
        ("storageCapacity", boolean().default(json!(false))),
        ("fsGroupPolicy", string().default(json!("ReadWriteOnceWithFSType"))),
        ("tokenRequests", list(anything())),
        ("requiresRepublish", boolean().default(json!(false))),
        ("seLinuxMount", boolean().default(json!(false))),
        ("nodeAllocatableUpdatePeriodSeconds", super::build::integer()),
    ]);
    object(&[("spec", spec)]).required(&["spec"])
}
