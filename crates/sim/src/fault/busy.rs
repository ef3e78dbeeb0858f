//! Services that say no just now: somebody else is writing, or too much is asked of them.

use serde_json::Value;

use super::around::{Bite, Scene};
use super::transport::writes;
use super::{Fault, Kind, Row};
use crate::arm::clusters::intervention;
use crate::arm::error::ArmError;
use crate::arm::{groups, networks};
use crate::request::Reply;
use crate::world::World;

/// How long AKS tells a throttled writer to wait, in cloud seconds: one PUT a minute.
const CLUSTER_REFILL: f64 = 60.0;

/// The rows of the topic.
pub(super) const ROWS: &[Row] = &[
    Row {
        fault: Fault::NoRegisteredProvider,
        name: "no-registered-provider",
        kind: Kind::Refusal,
        method: "",
        path: "/providers/microsoft.",
        what: "400 `NoRegisteredProviderFound` for an api-version that is all right",
        client: "asks once more",
        heals: true,
        bite: Bite::Instead(no_registered_provider),
    },
    Row {
        fault: Fault::EtagMismatch,
        name: "etag-mismatch",
        kind: Kind::Refusal,
        method: "PUT",
        path: "/managedclusters/",
        what: "somebody else writes the cluster first: 412 `PreconditionFailed` for a PUT with `If-Match`, 409 `EtagMismatch` without, no envelope",
        client: "waits for whatever runs, reads the cluster again and decides anew",
        heals: true,
        bite: Bite::Instead(etag_mismatch),
    },
    Row {
        fault: Fault::OperationNotAllowed,
        name: "operation-not-allowed",
        kind: Kind::Refusal,
        method: "PUT",
        path: "/managedclusters/",
        what: "somebody else's write runs on the cluster for 90 s: 409 `OperationNotAllowed`, no envelope",
        client: "waits for that operation, reads the cluster again and decides anew",
        heals: true,
        bite: Bite::Instead(operation_not_allowed),
    },
    Row {
        fault: Fault::ClusterThrottled,
        name: "cluster-throttled",
        kind: Kind::Refusal,
        method: "PUT",
        path: "/managedclusters/",
        what: "429 `Throttled` of AKS itself with `Retry-After`, no envelope",
        client: "waits as told, then asks again",
        heals: true,
        bite: Bite::Instead(cluster_throttled),
    },
    Row {
        fault: Fault::AnotherOperation,
        name: "another-operation",
        kind: Kind::Refusal,
        method: "PUT",
        path: "/virtualnetworks/",
        what: "somebody else's write runs on the network: 429 `RetryableError` with `RetryableErrorDueToAnotherOperation` in its details",
        client: "waits as told, then writes again",
        heals: true,
        bite: Bite::Instead(another_operation),
    },
    Row {
        fault: Fault::GroupDeprovisioned,
        name: "group-deprovisioned",
        kind: Kind::World,
        method: "PUT",
        path: "/resourcegroups/",
        what: "an earlier group of that name, without members, is still being deleted: 409 `ResourceGroupBeingDeleted`",
        client: "waits until the group is gone, then makes it",
        heals: true,
        bite: Bite::Before(group_deprovisioned),
    },
];

fn no_registered_provider(world: &mut World, scene: &Scene<'_>) -> Option<Reply> {
    let segments = scene.request.segments();
    let at = segments.iter().rposition(|segment| segment.eq_ignore_ascii_case("providers"))?;
    let (version, kind) = (scene.request.query("api-version")?, segments.get(at + 2)?);
    let body = scene.request.json::<Value>().unwrap_or_default();
    let why = format!(
        "No registered resource provider found for location '{}' and API version '{version}' for type '{kind}'. The \
         supported api-versions are '{version}'. The supported locations are '{}'.",
        body["location"].as_str().unwrap_or_default(),
        world.locations.join(", ")
    );
    Some(ArmError::gateway(400, "NoRegisteredProviderFound", why).into_reply())
}

/// The id of the cluster that a write is for.
fn cluster(scene: &Scene<'_>) -> Option<String> {
    let id = scene.id();
    let at = id.to_ascii_lowercase().find("/managedclusters/")?;
    let name = id[at..].split('/').nth(2)?;
    Some(format!("{}/managedClusters/{name}", &id[..at]))
}

fn etag_mismatch(world: &mut World, scene: &Scene<'_>) -> Option<Reply> {
    let id = cluster(scene).filter(|_| writes(scene.request))?;
    let is_there = intervention::touch(world, &id);
    if is_there && scene.request.header("if-match").is_some() {
        return Some(world.serve(scene.request, scene.now, scene.timing));
    }
    Some(intervention::etag_mismatch().into_reply())
}

fn operation_not_allowed(world: &mut World, scene: &Scene<'_>) -> Option<Reply> {
    let id = cluster(scene).filter(|_| writes(scene.request))?;
    if intervention::occupy(world, &id, scene.now, scene.timing) {
        return Some(world.serve(scene.request, scene.now, scene.timing));
    }
    Some(intervention::busy().into_reply())
}

fn cluster_throttled(world: &mut World, scene: &Scene<'_>) -> Option<Reply> {
    let (seconds, ms) = scene.timing.retry_after(CLUSTER_REFILL);
    let why = format!(
        "The PutManagedClusterHandler.PUT request limit has been exceeded for SubID='{}', please retry again in {seconds} \
         seconds. For more information, please visit aka.ms/aks/throttling",
        world.subscription
    );
    let refused = ArmError::aks(429, "Throttled", why);
    let refused = refused.with_header("retry-after", &seconds.to_string());
    Some(refused.with_header("retry-after-ms", &ms.to_string()).into_reply())
}

fn another_operation(world: &mut World, scene: &Scene<'_>) -> Option<Reply> {
    let id = scene.id();
    if networks::occupy(world, &id, scene.now, scene.timing) {
        return Some(world.serve(scene.request, scene.now, scene.timing));
    }
    let operation = world.uuid("another-operation");
    let why = format!(
        "Operation PutVirtualNetworkOperation ({operation}) is updating resource {id}. The call can be retried in 1 seconds."
    );
    let refused = ArmError::new(429, "RetryableError", "A retryable error occurred.");
    let refused = refused.with_detail("RetryableErrorDueToAnotherOperation", why);
    Some(refused.with_header("retry-after", "1").into_reply())
}

fn group_deprovisioned(world: &mut World, scene: &Scene<'_>) -> bool {
    let Some(name) = scene.after("resourceGroups") else { return false };
    let body = scene.request.json::<Value>().unwrap_or_default();
    let known = world.groups.get(&name.to_lowercase()).map(|group| group.location.clone());
    let location =
        known.or_else(|| body["location"].as_str().map(|text| text.replace(' ', "").to_lowercase()));
    let Some(location) = location else { return false };
    groups::expire(world, &name, &location, scene.now, scene.timing)
}
