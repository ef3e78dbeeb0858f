//! Faults of busy services: conflicts with other writers, and throttling.

use serde_json::Value;

use super::around::{Bite, Scene};
use super::transport::writes;
use super::{Fault, Kind, Row};
use crate::arm::clusters::intervention;
use crate::arm::error::ArmError;
use crate::arm::locks::{Level, Lock};
use crate::arm::{groups, networks};
use crate::request::Reply;
use crate::world::World;

/// The `Retry-After` of AKS for a throttled write in seconds of cloud time: one PUT a minute.
const CLUSTER_REFILL: f64 = 60.0;

/// The rows of this topic.
pub(super) const ROWS: &[Row] = &[
    Row {
        fault: Fault::NoRegisteredProvider,
        name: "no-registered-provider",
        kind: Kind::Refusal,
        method: "",
        path: "/providers/microsoft.",
        what: "400 `NoRegisteredProviderFound` for a valid api-version",
        client: "retries",
        heals: true,
        bite: Bite::Instead(no_registered_provider),
    },
    Row {
        fault: Fault::EtagMismatch,
        name: "etag-mismatch",
        kind: Kind::Refusal,
        method: "PUT",
        path: "/managedclusters/",
        what: "another client writes the cluster first: 412 `PreconditionFailed` for a PUT with `If-Match`, \
               409 `EtagMismatch` without, no envelope",
        client: "waits for running operations, reads the cluster again and decides again",
        heals: true,
        bite: Bite::Instead(etag_mismatch),
    },
    Row {
        fault: Fault::OperationNotAllowed,
        name: "operation-not-allowed",
        kind: Kind::Refusal,
        method: "PUT",
        path: "/managedclusters/",
        what: "a write of another client runs on the cluster for 90 s: 409 `OperationNotAllowed`, no \
               envelope",
        client: "waits for that operation, reads the cluster again and decides again",
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
        client: "waits for `Retry-After`, then retries",
        heals: true,
        bite: Bite::Instead(cluster_throttled),
    },
    Row {
        fault: Fault::AnotherOperation,
        name: "another-operation",
        kind: Kind::Refusal,
        method: "PUT",
        path: "/virtualnetworks/",
        what: "a write of another client runs on the network: 429 `RetryableError` with \
               `RetryableErrorDueToAnotherOperation` in its details",
        client: "waits for `Retry-After`, then writes again",
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
        client: "waits until the group is deleted, then creates it",
        heals: true,
        bite: Bite::Before(group_deprovisioned),
    },
    Row {
        fault: Fault::GroupLocked,
        name: "group-locked",
        kind: Kind::World,
        method: "DELETE",
        path: "/resourcegroups/",
        what: "another client has locked the resource group with `CanNotDelete`: 409 `ScopeLocked` for it \
               and for its resources",
        client: "reports the lock and how to remove it; resumes when it is removed",
        heals: false,
        bite: Bite::Before(group_locked),
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

/// Returns the id of the cluster in a write.
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

fn group_locked(world: &mut World, scene: &Scene<'_>) -> bool {
    let named = scene.after("resourceGroups").unwrap_or_default();
    let Some(group) = world.groups.get(&named.to_lowercase()) else { return false };
    let scope = format!("/subscriptions/{}/resourceGroups/{}", world.subscription, group.name);
    let name = "keep".to_owned();
    if world.locks.holds(&scope, &name) {
        return false;
    }
    let notes = Some("ask the platform team".to_owned());
    world.locks.set(Lock { name, scope, level: Level::CanNotDelete, notes });
    true
}

#[cfg(test)]
mod tests {
    use super::super::bench::{
        arm, cluster, cluster_body, group, make_cluster, network, network_body, properties, put_cluster,
        there,
    };
    use super::*;
    use crate::test_cloud::{TestCloud, code};
    use http::Method;
    use serde_json::json;

    fn told(reply: &Reply) -> (u16, String, bool) {
        (reply.status.as_u16(), code(reply), reply.value()["error"].is_object())
    }

    #[test]
    fn a_sound_version_is_refused_once_in_a_while() {
        let mut cloud = TestCloud::new();
        arm(&mut cloud, "no-registered-provider");
        let (at, body) = (network(&cloud), network_body());
        let reply = cloud.put(&at, &body);
        assert_eq!(told(&reply), (400, "NoRegisteredProviderFound".to_owned(), true));
        assert_eq!(cloud.put(&at, &body).status, 201);
    }

    #[test]
    fn who_writes_a_cluster_after_somebody_else_is_told_in_the_form_of_his_condition() {
        let mut cloud = TestCloud::new();
        make_cluster(&mut cloud);
        arm(&mut cloud, "etag-mismatch*2");
        let at = cluster(&cloud, "");
        let before = cloud.get(&at).value()["eTag"].as_str().unwrap().to_owned();
        let plain = put_cluster(&mut cloud);
        assert_eq!(told(&plain), (409, "EtagMismatch".to_owned(), false));
        assert_eq!(plain.value()["subcode"], "PutManagedClusterAndComponents_FailedPrecondition");
        assert_ne!(cloud.get(&at).value()["eTag"], before.as_str(), "somebody wrote");
        let current = cloud.get(&at).value()["eTag"].as_str().unwrap().to_owned();
        let request =
            cloud.request(Method::PUT, &at).with_json(&cluster_body()).with_header("if-match", &current);
        let conditional = cloud.send(&request);
        assert_eq!(told(&conditional), (412, "PreconditionFailed".to_owned(), false));
        assert_eq!(put_cluster(&mut cloud).status, 200);
    }

    #[test]
    fn somebody_elses_write_on_a_cluster_lasts_a_while() {
        let mut cloud = TestCloud::new();
        arm(&mut cloud, "operation-not-allowed");
        assert_eq!(told(&put_cluster(&mut cloud)), (409, "OperationNotAllowed".to_owned(), false));
        make_cluster(&mut cloud);
        arm(&mut cloud, "operation-not-allowed");
        for _ in 0..2 {
            let reply = put_cluster(&mut cloud);
            assert_eq!(told(&reply), (409, "OperationNotAllowed".to_owned(), false));
            assert!(reply.value()["message"].as_str().unwrap().contains("(Updating) is in progress"));
        }
        assert_eq!(properties(&mut cloud)["provisioningState"], "Updating");
        cloud.pass(91.0);
        assert_eq!(put_cluster(&mut cloud).status, 200);
    }

    #[test]
    fn the_cluster_provider_throttles_without_an_envelope() {
        let mut cloud = TestCloud::new();
        arm(&mut cloud, "cluster-throttled");
        let reply = put_cluster(&mut cloud);
        assert_eq!(told(&reply), (429, "Throttled".to_owned(), false));
        assert_eq!(reply.headers["retry-after"], "60");
        assert_eq!(put_cluster(&mut cloud).status, 201);
    }

    #[test]
    fn a_network_that_somebody_else_writes_is_to_be_tried_again() {
        let mut cloud = TestCloud::new();
        let (at, body) = (network(&cloud), network_body());
        for there in [false, true] {
            arm(&mut cloud, "another-operation");
            let reply = cloud.put(&at, &body);
            assert_eq!(told(&reply), (429, "RetryableError".to_owned(), true), "{there}");
            assert_eq!(reply.value()["error"]["details"][0]["code"], "RetryableErrorDueToAnotherOperation");
            assert!(reply.headers.contains_key("retry-after"));
            cloud.pass(6.0);
            assert!(cloud.put(&at, &body).status.is_success());
            cloud.pass(6.0);
        }
    }

    #[test]
    fn a_group_that_is_still_going_takes_no_write_and_can_be_made_when_it_is_gone() {
        let mut cloud = TestCloud::new();
        arm(&mut cloud, "group-deprovisioned");
        let (at, body) = (group(&cloud, "web"), json!({ "location": "eastus" }));
        assert_eq!(told(&cloud.put(&at, &body)), (409, "ResourceGroupBeingDeleted".to_owned(), true));
        assert_eq!(cloud.get(&at).value()["properties"]["provisioningState"], "Deleting");
        cloud.pass(11.0);
        assert!(!there(&cloud, "web"));
        assert_eq!(cloud.put(&at, &body).status, 201);
        let (vnet, space) = (network(&cloud), network_body());
        assert_eq!(cloud.put(&vnet, &space).status, 201);
        arm(&mut cloud, "group-deprovisioned");
        let at = group(&cloud, "rg");
        assert_eq!(cloud.put(&at, &body).status, 200, "a group with members is left alone");
        assert_eq!(cloud.world.faults.armed.len(), 1);
    }
}
