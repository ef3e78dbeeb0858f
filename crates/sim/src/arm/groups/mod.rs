//! Resource groups (Resources REST API, resourceGroups), and the slow deletion of their members.

pub(crate) mod store;

use std::collections::BTreeMap;

use serde_json::Value;

use crate::arm::error::ArmError;
use crate::arm::operation::{self, Plan, Style};
use crate::arm::policies::assignments;
use crate::arm::{Call, Provider, Route, filter, resource_type, roles, versions};
use crate::clock::{SimTime, Timing};
use crate::durations;
use crate::request::Reply;
use crate::state::CloudState;

pub use store::{Group, KIND};

const ALL: &str = "/subscriptions/{subscription}/resourceGroups";
const ONE: &str = "/subscriptions/{subscription}/resourceGroups/{group}";
const RESOURCES: &str = "/subscriptions/{subscription}/resourceGroups/{group}/resources";
const EVERYTHING: &str = "/subscriptions/{subscription}/resources";

/// The resource family of groups; last in the table, because a group goes after all its members.
pub const PROVIDER: Provider = Provider { next_due, advance_to, ..Provider::stateless("groups", routes) };

fn routes() -> Vec<Route> {
    vec![
        Route::new("GET", ALL, KIND, versions::RESOURCES, list),
        Route::new("GET", ONE, KIND, versions::RESOURCES, get),
        Route::new("HEAD", ONE, KIND, versions::RESOURCES, head),
        Route::new("PUT", ONE, KIND, versions::RESOURCES, put),
        Route::new("PATCH", ONE, KIND, versions::RESOURCES, patch),
        Route::new("DELETE", ONE, KIND, versions::RESOURCES, delete),
        Route::new(
            "GET",
            RESOURCES,
            "Microsoft.Resources/subscriptions/resourceGroups/resources",
            versions::RESOURCES,
            members,
        ),
        Route::new(
            "GET",
            EVERYTHING,
            "Microsoft.Resources/subscriptions/resources",
            versions::RESOURCES,
            everything,
        ),
    ]
}

impl CloudState {
    /// Adds a group without checks, as a cluster adds its node resource group. Replaces an existing one.
    pub fn add_group(
        &mut self,
        name: &str,
        location: &str,
        tags: &Value,
        managed_by: Option<String>,
        now: SimTime,
    ) {
        let group = Group {
            name: name.to_owned(),
            location: location.to_owned(),
            tags: texts(tags),
            managed_by,
            created: now,
            deleted_at: None,
            deletion: None,
            fails_on_completion: false,
        };
        self.groups.insert(name.to_lowercase(), group);
    }

    /// Removes a group at once, with the role assignments at and below it.
    pub fn drop_group(&mut self, name: &str) {
        self.groups.remove(&name.to_lowercase());
        let scope = format!("/subscriptions/{}/resourceGroups/{name}", self.subscription);
        resource_type::drop_group(self, name);
        roles::drop_scope(self, &scope);
        assignments::drop_scope(self, &scope);
    }
}

/// Returns the ARM body of a group; null if it does not exist.
pub(super) fn body(state: &CloudState, name: &str) -> Value {
    state.groups.get(&name.to_lowercase()).map_or(Value::Null, |group| group.body(&state.subscription))
}

/// Lets the deletion of a group fail; returns whether one was in progress.
pub(crate) fn fail_operation(state: &mut CloudState, id: &str) -> bool {
    let Some(group) = state.groups.get_mut(&super::id::name(id).to_lowercase()) else { return false };
    group.fails_on_completion = group.deleted_at.is_some();
    group.fails_on_completion
}

/// Returns whether a group of that name exists without members.
pub(crate) fn is_empty(state: &CloudState, name: &str) -> bool {
    state.groups.contains_key(&name.to_lowercase()) && in_group(state, name).is_empty()
}

/// Starts the deletion of an empty group of that name, and creates the group if it does not exist. Returns
/// whether it started; a group with members stays.
pub(crate) fn expire(
    state: &mut CloudState,
    name: &str,
    location: &str,
    now: SimTime,
    timing: &Timing,
) -> bool {
    if !in_group(state, name).is_empty() {
        return false;
    }
    if !state.groups.contains_key(&name.to_lowercase()) {
        state.add_group(name, location, &Value::Null, None, now);
    }
    let group = state.groups.get_mut(&name.to_lowercase()).filter(|group| group.deleted_at.is_none());
    let Some(group) = group else { return false };
    group.deleted_at = Some(timing.after(now, durations::GROUP_DELETE));
    true
}

fn texts(tags: &Value) -> BTreeMap<String, String> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    tags.as_object().into_iter().flatten().map(|(name, value)| (name.clone(), text(value))).collect()
}

fn find<'a>(state: &'a CloudState, call: &Call<'_>) -> Result<&'a Group, ArmError> {
    let name = call.param("group");
    state.groups.get(&name.to_lowercase()).ok_or_else(|| ArmError::group_not_found(name))
}

