//! The Secrets Store CSI driver's kinds. Contract: <https://secrets-store-csi-driver.sigs.k8s.io/concepts>.

use serde_json::Value;

use super::build::{anything, boolean, list, map, object, string};
use crate::kubernetes::definition::{Column, Definition};

const GROUP: &str = "secrets-store.csi.x-k8s.io";

/// Returns the definitions of the Secrets Store CSI driver. Neither kind has a status subresource.
pub fn secrets_store() -> Vec<Definition> {
    let age = || Column::new("Age", "date", ".metadata.creationTimestamp");
    vec![
        Definition::new(GROUP, "v1", "SecretProviderClass", "secretproviderclasses", class())
            .custom()
            .also_served("v1alpha1", None)
            .columns(vec![age()]),
        Definition::new(
            GROUP,
            "v1",
            "SecretProviderClassPodStatus",
            "secretproviderclasspodstatuses",
            pod_status(),
        )
        .custom()
        .also_served("v1alpha1", None)
        .columns(vec![age()]),
    ]
}

fn class() -> Value {
    let data = object(&[("objectName", string()), ("key", string())]);
    let secret = object(&[
        ("secretName", string()),
        ("type", string()),
        ("labels", map(string())),
        ("annotations", map(string())),
        ("data", list(data)),
    ]);
    let spec =
        object(&[("provider", string()), ("parameters", map(string())), ("secretObjects", list(secret))]);
    object(&[("spec", spec), ("status", object(&[("byPod", list(anything()))]))])
}

fn pod_status() -> Value {
    let entry = object(&[("id", string()), ("version", string())]);
    let status = object(&[
        ("podName", string()),
        ("secretProviderClassName", string()),
        ("mounted", boolean()),
        ("targetPath", string()),
        ("objects", list(entry)),
    ]);
    object(&[("status", status)])
}
