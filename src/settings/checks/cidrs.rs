//! Checks of address ranges: valid syntax, the containment and separation that AKS requires, and sufficient
//! size.

use crate::settings::config_error::{ConfigError, Sourced};
use ipnet::Ipv4Net;
use landfall_steps::settings::Network;
use std::net::Ipv4Addr;

/// The addresses per node with Azure CNI: its own and 30 for its pods.
const ADDRESSES_PER_NODE: u64 = 31;
/// The addresses that Azure reserves in every subnet.
const RESERVED_BY_AZURE: u64 = 5;
/// The ranges that AKS reserves, which must overlap neither the network nor the services.
const RESERVED_BY_AKS: [&str; 4] = ["169.254.0.0/16", "172.30.0.0/16", "172.31.0.0/16", "192.0.2.0/24"];
/// The other ranges that no virtual network may contain: loopback, multicast, broadcast, and the platform's
/// own address. <https://learn.microsoft.com/azure/virtual-network/virtual-networks-faq>
const RESERVED_BY_AZURE_NETWORKS: [&str; 4] =
    ["127.0.0.0/8", "224.0.0.0/4", "255.255.255.255/32", "168.63.129.16/32"];

/// Parses a range; one with bits set behind its prefix is an error, because it is ambiguous.
pub fn range(given: &Sourced<String>) -> Result<Sourced<Ipv4Net>, ConfigError> {
    let written = given.value.trim();
    let net: Ipv4Net = written.parse().map_err(|_| {
        given
            .wrong(format!("\"{written}\" is not an IPv4 range"))
            .hint("write it as address/prefix, such as 10.0.0.0/16")
    })?;
    match net.trunc() == net {
        true => Ok(given.with(net)),
        false => Err(given
            .wrong(format!("{net} has host bits set after its prefix"))
            .hint(format!("write {}", net.trunc()))),
    }
}

/// Checks the network's own range, and that it contains the subnet.
pub fn network(
    space: &Sourced<Ipv4Net>,
    subnet: &Sourced<Ipv4Net>,
    nodes_max: Option<&Sourced<u32>>,
) -> Vec<ConfigError> {
    let mut config_errors = Vec::new();
    if !(2..=29).contains(&space.value.prefix_len()) {
        config_errors
            .push(space.wrong(format!("{} is not between /2 and /29", space.value)).hint("a /16 is usual"));
    }
    config_errors.extend(reserved(space));
    if !space.value.contains(&subnet.value) {
        let (blamed, message) = match subnet.is_set_by_user() || !space.is_set_by_user() {
            true => (subnet, format!("{} is outside {}", subnet.described(), space.described())),
            false => (space, format!("{} does not contain {}", space.described(), subnet.described())),
        };
        config_errors
            .push(blamed.wrong(message).hint("the subnet must be inside the network's address space"));
    }
    config_errors.extend(nodes_max.and_then(|nodes_max| too_small(subnet, nodes_max)));
    config_errors
}

/// Checks that the subnet has room for the maximum number of nodes and one surge node, with 30 pods each.
fn too_small(subnet: &Sourced<Ipv4Net>, nodes_max: &Sourced<u32>) -> Option<ConfigError> {
    let wanted = (u64::from(nodes_max.value) + 1) * ADDRESSES_PER_NODE;
    let usable = (1_u64 << (32 - subnet.value.prefix_len())).saturating_sub(RESERVED_BY_AZURE);
    if wanted <= usable {
        return None;
    }
    let blamed = if subnet.is_set_by_user() || !nodes_max.is_set_by_user() {
        subnet.with(())
    } else {
        nodes_max.with(())
    };
    let fitting = (wanted + RESERVED_BY_AZURE).next_power_of_two().trailing_zeros();
    let nodes_that_fit = (usable / ADDRESSES_PER_NODE).saturating_sub(1);
    let fewer = match nodes_that_fit {
        0 => String::new(),
        nodes => format!(", or set cluster.nodes_max = {nodes}"),
    };
    Some(
        blamed
            .wrong(format!(
                "{} has {usable} usable addresses, but {wanted} are needed: {} nodes and one more for \
                 upgrades, 31 each",
                subnet.value, nodes_max.value
            ))
            .hint(format!("use a /{}{fewer}", 32_u32.saturating_sub(fitting))),
    )
}

/// Checks the services' range against the network's, and the DNS address against the services' range.
pub fn services(services: &Sourced<Ipv4Net>, space: &Sourced<Ipv4Net>) -> Vec<ConfigError> {
    let mut config_errors = Vec::new();
    if services.value.prefix_len() <= 12 {
        let message = format!("{} is too large: AKS accepts ranges smaller than a /12", services.value);
        config_errors.push(services.wrong(message).hint("a /16 is enough for 65,000 services"));
    }
    config_errors.extend(reserved(services));
    if overlap(services.value, space.value) {
        let (blamed, other) = match services.is_set_by_user() || !space.is_set_by_user() {
            true => (services, space),
            false => (space, services),
        };
        config_errors.push(
            blamed
                .wrong(format!("{} overlaps {}", blamed.described(), other.described()))
                .hint("the service range must not overlap the network"),
        );
    }
    config_errors
}

