//! Requests for whole virtual networks.

use super::defaults;
use serde_json::{Map, Value, json};

use crate::arm::error::ArmError;
use crate::arm::networks::{
    KIND, Network, Part, State, VERSIONS, announced, begin, check_etag, check_free, check_unused,
    delegations, find, ranges, requested_id, subnets,
};
use crate::arm::{Call, Route, id, roles, versions};
use crate::durations;
use crate::request::Reply;
use crate::state::CloudState;

const SUBSCRIPTION: &str = "/subscriptions/{subscription}/providers/Microsoft.Network/virtualNetworks";
const GROUP: &str =
    "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.Network/virtualNetworks";
const ONE: &str = "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.Network/virtualNetworks/{network}";

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::new("GET", SUBSCRIPTION, KIND, VERSIONS, list),
        Route::new("GET", GROUP, KIND, VERSIONS, list),
        Route::new("GET", ONE, KIND, VERSIONS, get),
        Route::new("PUT", ONE, KIND, VERSIONS, put),
        Route::new("PATCH", ONE, KIND, VERSIONS, patch),
        Route::new("DELETE", ONE, KIND, VERSIONS, delete),
    ]
}

fn reply(state: &CloudState, network: &Network, status: u16) -> Reply {
    Reply::json(status, &network.body(state)).with_header("etag", &format!("W/\"{}\"", network.etag))
}

fn get(state: &mut CloudState, call: &Call<'_>) -> Result<Reply, ArmError> {
    let network = find(state, call)?;
    Ok(reply(state, network, 200))
}

fn list(state: &mut CloudState, call: &Call<'_>) -> Result<Reply, ArmError> {
    let group = call.param("group");
    let fits = |network: &&Network| {
        group.is_empty()
            || id::part(&network.id, "resourceGroups").is_some_and(|own| own.eq_ignore_ascii_case(group))
    };
    let value: Vec<Value> =
        state.networks.networks.values().filter(fits).map(|network| network.body(state)).collect();
    Ok(Reply::json(200, &json!({ "value": value })))
}

fn patch(state: &mut CloudState, call: &Call<'_>) -> Result<Reply, ArmError> {
    find(state, call)?;
    check_free(state, call)?;
    let body = call.body()?;
    let etag = state.uuid("etag");
    if let Some(network) = state.networks.networks.get_mut(&id::key(&requested_id(call))) {
        network.tags = body["tags"].as_object().cloned().unwrap_or_default();
        network.etag = etag;
    }
    get(state, call)
}

fn put(state: &mut CloudState, call: &Call<'_>) -> Result<Reply, ArmError> {
    let existing = find(state, call).ok().cloned();
    check_etag(call, existing.as_ref().map(|network| network.etag.as_str()))?;
    check_free(state, call)?;
    let body = call.body()?;
    let mut network = desired(state, call, existing.as_ref(), &body)?;
    let removed = check(state, &network, existing.as_ref())?;
    let done = call.timing.after(call.now, durations::NETWORK_PUT);
    network.state = State::Updating;
    network.done = Some(done);
    for scope in removed {
        roles::drop_scope(state, &scope);
    }
    let id = network.id.clone();
    state.networks.networks.insert(id::key(&id), network);
    let operation = begin(state, call, &id, "PutVirtualNetworkOperation", done);
    let status = if existing.is_some() { 200 } else { 201 };
    let network = find(state, call)?;
    Ok(announced(state, call, &operation, reply(state, network, status)))
}

