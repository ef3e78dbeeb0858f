//! Secrets from mounted files, as `secretObjects` of a class define them.
//!
//! The owners of the pods that mount the class own such a Secret: it exists as long as one of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::mount::pod_status_name;
use super::{CLASSES, File, MANAGER, Mounted, POD_STATUSES, pem_conversion};
use crate::aks::object::{holds, is_ending, list, name, namespace, owned_by, text, uid};
use crate::aks::reconcile_context::{EventSpec, ReconcileContext};
use crate::aks::workload;

const TLS: &str = "kubernetes.io/tls";
const MANAGED: &str = "secrets-store.csi.k8s.io/managed";

/// A Secret that a pod's mount requests.
struct SecretSpec {
    pod: Arc<Value>,
    class: Arc<Value>,
    secret: Value,
    files: Vec<File>,
}

impl SecretSpec {
    fn secret_name(&self) -> &str {
        text(&self.secret, "/secretName")
    }

    fn key(&self) -> String {
        format!("{}/{}/{}", uid(&self.pod), name(&self.class), self.secret_name())
    }

    /// Returns whether another mount requests the same Secret.
    fn shares_secret_with(&self, other: &Self) -> bool {
        self.key() != other.key()
            && namespace(&self.pod) == namespace(&other.pod)
            && self.secret_name() == other.secret_name()
    }

    /// Returns a fingerprint of all inputs and of the Secret itself: while it stays the same, nothing needs
    /// to be done.
    fn fingerprint(&self, cx: &ReconcileContext<'_>) -> String {
        let live = cx.store.get("secrets", namespace(&self.pod), self.secret_name());
        let files: Vec<String> =
            self.files.iter().map(|file| format!("{}@{}", file.name, file.version)).collect();
        format!(
            "{} {} {}",
            text(&self.class, "/metadata/resourceVersion"),
            files.join(","),
            live.map_or("gone", |live| text(live, "/metadata/resourceVersion")),
        )
    }
}

fn wanted(cx: &ReconcileContext<'_>) -> Vec<SecretSpec> {
    let mut all = Vec::new();
    for pod in cx.store.shared("pods", None) {
        let Some(mounts) = cx.state.mounts.get(uid(pod)) else { continue };
        // A pod that has ended or is being deleted requests no Secret.
        if is_ending(pod) || workload::is_over(pod) {
            continue;
        }
        for (class, mounted) in &mounts.classes {
            all.extend(wanted_of(cx, pod, class, mounted));
        }
    }
    all
}

fn wanted_of(cx: &ReconcileContext<'_>, pod: &Arc<Value>, class: &str, mounted: &Mounted) -> Vec<SecretSpec> {
    let Some(class) = cx.get(CLASSES, namespace(pod), class) else { return Vec::new() };
    list(&class, "/spec/secretObjects")
        .iter()
        .map(|secret| SecretSpec {
            pod: Arc::clone(pod),
            class: Arc::clone(&class),
            secret: secret.clone(),
            files: mounted.files.clone(),
        })
        .collect()
}

fn is_synced(cx: &ReconcileContext<'_>, wanted: &SecretSpec) -> bool {
    cx.state.synced.get(&wanted.key()) == Some(&wanted.fingerprint(cx))
}

/// Returns whether the mount's files were never written to its Secret.
fn is_new(cx: &ReconcileContext<'_>, wanted: &SecretSpec) -> bool {
    !cx.state.synced.contains_key(&wanted.key())
}

/// The treatment of the content of an existing Secret.
#[derive(Clone, Copy, PartialEq, Eq)]
enum DataUpdate {
    Overwrite,
    Keep,
}

/// Returns whether a Secret is missing or differs from its files.
pub(super) fn is_out_of_sync(cx: &ReconcileContext<'_>) -> bool {
    wanted(cx).iter().any(|wanted| !is_synced(cx, wanted))
}

/// Creates or updates all Secrets that mounts request.
pub(in crate::aks) fn sync_secrets(cx: &mut ReconcileContext<'_>) {
    let all = wanted(cx);
    let keys: Vec<String> = all.iter().map(SecretSpec::key).collect();
    let before = cx.state.synced.len();
    cx.state.synced.retain(|key, _| keys.contains(key));
    if cx.state.synced.len() < before {
        // The Secret may contain the files of a removed mount, so all remaining mounts sync again.
        cx.state.synced.clear();
    }
    for wanted in &all {
        // A failed sync is not retried before its inputs change.
        if is_synced(cx, wanted) {
            continue;
        }
        // If two pods hold different versions, the last writer wins until the other one rotates. Otherwise
        // both would overwrite the Secret without end.
        let of_another = all.iter().any(|other| other.shares_secret_with(wanted) && is_synced(cx, other));
        let content =
            if of_another && !is_new(cx, wanted) { DataUpdate::Keep } else { DataUpdate::Overwrite };
        if let Err(why) = write(cx, wanted, content) {
            cx.event(
                &wanted.pod,
                &EventSpec::warning("csi-secrets-store-controller", "FailedToCreateSecret", why),
            );
        }
        let fingerprint = wanted.fingerprint(cx);
        cx.state.synced.insert(wanted.key(), fingerprint);
    }
}

