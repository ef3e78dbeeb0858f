//! Tracked resources (resources with a region and tags) whose type is declared as data.
//!
//! To add a type: a file with its [`ResourceType`], and one row in [`TRACKED`]. Routes, rights, registration of the
//! namespace, group membership and persistence follow from the declaration. A type with operations, child
//! resources or ETags is a family of its own instead ([`crate::arm::provider`]).

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::arm::error::ArmError;
use crate::arm::provider::Provider;
use crate::arm::{Call, Route, TRACKED, id, roles};
use crate::clock::{SimTime, Timing};
use crate::request::Reply;
use crate::state::CloudState;

/// The properties of a resource, as in a request body.
pub type Properties = Map<String, Value>;

/// A type of tracked resources. Times are seconds of cloud time.
pub struct ResourceType {
    /// The type: `Microsoft.OperationalInsights/workspaces`.
    pub kind: &'static str,
    /// The supported api-versions, newest last.
    pub versions: &'static [&'static str],
    /// Checks the name of a new resource.
    pub check_name: fn(&str) -> Result<(), ArmError>,
    /// Returns the stored properties for those of a PUT: checked, and with the defaults of the service.
    pub properties: fn(Properties) -> Result<Properties, ArmError>,
    /// The time from a PUT to `Succeeded`.
    pub put_seconds: f64,
    /// The duration of the response to a DELETE.
    pub delete_seconds: f64,
}

/// A resource of a declared type.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Resource {
    /// The full id, in the case of its creation.
    id: String,
    kind: String,
    location: String,
    tags: Map<String, Value>,
    properties: Map<String, Value>,
    /// The end of the first PUT.
    created: SimTime,
    /// The end of the last PUT.
    ready: SimTime,
}

/// The resources of all declared types, by the key of their id.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Resources(BTreeMap<String, Resource>);

/// The family of the declared types.
pub const PROVIDER: Provider =
    Provider { members, delete_members, ..Provider::stateless("tracked", || ROUTES.clone()) };

/// The patterns are formatted once per process.
static ROUTES: LazyLock<Vec<Route>> =
    LazyLock::new(|| TRACKED.iter().flat_map(|declared| declared.routes()).collect());

impl ResourceType {
    /// Returns the namespace and the type without it.
    pub(super) fn parts(&self) -> (&'static str, &'static str) {
        self.kind.split_once('/').unwrap_or((self.kind, ""))
    }

    fn routes(&self) -> [Route; 5] {
        let pattern = |scope: &str, rest: &str| -> &'static str {
            format!("/subscriptions/{{subscription}}{scope}/providers/{}{rest}", self.kind).leak()
        };
        let in_group = "/resourceGroups/{group}";
        let one = pattern(in_group, "/{name}");
        let route = |method, pattern, handler| Route::new(method, pattern, self.kind, self.versions, handler);
        [
            route("GET", pattern("", ""), list),
            route("GET", pattern(in_group, ""), list),
            route("GET", one, get),
            route("PUT", one, put),
            route("DELETE", one, delete),
        ]
    }
}

impl Resource {
    fn is_in(&self, group: &str) -> bool {
        id::part(&self.id, "resourceGroups").is_some_and(|own| own.eq_ignore_ascii_case(group))
    }

    /// Returns the ARM body at an instant; the provisioning state follows from the clock.
    fn body(&self, now: SimTime) -> Value {
        let state = match now >= self.ready {
            true => "Succeeded",
            false if self.ready == self.created => "Creating",
            false => "Updating",
        };
        let mut properties = self.properties.clone();
        properties.insert("provisioningState".to_owned(), json!(state));
        json!({
            "id": self.id,
            "name": id::name(&self.id),
            "type": self.kind,
            "location": self.location,
            "tags": self.tags,
            "properties": properties,
        })
    }
}

fn requested_id(call: &Call<'_>) -> String {
    let (subscription, group) = (call.param("subscription"), call.param("group"));
    let (kind, name) = (call.route.kind, call.param("name"));
    format!("/subscriptions/{subscription}/resourceGroups/{group}/providers/{kind}/{name}")
}