fn check_name(name: &str) -> Result<(), ArmError> {
    let allowed = |letter: char| letter.is_alphanumeric() || "_-.()".contains(letter);
    if (1..=90).contains(&name.chars().count()) && name.chars().all(allowed) && !name.ends_with('.') {
        return Ok(());
    }
    let why = format!(
        "The provided resource group name '{name}' has these invalid characters or length: The name can only be a \
         letter, digit, '-', '.', '(', ')' or '_', at most 90 characters long, and cannot end with a period."
    );
    Err(ArmError::gateway(400, "InvalidResourceGroupName", why))
}

fn check_location(state: &CloudState, location: &str) -> Result<String, ArmError> {
    let folded = location.replace(' ', "").to_ascii_lowercase();
    if state.locations.contains(&folded) {
        return Ok(folded);
    }
    if folded.is_empty() {
        let why = "The location property is required for this definition.";
        return Err(ArmError::gateway(400, "LocationRequired", why));
    }
    let why = format!(
        "The provided location '{location}' is not available for resource group. List of available regions is '{}'.",
        state.locations.join(",")
    );
    Err(ArmError::gateway(400, "LocationNotAvailableForResourceGroup", why))
}

fn get(state: &mut CloudState, call: &Call<'_>) -> Result<Reply, ArmError> {
    Ok(Reply::json(200, &find(state, call)?.body(&state.subscription)))
}

fn head(state: &mut CloudState, call: &Call<'_>) -> Result<Reply, ArmError> {
    Ok(Reply::empty(if find(state, call).is_ok() { 204 } else { 404 }))
}

fn list(state: &mut CloudState, call: &Call<'_>) -> Result<Reply, ArmError> {
    let all = state.groups.values().map(|group| group.body(&state.subscription)).collect();
    filter::reply(state, call, all, filter::OF_GROUPS)
}

fn put(state: &mut CloudState, call: &Call<'_>) -> Result<Reply, ArmError> {
    let name = call.param("group").to_owned();
    check_name(&name)?;
    let body = call.body()?;
    let location = check_location(state, body["location"].as_str().unwrap_or_default())?;
    if let Some(group) = state.groups.get_mut(&name.to_lowercase()) {
        group.check_writable()?;
        if group.location != location {
            let why = format!(
                "Invalid resource group location '{location}'. The Resource group already exists in location '{}'.",
                group.location
            );
            return Err(ArmError::gateway(409, "InvalidResourceGroupLocation", why));
        }
        group.tags = texts(&body["tags"]);
        return Ok(Reply::json(200, &find(state, call)?.body(&state.subscription)));
    }
    let managed_by = body["managedBy"].as_str().map(str::to_owned);
    state.add_group(&name, &location, &body["tags"], managed_by, call.now);
    Ok(Reply::json(201, &find(state, call)?.body(&state.subscription)).with_latency(durations::GROUP_PUT))
}

fn patch(state: &mut CloudState, call: &Call<'_>) -> Result<Reply, ArmError> {
    find(state, call)?.check_writable()?;
    let body = call.body()?;
    if let Some(group) = state.groups.get_mut(&call.param("group").to_lowercase())
        && body["tags"].is_object()
    {
        group.tags = texts(&body["tags"]);
    }
    Ok(Reply::json(200, &find(state, call)?.body(&state.subscription)))
}

fn delete(state: &mut CloudState, call: &Call<'_>) -> Result<Reply, ArmError> {
    let group = find(state, call)?.clone();
    let in_progress = group.deletion.as_ref().and_then(|id| state.operations.get(id)).cloned();
    if let Some(operation) = in_progress {
        return Ok(operation.announce(state, &call.timing, Reply::empty(202)));
    }
    let mut deleted_at = call.now;
    for provider in state.registry.deletion_order {
        deleted_at = deleted_at.max((provider.delete_members)(state, &group.name, deleted_at, &call.timing));
    }
    let deleted_at = call.timing.after(deleted_at, durations::GROUP_DELETE);
    let resource = format!("/subscriptions/{}/resourceGroups/{}", state.subscription, group.name);
    let plan = Plan {
        resource: &resource,
        provider: "Microsoft.Resources",
        location: &group.location,
        name: "DeleteResourceGroup",
        style: Style::Location,
        api_version: &call.api_version,
        retry_after: Some(durations::GROUP_RETRY_AFTER),
        signed: false,
    };
    let operation = operation::begin(state, &plan, call.now, deleted_at);
    if let Some(group) = state.groups.get_mut(&group.name.to_lowercase()) {
        group.deleted_at = Some(deleted_at);
        group.deletion = Some(operation.id.clone());
    }
    Ok(operation.announce(state, &call.timing, Reply::empty(202)))
}

pub(super) fn in_group(state: &CloudState, group: &str) -> Vec<Value> {
    state.registry.members(state, group).map(|member| summary(&member)).collect()
}

