//! Resource providers and their registration (Resources REST API, providers).

pub(crate) mod store;

use serde_json::{Value, json};

use crate::arm::error::ArmError;
use crate::arm::{Call, Provider, Registry, Route, versions};
use crate::clock::{SimTime, Timing};
use crate::durations;
use crate::request::Reply;
use crate::state::CloudState;

pub use store::Providers;
use store::Registration;

/// The resource type, as in rights.
pub const KIND: &str = "Microsoft.Resources/subscriptions/providers";

const ALL: &str = "/subscriptions/{subscription}/providers";
const ONE: &str = "/subscriptions/{subscription}/providers/{namespace}";
const REGISTER: &str = "/subscriptions/{subscription}/providers/{namespace}/register";
const UNREGISTER: &str = "/subscriptions/{subscription}/providers/{namespace}/unregister";

/// The namespaces, their types, and whether they are always registered; those of declared types are known too.
const NAMESPACES: &[(&str, &[&str], bool)] = &[
    ("Microsoft.Authorization", &["roleAssignments", "roleDefinitions"], true),
    ("Microsoft.Compute", &["virtualMachines", "virtualMachineScaleSets", "disks"], false),
    (
        "Microsoft.ContainerService",
        &["managedClusters", "locations/kubernetesVersions", "locations/operations"],
        false,
    ),
    ("Microsoft.Features", &["features", "providers"], true),
    ("Microsoft.Insights", &["components"], false),
    (
        "Microsoft.KeyVault",
        &["vaults", "deletedVaults", "locations/deletedVaults", "checkNameAvailability"],
        false,
    ),
    ("Microsoft.ManagedIdentity", &["userAssignedIdentities"], false),
    (
        "Microsoft.Network",
        &["virtualNetworks", "publicIPAddresses", "loadBalancers", "dnszones", "dnszones/A"],
        false,
    ),
    ("Microsoft.OperationsManagement", &["solutions"], false),
    ("Microsoft.PolicyInsights", &["checkPolicyRestrictions"], true),
    ("Microsoft.Resources", &["subscriptions", "resourceGroups", "providers", "tenants"], true),
    ("Microsoft.Storage", &["storageAccounts"], false),
];

/// Returns the known namespaces, and whether they are always registered.
pub(crate) fn namespaces(registry: &'static Registry) -> impl Iterator<Item = (&'static str, bool)> {
    let listed = |namespace: &str| NAMESPACES.iter().any(|(known, ..)| *known == namespace);
    let tracked = registry.types.iter().map(|declared| declared.parts().0).filter(move |one| !listed(one));
    NAMESPACES
        .iter()
        .map(|(namespace, _, always)| (*namespace, *always))
        .chain(tracked.map(|one| (one, false)))
}

