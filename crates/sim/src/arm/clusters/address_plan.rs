//! Validates the address ranges of a cluster against each other and against the subnet of its nodes.
//!
//! Source: "Azure CNI" and "IP address planning" of the AKS documentation; error codes from its support
//! articles.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use serde_json::Value;

use super::error::{bad, parameter};
use crate::arm::error::ArmError;

/// A subnet as the network provider reports it.
#[derive(Debug, Clone)]
pub(crate) struct SubnetPlan {
    /// The address range of the subnet.
    pub(crate) range: Ipv4Net,
    /// All address ranges of its virtual network.
    pub(crate) network: Vec<Ipv4Net>,
    /// `provisioningState` of the virtual network.
    pub(crate) state: String,
    /// The region of the virtual network.
    pub(crate) location: String,
    /// True if the subnet is delegated to a service.
    pub(crate) delegated: bool,
}

/// The number of addresses that Azure reserves in every subnet.
const RESERVED_ADDRESSES: u64 = 5;
/// Ranges that AKS uses internally or that must never be routed.
const FORBIDDEN: [&str; 4] = ["169.254.0.0/16", "172.30.0.0/16", "172.31.0.0/16", "192.0.2.0/24"];

/// Validates the service range on its own: notation, size, DNS address, forbidden ranges.
///
/// # Errors
/// The error response of the AKS provider.
pub(crate) fn services(profile: &Value) -> Result<Option<Ipv4Net>, ArmError> {
    let cidr = profile["serviceCidr"].as_str();
    let dns = profile["dnsServiceIP"].as_str();
    let (Some(cidr), Some(dns)) = (cidr, dns) else {
        let missing = if cidr.is_none() { "serviceCidr" } else { "dnsServiceIP" };
        return match (cidr, dns) {
            (None, None) => Ok(None),
            _ => Err(parameter(
                &format!("networkProfile.{missing}"),
                "serviceCidr and dnsServiceIP must be given together.",
            )),
        };
    };
    let range: Ipv4Net = cidr.parse().map_err(|_| {
        bad("InvalidServiceCidr", format!("The service CIDR '{cidr}' is not a valid IPv4 range."))
            .with_target("networkProfile.serviceCidr")
    })?;
    if range.prefix_len() < 12 || FORBIDDEN.iter().any(|other| overlap(range, net(other))) {
        let why = format!(
            "The service CIDR '{cidr}' must be smaller than /12 and outside of {}.",
            FORBIDDEN.join(", ")
        );
        return Err(bad("InvalidServiceCidr", why).with_target("networkProfile.serviceCidr"));
    }
    let address: Option<Ipv4Addr> = dns.parse().ok();
    let first = Ipv4Addr::from(u32::from(range.network()) + 1);
    if !address.is_some_and(|address| range.contains(&address) && address != first) {
        let why = format!(
            "The DNS service IP '{dns}' must be inside of the service CIDR '{cidr}' and not its first address."
        );
        return Err(bad("DnsServiceIpOutOfServiceCidr", why).with_target("networkProfile.dnsServiceIP"));
    }
    Ok(Some(range))
}

/// Validates the subnet of the pools against the service range and the number of addresses the pools need.
///
/// # Errors
/// The error response of the AKS provider.
pub(crate) fn subnet(
    id: &str,
    subnet: &SubnetPlan,
    location: &str,
    services: Option<Ipv4Net>,
    needed: u64,
) -> Result<(), ArmError> {
    let name = id.rsplit('/').next().unwrap_or_default();
    if !subnet.state.eq_ignore_ascii_case("Succeeded") {
        let why = format!(
            "Virtual network of subnet '{id}' is in state '{}'. Please wait until it is 'Succeeded'.",
            subnet.state
        );
        return Err(bad("VirtualNetworkNotInSucceededState", why));
    }
    if !subnet.location.eq_ignore_ascii_case(location) {
        let why = format!(
            "The virtual network of subnet '{id}' is in location '{}', the cluster in '{location}'.",
            subnet.location
        );
        return Err(bad("InvalidSubnetLocation", why).with_target("agentPoolProfile.vnetSubnetID"));
    }
    if subnet.delegated {
        let why = format!(
            "AgentPoolProfile.VnetSubnetID {id} cannot be used as it's a delegated subnet. Please check \
             https://aka.ms/adv-network-prerequest for more details."
        );
        return Err(bad("SubnetIsDelegated", why).with_target("agentPoolProfile.vnetSubnetID"));
    }
    if let Some(services) =
        services.filter(|services| subnet.network.iter().any(|range| overlap(*services, *range)))
    {
        let why = format!(
            "The specified service CIDR {services} is conflicted with an existing subnet CIDR {}.",
            subnet.range
        );
        return Err(
            bad("ServiceCidrOverlapExistingSubnetsCidr", why).with_target("networkProfile.serviceCIDR")
        );
    }
    let available = (1_u64 << (32 - u32::from(subnet.range.prefix_len()))).saturating_sub(RESERVED_ADDRESSES);
    if needed > available {
        let why = format!(
            "Pre-allocated IPs {needed} exceeds IPs available {available} in Subnet Cidr {}, Subnet Name {name}. If \
             Autoscaler is enabled, the max-count from each nodepool is counted towards this total (which means that \
             pre-allocated IPs count represents a theoretical max value, not the actual number of IPs requested). \
             http://aka.ms/aks/insufficientsubnetsize",
            subnet.range
        );
        return Err(bad("InsufficientSubnetSize", why).with_target("agentPoolProfile.vnetSubnetID"));
    }
    Ok(())
}