/// Returns the common properties of a resource, as lists show them.
fn summary(member: &Value) -> Value {
    let common = ["id", "name", "type", "kind", "location", "sku", "identity", "tags", "managedBy"];
    let kept = common.iter().filter(|field| !member[**field].is_null());
    kept.map(|field| ((*field).to_owned(), member[*field].clone())).collect::<serde_json::Map<_, _>>().into()
}

fn members(state: &mut CloudState, call: &Call<'_>) -> Result<Reply, ArmError> {
    filter::reply(state, call, in_group(state, call.param("group")), filter::OF_RESOURCES)
}

fn everything(state: &mut CloudState, call: &Call<'_>) -> Result<Reply, ArmError> {
    let all = state.groups.values().flat_map(|group| in_group(state, &group.name)).collect();
    filter::reply(state, call, all, filter::OF_RESOURCES)
}

fn next_due(state: &CloudState) -> Option<SimTime> {
    state.groups.values().filter_map(|group| group.deleted_at).min()
}

/// Deletes the groups that are due. A group that still has members waits for them, as Resource Manager keeps
/// polling the providers.
fn advance_to(state: &mut CloudState, due: SimTime, timing: &Timing) {
    let deleting: Vec<String> = state
        .groups
        .values()
        .filter(|group| group.deleted_at.is_some_and(|deleted_at| deleted_at <= due))
        .map(|group| group.name.clone())
        .collect();
    for name in deleting {
        let group = state.groups.get_mut(&name.to_lowercase()).filter(|group| group.fails_on_completion);
        if let Some(group) = group {
            (group.deleted_at, group.deletion, group.fails_on_completion) = (None, None, false);
            continue;
        }
        if in_group(state, &name).is_empty() {
            state.drop_group(&name);
            continue;
        }
        let later = timing.after(due, durations::GROUP_RETRY_AFTER).max(due.plus_ms(1));
        let Some(group) = state.groups.get_mut(&name.to_lowercase()) else { continue };
        group.deleted_at = Some(later);
        if let Some(operation) = group.deletion.as_ref().and_then(|id| state.operations.get_mut(id)) {
            operation.ends = later;
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::test_cloud::{TestCloud, code, target};
    use http::Method;
    use serde_json::json;

    #[test]
    fn a_group_is_created_once_and_stays_in_its_region() {
        let mut cloud = TestCloud::new();
        let at = cloud.path("/resourcegroups/web?api-version=2024-11-01");
        let reply = cloud.put(&at, &json!({ "location": "East US", "tags": { "a": "1" } }));
        assert_eq!((reply.status.as_u16(), reply.value()["location"].as_str()), (201, Some("eastus")));
        let reply = cloud.put(&at, &json!({ "location": "eastus", "tags": { "b": "2" } }));
        assert_eq!((reply.status.as_u16(), &reply.value()["tags"]), (200, &json!({ "b": "2" })));
        let reply = cloud.put(&at, &json!({ "location": "westeurope" }));
        assert_eq!((reply.status.as_u16(), code(&reply).as_str()), (409, "InvalidResourceGroupLocation"));
        let bad = cloud.path("/resourcegroups/web.?api-version=2024-11-01");
        assert_eq!(code(&cloud.put(&bad, &json!({ "location": "eastus" }))), "InvalidResourceGroupName");
    }

    #[test]
    fn a_group_being_deleted_refuses_writes_and_is_deleted_after_its_members() {
        let mut cloud = TestCloud::new();
        let vnet = cloud.in_group("Microsoft.Network/virtualNetworks/vn?api-version=2025-07-01");
        let body = json!({ "location": "eastus", "properties": { "addressSpace": { "addressPrefixes": ["10.0.0.0/16"] } } });
        assert_eq!(cloud.put(&vnet, &body).status, 201);
        cloud.advance(10.0);
        let group = cloud.path("/resourceGroups/rg?api-version=2024-11-01");
        let listed = cloud.path("/resourceGroups/rg/resources?api-version=2024-11-01");
        assert_eq!(cloud.get(&listed).value()["value"][0]["name"], "vn");

        let reply = cloud.delete(&group);
        assert_eq!(reply.status, 202);
        assert_eq!(reply.headers["retry-after"], "15");
        let location = target(&reply, "location");
        assert_eq!(cloud.get(&group).value()["properties"]["provisioningState"], "Deleting");
        let refused = cloud.put(&vnet, &body);
        assert_eq!((refused.status.as_u16(), code(&refused).as_str()), (409, "ResourceGroupBeingDeleted"));
        assert_eq!(cloud.get(&location).status, 202);

        cloud.advance(11.0);
        assert_eq!(code(&cloud.get(&vnet)), "ResourceNotFound", "the network goes first");
        assert_eq!(cloud.get(&group).status, 200);
        cloud.advance(10.0);
        assert_eq!(code(&cloud.get(&group)), "ResourceGroupNotFound");
        assert_eq!(cloud.get(&location).status, 200);
        let head = cloud.request(Method::HEAD, &group);
        assert_eq!(cloud.send(&head).status, 404);
        assert_eq!(cloud.delete(&group).status, 404);
    }
}
