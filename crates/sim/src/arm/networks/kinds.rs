//! The types of networks and subnets, and their writes.

use crate::arm::operation::Style;
use crate::arm::resource_type::Write;
use crate::durations::{NETWORK_DELETE, NETWORK_PUT, NETWORK_RETRY_AFTER};

/// The type of virtual networks.
pub(super) const NETWORK: &str = "Microsoft.Network/virtualNetworks";
/// The type of subnets.
pub(super) const SUBNET: &str = "Microsoft.Network/virtualNetworks/subnets";

pub(super) const fn put(name: &'static str) -> Write {
    Write::operation(name, Style::AsyncOperation, NETWORK_PUT, NETWORK_RETRY_AFTER)
}

pub(super) const fn delete(name: &'static str) -> Write {
    Write::operation(name, Style::Both, NETWORK_DELETE, NETWORK_RETRY_AFTER)
}
