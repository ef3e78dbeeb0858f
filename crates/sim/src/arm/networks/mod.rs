//! Virtual networks and their subnets (Network REST API), as declared types. A write on a subnet is a write in
//! progress of its network.

mod defaults;
mod delegations;
mod kinds;
mod node_types;
mod quota_usages;
mod ranges;
mod subnet_use;
mod subnets;
mod whole_network;

use crate::arm::error::ArmError;
use crate::arm::operation;
use crate::arm::resource_type::{Hooks, Location, Progress, Resource, ResourceType};
use crate::arm::{Call, Provider, versions};
use crate::state::CloudState;

use kinds::{delete, put};
pub use node_types::{LOAD_BALANCER, PUBLIC_ADDRESS, ROUTE_TABLE, SECURITY_GROUP};
pub use subnet_use::{Subnet, neighbours, subnet};

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
    ..ResourceType::new(kinds::NETWORK)
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
    ..ResourceType::new(kinds::SUBNET)
};

/// The resource family of the namespace's other routes.
pub const PROVIDER: Provider = Provider::stateless("networks", quota_usages::routes);

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