fn list(state: &mut CloudState, call: &Call<'_>) -> Result<Reply, ArmError> {
    let group = call.param("group");
    let all = state.tracked.0.values().filter(|one| one.kind == call.route.kind);
    let all = all.filter(|one| group.is_empty() || one.is_in(group));
    let value: Vec<Value> = all.map(|one| one.body(call.now)).collect();
    Ok(Reply::json(200, &json!({ "value": value })))
}

fn get(state: &mut CloudState, call: &Call<'_>) -> Result<Reply, ArmError> {
    let found = state.tracked.0.get(&id::key(&requested_id(call))).ok_or_else(|| {
        ArmError::resource_not_found(call.route.kind, call.param("name"), call.param("group"))
    })?;
    Ok(Reply::json(200, &found.body(call.now)))
}

/// Creates or replaces a resource; 201 for a new one. Omitted properties and tags are cleared.
fn put(state: &mut CloudState, call: &Call<'_>) -> Result<Reply, ArmError> {
    let declared = TRACKED.iter().find(|declared| declared.kind == call.route.kind);
    let declared = declared.ok_or_else(|| ArmError::gateway(404, "InvalidResourceType", call.route.kind))?;
    let (given, requested_id) = (call.body()?, requested_id(call));
    let key = id::key(&requested_id);
    let existing = state.tracked.0.get(&key);
    if existing.is_none() {
        (declared.check_name)(call.param("name"))?;
    }
    let location = location(state, call, existing, &given)?;
    let (status, ready) =
        (if existing.is_some() { 200 } else { 201 }, call.timing.after(call.now, declared.put_seconds));
    let resource = Resource {
        id: existing.map_or(requested_id, |existing| existing.id.clone()),
        kind: declared.kind.to_owned(),
        location,
        tags: given["tags"].as_object().cloned().unwrap_or_default(),
        properties: (declared.properties)(given["properties"].as_object().cloned().unwrap_or_default())?,
        created: existing.map_or(ready, |existing| existing.created),
        ready,
    };
    let reply = Reply::json(status, &resource.body(call.now));
    state.tracked.0.insert(key, resource);
    Ok(reply)
}

/// Returns the region of a PUT, which the subscription must offer and which cannot change.
fn location(
    state: &CloudState,
    call: &Call<'_>,
    existing: Option<&Resource>,
    given: &Value,
) -> Result<String, ArmError> {
    let wanted = given["location"].as_str().unwrap_or_default().replace(' ', "").to_ascii_lowercase();
    if wanted.is_empty() {
        let why = "The location property is required for this definition.";
        return Err(ArmError::gateway(400, "LocationRequired", why));
    }
    if !state.locations.contains(&wanted) {
        let why = format!(
            "The provided location '{wanted}' is not available for resource type '{}'. List of available regions for the \
             resource type is '{}'.",
            call.route.kind,
            state.locations.join(",")
        );
        return Err(ArmError::gateway(400, "LocationNotAvailableForResourceType", why));
    }
    let Some(existing) = existing.filter(|existing| existing.location != wanted) else { return Ok(wanted) };
    let why = format!(
        "The resource '{}' already exists in location '{}' in resource group '{}'. A resource with the same name cannot \
         be created in location '{wanted}'. Please select a new resource name.",
        id::name(&existing.id),
        existing.location,
        call.param("group")
    );
    Err(ArmError::gateway(409, "InvalidResourceLocation", why))
}

fn delete(state: &mut CloudState, call: &Call<'_>) -> Result<Reply, ArmError> {
    let removed = state.tracked.0.remove(&id::key(&requested_id(call)));
    let Some(removed) = removed else { return Ok(Reply::empty(204)) };
    roles::drop_scope(state, &removed.id);
    let declared = TRACKED.iter().find(|declared| declared.kind == removed.kind);
    Ok(Reply::empty(200).with_latency(declared.map_or(0.0, |declared| declared.delete_seconds)))
}

fn members(state: &CloudState, group: &str) -> Vec<Value> {
    state.tracked.0.values().filter(|one| one.is_in(group)).map(|one| one.body(one.ready)).collect()
}