/// Returns the types of a namespace.
fn types_of(registry: &'static Registry, namespace: &str) -> Vec<&'static str> {
    let listed = NAMESPACES.iter().filter(|(known, ..)| *known == namespace);
    let declared = registry.types.iter().map(|declared| declared.parts());
    let tracked = declared.filter(|(known, _)| *known == namespace);
    let mut types = Vec::new();
    for kind in listed.flat_map(|(_, kinds, _)| *kinds).copied().chain(tracked.map(|(_, kind)| kind)) {
        if !types.contains(&kind) {
            types.push(kind);
        }
    }
    types
}

/// Returns whether a provider exists.
pub(in crate::arm) fn knows(state: &CloudState, namespace: &str) -> bool {
    canonical_name(state, namespace).is_some()
}

fn canonical_name(state: &CloudState, namespace: &str) -> Option<String> {
    // A state that an earlier version wrote has no registration of a namespace that is new since.
    let known = state.providers.registrations.keys().map(String::as_str);
    let mut known = known.chain(namespaces(state.registry).map(|(known, _)| known));
    known.find(|known| known.eq_ignore_ascii_case(namespace)).map(str::to_owned)
}

/// Refuses writes of an unregistered namespace; one in the state `Registering` passes.
///
/// # Errors
/// 409 `MissingSubscriptionRegistration`.
pub(crate) fn check_registered(state: &CloudState, namespace: &str) -> Result<(), ArmError> {
    let found = canonical_name(state, namespace);
    let Some(namespace) = found.as_deref() else { return Ok(()) };
    let registration = state.providers.registrations.get(namespace).unwrap_or(&Registration::NotRegistered);
    let why = match registration {
        Registration::Registered | Registration::Registering { .. } => return Ok(()),
        Registration::NotRegistered => format!(
            "The subscription is not registered to use namespace '{namespace}'. See https://aka.ms/rps-not-found \
             for how to register subscriptions."
        ),
        Registration::Unregistering { .. } | Registration::Unregistered => format!(
            "The subscription registration is in '{}' state. The subscription must be registered to use namespace \
             '{namespace}'. See https://aka.ms/rps-not-found for how to register subscriptions.",
            registration.as_str()
        ),
    };
    let mut error = ArmError::gateway(409, "MissingSubscriptionRegistration", &why);
    error
        .details
        .push(json!({ "code": "MissingSubscriptionRegistration", "target": namespace, "message": why }));
    Err(error)
}

/// Unregisters a namespace at once, if it is registered, not always registered, and without resources.
/// Returns whether it was unregistered.
pub(crate) fn unregister_now(state: &mut CloudState, namespace: &str) -> bool {
    let Some(namespace) = canonical_name(state, namespace) else { return false };
    let always = namespaces(state.registry).any(|(known, always)| known == namespace && always);
    if always || in_use(state, &namespace) {
        return false;
    }
    let registration = state.providers.registrations.get_mut(&namespace);
    let Some(registration) = registration.filter(|registration| **registration == Registration::Registered)
    else {
        return false;
    };
    *registration = Registration::Unregistered;
    true
}

/// Returns whether the subscription has resources of a namespace.
fn in_use(state: &CloudState, namespace: &str) -> bool {
    let prefix = format!("{}/", namespace.to_ascii_lowercase());
    let mut groups = state.groups.values();
    groups.any(|group| {
        super::groups::in_group(state, &group.name).iter().any(|member| {
            member["type"].as_str().is_some_and(|kind| kind.to_ascii_lowercase().starts_with(&prefix))
        })
    })
}

/// The resource family of registrations.
pub const PROVIDER: Provider = Provider { next_due, advance_to, ..Provider::stateless("providers", routes) };

fn routes() -> Vec<Route> {
    vec![
        Route::new("GET", ALL, KIND, versions::RESOURCES, list),
        Route::new("GET", ONE, KIND, versions::RESOURCES, get),
        Route::new("POST", REGISTER, KIND, versions::RESOURCES, register),
        Route::new("POST", UNREGISTER, KIND, versions::RESOURCES, unregister),
    ]
}

fn body(state: &CloudState, namespace: &str) -> Value {
    let registration =
        state.providers.registrations.get(namespace).copied().unwrap_or(Registration::NotRegistered);
    let always = namespaces(state.registry).any(|(known, always)| known == namespace && always);
    let kinds: Vec<Value> = types_of(state.registry, namespace)
        .into_iter()
        .map(|kind| {
            let known = supported(state, &format!("{namespace}/{kind}"));
            json!({ "resourceType": kind, "locations": state.locations, "apiVersions": known, "capabilities": "None" })
        })
        .collect();
    json!({
        "id": format!("/subscriptions/{}/providers/{namespace}", state.subscription),
        "namespace": namespace,
        "resourceTypes": kinds,
        "registrationState": registration.as_str(),
        "registrationPolicy": if always { "RegistrationFree" } else { "RegistrationRequired" },
    })
}

/// Returns the api-versions of a type from the route table, newest first.
fn supported(state: &CloudState, kind: &str) -> Vec<&'static str> {
    let found = (state.registry.routes)().iter().find(|route| route.kind.eq_ignore_ascii_case(kind));
    found.map(|route| route.versions.iter().rev().copied().collect()).unwrap_or_default()
}

