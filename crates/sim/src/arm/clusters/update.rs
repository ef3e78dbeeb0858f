//! Updates of an existing cluster: immutable properties, the effect of omissions, and the operation.
//!
//! Source: managedClusters PUT and PATCH. A PUT replaces: optional blocks that it omits return to their
//! defaults, while immutable properties are kept. Clients therefore read, change and write the whole body.

use serde_json::{Value, json};

use super::error::{bad, change, parameter};
use super::features::{self, KEY_VAULT_ADDON};
use super::operations::{self, OperationTarget, free, today};
use super::{
    ManagedCluster, PendingWrite, Work, WriteOutcome, api_access, create, defaults, etag, find,
    version_support,
};
use crate::arm::error::ArmError;
use crate::arm::operation::Style;
use crate::arm::{Call, id};
use crate::durations;
use crate::request::Reply;
use crate::state::CloudState;

/// Immutable properties, as named in the error.
const FIXED: [&str; 11] = [
    "dnsPrefix",
    "fqdnSubdomain",
    "nodeResourceGroup",
    "enableRBAC",
    "networkProfile.networkPlugin",
    "networkProfile.serviceCidr",
    "networkProfile.dnsServiceIP",
    "networkProfile.podCidr",
    "networkProfile.loadBalancerSku",
    "networkProfile.outboundType",
    "servicePrincipalProfile.clientId",
];
/// Immutable properties of a pool.
const FIXED_IN_POOL: [&str; 6] = ["vnetSubnetID", "vmSize", "osType", "type", "maxPods", "osDiskType"];
/// Read-only properties.
const READ_ONLY: [&str; 10] = [
    "fqdn",
    "azurePortalFQDN",
    "privateFQDN",
    "privateLinkResources",
    "resourceUID",
    "powerState",
    "currentKubernetesVersion",
    "identityProfile",
    "provisioningState",
    "maxAgentPools",
];

/// Values that the service issued and keeps, whatever a PUT contains.
const ISSUED: [&str; 5] = [
    "/ingressProfile/webAppRouting/identity",
    "/oidcIssuerProfile/enabled",
    "/oidcIssuerProfile/issuerURL",
    "/networkProfile/networkPluginMode",
    "/networkProfile/loadBalancerProfile/effectiveOutboundIPs",
];

/// Returns the body of the cluster after a PUT, without the defaults of the properties that the PUT omits.
///
/// # Errors
/// 400 `PropertyChangeNotAllowed` and similar codes.
pub(super) fn merged(existing: &ManagedCluster, desired: &Value) -> Result<Value, ArmError> {
    let (old, new) = (existing.properties(), &desired["properties"]);
    if !new.is_object() {
        return Err(parameter("properties", "the request has no properties."));
    }
    fixed(old, new)?;
    api_access::check_change(old, new)?;
    in_use(existing, new)?;
    upgrade(old, new)?;
    let mut properties = new.clone();
    for name in FIXED {
        carry(&mut properties, old, &pointer(name));
    }
    for name in READ_ONLY.iter().filter(|name| !old[**name].is_null()) {
        properties[*name] = old[*name].clone();
    }
    carry(&mut properties, old, "/kubernetesVersion");
    for issued in ISSUED {
        carry(&mut properties, old, issued);
    }
    // Neither can be switched off; the service keeps what a PUT omits.
    carry(&mut properties, old, "/aadProfile");
    carry(&mut properties, old, "/apiServerAccessProfile/enablePrivateCluster");
    properties["agentPoolProfiles"] = Value::Array(pools(old, new)?);
    for (name, profile) in properties["addonProfiles"].as_object_mut().into_iter().flatten() {
        profile["identity"] = old["addonProfiles"][name]["identity"].clone();
    }
    let mut body = existing.resource.clone();
    body["properties"] = properties;
    for name in ["tags", "sku"] {
        if desired[name].is_object() {
            body[name] = desired[name].clone();
        }
    }
    if desired["identity"]["type"].as_str().is_some_and(|kind| kind != existing.text("/identity/type")) {
        return Err(change("identity.type"));
    }
    Ok(body)
}

fn pointer(dotted: &str) -> String {
    format!("/{}", dotted.replace('.', "/"))
}

