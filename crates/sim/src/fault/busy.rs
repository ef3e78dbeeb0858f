//! Faults of busy services: conflicts with other writers, and throttling.

use serde_json::Value;

use super::row::{Injection, Kind, RequestContext, Row};
use super::transport::writes;
use super::variants::Fault;
use crate::arm::clusters::fault_hooks;
use crate::arm::error::ArmError;
use crate::arm::locks::{Level, Lock};
use crate::arm::throttling::store::RequestLimits;
use crate::arm::{groups, resource_type};
use crate::request::Reply;
use crate::state::CloudState;

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
        injection: Injection::Respond(no_registered_provider),
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
        injection: Injection::Respond(etag_mismatch),
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
        injection: Injection::Respond(operation_not_allowed),
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
        injection: Injection::Respond(cluster_throttled),
    },
    Row {
        fault: Fault::RequestsLimited,
        name: "requests-limited",
        kind: Kind::StateChange,
        method: "",
        path: "management.",
        what: "from now on there are token buckets of Azure's sizes: for each principal and region 250 reads and 25/s, 200 writes \
               and 10/s, 200 deletes and 10/s, and those of AKS; 429 with `Retry-After` when one is empty",
        client: "follows the headers with the rest of each bucket, and waits for `Retry-After`",
        heals: true,
        injection: Injection::Before(|state, _| state.throttling.set(Some(RequestLimits::default()))),
    },
    Row {
        fault: Fault::RequestsFew,
        name: "requests-few",
        kind: Kind::StateChange,
        method: "",
        path: "management.",
        what: "the same with small buckets: 50 reads and 1/s, 40 writes and 0.4/s, 40 deletes and 0.4/s",
        client: "learns the rate from the headers, and waits",
        heals: true,
        injection: Injection::Before(|state, _| state.throttling.set(Some(RequestLimits::few()))),
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
        injection: Injection::Respond(another_operation),
    },
    Row {
        fault: Fault::VaultConflict,
        name: "vault-conflict",
        kind: Kind::Refusal,
        method: "PUT",
        path: "/microsoft.keyvault/vaults/",
        what: "a write of another client on the vault overlaps: 409 `ConflictError` that names parallel operations",
        client: "waits, then writes again",
        heals: true,
        injection: Injection::Respond(vault_conflict),
    },
    Row {
        fault: Fault::GroupDeprovisioned,
        name: "group-deprovisioned",
        kind: Kind::StateChange,
        method: "PUT",
        path: "/resourcegroups/",
        what: "an earlier group of that name, without members, is still being deleted: 409 `ResourceGroupBeingDeleted`",
        client: "waits until the group is deleted, then creates it",
        heals: true,
        injection: Injection::Before(group_deprovisioned),
    },
    Row {
        fault: Fault::GroupLocked,
        name: "group-locked",
        kind: Kind::StateChange,
        method: "DELETE",
        path: "/resourcegroups/",
        what: "another client has locked the resource group with `CanNotDelete`: 409 `ScopeLocked` for it \
               and for its resources",
        client: "reports the lock and how to remove it; resumes when it is removed",
        heals: false,
        injection: Injection::Before(group_locked),
    },
];

fn no_registered_provider(state: &mut CloudState, context: &RequestContext<'_>) -> Option<Reply> {
    let segments = context.request.segments();
    let at = segments.iter().rposition(|segment| segment.eq_ignore_ascii_case("providers"))?;
    let (version, kind) = (context.request.query("api-version")?, segments.get(at + 2)?);
    let body = context.request.json::<Value>().unwrap_or_default();
    let why = format!(
        "No registered resource provider found for location '{}' and API version '{version}' for type '{kind}'. The \
         supported api-versions are '{version}'. The supported locations are '{}'.",
        body["location"].as_str().unwrap_or_default(),
        state.locations.join(", ")
    );
    Some(ArmError::gateway(400, "NoRegisteredProviderFound", why).into_reply())
}

/// Returns the id of the cluster in a write.
fn cluster(context: &RequestContext<'_>) -> Option<String> {
    let id = context.id();
    let at = id.to_ascii_lowercase().find("/managedclusters/")?;
    let name = id[at..].split('/').nth(2)?;
    Some(format!("{}/managedClusters/{name}", &id[..at]))
}

fn etag_mismatch(state: &mut CloudState, context: &RequestContext<'_>) -> Option<Reply> {
    let id = cluster(context).filter(|_| writes(context.request))?;
    let is_there = fault_hooks::touch(state, &id);
    if is_there && context.request.header("if-match").is_some() {
        return Some(context.serve(state));
    }
    Some(fault_hooks::etag_mismatch().into_reply())
}

