//! Validation of address ranges, as pure functions over CIDR texts.

use ipnet::IpNet;
use serde_json::{Map, Value};

use crate::arm::error::ArmError;
use crate::arm::resource_type::Resource;

/// Returns the address ranges of a subnet: `addressPrefix`, or the list `addressPrefixes`.
pub fn of_subnet(properties: &Map<String, Value>) -> Vec<String> {
    let one = properties.get("addressPrefix").and_then(Value::as_str);
    let many = properties.get("addressPrefixes").and_then(Value::as_array);
    let many = many.into_iter().flatten().filter_map(Value::as_str);
    one.into_iter().chain(many.filter(|range| Some(*range) != one)).map(str::to_owned).collect()
}

/// Parses a range, which must be in canonical form.
///
/// # Errors
/// 400 `InvalidCIDRNotation`, with the canonical form if the host bits are not zero.
pub fn parse(range: &str, resource: &str) -> Result<IpNet, ArmError> {
    let invalid = |hint: String| {
        let why =
            format!("The address prefix {range} in resource {resource} has an invalid CIDR notation.{hint}");
        ArmError::new(400, "InvalidCIDRNotation", why)
    };
    let net: IpNet = range.parse().map_err(|_| invalid(String::new()))?;
    if net.trunc() == net {
        return Ok(net);
    }
    Err(invalid(format!(" For the given prefix length, the address prefix should be {}.", net.trunc())))
}

/// Returns whether two ranges overlap.
pub fn overlap(one: &IpNet, other: &IpNet) -> bool {
    one.contains(other) || other.contains(one)
}

/// The name of a subnet with its ranges.
pub type NamedRanges = (String, Vec<IpNet>);

/// Checks that each subnet lies inside the network and overlaps no other.
///
/// # Errors
/// 400 `NetcfgSubnetRangeOutsideVnet` or `NetcfgSubnetRangesOverlap`.
pub fn check(network: &str, spaces: &[IpNet], subnets: &[NamedRanges]) -> Result<(), ArmError> {
    for (at, (name, ranges)) in subnets.iter().enumerate() {
        if !ranges.iter().all(|range| spaces.iter().any(|space| space.contains(range))) {
            let why = format!(
                "Subnet '{name}' is not valid because its IP address range is outside the IP address range of virtual \
                 network '{network}'."
            );
            return Err(ArmError::new(400, "NetcfgSubnetRangeOutsideVnet", why));
        }
        let clash = subnets[..at]
            .iter()
            .find(|(_, others)| ranges.iter().any(|range| others.iter().any(|other| overlap(range, other))));
        if let Some((other, _)) = clash {
            let why = format!(
                "Subnet '{name}' is not valid because its IP address range overlaps with that of an existing subnet \
                 '{other}' in virtual network '{network}'."
            );
            return Err(ArmError::new(400, "NetcfgSubnetRangesOverlap", why));
        }
    }
    Ok(())
}

/// Checks all ranges of a network and its subnets.
pub(super) fn check_ranges(network: &Resource, subnets: &[Resource]) -> Result<(), ArmError> {
    let listed = network.properties.get("addressSpace").and_then(|space| space["addressPrefixes"].as_array());
    let listed: Vec<&str> = listed.into_iter().flatten().filter_map(Value::as_str).collect();
    if listed.is_empty() {
        let why = format!(
            "Virtual network {} must have at least one address prefix in its address space.",
            network.id
        );
        return Err(ArmError::new(400, "VnetAddressSpaceRequired", why));
    }
    let spaces = listed.iter().map(|range| parse(range, &network.id)).collect::<Result<Vec<_>, _>>()?;
    for (at, space) in spaces.iter().enumerate() {
        if let Some(other) = spaces[..at].iter().find(|other| overlap(space, other)) {
            let why =
                format!("Address prefixes {other} and {space} of virtual network {} overlap.", network.id);
            return Err(ArmError::new(400, "VnetAddressSpacesOverlap", why));
        }
    }
    let mut named = Vec::new();
    for subnet in subnets {
        let of_subnet = of_subnet(&subnet.properties);
        let parsed = of_subnet.iter().map(|range| parse(range, &subnet.id)).collect::<Result<Vec<_>, _>>()?;
        named.push((subnet.name().to_owned(), parsed));
    }
    check(network.name(), &spaces, &named)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(result: Result<(), ArmError>) -> String {
        result.err().map(|error| error.code).unwrap_or_default()
    }

    fn net(text: &str) -> IpNet {
        text.parse().unwrap()
    }

    #[test]
    fn host_bits_are_refused_with_the_range_that_was_meant() {
        let error = parse("10.0.1.5/24", "x").unwrap_err();
        assert_eq!(error.code, "InvalidCIDRNotation");
        assert!(error.message.ends_with("should be 10.0.1.0/24."), "{}", error.message);
        assert_eq!(parse("10.0.1.0", "x").unwrap_err().code, "InvalidCIDRNotation");
    }

    #[test]
    fn subnets_stay_inside_the_network_and_apart() {
        let spaces = [net("10.0.0.0/16")];
        let subnet = |name: &str, range: &str| (name.to_owned(), vec![net(range)]);
        assert_eq!(code(check("v", &spaces, &[subnet("a", "10.0.0.0/22"), subnet("b", "10.0.4.0/24")])), "");
        assert_eq!(code(check("v", &spaces, &[subnet("a", "10.1.0.0/22")])), "NetcfgSubnetRangeOutsideVnet");
        let both = [subnet("a", "10.0.0.0/22"), subnet("b", "10.0.2.0/24")];
        assert_eq!(code(check("v", &spaces, &both)), "NetcfgSubnetRangesOverlap");
    }
}
