//! Virtual networks and their subnets (Network REST API), as declared types. A write on a subnet is a write in
//! progress of its network.

mod defaults;
mod delegations;
mod node_types;
mod quota_usages;
mod ranges;
mod subnets;
mod whole_network;

use crate::arm::error::ArmError;
use crate::arm::operation::{self, Style};
use crate::arm::resource_type::{Hooks, Location, Progress, Resource, ResourceType, Write, parent_id};
use crate::arm::{Call, Provider, clusters, id, versions};
use crate::durations::{NETWORK_DELETE, NETWORK_PUT, NETWORK_RETRY_AFTER};
use crate::state::CloudState;

pub use node_types::{LOAD_BALANCER, PUBLIC_ADDRESS, ROUTE_TABLE, SECURITY_GROUP};

/// The type of virtual networks.
pub const NETWORK: ResourceType = ResourceType {
    versions: versions::NETWORKS,
    check_name: whole_network::check_name,
    properties: whole_network::properties,
    read_only: &["resourceGuid"],
    put: put("PutVirtualNetworkOperation"),
    delete: delete("DeleteVirtualNetworkOperation"),
    creation_state: Some(Progress::Updating),
    has_etag: true,
    busy: Some(busy),
    hooks: Hooks {
        prepare: whole_network::prepare,
        check_delete: whole_network::check_delete,
        show: whole_network::show,
        ..Hooks::NONE
    },
    ..ResourceType::new("Microsoft.Network/virtualNetworks")
};

/// The type of subnets.
pub const SUBNET: ResourceType = ResourceType {
    versions: versions::NETWORKS,
    location: Location::None,
    check_name: subnets::check_name,
    properties: subnets::properties,
    read_only: subnets::READ_ONLY,
    put: put("PutSubnetOperation"),
    delete: delete("DeleteSubnetOperation"),
    creation_state: Some(Progress::Updating),
    has_etag: true,
    is_write_of_parent: true,
    busy: Some(busy),
    hooks: Hooks {
        prepare: subnets::prepare,
        check_delete: subnets::check_delete,
        show: subnets::show,
        ..Hooks::NONE
    },
    ..ResourceType::new("Microsoft.Network/virtualNetworks/subnets")
};

const fn put(name: &'static str) -> Write {
    Write::operation(name, Style::AsyncOperation, NETWORK_PUT, NETWORK_RETRY_AFTER)
}

const fn delete(name: &'static str) -> Write {
    Write::operation(name, Style::Both, NETWORK_DELETE, NETWORK_RETRY_AFTER)
}

/// The resource family of the namespace's other routes.
pub const PROVIDER: Provider = Provider::stateless("networks", quota_usages::routes);

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
    let found = state.tracked.get(subnet_id).filter(|one| one.kind() == SUBNET.kind)?;
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

/// Returns the error of a write while another one is in progress on the same network. Like the provider, it is a
/// retryable 429.
fn busy(state: &CloudState, call: &Call<'_>, network: &Resource) -> ArmError {
    let done = network.busy_until(call.now).unwrap_or(call.now);
    let (name, operation) = operation::running(state, &network.id, call.now)
        .map_or(("PutVirtualNetworkOperation", ""), |operation| {
            (operation.name.as_str(), operation.id.as_str())
        });
    let left_ms = done.since(call.now).as_millis();
    let seconds = left_ms.div_ceil(1000).max(1);
    let why = format!(
        "Operation {name} ({operation}) is updating resource {}. The call can be retried in {seconds} seconds.",
        network.id
    );
    ArmError::new(429, "RetryableError", "A retryable error occurred.")
        .with_detail("RetryableErrorDueToAnotherOperation", why)
        .with_header("retry-after", &seconds.to_string())
        .with_header("retry-after-ms", &left_ms.to_string())
}

/// Refuses the removal of a subnet (or its range) that contains an address in use.
fn check_unused(state: &CloudState, subnet_id: &str, code: &str) -> Result<(), ArmError> {
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
