//! The rules for whole virtual networks.

use serde_json::Value;

use super::kinds::SUBNET;
use super::subnet_use::{check_change, check_unused};
use super::{defaults, ranges, subnets};
use crate::arm::error::ArmError;
use crate::arm::resource_type::{Draft, Properties, Resource};
use crate::arm::{Call, id, versions};
use crate::state::CloudState;

pub(super) fn check_name(name: &str) -> Result<(), ArmError> {
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

/// Returns the stored properties; subnets are resources of their own.
pub(super) fn properties(mut given: Properties) -> Result<Properties, ArmError> {
    given.remove("subnets");
    defaults::fill_network(&mut given);
    Ok(given)
}

/// Completes a PUT: the subnets in its body replace the existing ones. If the body omits them, newer api-versions
/// keep the existing ones.
pub(super) fn prepare(state: &mut CloudState, call: &Call<'_>, draft: &mut Draft) -> Result<(), ArmError> {
    let given = draft.body["properties"]["provisioningState"].as_str();
    let current = draft.existing.as_ref().map(|existing| existing.progress().as_str());
    if given.is_some_and(|given| current.is_none_or(|current| !current.eq_ignore_ascii_case(given))) {
        let why = "The property 'properties.provisioningState' is read-only and differs from the current state of the resource.";
        return Err(ArmError::new(400, "InvalidRequestFormat", why));
    }
    if draft.existing.is_none() {
        let guid = state.uuid("network");
        draft.desired.properties.insert("resourceGuid".to_owned(), guid.into());
    }
    let id = draft.desired.id.clone();
    let before: Vec<Resource> = state.tracked.below(&id).into_iter().cloned().collect();
    let keeps = call.api_version.as_str() >= versions::NETWORKS_KEEP_SUBNETS;
    let listed = draft.body["properties"].get("subnets").cloned();
    let after = match listed {
        None if keeps => before.clone(),
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(listed)) => {
            let each = listed.iter().enumerate();
            draft.children =
                each.map(|(at, one)| listed_subnet(state, call, &id, one, at)).collect::<Result<_, _>>()?;
            draft.children.clone()
        }
        Some(_) => return Err(ArmError::invalid_body("properties.subnets is not an array")),
    };
    ranges::check_ranges(&draft.desired, &after)?;
    for old in &before {
        match after.iter().find(|new| id::same(&new.id, &old.id)) {
            None => {
                check_unused(state, &old.id, "InUseSubnetCannotBeDeleted")?;
                draft.removed.push(old.id.clone());
            }
            Some(new) => check_change(state, old, new)?,
        }
    }
    Ok(())
}

/// Returns a subnet in the body of its network.
fn listed_subnet(
    state: &mut CloudState,
    call: &Call<'_>,
    network: &str,
    listed: &Value,
    position: usize,
) -> Result<Resource, ArmError> {
    let name = listed["name"].as_str().unwrap_or_default();
    subnets::check_name(name)?;
    let given = listed["properties"].as_object().cloned().unwrap_or_default();
    let id = format!("{network}/subnets/{name}");
    let id = state.tracked.get(&id).map_or(id, |existing| existing.id.clone());
    let mut subnet = Resource::new(SUBNET, id, call.now);
    subnet.properties = subnets::properties(subnets::without_read_only(given))?;
    subnets::check_prefixes(&subnet)?;
    subnet.etag = state.uuid("etag");
    subnet.position = position;
    Ok(subnet)
}

/// Refuses the deletion of a network whose subnets are in use.
pub(super) fn check_delete(state: &CloudState, network: &Resource) -> Result<(), ArmError> {
    let below = state.tracked.below(&network.id);
    below.iter().try_for_each(|subnet| check_unused(state, &subnet.id, "InUseSubnetCannotBeDeleted"))
}

/// Adds the subnets to the body of a network.
pub(super) fn show(state: &CloudState, network: &Resource, body: &mut Value) {
    let subnets: Vec<Value> =
        state.tracked.below(&network.id).iter().map(|subnet| subnet.body(state)).collect();
    if let Some(properties) = body["properties"].as_object_mut() {
        properties.insert("subnets".to_owned(), subnets.into());
        // States of earlier versions lack them.
        defaults::fill_network(properties);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::request::Reply;
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