/// Parses the network that a PUT requests. Omitted properties are cleared, except the subnets in newer
/// api-versions.
fn desired(
    state: &mut CloudState,
    call: &Call<'_>,
    existing: Option<&Network>,
    body: &Value,
) -> Result<Network, ArmError> {
    check_name(call.param("network"))?;
    let location = location(state, call, existing, body)?;
    let mut properties = body["properties"].as_object().cloned().unwrap_or_default();
    let given_state = properties.get("provisioningState").and_then(Value::as_str);
    if given_state.is_some_and(|given| {
        existing.is_none_or(|network| !network.state.as_str().eq_ignore_ascii_case(given))
    }) {
        let why = "The property 'properties.provisioningState' is read-only and differs from the current state of the resource.";
        return Err(ArmError::new(400, "InvalidRequestFormat", why));
    }
    let listed = properties.remove("subnets");
    for read_only in ["provisioningState", "resourceGuid"] {
        properties.remove(read_only);
    }
    defaults::fill_network(&mut properties);
    let keeps = call.api_version.as_str() >= versions::NETWORKS_KEEP_SUBNETS;
    let old = existing.map(|network| network.subnets.clone()).unwrap_or_default();
    let subnets = match listed {
        None if keeps => old,
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(listed)) => {
            listed.iter().map(|one| listed_subnet(state, one, &old)).collect::<Result<_, _>>()?
        }
        Some(_) => return Err(ArmError::invalid_body("properties.subnets is not an array")),
    };
    Ok(Network {
        id: existing.map_or_else(|| requested_id(call), |network| network.id.clone()),
        location,
        tags: body["tags"].as_object().cloned().unwrap_or_default(),
        etag: state.uuid("etag"),
        guid: existing.map_or_else(|| state.uuid("network"), |network| network.guid.clone()),
        state: State::Updating,
        done: None,
        fails_on_completion: false,
        properties,
        subnets,
    })
}

fn listed_subnet(state: &mut CloudState, listed: &Value, old: &[Part]) -> Result<Part, ArmError> {
    let name = listed["name"].as_str().unwrap_or_default();
    let given = listed["properties"].as_object().cloned().unwrap_or_default();
    let before = old.iter().find(|part| part.name.eq_ignore_ascii_case(name));
    subnets::part(state, name, given, before)
}

fn check_name(name: &str) -> Result<(), ArmError> {
    let allowed = |letter: char| letter.is_ascii_alphanumeric() || "_-.".contains(letter);
    let ends = name.ends_with(|letter: char| letter.is_ascii_alphanumeric() || letter == '_');
    let begins = name.starts_with(|letter: char| letter.is_ascii_alphanumeric());
    if (2..=64).contains(&name.len()) && name.chars().all(allowed) && begins && ends {
        return Ok(());
    }
    let why = format!(
        "Resource name {name} is invalid. The name can be up to 64 characters long. It must begin with a word character, \
         and it must end with a word character or with '_'. The name may contain word characters or '.', '-', '_'."
    );
    Err(ArmError::new(400, "InvalidResourceName", why))
}

fn location(
    state: &CloudState,
    call: &Call<'_>,
    existing: Option<&Network>,
    body: &Value,
) -> Result<String, ArmError> {
    let requested_id = body["location"].as_str().unwrap_or_default();
    let folded = requested_id.replace(' ', "").to_ascii_lowercase();
    if folded.is_empty() {
        let why = "The location property is required for this definition.";
        return Err(ArmError::gateway(400, "LocationRequired", why));
    }
    if !state.locations.contains(&folded) {
        let why = format!(
            "The provided location '{requested_id}' is not available for resource type '{KIND}'. List of available regions for \
             the resource type is '{}'.",
            state.locations.join(",")
        );
        return Err(ArmError::gateway(400, "LocationNotAvailableForResourceType", why));
    }
    match existing {
        Some(network) if network.location != folded => {
            let why = format!(
                "The resource '{}' already exists in location '{}' in resource group '{}'. A resource with the same name \
                 cannot be created in location '{folded}'. Please select a new resource name.",
                call.param("network"),
                network.location,
                call.param("group")
            );
            Err(ArmError::gateway(409, "InvalidResourceLocation", why))
        }
        _ => Ok(folded),
    }
}

/// Checks the ranges and the subnets in use; returns the ids of the removed subnets.
fn check(state: &CloudState, network: &Network, existing: Option<&Network>) -> Result<Vec<String>, ArmError> {
    check_ranges(network)?;
    let mut removed = Vec::new();
    for old in existing.into_iter().flat_map(|network| &network.subnets) {
        let id = network.subnet_id(&old.name);
        match network.part(&old.name) {
            None => {
                check_unused(state, &id, "InUseSubnetCannotBeDeleted")?;
                removed.push(id);
            }
            Some(new) if new.prefixes() != old.prefixes() => {
                check_unused(state, &id, "InUsePrefixCannotBeDeleted")?
            }
            Some(new) => delegations::check_change(state, &id, &old.properties, &new.properties)?,
        }
    }
    Ok(removed)
}

