//! Subnets, as clusters see and use them.

use super::kinds::SUBNET;
use super::{delegations, ranges};
use crate::arm::error::ArmError;
use crate::arm::resource_type::{Resource, parent_id};
use crate::arm::{clusters, id};
use crate::state::CloudState;

/// A subnet, as clusters see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subnet {
    /// The full id.
    pub id: String,
    /// The address ranges in CIDR notation.
    pub prefixes: Vec<String>,
    /// `Succeeded`, `Updating`, `Deleting`.
    pub state: String,
    /// The region of the network.
    pub location: String,
    /// True if it is delegated to a service.
    pub delegated: bool,
}

/// Returns the subnet with that id, compared case-insensitively.
pub fn subnet(state: &CloudState, subnet_id: &str) -> Option<Subnet> {
    let found = state.tracked.get(subnet_id).filter(|one| one.kind() == SUBNET)?;
    let network = state.tracked.get(parent_id(&found.id))?;
    Some(Subnet {
        id: found.id.clone(),
        prefixes: ranges::of_subnet(&found.properties),
        state: found.progress().as_str().to_owned(),
        location: network.location.clone(),
        delegated: !delegations::services(&found.properties).is_empty(),
    })
}

/// Returns the address ranges of every subnet in the network of a subnet.
pub fn neighbours(state: &CloudState, subnet_id: &str) -> Vec<String> {
    let below = state.tracked.below(parent_id(subnet_id));
    below.iter().flat_map(|subnet| ranges::of_subnet(&subnet.properties)).collect()
}

/// Refuses the removal of a subnet (or its range) that contains an address in use.
pub(super) fn check_unused(state: &CloudState, subnet_id: &str, code: &str) -> Result<(), ArmError> {
    let Some(holder) = clusters::using_subnet(state, subnet_id).into_iter().next() else { return Ok(()) };
    let name = id::name(subnet_id);
    Err(ArmError::new(
        400,
        code,
        format!(
            "Subnet {name} is in use by {holder} and cannot be deleted. In order to delete the subnet, delete all the \
             resources within the subnet. See aka.ms/deletesubnet."
        ),
    ))
}

/// Checks a change of a subnet: one in use keeps its ranges and its delegations.
pub(super) fn check_change(state: &CloudState, old: &Resource, new: &Resource) -> Result<(), ArmError> {
    if ranges::of_subnet(&new.properties) != ranges::of_subnet(&old.properties) {
        return check_unused(state, &old.id, "InUsePrefixCannotBeDeleted");
    }
    delegations::check_change(state, &old.id, &old.properties, &new.properties)
}
