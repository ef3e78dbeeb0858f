//! The check that the TLS Secret exists, has the right type, and is kept in sync by a running workload.

use super::outcome::{CheckOutcome, Fault};
use crate::{
    object_fields::name,
    route_model::Gateway,
    secret_provider_class::{is_running, mounted_classes, synced_secrets},
};
use landfall_cloud::{
    ApiError, ApiErrorKind, ClusterSession,
    kubernetes::{DynamicObject, Kind},
};
use std::collections::BTreeSet;

/// The Secret type that listeners require.
/// <https://kubernetes.io/docs/concepts/configuration/secret/#tls-secrets>
const TYPE: &str = "kubernetes.io/tls";
const RECREATE_HINT: &str = "landfall up recreates it";

/// Checks every Secret that a listener names.
pub(super) async fn check(
    session: &ClusterSession,
    gateways: &[Gateway],
    synced: &BTreeSet<(String, String)>,
) -> CheckOutcome {
    let secrets = named(gateways);
    if secrets.is_empty() {
        return CheckOutcome::NotApplicable("no listener in the manifests names a Secret".to_owned());
    }
    let checks = secrets.iter().map(|secret| check_secret(session, secret, synced.contains(secret)));
    let mut held = Vec::new();
    let mut faults = Vec::new();
    for result in futures::future::join_all(checks).await {
        match result {
            Ok(detail) => held.push(detail),
            Err(fault) => faults.push(fault),
        }
    }
    if faults.is_empty() { CheckOutcome::Passed(held.join("\n")) } else { CheckOutcome::Failed(faults) }
}

/// Returns namespace and name of every Secret that an encrypted listener names.
fn named(gateways: &[Gateway]) -> BTreeSet<(String, String)> {
    let listeners =
        gateways.iter().flat_map(|gateway| gateway.listeners.iter().map(move |listener| (gateway, listener)));
    let encrypted = listeners.filter(|(_, listener)| listener.is_secure() == Some(true));
    encrypted.flat_map(|(gateway, listener)| listener.secrets(&gateway.namespace)).collect()
}

async fn check_secret(
    session: &ClusterSession,
    (space, secret): &(String, String),
    synced: bool,
) -> Result<String, Fault> {
    let cannot = |error: &ApiError| Fault::new(format!("cannot read Secret {secret}: {error}"));
    let found = session.api.get(&Kind::SECRET, Some(space), secret).await.map_err(|error| cannot(&error))?;
    let Some(found) = found else {
        return Err(Fault::new(format!("Secret {secret} does not exist")).hint(RECREATE_HINT));
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
    if !synced {
        return Ok(format!("{secret} is {TYPE}, from the manifests"));
    }
    let mounting_pod = mounting_pod(session, space, secret).await.map_err(|error| cannot(&error))?;
    match mounting_pod {
        Some(pod) => Ok(format!("{secret} is {TYPE}, synced by {pod}")),
        None => {
            let text =
                format!("Secret {secret} is not synced: no running pod mounts the class that creates it");
            Err(Fault::new(text).hint(RECREATE_HINT))
        }
    }
}

/// Returns a running pod that mounts a class which syncs the Secret. The driver syncs only for such pods.
async fn mounting_pod(
    session: &ClusterSession,
    space: &str,
    secret: &str,
) -> Result<Option<String>, ApiError> {
    let classes = match session.api.list(&Kind::SECRET_PROVIDER_CLASS, Some(space), None).await {
        // Without the add-on the API does not know the kind.
        Err(error) if error.kind == ApiErrorKind::NotFound => return Ok(None),
        listed => listed?,
    };
    let synced_names: BTreeSet<&str> = classes
        .iter()
        .filter(|class| synced_secrets(class).any(|synced_name| synced_name == secret))
        .map(name)
        .collect();
    let pods = session.api.list(&Kind::POD, Some(space), None).await?;
    let mounts = |pod: &DynamicObject| mounted_classes(pod).any(|class| synced_names.contains(class));
    Ok(pods.iter().find(|pod| is_running(pod) && mounts(pod)).map(|pod| name(pod).to_owned()))
}