fn overlap(one: Ipv4Net, other: Ipv4Net) -> bool {
    one.contains(&other.network()) || other.contains(&one.network())
}

fn reserved(given: &Sourced<Ipv4Net>) -> Option<ConfigError> {
    let by_aks = RESERVED_BY_AKS.map(|range| (range, "AKS"));
    let by_azure = RESERVED_BY_AZURE_NETWORKS.map(|range| (range, "Azure"));
    let (range, by) = by_aks
        .into_iter()
        .chain(by_azure)
        .find(|(range, _)| overlap(given.value, range.parse().expect("the constants above are ranges")))?;
    let message = format!("{} overlaps {range}, which {by} reserves", given.value);
    Some(given.wrong(message).hint("use a range in 10.0.0.0/8 or 192.168.0.0/16"))
}

/// Checks the cluster DNS's address.
pub fn dns_service_ip(given: &Sourced<String>, services: &Sourced<Ipv4Net>) -> Result<Ipv4Addr, ConfigError> {
    let written = given.value.trim();
    let address: Ipv4Addr = written.parse().map_err(|_| {
        given.wrong(format!("\"{written}\" is not an IPv4 address")).hint("write it as in 10.1.0.10")
    })?;
    let range = services.value;
    let usual = Ipv4Addr::from(u32::from(range.network()).saturating_add(10));
    let fix = match range.contains(&usual) {
        true => format!("use {usual}"),
        false => "use an address in the middle of the range".to_owned(),
    };
    if !range.contains(&address) {
        let (blamed, message) = match given.is_set_by_user() || !services.is_set_by_user() {
            true => (given.with(()), format!("{address} is outside {}", services.described())),
            false => (services.with(()), format!("{range} does not contain {}", given.described())),
        };
        let fix = if given.is_set_by_user() {
            fix
        } else {
            format!("also set cluster.dns_service_ip = \"{usual}\"")
        };
        return Err(blamed.wrong(message).hint(fix));
    }
    let first = Ipv4Addr::from(u32::from(range.network()).saturating_add(1));
    if address == range.network() || address == first || address == range.broadcast() {
        let why = if address == first {
            "is the address of the service kubernetes"
        } else {
            "is the first or last address of the range"
        };
        return Err(given.wrong(format!("{address} {why}, {range}")).hint(fix));
    }
    Ok(address)
}