fn operation_not_allowed(state: &mut CloudState, context: &RequestContext<'_>) -> Option<Reply> {
    let id = cluster(context).filter(|_| writes(context.request))?;
    if fault_hooks::start_noop_write(state, &id, context.now, context.timing) {
        return Some(context.serve(state));
    }
    Some(fault_hooks::busy().into_reply())
}

fn cluster_throttled(state: &mut CloudState, context: &RequestContext<'_>) -> Option<Reply> {
    let (seconds, ms) = context.timing.retry_after(CLUSTER_REFILL);
    let why = format!(
        "The PutManagedClusterHandler.PUT request limit has been exceeded for SubID='{}', please retry again in {seconds} \
         seconds. For more information, please visit aka.ms/aks/throttling",
        state.subscription
    );
    let refused = ArmError::aks(429, "Throttled", why);
    let refused = refused.with_header("retry-after", &seconds.to_string());
    Some(refused.with_header("retry-after-ms", &ms.to_string()).into_reply())
}

fn another_operation(state: &mut CloudState, context: &RequestContext<'_>) -> Option<Reply> {
    let id = context.id();
    if resource_type::test_hooks::start_noop_write(state, &id, context.now, context.timing) {
        return Some(context.serve(state));
    }
    let operation = state.uuid("another-operation");
    let why = format!(
        "Operation PutVirtualNetworkOperation ({operation}) is updating resource {id}. The call can be retried in 1 seconds."
    );
    let refused = ArmError::new(429, "RetryableError", "A retryable error occurred.");
    let refused = refused.with_detail("RetryableErrorDueToAnotherOperation", why);
    Some(refused.with_header("retry-after", "1").into_reply())
}

/// Source: an observed answer (scylladb/scylla-cluster-tests#13184, Azure/AzureKeyVault#6).
fn vault_conflict(_: &mut CloudState, context: &RequestContext<'_>) -> Option<Reply> {
    let segments = context.request.segments();
    let vault = segments.get(7).filter(|_| segments.len() == 8)?;
    let why = format!(
        "A conflict occurred that prevented the operation from completing. The operation failed because the Key Vault \
         '{vault}' changed from the point the operation began. This can happen if parallel operations are being performed \
         on the Key Vault. To prevent this error, serialize the operations so that only one operation is performed on the \
         Key Vault at a time. Follow this link for more information: https://go.microsoft.com/fwlink/?linkid=2147741"
    );
    Some(ArmError::new(409, "ConflictError", why).into_reply())
}

fn group_deprovisioned(state: &mut CloudState, context: &RequestContext<'_>) -> bool {
    let Some(name) = context.after("resourceGroups") else { return false };
    let body = context.request.json::<Value>().unwrap_or_default();
    let known = state.groups.get(&name.to_lowercase()).map(|group| group.location.clone());
    let location =
        known.or_else(|| body["location"].as_str().map(|text| text.replace(' ', "").to_lowercase()));
    let Some(location) = location else { return false };
    groups::expire(state, &name, &location, context.now, context.timing)
}

