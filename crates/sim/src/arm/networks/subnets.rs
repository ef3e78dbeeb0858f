//! Requests for single subnets.

use super::defaults;
use serde_json::{Map, Value, json};

use crate::arm::error::ArmError;
use crate::arm::networks::{
    Network, Part, SUBNET_KIND, State, VERSIONS, announced, begin, check_etag, check_free, check_unused,
    delegations, find, ranges, requested_id, whole_network,
};
use crate::arm::{Call, Route, id};
use crate::durations;
use crate::request::Reply;
use crate::state::CloudState;

const ALL: &str = "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.Network/virtualNetworks/{network}/subnets";
const ONE: &str = "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.Network/virtualNetworks/{network}/subnets/{subnet}";

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::new("GET", ALL, SUBNET_KIND, VERSIONS, list),
        Route::new("GET", ONE, SUBNET_KIND, VERSIONS, get),
        Route::new("PUT", ONE, SUBNET_KIND, VERSIONS, put),
        Route::new("DELETE", ONE, SUBNET_KIND, VERSIONS, delete),
    ]
}

/// Creates a subnet from the body of a write.
///
/// # Errors
/// 400 for an invalid name or a missing range.
pub(super) fn part(
    state: &mut CloudState,
    name: &str,
    given: Map<String, Value>,
    before: Option<&Part>,
) -> Result<Part, ArmError> {
    let allowed = |letter: char| letter.is_ascii_alphanumeric() || "_-.".contains(letter);
    if !(1..=80).contains(&name.len()) || !name.chars().all(allowed) {
        let why = format!("Resource name {name} is invalid. The name can be up to 80 characters long.");
        return Err(ArmError::new(400, "InvalidResourceName", why));
    }
    let mut properties = whole_network::without_read_only(given);
    defaults::fill_subnet(&mut properties);
    if ranges::of_subnet(&properties).is_empty() {
        let why = format!("Subnet '{name}' must have an address prefix.");
        return Err(ArmError::new(400, "SubnetAddressPrefixRequired", why));
    }
    delegations::check(&properties)?;
    Ok(Part {
        name: before.map_or_else(|| name.to_owned(), |part| part.name.clone()),
        etag: state.uuid("etag"),
        state: State::Updating,
        properties,
    })
}

fn reply(state: &CloudState, network: &Network, part: &Part, status: u16) -> Reply {
    Reply::json(status, &network.part_body(state, part)).with_header("etag", &format!("W/\"{}\"", part.etag))
}

fn lookup<'a>(state: &'a CloudState, call: &Call<'_>) -> Result<(&'a Network, &'a Part), ArmError> {
    let network = find(state, call)?;
    let name = call.param("subnet");
    let missing =
        || ArmError::new(404, "NotFound", format!("Resource {}/subnets/{name} not found.", network.id));
    Ok((network, network.part(name).ok_or_else(missing)?))
}

fn get(state: &mut CloudState, call: &Call<'_>) -> Result<Reply, ArmError> {
    let (network, part) = lookup(state, call)?;
    Ok(reply(state, network, part, 200))
}

fn list(state: &mut CloudState, call: &Call<'_>) -> Result<Reply, ArmError> {
    let network = find(state, call)?;
    let value: Vec<Value> = network.subnets.iter().map(|part| network.part_body(state, part)).collect();
    Ok(Reply::json(200, &json!({ "value": value })))
}

fn put(state: &mut CloudState, call: &Call<'_>) -> Result<Reply, ArmError> {
    let Ok(mut network) = find(state, call).cloned() else {
        let why = format!(
            "Can not perform requested operation on nested resource. Parent resource '{}' not found.",
            call.param("network")
        );
        return Err(ArmError::gateway(404, "ParentResourceNotFound", why));
    };
    let name = call.param("subnet");
    let before = network.part(name).cloned();
    check_etag(call, before.as_ref().map(|part| part.etag.as_str()))?;
    check_free(state, call)?;
    let given = call.body()?["properties"].as_object().cloned().unwrap_or_default();
    let part = part(state, name, given, before.as_ref())?;
    let id = network.subnet_id(&part.name);
    if before.as_ref().is_some_and(|before| before.prefixes() != part.prefixes()) {
        check_unused(state, &id, "InUsePrefixCannotBeDeleted")?;
    }
    if let Some(before) = &before {
        delegations::check_change(state, &id, &before.properties, &part.properties)?;
    }
    network.subnets.retain(|other| !other.name.eq_ignore_ascii_case(name));
    network.subnets.push(part);
    whole_network::check_ranges(&network)?;
    let done = call.timing.after(call.now, durations::NETWORK_PUT);
    network.state = State::Updating;
    network.done = Some(done);
    network.etag = state.uuid("etag");
    state.networks.networks.insert(id::key(&network.id), network.clone());
    let operation = begin(state, call, &network.id, "PutSubnetOperation", done);
    let (network, part) = lookup(state, call)?;
    let status = if before.is_some() { 200 } else { 201 };
    Ok(announced(state, call, &operation, reply(state, network, part, status)))
}

