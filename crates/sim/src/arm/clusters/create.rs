//! Creation of a cluster: its first response body, its node resource group, its own identity.

use serde_json::{Value, json};

use super::operations::{self, OperationTarget, today};
use super::{
    Identities, ManagedCluster, ManagedIdentityIds, PendingWrite, Work, WriteOutcome, api_access, credential,
    defaults, id_of, version_support,
};
use crate::aks::Controllers;
use crate::arm::error::ArmError;
use crate::arm::operation::Style;
use crate::arm::{Call, id};
use crate::clock::SimTime;
use crate::durations;
use crate::kubernetes::store::Store;
use crate::request::Reply;
use crate::state::{CloudState, uuid_from};

/// The fraction of a creation after which the operation reports `ReconcilingAddons`.
const ADDONS_FROM: f64 = 0.85;
/// The fraction of a creation after which the objects inside the cluster are written.
const PREPARED_AT: f64 = 0.5;

/// Starts the creation: 201 with the body and an `Azure-AsyncOperation`.
pub(super) fn begin(state: &mut CloudState, call: &Call<'_>, desired: &Value) -> Result<Reply, ArmError> {
    let identities = Identities {
        cluster: ManagedIdentityIds::draw(state, "cluster-identity"),
        kubelet: ManagedIdentityIds::draw(state, "kubelet-identity"),
        key_vault: ManagedIdentityIds::draw(state, "key-vault-identity"),
        routing: ManagedIdentityIds::draw(state, "routing-identity"),
    };
    let resource = body(state, call, desired, &identities);
    let due = call.timing.after(call.now, durations::CLUSTER_CREATE);
    let id = id_of(call);
    let mut cluster = ManagedCluster {
        store: Store::new(&id),
        credential: credential::Credential::new(call.param("cluster"))?,
        resource,
        pending: Some(PendingWrite { kind: Work::Create, due, outcome: WriteOutcome::Succeeds }),
        latest: String::new(),
        identities,
        controllers: Controllers::default(),
        cluster_info: None,
        prepare_at: Some(part(call.now, due, PREPARED_AT)),
        prepared: None,
    };
    cluster.set_state(Work::Create.state());
    create_dependents(state, call, &cluster);
    let named = OperationTarget { id: &id, location: cluster.location(), work: Work::Create };
    let operation = operations::operation(state, &named, Style::AsyncOperation, call.now, due);
    stage(state, &operation.id, call.now, due);
    let reply = operation.announce(state, &call.timing, Reply::json(201, &first_answer(&cluster)));
    cluster.latest = operation.id;
    state.clusters.all.insert(id::key(&id), cluster);
    Ok(reply)
}

/// Returns the body of the first answer, which has no etags yet.
fn first_answer(cluster: &ManagedCluster) -> Value {
    let mut body = cluster.resource.clone();
    if let Some(body) = body.as_object_mut() {
        body.shift_remove("eTag");
    }
    for pool in body["properties"]["agentPoolProfiles"].as_array_mut().into_iter().flatten() {
        if let Some(pool) = pool.as_object_mut() {
            pool.shift_remove("eTag");
        }
    }
    body
}

/// Adds the stage `ReconcilingAddons` near the end of the operation.
pub(super) fn stage(state: &mut CloudState, operation: &str, from: SimTime, due: SimTime) {
    let at = part(from, due, ADDONS_FROM);
    if let Some(operation) = state.operations.get_mut(operation) {
        operation.stages = vec![(at, "ReconcilingAddons".to_owned())];
    }
}

/// Returns the time after a fraction of an operation.
fn part(from: SimTime, due: SimTime, fraction: f64) -> SimTime {
    from.plus_ms(((due.0 - from.0) as f64 * fraction) as i64)
}