/// Copies a value that the new object omits.
fn carry(new: &mut Value, old: &Value, pointer: &str) {
    let Some(value) = old.pointer(pointer).filter(|value| !value.is_null()) else { return };
    let mut at = new;
    let mut keys = pointer.trim_start_matches('/').split('/').peekable();
    while let Some(key) = keys.next() {
        if keys.peek().is_none() {
            if at[key].is_null() {
                at[key] = value.clone();
            }
            return;
        }
        if at[key].is_null() {
            at[key] = json!({});
        }
        at = &mut at[key];
    }
}

fn differs(old: &Value, new: &Value) -> bool {
    match (old, new) {
        (_, Value::Null) => false,
        (Value::String(old), Value::String(new)) => !id::same(old, new),
        (old, new) => old != new,
    }
}

fn fixed(old: &Value, new: &Value) -> Result<(), ArmError> {
    for name in FIXED {
        let at = pointer(name);
        let (old, new) = (old.pointer(&at).unwrap_or(&Value::Null), new.pointer(&at).unwrap_or(&Value::Null));
        if differs(old, new) {
            return Err(change(name));
        }
    }
    Ok(())
}

/// Refuses to disable what objects in the cluster still use.
fn in_use(existing: &ManagedCluster, new: &Value) -> Result<(), ArmError> {
    let has = |resource: &str| !existing.store.list(resource, None).is_empty();
    let old = existing.properties();
    if features::gateway_api(old) && !features::gateway_api(new) && has("gateways.gateway.networking.k8s.io")
    {
        let message = "Managed Gateway API cannot be disabled while Gateway resources exist in the cluster.";
        return Err(bad("BadRequest", message).with_target("ingressProfile.gatewayAPI.installation"));
    }
    let on = |properties: &Value| properties["addonProfiles"][KEY_VAULT_ADDON]["enabled"] == true;
    if on(old) && !on(new) && has("secretproviderclasses.secrets-store.csi.x-k8s.io") {
        let message = "Add-on azureKeyvaultSecretsProvider cannot be disabled while SecretProviderClass resources exist in the cluster.";
        return Err(bad("BadRequest", message).with_target("addonProfiles.azureKeyvaultSecretsProvider"));
    }
    Ok(())
}

/// Checks a version change: it stays, or goes up by at most one minor version.
fn upgrade(old: &Value, new: &Value) -> Result<(), ArmError> {
    let Some(desired) = new["kubernetesVersion"].as_str().filter(|desired| !desired.is_empty()) else {
        return Ok(());
    };
    let current = old["currentKubernetesVersion"].as_str().unwrap_or_default();
    let minor =
        |version: &str| version.split('.').nth(1).and_then(|part| part.parse::<i64>().ok()).unwrap_or(0);
    if (0..=1).contains(&(minor(desired) - minor(current))) {
        return Ok(());
    }
    let message = format!(
        "Upgrading Kubernetes version {current} to {desired} is not allowed. Only one minor version at a time, and never back."
    );
    Err(bad("OperationNotAllowed", message).with_target("kubernetesVersion"))
}

/// Returns the pools after a PUT: existing ones updated, none added.
fn pools(old: &Value, new: &Value) -> Result<Vec<Value>, ArmError> {
    let list = |value: &Value| value["agentPoolProfiles"].as_array().cloned().unwrap_or_default();
    let mut pools = list(old);
    for desired in list(new) {
        let Some(pool) = pools.iter_mut().find(|pool| pool["name"] == desired["name"]) else {
            let message = "A new agent pool was introduced. Adding agent pools to an existing cluster is not allowed through \
                           managed cluster operations. For agent pool specific change, please use per agent pool \
                           operations: https://aka.ms/agent-pool-rest-api";
            return Err(bad("BadRequest", message).with_target("agentPoolProfiles"));
        };
        change_pool(pool, &desired)?;
    }
    Ok(pools)
}