/// Writes the Secrets of a pod's class after a rotation; returns the names of those that changed.
///
/// # Errors
/// The error message of the first failure.
pub(super) fn rewrite(
    cx: &mut ReconcileContext<'_>,
    pod: &Value,
    class: &str,
    mounted: &Mounted,
) -> Result<Vec<String>, String> {
    let mut changed = Vec::new();
    for wanted in wanted_of(cx, &Arc::new(pod.clone()), class, mounted) {
        if write(cx, &wanted, DataUpdate::Overwrite)? {
            changed.push(wanted.secret_name().to_owned());
        }
        let fingerprint = wanted.fingerprint(cx);
        cx.state.synced.insert(wanted.key(), fingerprint);
    }
    Ok(changed)
}

/// Writes one Secret; returns whether its content changed.
fn write(cx: &mut ReconcileContext<'_>, wanted: &SecretSpec, content: DataUpdate) -> Result<bool, String> {
    let (pod, secret_name) = (&wanted.pod, wanted.secret_name());
    let kind = text(&wanted.secret, "/type");
    let failed = |why: String| {
        format!(
            "failed to get data in spc {}/{} for secret {secret_name}, err: {why}",
            namespace(pod),
            name(&wanted.class)
        )
    };
    let data = data(wanted, kind).map_err(failed)?;
    if kind == TLS {
        for key in ["tls.crt", "tls.key"] {
            if !data.contains_key(key) {
                return Err(format!("Secret \"{secret_name}\" is invalid: data[{key}]: Required value"));
            }
        }
    }
    let live = cx.get("secrets", namespace(pod), secret_name);
    let mut secret = live.as_deref().cloned().unwrap_or_else(|| {
        json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": {"name": secret_name, "namespace": namespace(pod)},
            "type": kind,
        })
    });
    if let Some(labels) = wanted.secret.get("labels").and_then(Value::as_object) {
        labels.iter().for_each(|(key, value)| secret["metadata"]["labels"][key] = value.clone());
    }
    if let Some(annotations) = wanted.secret.get("annotations").and_then(Value::as_object) {
        annotations.iter().for_each(|(key, value)| secret["metadata"]["annotations"][key] = value.clone());
    }
    secret["metadata"]["labels"][MANAGED] = json!("true");
    let mut owners = list(&secret, "/metadata/ownerReferences").to_vec();
    for owner in secret_owners(cx, pod, name(&wanted.class)) {
        if !owners.iter().any(|known| text(known, "/uid") == text(&owner, "/uid")) {
            owners.push(owner);
        }
    }
    secret["metadata"]["ownerReferences"] = Value::Array(owners);
    if live.is_none() || content == DataUpdate::Overwrite {
        secret["data"] = json!(data);
    }
    let same = live.as_ref().is_some_and(|live| holds(&live["data"], &secret["data"]));
    if live.as_deref() != Some(&secret) {
        cx.put("secrets", secret, MANAGER);
    }
    Ok(!same)
}

fn data(wanted: &SecretSpec, kind: &str) -> Result<BTreeMap<String, String>, String> {
    let mut data = BTreeMap::new();
    for entry in list(&wanted.secret, "/data") {
        let (file_name, key) = (text(entry, "/objectName").trim(), text(entry, "/key").trim());
        let file = wanted
            .files
            .iter()
            .rev()
            .find(|file| file.name == file_name)
            .ok_or_else(|| format!("file matching objectName {file_name} not found in the pod"))?;
        let content = match (kind, key) {
            (TLS, "tls.key") => pem_conversion::key_part(&file.content),
            (TLS, "tls.crt") => pem_conversion::certificate_part(&file.content),
            (TLS, _) => Err("tls key is not supported. Only tls.key and tls.crt are supported".into()),
            _ => Ok(file.content.clone()),
        };
        let content =
            content.map_err(|why| format!("failed to get cert or key from file {file_name}: {why}"))?;
        data.insert(key.to_owned(), STANDARD.encode(content));
    }
    Ok(data)
}

/// Returns the pod's own owners. For a bare pod, returns the SecretProviderClassPodStatus of its mount, which
/// is deleted with the pod.
fn secret_owners(cx: &ReconcileContext<'_>, pod: &Value, class: &str) -> Vec<Value> {
    let owners: Vec<Value> = list(pod, "/metadata/ownerReferences")
        .iter()
        .map(|owner| {
            json!({
                "apiVersion": text(owner, "/apiVersion"), "kind": text(owner, "/kind"),
                "name": text(owner, "/name"), "uid": text(owner, "/uid"),
            })
        })
        .collect();
    if !owners.is_empty() {
        return owners;
    }
    let recorded = cx.store.get(POD_STATUSES, namespace(pod), &pod_status_name(pod, class));
    recorded.map(owned_by).into_iter().collect()
}