/// Deletes the resources of a group at once, without an intermediate state.
fn delete_members(state: &mut CloudState, group: &str, from: SimTime, _timing: &Timing) -> SimTime {
    let (deleted, kept) = std::mem::take(&mut state.tracked.0)
        .into_iter()
        .partition(|(_, one): &(_, Resource)| one.is_in(group));
    state.tracked.0 = kept;
    let deleted: BTreeMap<String, Resource> = deleted;
    for resource in deleted.values() {
        roles::drop_scope(state, &resource.id);
    }
    from
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::test_cloud::{TestCloud, code};

    /// A type of the tests, in a namespace that no other type has.
    pub(in crate::arm) const WIDGETS: ResourceType = ResourceType {
        kind: "Contoso.Test/widgets",
        versions: &["2024-01-01"],
        check_name: |name| match name.len() {
            4.. => Ok(()),
            _ => Err(ArmError::new(400, "InvalidName", "too short")),
        },
        properties: |mut given| {
            given.entry("size").or_insert(json!(1));
            Ok(given)
        },
        put_seconds: 10.0,
        delete_seconds: 1.0,
    };

    #[test]
    fn a_declared_type_has_the_life_of_a_resource() {
        let mut cloud = TestCloud::new();
        let at = cloud.in_group("Contoso.Test/widgets/gear?api-version=2024-01-01");
        assert_eq!(code(&cloud.get(&at)), "ResourceNotFound");
        let body = json!({ "location": "East US", "tags": { "a": "b" } });
        let created = cloud.put(&at, &body);
        assert_eq!((created.status.as_u16(), &created.value()["properties"]["size"]), (201, &json!(1)));
        assert_eq!(created.value()["properties"]["provisioningState"], "Creating");
        cloud.advance(10.0);
        assert_eq!(cloud.get(&at).value()["properties"]["provisioningState"], "Succeeded");
        let updated = cloud.put(&at, &json!({ "location": "eastus", "properties": { "size": 2 } }));
        assert_eq!((updated.status.as_u16(), &updated.value()["tags"]), (200, &json!({})));
        let all = cloud.path("/providers/Contoso.Test/widgets?api-version=2024-01-01");
        assert_eq!(cloud.get(&all).value()["value"][0]["properties"]["size"], 2);
        assert_eq!(cloud.delete(&at).status, 200);
        assert_eq!(cloud.delete(&at).status, 204);
    }

    #[test]
    fn name_region_and_version_are_checked() {
        let mut cloud = TestCloud::new();
        let mut put = |name: &str, version: &str, location: &str| {
            let at = cloud.in_group(&format!("Contoso.Test/widgets/{name}?api-version={version}"));
            code(&cloud.put(&at, &json!({ "location": location })))
        };
        assert_eq!(put("abc", "2024-01-01", "eastus"), "InvalidName");
        assert_eq!(put("gear", "2020-01-01", "eastus"), "NoRegisteredProviderFound");
        assert_eq!(put("gear", "2024-01-01", "moon"), "LocationNotAvailableForResourceType");
        assert_eq!(put("gear", "2024-01-01", "eastus"), "");
        assert_eq!(put("gear", "2024-01-01", "westeurope"), "InvalidResourceLocation");
    }

    #[test]
    fn a_resource_goes_with_its_group_and_its_namespace_can_be_registered() {
        let mut cloud = TestCloud::new();
        let at = cloud.in_group("Contoso.Test/widgets/gear?api-version=2024-01-01");
        cloud.put(&at, &json!({ "location": "eastus" }));
        let group = cloud.path("/resourceGroups/rg?api-version=2024-11-01");
        assert_eq!(cloud.delete(&group).status, 202);
        cloud.advance(60.0);
        assert!(cloud.state.tracked.0.is_empty());
        let provider = cloud.path("/providers/contoso.test?api-version=2024-11-01");
        let provider = cloud.get(&provider).value();
        assert_eq!(provider["registrationState"], "Registered");
        assert_eq!(provider["resourceTypes"][0]["resourceType"], "widgets");
        assert_eq!(provider["resourceTypes"][0]["apiVersions"], json!(["2024-01-01"]));
    }
}