/// Returns the number of addresses that a pool takes from its subnet.
///
/// That is the maximum node count plus one surge node, times the addresses per node. A node takes one
/// address, and without an overlay one more per pod.
pub(crate) fn needed(pool: &Value, overlay: bool) -> u64 {
    let number = |key: &str| pool[key].as_u64();
    let scaled = pool["enableAutoScaling"] == true;
    let nodes = if scaled { number("maxCount") } else { number("count") }.unwrap_or(1);
    let each = if overlay { 1 } else { 1 + number("maxPods").unwrap_or(30) };
    (nodes + 1) * each
}

fn overlap(a: Ipv4Net, b: Ipv4Net) -> bool {
    a.contains(&b) || b.contains(&a)
}

fn net(text: &str) -> Ipv4Net {
    text.parse().expect("the forbidden ranges are written in this file")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn small(range: &str) -> SubnetPlan {
        SubnetPlan {
            range: range.parse().unwrap(),
            network: vec!["10.0.0.0/16".parse().unwrap()],
            state: "Succeeded".into(),
            location: "eastus".into(),
            delegated: false,
        }
    }

    fn code<T>(result: Result<T, ArmError>) -> String {
        result.err().map_or(String::new(), |error| error.code)
    }

    #[test]
    fn three_nodes_of_thirty_pods_and_one_of_surge_need_124_addresses() {
        let pool = json!({"enableAutoScaling": true, "count": 2, "maxCount": 3, "maxPods": 30});
        assert_eq!(needed(&pool, false), 124);
        assert_eq!(needed(&pool, true), 4);
    }

    #[test]
    fn a_subnet_too_small_is_refused_with_both_figures() {
        let error = subnet("/x/snet", &small("10.0.0.0/26"), "eastus", None, 124).unwrap_err();
        assert_eq!(error.code, "InsufficientSubnetSize");
        assert!(
            error.message.contains("Pre-allocated IPs 124 exceeds IPs available 59"),
            "{}",
            error.message
        );
        assert!(subnet("/x/snet", &small("10.0.0.0/25"), "eastus", None, 123).is_ok());
    }

    #[test]
    fn the_service_range_stays_clear_of_the_network() {
        let services = Some("10.0.128.0/17".parse().unwrap());
        assert_eq!(
            code(subnet("/x/s", &small("10.0.0.0/22"), "eastus", services, 4)),
            "ServiceCidrOverlapExistingSubnetsCidr"
        );
    }

    #[test]
    fn a_network_still_updating_is_refused() {
        let mut busy = small("10.0.0.0/22");
        busy.state = "Updating".into();
        assert_eq!(code(subnet("/x/s", &busy, "eastus", None, 4)), "VirtualNetworkNotInSucceededState");
    }

    #[test]
    fn a_delegated_subnet_is_refused() {
        let mut delegated = small("10.0.0.0/22");
        delegated.delegated = true;
        assert_eq!(code(subnet("/x/s", &delegated, "eastus", None, 4)), "SubnetIsDelegated");
    }

    #[test]
    fn the_dns_address_lies_in_the_service_range_and_is_not_its_first() {
        let check =
            |cidr: &str, dns: &str| code(services(&json!({"serviceCidr": cidr, "dnsServiceIP": dns})));
        assert_eq!(check("10.1.0.0/16", "10.1.0.10"), "");
        assert_eq!(check("10.1.0.0/16", "10.1.0.1"), "DnsServiceIpOutOfServiceCidr");
        assert_eq!(check("10.1.0.0/16", "10.2.0.10"), "DnsServiceIpOutOfServiceCidr");
        assert_eq!(check("10.0.0.0/11", "10.0.0.10"), "InvalidServiceCidr");
        assert_eq!(check("172.30.0.0/20", "172.30.0.10"), "InvalidServiceCidr");
        assert_eq!(check("ten", "10.0.0.10"), "InvalidServiceCidr");
    }
}
