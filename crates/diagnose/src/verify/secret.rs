//! The check that the TLS Secret exists, has the right type, and is kept in sync by a running workload.

use super::finding::{Fault, Finding};
use crate::{
    object_fields::name,
    route_model::Gate,
    secret_model::{is_running, mounted_classes, synced_secrets},
};
use landfall_cloud::{
    ApiError, ApiErrorKind, Opened,
    kubernetes::{DynamicObject, Kind},
};
use std::collections::BTreeSet;

/// The Secret type that listeners require.
/// <https://kubernetes.io/docs/concepts/configuration/secret/#tls-secrets>
const TYPE: &str = "kubernetes.io/tls";
const AGAIN: &str = "landfall up recreates it";

/// Checks every Secret that a listener names.
pub(super) async fn check(opened: &Opened, gates: &[Gate], fed: &BTreeSet<(String, String)>) -> Finding {
    let secrets = named(gates);
    if secrets.is_empty() {
        return Finding::Inapplicable("no listener in the manifests names a Secret".to_owned());
    }
    let looks = secrets.iter().map(|secret| look(opened, secret, fed.contains(secret)));
    let mut held = Vec::new();
    let mut faults = Vec::new();
    for looked in futures::future::join_all(looks).await {
        match looked {
            Ok(detail) => held.push(detail),
            Err(fault) => faults.push(fault),
        }
    }
    if faults.is_empty() { Finding::Holds(held.join("\n")) } else { Finding::Broken(faults) }
}

/// Returns namespace and name of every Secret that an encrypted listener names.
fn named(gates: &[Gate]) -> BTreeSet<(String, String)> {
    let listeners = gates.iter().flat_map(|gate| gate.listeners.iter().map(move |listener| (gate, listener)));
    let encrypted = listeners.filter(|(_, listener)| listener.is_secure() == Some(true));
    encrypted.flat_map(|(gate, listener)| listener.secrets(&gate.namespace)).collect()
}

async fn look(opened: &Opened, (space, secret): &(String, String), fed: bool) -> Result<String, Fault> {
    let cannot = |error: &ApiError| Fault::new(format!("cannot read Secret {secret}: {error}"));
    let found = opened.api.get(&Kind::SECRET, Some(space), secret).await.map_err(|error| cannot(&error))?;
    let Some(found) = found else {
        return Err(Fault::new(format!("Secret {secret} does not exist")).hint(AGAIN));
    };
    match found.data["type"].as_str() {
        Some(TYPE) => {}
        other => {
            let other = other.unwrap_or("no type");
            let text = format!("Secret {secret} is of type {other}, not {TYPE}");
            let hint = "delete it: the type of a Secret is immutable; landfall up recreates it";
            return Err(Fault::new(text).hint(hint));
        }
    }
    if !fed {
        return Ok(format!("{secret} is {TYPE}, from the manifests"));
    }
    let holder = holder(opened, space, secret).await.map_err(|error| cannot(&error))?;
    match holder {
        Some(pod) => Ok(format!("{secret} is {TYPE}, synced by {pod}")),
        None => {
            let text =
                format!("Secret {secret} is not synced: no running pod mounts the class that creates it");
            Err(Fault::new(text).hint(AGAIN))
        }
    }
}

/// Returns a running pod that mounts a class which syncs the Secret. The driver syncs only for such pods.
async fn holder(opened: &Opened, space: &str, secret: &str) -> Result<Option<String>, ApiError> {
    let classes = match opened.api.list(&Kind::SECRET_PROVIDER_CLASS, Some(space), None).await {
        // Without the add-on the API does not know the kind.
        Err(error) if error.kind == ApiErrorKind::NotFound => return Ok(None),
        listed => listed?,
    };
    let makes: BTreeSet<&str> =
        classes.iter().filter(|class| synced_secrets(class).any(|made| made == secret)).map(name).collect();
    let pods = opened.api.list(&Kind::POD, Some(space), None).await?;
    let mounts = |pod: &DynamicObject| mounted_classes(pod).any(|class| makes.contains(class));
    Ok(pods.iter().find(|pod| is_running(pod) && mounts(pod)).map(|pod| name(pod).to_owned()))
}