/// Updates a pool as requested; omitted properties stay.
///
/// # Errors
/// 400 for a change of an immutable property.
pub(super) fn change_pool(pool: &mut Value, desired: &Value) -> Result<(), ArmError> {
    for name in FIXED_IN_POOL {
        let unset = desired[name].as_str().is_some_and(str::is_empty);
        if !unset && differs(&pool[name], &desired[name]) {
            return Err(change(&format!("agentPoolProfile.{name}")));
        }
    }
    let scaled = desired["enableAutoScaling"] == true;
    for (key, value) in desired.as_object().into_iter().flatten() {
        let open = value.is_null() || value.as_str().is_some_and(str::is_empty);
        let is_read_only = matches!(
            key.as_str(),
            "provisioningState" | "powerState" | "eTag" | "currentOrchestratorVersion"
        );
        if !open && !is_read_only {
            pool[key] = value.clone();
        }
    }
    if scaled {
        keep_in_bounds(pool);
    } else if let Some(pool) = pool.as_object_mut() {
        pool.shift_remove("minCount");
        pool.shift_remove("maxCount");
    }
    Ok(())
}

/// Moves the number of nodes between the bounds of the autoscaler, which a client may change without it.
fn keep_in_bounds(pool: &mut Value) {
    let number = |name: &str| pool[name].as_u64();
    if let (Some(count), Some(low), Some(high)) = (number("count"), number("minCount"), number("maxCount")) {
        pool["count"] = json!(count.max(low).min(high));
    }
}

/// Starts the update: 200 with the requested values, `Updating` and an `Azure-AsyncOperation`.
pub(super) fn begin(state: &mut CloudState, call: &Call<'_>, mut body: Value) -> Result<Reply, ArmError> {
    let before = find(state, call)?;
    let fresh = before.cluster_info.is_none();
    let minor = |version: &Value| {
        version.as_str().unwrap_or_default().split('.').take(2).collect::<Vec<_>>().join(".")
    };
    let upgrades = version_support::resolve(
        body["properties"]["kubernetesVersion"].as_str().unwrap_or_default(),
        today(call.now),
    )
    .is_some_and(|_| {
        minor(&body["properties"]["kubernetesVersion"])
            != minor(&before.properties()["currentKubernetesVersion"])
    });
    let work = if upgrades { Work::Upgrade } else { Work::Update };
    // A PUT that repairs an incomplete cluster takes as long as a creation.
    let lasts = if fresh { durations::CLUSTER_CREATE } else { durations::CLUSTER_UPDATE };
    let kept = before.properties()["currentKubernetesVersion"].clone();
    defaults::fill(&mut body, today(call.now));
    api_access::fill(&mut body["properties"], &state.directory.tenant);
    create::versions(state, &mut body, call.now);
    create::name_issuer(state, &mut body);
    if !upgrades {
        // A minor version as alias never upgrades a running cluster to a newer patch.
        body["properties"]["currentKubernetesVersion"] = kept;
    }
    body["eTag"] = json!(state.uuid("cluster-etag"));
    Ok(write(state, call, body, work, lasts))
}

fn write(state: &mut CloudState, call: &Call<'_>, body: Value, work: Work, lasts: f64) -> Reply {
    let due = call.timing.after(call.now, lasts);
    let key = id::key(body["id"].as_str().unwrap_or_default());
    let (id, location) = (body["id"].clone(), body["location"].clone());
    let named = OperationTarget {
        id: id.as_str().unwrap_or_default(),
        location: location.as_str().unwrap_or_default(),
        work,
    };
    let operation = operations::operation(state, &named, Style::AsyncOperation, call.now, due);
    create::stage(state, &operation.id, call.now, due);
    let cluster = state.clusters.all.get_mut(&key).expect("its body was made from the cluster that is there");
    cluster.resource = body;
    cluster.pending = Some(PendingWrite { kind: work, due, outcome: WriteOutcome::Succeeds });
    cluster.latest.clone_from(&operation.id);
    cluster.set_state(work.state());
    let answer = Reply::json(200, &cluster.resource);
    operation.announce(state, &call.timing, answer)
}

/// Handles `PATCH`, which changes only tags.
pub(super) fn patch(state: &mut CloudState, call: &Call<'_>) -> Result<Reply, ArmError> {
    let desired = call.body()?;
    let existing = find(state, call)?;
    etag::check(call.request, Some(existing))?;
    free(existing)?;
    let mut body = existing.resource.clone();
    body["tags"] = desired.get("tags").filter(|tags| tags.is_object()).cloned().unwrap_or_else(|| json!({}));
    body["eTag"] = json!(state.uuid("cluster-etag"));
    Ok(write(state, call, body, Work::Update, durations::CLUSTER_TAGS))
}