/// Checks all ranges of a network and its subnets.
pub(super) fn check_ranges(network: &Network) -> Result<(), ArmError> {
    let listed = network.properties.get("addressSpace").and_then(|space| space["addressPrefixes"].as_array());
    let listed: Vec<&str> = listed.into_iter().flatten().filter_map(Value::as_str).collect();
    if listed.is_empty() {
        let why = format!(
            "Virtual network {} must have at least one address prefix in its address space.",
            network.id
        );
        return Err(ArmError::new(400, "VnetAddressSpaceRequired", why));
    }
    let spaces =
        listed.iter().map(|range| ranges::parse(range, &network.id)).collect::<Result<Vec<_>, _>>()?;
    for (at, space) in spaces.iter().enumerate() {
        if let Some(other) = spaces[..at].iter().find(|other| ranges::overlap(space, other)) {
            let why =
                format!("Address prefixes {other} and {space} of virtual network {} overlap.", network.id);
            return Err(ArmError::new(400, "VnetAddressSpacesOverlap", why));
        }
    }
    let mut named = Vec::new();
    for part in &network.subnets {
        let id = network.subnet_id(&part.name);
        let parsed =
            part.prefixes().iter().map(|range| ranges::parse(range, &id)).collect::<Result<Vec<_>, _>>()?;
        named.push((part.name.clone(), parsed));
    }
    ranges::check(network.name(), &spaces, &named)
}

fn delete(state: &mut CloudState, call: &Call<'_>) -> Result<Reply, ArmError> {
    let Ok(network) = find(state, call).cloned() else { return Ok(Reply::empty(204)) };
    check_etag(call, Some(&network.etag))?;
    check_free(state, call)?;
    for part in &network.subnets {
        check_unused(state, &network.subnet_id(&part.name), "InUseSubnetCannotBeDeleted")?;
    }
    let done = call.timing.after(call.now, durations::NETWORK_DELETE);
    let operation = begin(state, call, &network.id, "DeleteVirtualNetworkOperation", done);
    if let Some(network) = state.networks.networks.get_mut(&id::key(&network.id)) {
        network.state = State::Deleting;
        network.done = Some(done);
    }
    Ok(announced(state, call, &operation, Reply::empty(202)))
}