fn delete(state: &mut CloudState, call: &Call<'_>) -> Result<Reply, ArmError> {
    let Ok((network, part)) = lookup(state, call) else { return Ok(Reply::empty(204)) };
    check_etag(call, Some(&part.etag))?;
    let (network, name) = (network.id.clone(), part.name.clone());
    check_free(state, call)?;
    check_unused(state, &format!("{network}/subnets/{name}"), "InUseSubnetCannotBeDeleted")?;
    let done = call.timing.after(call.now, durations::NETWORK_DELETE);
    let operation = begin(state, call, &network, "DeleteSubnetOperation", done);
    if let Some(network) = state.networks.networks.get_mut(&id::key(&requested_id(call))) {
        network.state = State::Updating;
        network.done = Some(done);
        for part in network.subnets.iter_mut().filter(|part| part.name == name) {
            part.state = State::Deleting;
        }
    }
    Ok(announced(state, call, &operation, Reply::empty(202)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_cloud::{TestCloud, code};

    #[test]
    fn subnets_are_created_and_deleted_one_at_a_time() {
        let mut cloud = TestCloud::new();
        let subnet = |cloud: &TestCloud, name: &str| {
            cloud.in_group(&format!(
                "Microsoft.Network/virtualNetworks/vn/subnets/{name}?api-version=2024-07-01"
            ))
        };
        let (a, b) = (subnet(&cloud, "a"), subnet(&cloud, "b"));
        let body = |range: &str| json!({ "properties": { "addressPrefix": range } });
        assert_eq!(code(&cloud.put(&a, &body("10.0.0.0/24"))), "ParentResourceNotFound");
        let vnet = cloud.in_group("Microsoft.Network/virtualNetworks/vn?api-version=2025-07-01");
        cloud.put(&vnet, &json!({ "location": "eastus", "properties": { "addressSpace": { "addressPrefixes": ["10.0.0.0/16"] } } }));
        assert_eq!(code(&cloud.put(&a, &body("10.0.0.0/24"))), "RetryableError");
        cloud.advance(6.0);
        assert_eq!(cloud.put(&a, &body("10.0.0.0/24")).status, 201);
        assert_eq!(
            code(&cloud.put(&b, &body("10.0.1.0/24"))),
            "RetryableError",
            "two writes on one network collide"
        );
        cloud.advance(6.0);
        assert_eq!(code(&cloud.put(&b, &body("10.0.0.128/25"))), "NetcfgSubnetRangesOverlap");
        assert_eq!(cloud.delete(&a).status, 202);
        assert_eq!(cloud.get(&a).value()["properties"]["provisioningState"], "Deleting");
        cloud.advance(10.0);
        assert_eq!(code(&cloud.get(&a)), "NotFound");
        assert_eq!(cloud.delete(&a).status, 204);
    }

    #[test]
    fn a_delegation_is_shown_with_its_service() {
        let mut cloud = TestCloud::new();
        let vnet = cloud.in_group("Microsoft.Network/virtualNetworks/vn?api-version=2025-07-01");
        let subnet = |delegation: Value| {
            json!({ "location": "eastus", "properties": {
                "addressSpace": { "addressPrefixes": ["10.0.0.0/16"] },
                "subnets": [{ "name": "web", "properties": { "addressPrefix": "10.0.0.0/24", "delegations": [delegation] } }],
            } })
        };
        assert_eq!(code(&cloud.put(&vnet, &subnet(json!({ "name": "0" })))), "InvalidRequestContent");
        let web = json!({ "name": "0", "properties": { "serviceName": "Microsoft.Web/serverFarms" } });
        let created = cloud.put(&vnet, &subnet(web)).value();
        let shown = &created["properties"]["subnets"][0]["properties"]["delegations"][0];
        assert_eq!(shown["properties"]["serviceName"], "Microsoft.Web/serverFarms", "{created}");
        assert_eq!(shown["type"], "Microsoft.Network/virtualNetworks/subnets/delegations");
        assert!(shown["id"].as_str().unwrap().ends_with("/subnets/web/delegations/0"), "{shown}");
    }
}