fn body(state: &mut CloudState, call: &Call<'_>, desired: &Value, identities: &Identities) -> Value {
    let name = call.param("cluster");
    let location = desired["location"].as_str().unwrap_or_default().to_owned();
    let mut resource = json!({
        "location": location,
        "properties": desired["properties"],
        "tags": desired.get("tags").filter(|tags| tags.is_object()).cloned().unwrap_or(Value::Null),
        "identity": identity(state, desired, identities),
        "sku": desired["sku"],
        "id": id_of(call),
        "name": name,
        "type": "Microsoft.ContainerService/ManagedClusters",
        "kind": "Base",
        "eTag": state.uuid("cluster-etag"),
    });
    if resource["tags"].is_null() {
        resource.as_object_mut().expect("it was made as an object").shift_remove("tags");
    }
    defaults::fill(&mut resource, today(call.now));
    api_access::fill(&mut resource["properties"], &state.directory.tenant);
    let short = state.hex("fqdn")[..8].to_owned();
    let uid = state.hex("resource-uid")[..24].to_owned();
    let properties = &mut resource["properties"];
    let prefix = properties["dnsPrefix"]
        .as_str()
        .or(properties["fqdnSubdomain"].as_str())
        .unwrap_or_default()
        .to_owned();
    properties["powerState"] = json!({"code": "Running"});
    properties["fqdn"] = json!(format!("{prefix}-{short}.hcp.{location}.azmk8s.io"));
    properties["azurePortalFQDN"] = json!(format!("{prefix}-{short}.portal.hcp.{location}.azmk8s.io"));
    properties["resourceUID"] = json!(uid);
    if api_access::is_private(properties) {
        api_access::name_private(properties, &id_of(call), &prefix, &uid, &location);
    }
    for profile in properties["addonProfiles"].as_object_mut().into_iter().flatten() {
        profile.1["identity"] = Value::Null;
    }
    versions(state, &mut resource, call.now);
    name_issuer(state, &mut resource);
    resource
}

/// Names the issuer of the service accounts' tokens, as soon as it is enabled. It never changes afterwards.
pub(super) fn name_issuer(state: &CloudState, resource: &mut Value) {
    let location = resource["location"].as_str().unwrap_or_default().to_owned();
    let own = own_uuid(state, resource, "issuer");
    let issuer = &mut resource["properties"]["oidcIssuerProfile"];
    if issuer["enabled"] == true && issuer["issuerURL"].is_null() {
        let tenant = &state.directory.tenant;
        issuer["issuerURL"] = json!(format!("{}/{tenant}/{own}/", state.origin(&format!("{location}.oic"))));
    }
}

/// Returns a UUID that is always the same for a cluster and a purpose.
pub(super) fn own_uuid(state: &CloudState, resource: &Value, purpose: &str) -> String {
    let uid = resource["properties"]["resourceUID"].as_str().unwrap_or_default();
    let number = uid.get(..16).and_then(|digits| u64::from_str_radix(digits, 16).ok());
    uuid_from(state.seed, purpose, number.unwrap_or_default())
}

/// Returns the identity of the cluster itself. Its principals are in the response from the first one on.
fn identity(state: &CloudState, desired: &Value, identities: &Identities) -> Value {
    let mut identity = desired["identity"].clone();
    if identity["type"] == "SystemAssigned" {
        identity["principalId"] = json!(identities.cluster.object_id);
        identity["tenantId"] = json!(state.directory.tenant);
    }
    for (id, ids) in identity["userAssignedIdentities"].as_object_mut().into_iter().flatten() {
        if let Some(own) = state.tracked.get(id) {
            *ids = json!({"principalId": own.text("principalId"), "clientId": own.text("clientId")});
        }
    }
    identity
}

/// Writes the full versions next to the requested ones, and new etags to the pools.
pub(super) fn versions(state: &mut CloudState, resource: &mut Value, now: SimTime) {
    let full = |desired: &Value| {
        let desired = desired.as_str().unwrap_or_default();
        version_support::resolve(desired, today(now)).map(|(_, full)| full.to_owned())
    };
    let properties = &mut resource["properties"];
    // A version that the calendar no longer contains stays as it is.
    if let Some(control) = full(&properties["kubernetesVersion"]) {
        properties["currentKubernetesVersion"] = json!(control);
    }
    for pool in properties["agentPoolProfiles"].as_array_mut().into_iter().flatten() {
        if let Some(own) = full(&pool["orchestratorVersion"]) {
            pool["currentOrchestratorVersion"] = json!(own);
        }
        pool["powerState"] = json!({"code": "Running"});
        pool["nodeImageVersion"] = json!("AKSUbuntu-2204gen2containerd-202611.10.0");
        pool["eTag"] = json!(state.uuid("pool-etag"));
    }
}

/// Creates the node resource group and the cluster's own principal, which exist long before the cluster is
/// ready.
fn create_dependents(state: &mut CloudState, call: &Call<'_>, cluster: &ManagedCluster) {
    let tags =
        json!({"aks-managed-cluster-name": cluster.name(), "aks-managed-cluster-rg": call.param("group")});
    state.add_group(cluster.node_group(), cluster.location(), &tags, Some(cluster.id().to_owned()), call.now);
    if cluster.text("/identity/type") == "SystemAssigned" {
        let own = cluster.identities.cluster.clone();
        let visible = call.timing.after(call.now, durations::PRINCIPAL_REPLICATION);
        state.directory.add_managed_identity(
            own.object_id,
            own.client_id,
            cluster.name(),
            cluster.id(),
            visible,
        );
    }
}
