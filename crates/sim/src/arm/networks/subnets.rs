//! The rules for subnets.

use serde_json::{Value, json};

use super::subnet_use::{check_change, check_unused};
use super::{defaults, delegations, ranges};
use crate::arm::error::ArmError;
use crate::arm::resource_type::{Draft, Properties, Resource, parent_id};
use crate::arm::{Call, clusters};
use crate::state::CloudState;

/// The properties that a caller cannot set.
pub(super) const READ_ONLY: &[&str] = &["ipConfigurations", "purpose"];

pub(super) fn check_name(name: &str) -> Result<(), ArmError> {
    let allowed = |letter: char| letter.is_ascii_alphanumeric() || "_-.".contains(letter);
    if (1..=80).contains(&name.len()) && name.chars().all(allowed) {
        return Ok(());
    }
    let why = format!("Resource name {name} is invalid. The name can be up to 80 characters long.");
    Err(ArmError::new(400, "InvalidResourceName", why))
}

/// Removes the properties that a caller cannot set.
pub(super) fn without_read_only(mut given: Properties) -> Properties {
    given.remove("provisioningState");
    given.retain(|name, _| !READ_ONLY.contains(&name.as_str()));
    given
}

/// Returns the stored properties.
pub(super) fn properties(mut given: Properties) -> Result<Properties, ArmError> {
    defaults::fill_subnet(&mut given);
    delegations::check(&given)?;
    Ok(given)
}

/// Checks that a subnet has a range.
pub(super) fn check_prefixes(subnet: &Resource) -> Result<(), ArmError> {
    if !ranges::of_subnet(&subnet.properties).is_empty() {
        return Ok(());
    }
    let why = format!("Subnet '{}' must have an address prefix.", subnet.name());
    Err(ArmError::new(400, "SubnetAddressPrefixRequired", why))
}

/// Checks a PUT with the network and the other subnets.
pub(super) fn prepare(state: &mut CloudState, _: &Call<'_>, draft: &mut Draft) -> Result<(), ArmError> {
    check_prefixes(&draft.desired)?;
    if let Some(existing) = &draft.existing {
        check_change(state, existing, &draft.desired)?;
    }
    let Some(network) = state.tracked.get(parent_id(&draft.desired.id)) else { return Ok(()) };
    let others = state.tracked.below(&network.id).into_iter();
    let others = others.filter(|other| other.id != draft.desired.id).cloned();
    let after: Vec<Resource> = others.chain([draft.desired.clone()]).collect();
    ranges::check_ranges(network, &after)
}

pub(super) fn check_delete(state: &CloudState, subnet: &Resource) -> Result<(), ArmError> {
    check_unused(state, &subnet.id, "InUseSubnetCannotBeDeleted")
}

/// Adds the delegations, and the addresses that clusters hold.
pub(super) fn show(state: &CloudState, subnet: &Resource, body: &mut Value) {
    let Some(properties) = body["properties"].as_object_mut() else { return };
    let delegations = delegations::body(&subnet.properties, &subnet.id, &subnet.etag);
    properties.insert("delegations".to_owned(), delegations);
    defaults::fill_subnet(properties);
    let holders: Vec<Value> =
        clusters::using_subnet(state, &subnet.id).iter().map(|id| json!({ "id": id })).collect();
    if !holders.is_empty() {
        properties.insert("ipConfigurations".to_owned(), json!(holders));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

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
