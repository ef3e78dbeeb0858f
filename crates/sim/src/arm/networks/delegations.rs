//! Delegations of a subnet to a service, which then alone may use it.

use serde_json::{Map, Value, json};

use crate::arm::clusters;
use crate::arm::error::ArmError;
use crate::state::CloudState;

/// The action that a service gets on a subnet delegated to it.
const ACTION: &str = "Microsoft.Network/virtualNetworks/subnets/join/action";

/// Returns the services that a subnet is delegated to.
pub(super) fn services(properties: &Map<String, Value>) -> Vec<String> {
    let listed = properties.get("delegations").and_then(Value::as_array).into_iter().flatten();
    listed.filter_map(|one| one["properties"]["serviceName"].as_str().map(str::to_owned)).collect()
}

/// Returns the delegations as the body of a subnet shows them.
pub(super) fn body(properties: &Map<String, Value>, subnet: &str, etag: &str) -> Value {
    let listed = properties.get("delegations").and_then(Value::as_array).into_iter().flatten();
    let shown = listed.map(|one| {
        let name = one["name"].as_str().unwrap_or_default();
        json!({
            "name": name,
            "id": format!("{subnet}/delegations/{name}"),
            "etag": format!("W/\"{etag}\""),
            "properties": {
                "provisioningState": "Succeeded",
                "serviceName": one["properties"]["serviceName"],
                "actions": [ACTION],
            },
            "type": "Microsoft.Network/virtualNetworks/subnets/delegations",
        })
    });
    Value::Array(shown.collect())
}

/// Checks that every delegation has a name and a service.
///
/// # Errors
/// 400.
pub(super) fn check(properties: &Map<String, Value>) -> Result<(), ArmError> {
    let listed = properties.get("delegations").and_then(Value::as_array).into_iter().flatten();
    for one in listed {
        for (field, value) in [("name", &one["name"]), ("serviceName", &one["properties"]["serviceName"])] {
            if value.as_str().is_none_or(str::is_empty) {
                return Err(ArmError::invalid_body(&format!("the {field} of a delegation is missing")));
            }
        }
    }
    Ok(())
}

/// Refuses to change the delegations of a subnet in use.
///
/// # Errors
/// 400 `SubnetDelegationsCannotChangeWhenSubnetUsedByResource`.
pub(super) fn check_change(
    state: &CloudState,
    subnet: &str,
    before: &Map<String, Value>,
    after: &Map<String, Value>,
) -> Result<(), ArmError> {
    let (before, after) = (services(before), services(after));
    let Some(holder) = clusters::using_subnet(state, subnet).into_iter().next().filter(|_| before != after)
    else {
        return Ok(());
    };
    let why = format!(
        "Delegations of subnet {subnet} cannot be changed from [{}] to [{}] because it is being used by the resource \
         {holder}.",
        before.join(", "),
        after.join(", ")
    );
    Err(ArmError::new(400, "SubnetDelegationsCannotChangeWhenSubnetUsedByResource", why))
}