/// Returns the checked network.
pub fn assembled(
    name: String,
    subnet: String,
    space: &Sourced<Ipv4Net>,
    prefix: &Sourced<Ipv4Net>,
) -> Network {
    Network { name, subnet, address_space: space.value, subnet_prefix: prefix.value }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::config_error::Place;
    use proptest::prelude::*;

    fn given<T>(key: &'static str, value: T) -> Sourced<T> {
        Sourced { value, key, place: Place::Flag("x") }
    }

    fn net(key: &'static str, value: &str) -> Sourced<Ipv4Net> {
        range(&given(key, value.to_owned())).unwrap()
    }

    fn messages(config_errors: Vec<ConfigError>) -> String {
        let messages = config_errors
            .into_iter()
            .map(|config_error| format!("{} ({})", config_error.message, config_error.hint));
        messages.collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn ranges_must_be_valid() {
        let tried = ["10.0.0.0", "10.0.0.0/33", "10.0.0.5/16", "fd00::/8"];
        let all = tried.map(|value| {
            messages(range(&given("network.address_space", value.to_owned())).err().into_iter().collect())
        });
        insta::assert_snapshot!(all.join("\n"), @r#"
        "10.0.0.0" is not an IPv4 range (write it as address/prefix, such as 10.0.0.0/16)
        "10.0.0.0/33" is not an IPv4 range (write it as address/prefix, such as 10.0.0.0/16)
        10.0.0.5/16 has host bits set after its prefix (write 10.0.0.0/16)
        "fd00::/8" is not an IPv4 range (write it as address/prefix, such as 10.0.0.0/16)
        "#);
    }

    #[test]
    fn the_subnet_lies_inside_and_is_large_enough() {
        let tried = |space: &str, subnet: &str, nodes_max: u32| {
            messages(network(
                &net("network.address_space", space),
                &net("network.subnet_prefix", subnet),
                Some(&given("cluster.nodes_max", nodes_max)),
            ))
        };
        assert_eq!(tried("10.0.0.0/16", "10.0.0.0/22", 3), "");
        let all = [
            tried("10.0.0.0/16", "10.9.0.0/22", 3),
            tried("10.0.0.0/16", "10.0.0.0/26", 3),
            tried("10.0.0.0/16", "10.0.0.0/25", 3),
            tried("172.30.0.0/16", "172.30.0.0/22", 3),
        ];
        insta::assert_snapshot!(all.join("\n"), @"
        network.subnet_prefix = 10.9.0.0/22 is outside network.address_space = 10.0.0.0/16 (the subnet must be inside the network's address space)
        10.0.0.0/26 has 59 usable addresses, but 124 are needed: 3 nodes and one more for upgrades, 31 each (use a /24)
        10.0.0.0/25 has 123 usable addresses, but 124 are needed: 3 nodes and one more for upgrades, 31 each (use a /24, or set cluster.nodes_max = 2)
        172.30.0.0/16 overlaps 172.30.0.0/16, which AKS reserves (use a range in 10.0.0.0/8 or 192.168.0.0/16)
        ");
    }

    #[test]
    fn loopback_and_multicast_ranges_are_refused() {
        for (range, reserved) in [
            ("127.0.0.0/8", "127.0.0.0/8"),
            ("127.8.0.0/16", "127.0.0.0/8"),
            ("224.0.0.0/4", "224.0.0.0/4"),
            ("239.1.0.0/16", "224.0.0.0/4"),
            ("64.0.0.0/2", "127.0.0.0/8"),
        ] {
            let given = net("network.address_space", range);
            let message = reserved_message(&given);
            assert_eq!(message, format!("{range} overlaps {reserved}, which Azure reserves"));
            let errors = messages(services(
                &net("cluster.service_cidr", range),
                &net("network.address_space", "10.0.0.0/16"),
            ));
            assert!(errors.contains("which Azure reserves"), "{errors}");
        }
        assert_eq!(reserved(&net("network.address_space", "192.168.0.0/16")), None);
    }

    fn reserved_message(given: &Sourced<Ipv4Net>) -> String {
        reserved(given).map(|config_error| config_error.message).unwrap_or_default()
    }

    #[test]
    fn services_are_apart_and_hold_the_dns_address() {
        let tried = |range: &str, space: &str, dns: &str| {
            let range = net("cluster.service_cidr", range);
            let mut config_errors = services(&range, &net("network.address_space", space));
            config_errors
                .extend(dns_service_ip(&given("cluster.dns_service_ip", dns.to_owned()), &range).err());
            messages(config_errors)
        };
        assert_eq!(tried("10.1.0.0/16", "10.0.0.0/16", "10.1.0.10"), "");
        let all = [
            tried("10.0.128.0/17", "10.0.0.0/16", "10.0.128.10"),
            tried("10.1.0.0/16", "10.0.0.0/16", "10.2.0.10"),
            tried("10.1.0.0/16", "10.0.0.0/16", "10.1.0.1"),
            tried("10.16.0.0/12", "10.0.0.0/16", "10.16.0.10"),
            tried("10.1.0.0/16", "10.0.0.0/16", "dns"),
        ];
        insta::assert_snapshot!(all.join("\n"), @r#"
        cluster.service_cidr = 10.0.128.0/17 overlaps network.address_space = 10.0.0.0/16 (the service range must not overlap the network)
        10.2.0.10 is outside cluster.service_cidr = 10.1.0.0/16 (use 10.1.0.10)
        10.1.0.1 is the address of the service kubernetes, 10.1.0.0/16 (use 10.1.0.10)
        10.16.0.0/12 is too large: AKS accepts ranges smaller than a /12 (a /16 is enough for 65,000 services)
        "dns" is not an IPv4 address (write it as in 10.1.0.10)
        "#);
    }

    proptest! {
        #[test]
        fn two_ranges_overlap_exactly_when_they_share_an_address(a in any::<u32>(), b in any::<u32>(), p in 8_u8..=32, q in 8_u8..=32) {
            let one = Ipv4Net::new(Ipv4Addr::from(a), p).unwrap().trunc();
            let other = Ipv4Net::new(Ipv4Addr::from(b), q).unwrap().trunc();
            let shares = u32::from(one.network()) <= u32::from(other.broadcast()) && u32::from(other.network()) <= u32::from(one.broadcast());
            prop_assert_eq!(overlap(one, other), shares);
        }

        #[test]
        fn the_hint_for_a_small_subnet_is_a_subnet_that_fits(nodes_max in 1_u32..1000) {
            let subnet = net("network.subnet_prefix", "10.0.0.0/29");
            let config_error = too_small(&subnet, &given("cluster.nodes_max", nodes_max)).unwrap();
            let hint = config_error.hint;
            let prefix: u8 = hint.trim_start_matches("use a /").split(',').next().unwrap().parse().unwrap();
            let fitting = given("network.subnet_prefix", Ipv4Net::new(Ipv4Addr::new(10, 0, 0, 0), prefix).unwrap());
            prop_assert!(too_small(&fitting, &given("cluster.nodes_max", nodes_max)).is_none());
        }
    }
}
