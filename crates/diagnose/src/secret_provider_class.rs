//! The objects that sync a certificate to a Secret: the SecretProviderClass, and the pods that mount it. The
//! driver syncs only for a running pod.

use crate::object_fields::{list, text};
use landfall_cloud::kubernetes::DynamicObject;

/// Returns the names of the Secrets that a SecretProviderClass syncs.
pub(crate) fn synced_secrets(class: &DynamicObject) -> impl Iterator<Item = &str> {
    let objects = list(&class.data, "/spec/secretObjects").iter();
    objects.filter_map(|object| object["secretName"].as_str())
}

/// Returns the names of the SecretProviderClasses that a pod mounts.
pub(crate) fn mounted_classes(pod: &DynamicObject) -> impl Iterator<Item = &str> {
    let volumes = list(&pod.data, "/spec/volumes").iter();
    volumes.filter_map(|volume| volume["csi"]["volumeAttributes"]["secretProviderClass"].as_str())
}

/// Returns whether a pod is running and not terminating.
pub(crate) fn is_running(pod: &DynamicObject) -> bool {
    text(&pod.data, "/status/phase") == "Running" && pod.metadata.deletion_timestamp.is_none()
}