fn group_locked(state: &mut CloudState, context: &RequestContext<'_>) -> bool {
    let named = context.after("resourceGroups").unwrap_or_default();
    let Some(group) = state.groups.get(&named.to_lowercase()) else { return false };
    let scope = format!("/subscriptions/{}/resourceGroups/{}", state.subscription, group.name);
    let name = "keep".to_owned();
    if state.locks.holds(&scope, &name) {
        return false;
    }
    let notes = Some("ask the platform team".to_owned());
    state.locks.set(Lock { name, scope, level: Level::CanNotDelete, notes });
    true
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{
        arm, cluster, cluster_body, exists, group, make_cluster, network, network_body, properties,
        put_cluster,
    };
    use super::*;
    use crate::test_cloud::{TestCloud, code};
    use http::Method;
    use serde_json::json;

    fn error_of(reply: &Reply) -> (u16, String, bool) {
        (reply.status.as_u16(), code(reply), reply.value()["error"].is_object())
    }

    #[test]
    fn a_sound_version_is_refused_once_in_a_while() {
        let mut cloud = TestCloud::new();
        arm(&mut cloud, "no-registered-provider");
        let (at, body) = (network(&cloud), network_body());
        let reply = cloud.put(&at, &body);
        assert_eq!(error_of(&reply), (400, "NoRegisteredProviderFound".to_owned(), true));
        assert_eq!(cloud.put(&at, &body).status, 201);
    }

    #[test]
    fn a_conflicting_cluster_write_fails_by_its_precondition() {
        let mut cloud = TestCloud::new();
        make_cluster(&mut cloud);
        arm(&mut cloud, "etag-mismatch*2");
        let at = cluster(&cloud, "");
        let before = cloud.get(&at).value()["eTag"].as_str().unwrap().to_owned();
        let plain = put_cluster(&mut cloud);
        assert_eq!(error_of(&plain), (409, "EtagMismatch".to_owned(), false));
        assert_eq!(plain.value()["subcode"], "PutManagedClusterAndComponents_FailedPrecondition");
        assert_ne!(cloud.get(&at).value()["eTag"], before.as_str(), "somebody wrote");
        let current = cloud.get(&at).value()["eTag"].as_str().unwrap().to_owned();
        let request =
            cloud.request(Method::PUT, &at).with_json(&cluster_body()).with_header("if-match", &current);
        let conditional = cloud.send(&request);
        assert_eq!(error_of(&conditional), (412, "PreconditionFailed".to_owned(), false));
        assert_eq!(put_cluster(&mut cloud).status, 200);
    }

    #[test]
    fn a_competing_write_on_a_cluster_takes_time() {
        let mut cloud = TestCloud::new();
        arm(&mut cloud, "operation-not-allowed");
        assert_eq!(error_of(&put_cluster(&mut cloud)), (409, "OperationNotAllowed".to_owned(), false));
        make_cluster(&mut cloud);
        arm(&mut cloud, "operation-not-allowed");
        for _ in 0..2 {
            let reply = put_cluster(&mut cloud);
            assert_eq!(error_of(&reply), (409, "OperationNotAllowed".to_owned(), false));
            assert!(reply.value()["message"].as_str().unwrap().contains("(Updating) is in progress"));
        }
        assert_eq!(properties(&mut cloud)["provisioningState"], "Updating");
        cloud.advance(91.0);
        assert_eq!(put_cluster(&mut cloud).status, 200);
    }

    #[test]
    fn the_cluster_provider_throttles_without_an_envelope() {
        let mut cloud = TestCloud::new();
        arm(&mut cloud, "cluster-throttled");
        let reply = put_cluster(&mut cloud);
        assert_eq!(error_of(&reply), (429, "Throttled".to_owned(), false));
        assert_eq!(reply.headers["retry-after"], "60");
        assert_eq!(put_cluster(&mut cloud).status, 201);
    }

    #[test]
    fn a_competing_network_write_is_retryable() {
        let mut cloud = TestCloud::new();
        let (at, body) = (network(&cloud), network_body());
        for exists in [false, true] {
            arm(&mut cloud, "another-operation");
            let reply = cloud.put(&at, &body);
            assert_eq!(error_of(&reply), (429, "RetryableError".to_owned(), true), "{exists}");
            assert_eq!(reply.value()["error"]["details"][0]["code"], "RetryableErrorDueToAnotherOperation");
            assert!(reply.headers.contains_key("retry-after"));
            cloud.advance(6.0);
            assert!(cloud.put(&at, &body).status.is_success());
            cloud.advance(6.0);
        }
    }

    #[test]
    fn an_overlapping_write_on_a_vault_is_a_conflict() {
        let mut cloud = TestCloud::new();
        arm(&mut cloud, "vault-conflict");
        let at = cloud.in_group("Microsoft.KeyVault/vaults/kv-demo?api-version=2024-11-01");
        let reply = cloud.put(&at, &json!({ "location": "eastus" }));
        assert_eq!(error_of(&reply), (409, "ConflictError".to_owned(), true));
        assert_ne!(code(&cloud.put(&at, &json!({ "location": "eastus" }))), "ConflictError");
    }

    #[test]
    fn a_group_being_deleted_refuses_writes_and_can_be_created_afterwards() {
        let mut cloud = TestCloud::new();
        arm(&mut cloud, "group-deprovisioned");
        let (at, body) = (group(&cloud, "web"), json!({ "location": "eastus" }));
        assert_eq!(error_of(&cloud.put(&at, &body)), (409, "ResourceGroupBeingDeleted".to_owned(), true));
        assert_eq!(cloud.get(&at).value()["properties"]["provisioningState"], "Deleting");
        cloud.advance(11.0);
        assert!(!exists(&cloud, "web"));
        assert_eq!(cloud.put(&at, &body).status, 201);
        let (vnet, space) = (network(&cloud), network_body());
        assert_eq!(cloud.put(&vnet, &space).status, 201);
        arm(&mut cloud, "group-deprovisioned");
        let at = group(&cloud, "rg");
        assert_eq!(cloud.put(&at, &body).status, 200, "a group with members is left alone");
        assert_eq!(cloud.state.faults.armed.len(), 1);
    }
}
