//! Secrets from mounted files, as `secretObjects` of a class define them.
//!
//! The owners of the pods that mount the class own such a Secret: it exists as long as one of them.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::mount::pod_status_name;
use super::{CLASSES, File, MANAGER, Mounted, POD_STATUSES, material};
use crate::aks::object::{holds, is_ending, list, name, namespace, owned_by, text, uid};
use crate::aks::turn::{Happening, Turn};
use crate::aks::workload;

const TLS: &str = "kubernetes.io/tls";
const MANAGED: &str = "secrets-store.csi.k8s.io/managed";

/// A Secret that a pod's mount requests.
struct Wanted {
    pod: Value,
    class: Value,
    secret: Value,
    files: Vec<File>,
}

impl Wanted {
    fn secret_name(&self) -> &str {
        text(&self.secret, "/secretName")
    }

    fn key(&self) -> String {
        format!("{}/{}/{}", uid(&self.pod), name(&self.class), self.secret_name())
    }

    /// Returns whether another mount requests the same Secret.
    fn is_beside(&self, other: &Self) -> bool {
        self.key() != other.key()
            && namespace(&self.pod) == namespace(&other.pod)
            && self.secret_name() == other.secret_name()
    }

    /// Returns a fingerprint of all inputs and of the Secret itself: while it stays the same, nothing needs
    /// to be done.
    fn fingerprint(&self, turn: &Turn<'_>) -> String {
        let live = turn.store.get("secrets", namespace(&self.pod), self.secret_name());
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

fn wanted(turn: &Turn<'_>) -> Vec<Wanted> {
    let mut all = Vec::new();
    for pod in turn.store.list("pods", None) {
        let Some(mounts) = turn.memory.mounts.get(uid(pod)) else { continue };
        // A pod that has ended or is being deleted requests no Secret.
        if is_ending(pod) || workload::is_over(pod) {
            continue;
        }
        for (class, mounted) in &mounts.classes {
            all.extend(wanted_of(turn, pod, class, mounted));
        }
    }
    all
}

fn wanted_of(turn: &Turn<'_>, pod: &Value, class: &str, mounted: &Mounted) -> Vec<Wanted> {
    let Some(class) = turn.store.get(CLASSES, namespace(pod), class) else { return Vec::new() };
    list(class, "/spec/secretObjects")
        .iter()
        .map(|secret| Wanted {
            pod: pod.clone(),
            class: class.clone(),
            secret: secret.clone(),
            files: mounted.files.clone(),
        })
        .collect()
}

fn is_synced(turn: &Turn<'_>, wanted: &Wanted) -> bool {
    turn.memory.synced.get(&wanted.key()) == Some(&wanted.fingerprint(turn))
}

/// Returns whether the mount's files were never written to its Secret.
fn is_new(turn: &Turn<'_>, wanted: &Wanted) -> bool {
    !turn.memory.synced.contains_key(&wanted.key())
}

/// The treatment of the content of an existing Secret.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Content {
    Written,
    Stays,
}

/// Returns whether a Secret is missing or differs from its files.
pub(super) fn is_behind(turn: &Turn<'_>) -> bool {
    wanted(turn).iter().any(|wanted| !is_synced(turn, wanted))
}

/// Creates or updates all Secrets that mounts request.
pub(in crate::aks) fn sync_secrets(turn: &mut Turn<'_>) {
    let all = wanted(turn);
    let keys: Vec<String> = all.iter().map(Wanted::key).collect();
    let before = turn.memory.synced.len();
    turn.memory.synced.retain(|key, _| keys.contains(key));
    if turn.memory.synced.len() < before {
        // The Secret may contain the files of a removed mount, so all remaining mounts sync again.
        turn.memory.synced.clear();
    }
    for wanted in &all {
        // A failed sync is not retried before its inputs change.
        if is_synced(turn, wanted) {
            continue;
        }
        // If two pods hold different versions, the last writer wins until the other one rotates. Otherwise
        // both would overwrite the Secret without end.
        let of_another = all.iter().any(|other| other.is_beside(wanted) && is_synced(turn, other));
        let content = if of_another && !is_new(turn, wanted) { Content::Stays } else { Content::Written };
        if let Err(why) = write(turn, wanted, content) {
            turn.event(
                &wanted.pod,
                &Happening::warning("csi-secrets-store-controller", "FailedToCreateSecret", why),
            );
        }
        let fingerprint = wanted.fingerprint(turn);
        turn.memory.synced.insert(wanted.key(), fingerprint);
    }
}

/// Writes the Secrets of a pod's class after a rotation; returns the names of those that changed.
///
/// # Errors
/// The error message of the first failure.
pub(super) fn rewrite(
    turn: &mut Turn<'_>,
    pod: &Value,
    class: &str,
    mounted: &Mounted,
) -> Result<Vec<String>, String> {
    let mut changed = Vec::new();
    for wanted in wanted_of(turn, pod, class, mounted) {
        if write(turn, &wanted, Content::Written)? {
            changed.push(wanted.secret_name().to_owned());
        }
        let fingerprint = wanted.fingerprint(turn);
        turn.memory.synced.insert(wanted.key(), fingerprint);
    }
    Ok(changed)
}

/// Writes one Secret; returns whether its content changed.
fn write(turn: &mut Turn<'_>, wanted: &Wanted, content: Content) -> Result<bool, String> {
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
    let live = turn.get("secrets", namespace(pod), secret_name);
    let mut secret = live.clone().unwrap_or_else(|| {
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
    for owner in owners_through(turn, pod, name(&wanted.class)) {
        if !owners.iter().any(|known| text(known, "/uid") == text(&owner, "/uid")) {
            owners.push(owner);
        }
    }
    secret["metadata"]["ownerReferences"] = Value::Array(owners);
    if live.is_none() || content == Content::Written {
        secret["data"] = json!(data);
    }
    let same = live.as_ref().is_some_and(|live| holds(&live["data"], &secret["data"]));
    if live.as_ref() != Some(&secret) {
        turn.put("secrets", secret, MANAGER);
    }
    Ok(!same)
}

fn data(wanted: &Wanted, kind: &str) -> Result<BTreeMap<String, String>, String> {
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
            (TLS, "tls.key") => material::key_part(&file.content),
            (TLS, "tls.crt") => material::certificate_part(&file.content),
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
fn owners_through(turn: &Turn<'_>, pod: &Value, class: &str) -> Vec<Value> {
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
    let noted = turn.store.get(POD_STATUSES, namespace(pod), &pod_status_name(pod, class));
    noted.map(owned_by).into_iter().collect()
}