/// Removes the read-only properties, which the service never accepts from a caller.
pub(super) fn without_read_only(mut properties: Map<String, Value>) -> Map<String, Value> {
    for name in ["provisioningState", "ipConfigurations", "purpose"] {
        properties.remove(name);
    }
    properties
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_cloud::{TestCloud, code, target};

    fn at(cloud: &TestCloud, version: &str) -> String {
        cloud.in_group(&format!("Microsoft.Network/virtualNetworks/vn?api-version={version}"))
    }

    fn body(subnets: Option<Value>) -> Value {
        let mut body = json!({ "location": "eastus", "properties": { "addressSpace": { "addressPrefixes": ["10.0.0.0/16"] } } });
        if let Some(subnets) = subnets {
            body["properties"]["subnets"] = subnets;
        }
        body
    }

    fn subnet(name: &str, range: &str) -> Value {
        json!({ "name": name, "properties": { "addressPrefix": range } })
    }

    #[test]
    fn a_network_is_updating_until_its_operation_has_succeeded() {
        let mut cloud = TestCloud::new();
        let vnet = at(&cloud, "2025-07-01");
        let reply = cloud.put(&vnet, &body(Some(json!([subnet("snet", "10.0.0.0/22")]))));
        assert_eq!((reply.status.as_u16(), reply.headers["retry-after"].to_str().unwrap()), (201, "10"));
        assert_eq!(reply.value()["properties"]["provisioningState"], "Updating");
        let operation = target(&reply, "azure-asyncoperation");
        let running = cloud.get(&operation);
        assert_eq!((running.status.as_u16(), &running.value()["status"]), (200, &json!("InProgress")));
        let busy = cloud.put(&vnet, &body(None));
        assert_eq!((busy.status.as_u16(), code(&busy).as_str()), (429, "RetryableError"));
        assert_eq!(busy.value()["error"]["details"][0]["code"], "RetryableErrorDueToAnotherOperation");
        cloud.advance(60.0);
        let ended = cloud.get(&operation).value();
        assert_eq!(ended["status"], "Succeeded");
        assert_eq!(
            ended["endTime"],
            cloud.now.plus_ms(-54_500).rfc3339(),
            "stamped with its due time, not with the look"
        );
        let subnet =
            cloud.in_group("Microsoft.Network/virtualNetworks/vn/subnets/SNET?api-version=2024-07-01");
        assert_eq!(cloud.get(&subnet).value()["properties"]["provisioningState"], "Succeeded");
    }

    #[test]
    fn what_omitted_subnets_mean_depends_on_the_api_version() {
        let mut cloud = TestCloud::new();
        let count = |cloud: &mut TestCloud, reply: &Reply| {
            cloud.advance(6.0);
            reply.value()["properties"]["subnets"].as_array().map(Vec::len)
        };
        let two = json!([subnet("a", "10.0.0.0/24"), subnet("b", "10.0.1.0/24")]);
        let (new, old) = (at(&cloud, "2023-09-01"), at(&cloud, "2023-06-01"));
        for (version, subnets, left) in [
            (&new, Some(two.clone()), 2),
            (&new, None, 2),
            (&new, Some(json!([subnet("a", "10.0.0.0/24")])), 1),
            (&new, Some(json!([])), 0),
            (&old, Some(two.clone()), 2),
            (&old, None, 0),
            (&new, Some(two), 2),
            (&new, Some(Value::Null), 0),
        ] {
            let reply = cloud.put(version, &body(subnets));
            assert_eq!(count(&mut cloud, &reply), Some(left), "{version}");
        }
    }

    #[test]
    fn ranges_locations_and_conditions_are_checked() {
        let mut cloud = TestCloud::new();
        let vnet = at(&cloud, "2025-07-01");
        let outside = cloud.put(&vnet, &body(Some(json!([subnet("a", "10.1.0.0/24")]))));
        assert_eq!((outside.status.as_u16(), code(&outside).as_str()), (400, "NetcfgSubnetRangeOutsideVnet"));
        let invalid = cloud.put(&vnet, &body(Some(json!([subnet("a", "10.0.0.1/24")]))));
        assert_eq!(code(&invalid), "InvalidCIDRNotation");
        assert_eq!(cloud.put(&vnet, &body(None)).status, 201);
        cloud.advance(6.0);
        let mut other_region = body(None);
        other_region["location"] = json!("westeurope");
        assert_eq!(code(&cloud.put(&vnet, &other_region)), "InvalidResourceLocation");
        let request =
            cloud.request(http::Method::PUT, &vnet).with_json(&body(None)).with_header("if-none-match", "*");
        assert_eq!(cloud.send(&request).status, 412);
        let request =
            cloud.request(http::Method::PUT, &vnet).with_json(&body(None)).with_header("if-match", "\"old\"");
        assert_eq!(cloud.send(&request).status, 412);
    }

    #[test]
    fn a_network_deletion_takes_time_and_deletes_its_assignments() {
        let mut cloud = TestCloud::new();
        let vnet = at(&cloud, "2025-07-01");
        assert_eq!(cloud.delete(&vnet).status, 204);
        cloud.put(&vnet, &body(Some(json!([subnet("a", "10.0.0.0/24")]))));
        cloud.advance(6.0);
        let reply = cloud.delete(&vnet);
        assert_eq!(reply.status, 202);
        assert_eq!(cloud.get(&vnet).value()["properties"]["provisioningState"], "Deleting");
        let location = target(&reply, "location");
        assert_eq!(cloud.get(&location).status, 202);
        cloud.advance(10.0);
        assert_eq!(cloud.get(&vnet).status, 404);
        assert_eq!(cloud.get(&location).status, 200);
    }
}