fn find(state: &CloudState, call: &Call<'_>) -> Result<String, ArmError> {
    let requested = call.param("namespace");
    canonical_name(state, requested).ok_or_else(|| {
        ArmError::gateway(
            404,
            "InvalidResourceNamespace",
            format!("The resource namespace '{requested}' is invalid."),
        )
    })
}

fn list(state: &mut CloudState, _call: &Call<'_>) -> Result<Reply, ArmError> {
    let value: Vec<Value> =
        state.providers.registrations.keys().map(|namespace| body(state, namespace)).collect();
    Ok(Reply::json(200, &json!({ "value": value })))
}

fn get(state: &mut CloudState, call: &Call<'_>) -> Result<Reply, ArmError> {
    let namespace = find(state, call)?;
    Ok(Reply::json(200, &body(state, &namespace)))
}

fn register(state: &mut CloudState, call: &Call<'_>) -> Result<Reply, ArmError> {
    let namespace = find(state, call)?;
    let done = call.timing.after(call.now, durations::PROVIDER_REGISTER);
    let registration =
        state.providers.registrations.entry(namespace.clone()).or_insert(Registration::NotRegistered);
    if !matches!(registration, Registration::Registered | Registration::Registering { .. }) {
        *registration = Registration::Registering { done };
    }
    Ok(Reply::json(200, &body(state, &namespace)))
}

fn unregister(state: &mut CloudState, call: &Call<'_>) -> Result<Reply, ArmError> {
    let namespace = find(state, call)?;
    if in_use(state, &namespace) {
        let why = format!(
            "The resource provider '{namespace}' cannot be unregistered: the subscription still has resources of its types."
        );
        return Err(ArmError::gateway(409, "CannotUnregisterRP", why));
    }
    let done = call.timing.after(call.now, durations::PROVIDER_REGISTER);
    let registration =
        state.providers.registrations.entry(namespace.clone()).or_insert(Registration::Unregistered);
    if matches!(registration, Registration::Registered | Registration::Registering { .. }) {
        *registration = Registration::Unregistering { done };
    }
    Ok(Reply::json(200, &body(state, &namespace)))
}

fn next_due(state: &CloudState) -> Option<SimTime> {
    state.providers.registrations.values().filter_map(|registration| registration.due()).min()
}

fn advance_to(state: &mut CloudState, due: SimTime, _timing: &Timing) {
    for registration in state.providers.registrations.values_mut() {
        *registration = match *registration {
            Registration::Registering { done } if done <= due => Registration::Registered,
            Registration::Unregistering { done } if done <= due => Registration::Unregistered,
            other => other,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_cloud::{TestCloud, code};
    use http::Method;

    #[test]
    fn a_provider_must_be_registered_before_its_resources_are_written() {
        let mut cloud = TestCloud::new();
        let known = namespaces(cloud.state.registry);
        cloud.state.providers = Providers::new(&["Microsoft.Network".to_owned()], known);
        let vnet = cloud.in_group("Microsoft.Network/virtualNetworks/vn?api-version=2025-07-01");
        let body = json!({ "location": "eastus", "properties": { "addressSpace": { "addressPrefixes": ["10.0.0.0/16"] } } });
        let reply = cloud.put(&vnet, &body);
        assert_eq!((reply.status.as_u16(), code(&reply).as_str()), (409, "MissingSubscriptionRegistration"));
        assert_eq!(reply.value()["error"]["details"][0]["target"], "Microsoft.Network");

        let register = cloud.path("/providers/microsoft.network/register?api-version=2016-02-01");
        let register = cloud.request(Method::POST, &register);
        assert_eq!(cloud.send(&register).value()["registrationState"], "Registering");
        let at = cloud.path("/providers/Microsoft.Network?api-version=2024-11-01");
        cloud.advance(59.0);
        assert_eq!(cloud.get(&at).value()["registrationState"], "Registering");
        assert_eq!(cloud.put(&vnet, &body).status, 201, "what is being registered passes");
        cloud.advance(1.0);
        assert_eq!(cloud.get(&at).value()["registrationState"], "Registered");
    }
}
