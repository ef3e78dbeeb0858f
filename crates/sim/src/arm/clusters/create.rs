//! Creation of a cluster: its first response body, its node resource group, its own identity.

use serde_json::{Value, json};

use super::put::{self, Named, today};
use super::{
    Fate, Identities, ManagedCluster, Pending, Principal, Work, calendar, credential, defaults, id_of,
};
use crate::aks::Controllers;
use crate::arm::error::ArmError;
use crate::arm::operation::Style;
use crate::arm::{Call, id};
use crate::clock::Moment;
use crate::durations;
use crate::kubernetes::store::Store;
use crate::request::Reply;
use crate::world::World;

/// The fraction of a creation after which the operation reports `ReconcilingAddons`.
const ADDONS_FROM: f64 = 0.85;

/// Starts the creation: 201 with the body and an `Azure-AsyncOperation`.
pub(super) fn begin(world: &mut World, call: &Call<'_>, wished: &Value) -> Result<Reply, ArmError> {
    let identities = Identities {
        cluster: Principal::draw(world, "cluster-identity"),
        kubelet: Principal::draw(world, "kubelet-identity"),
        key_vault: Principal::draw(world, "key-vault-identity"),
        routing: Principal::draw(world, "routing-identity"),
    };
    let resource = body(world, call, wished, &identities);
    let due = call.timing.after(call.now, durations::CLUSTER_CREATE);
    let id = id_of(call);
    let mut cluster = ManagedCluster {
        store: Store::new(&id),
        credential: credential::Credential::new(call.param("cluster"))?,
        resource,
        pending: Some(Pending { kind: Work::Create, due, fate: Fate::Succeeds }),
        latest: String::new(),
        identities,
        controllers: Controllers::default(),
        facts: None,
    };
    cluster.set_state(Work::Create.state());
    surroundings(world, call, &cluster);
    let named = Named { id: &id, location: cluster.location(), work: Work::Create };
    let operation = put::operation(world, &named, Style::AsyncOperation, call.now, due);
    stage(world, &operation.id, call.now, due);
    let reply = operation.announce(world, &call.timing, Reply::json(201, &cluster.resource));
    cluster.latest = operation.id;
    world.clusters.all.insert(id::key(&id), cluster);
    Ok(reply)
}

/// Adds the stage `ReconcilingAddons` near the end of the operation.
pub(super) fn stage(world: &mut World, operation: &str, from: Moment, due: Moment) {
    let at = from.plus_ms(((due.0 - from.0) as f64 * ADDONS_FROM) as i64);
    if let Some(operation) = world.operations.get_mut(operation) {
        operation.stages = vec![(at, "ReconcilingAddons".to_owned())];
    }
}

fn body(world: &mut World, call: &Call<'_>, wished: &Value, identities: &Identities) -> Value {
    let name = call.param("cluster");
    let location = wished["location"].as_str().unwrap_or_default().to_owned();
    let mut resource = json!({
        "location": location,
        "properties": wished["properties"],
        "tags": wished.get("tags").filter(|tags| tags.is_object()).cloned().unwrap_or(Value::Null),
        "identity": identity(world, wished, identities),
        "sku": wished["sku"],
        "id": id_of(call),
        "name": name,
        "type": "Microsoft.ContainerService/ManagedClusters",
        "kind": "Base",
        "eTag": world.uuid("cluster-etag"),
    });
    if resource["tags"].is_null() {
        resource.as_object_mut().expect("it was made as an object").shift_remove("tags");
    }
    defaults::fill(&mut resource, today(call.now));
    let short = world.hex("fqdn")[..8].to_owned();
    let uid = world.hex("resource-uid")[..24].to_owned();
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
    for profile in properties["addonProfiles"].as_object_mut().into_iter().flatten() {
        profile.1["identity"] = Value::Null;
    }
    versions(world, &mut resource, call.now);
    resource
}

/// Returns the identity of the cluster itself. Its principal is in the response from the first one on.
fn identity(world: &World, wished: &Value, identities: &Identities) -> Value {
    let mut identity = wished["identity"].clone();
    if identity["type"] == "SystemAssigned" {
        identity["principalId"] = json!(identities.cluster.object_id);
        identity["tenantId"] = json!(world.directory.tenant);
    }
    identity
}

/// Writes the full versions next to the requested ones, and new etags to the pools.
pub(super) fn versions(world: &mut World, resource: &mut Value, now: Moment) {
    let full = |wished: &Value| {
        let wished = wished.as_str().unwrap_or_default();
        calendar::resolve(wished, today(now)).map(|(_, full)| full.to_owned())
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
        pool["eTag"] = json!(world.uuid("pool-etag"));
    }
}

/// Creates the node resource group and the cluster's own principal, which exist long before the cluster is
/// ready.
fn surroundings(world: &mut World, call: &Call<'_>, cluster: &ManagedCluster) {
    let tags =
        json!({"aks-managed-cluster-name": cluster.name(), "aks-managed-cluster-rg": call.param("group")});
    world.add_group(cluster.node_group(), cluster.location(), &tags, Some(cluster.id().to_owned()), call.now);
    if cluster.text("/identity/type") == "SystemAssigned" {
        let own = cluster.identities.cluster.clone();
        let visible = call.timing.after(call.now, durations::PRINCIPAL_REPLICATION);
        world.directory.add_managed_identity(
            own.object_id,
            own.client_id,
            cluster.name(),
            cluster.id(),
            visible,
        );
    }
}
