//! Check that the address ranges fit the existing network, and that its subnet is free for nodes. The settings are compared with each other before
//! the first request.

use super::{PreflightCheckId, finding::Finding};
use crate::{
    network::{
        body::{is_contained, prefix_of, ranges, subnet_of, subnets},
        delegation,
    },
    settings::Settings,
};
use ipnet::Ipv4Net;
use landfall_cloud::{
    ApiError,
    arm::{State, SubscriptionClient},
};
use serde_json::Value;

/// Reads the existing network. A network in a group that is being deleted does not count.
pub(super) async fn query(azure: &SubscriptionClient, s: &Settings) -> Result<Option<Value>, ApiError> {
    let Some(body) = azure.network(&s.resource_group, &s.network.name).await? else { return Ok(None) };
    let group = azure.group(&s.resource_group).await?;
    let stays = group.is_some_and(|group| State::of(&group) != State::Deleting);
    Ok((stays && State::of(&body) != State::Deleting).then_some(body))
}

/// Compares the ranges with the network; a network that does not exist accepts all.
pub(super) fn evaluate(s: &Settings, body: Option<&Value>) -> Vec<Finding> {
    let Some(body) = body else { return Vec::new() };
    subnet(s, body).into_iter().chain(delegated(s, body)).chain(services(s, body)).collect()
}

/// Checks that the subnet is not delegated to a service.
fn delegated(s: &Settings, body: &Value) -> Option<Finding> {
    let error = delegation::refusal(body, &s.network)?;
    Some(Finding::of_error(PreflightCheckId::Ranges, error).code(delegation::CODE))
}

fn subnet(s: &Settings, body: &Value) -> Option<Finding> {
    let (name, wanted) = (&s.network.name, s.network.subnet_prefix.to_string());
    let finding = Finding::input(PreflightCheckId::Ranges, format!("use {wanted} in virtual network {name}"));
    if let Some(existing) = subnet_of(body, &s.network.subnet) {
        let is = prefix_of(existing).unwrap_or("no range");
        let what = format!("subnet {} of {name} is {is}, but {wanted} is required", s.network.subnet);
        let fix = format!("set network.subnet_prefix to {is}, or network.subnet to another name");
        return (is != wanted).then(|| finding.cause(what).fix(fix));
    }
    let all = ranges(body);
    if !is_contained(&wanted, &all) {
        return Some(
            finding
                .code("NetcfgSubnetRangeOutsideVnet")
                .cause(format!(
                    "virtual network {name} is {}, which has no room for {wanted}",
                    all.join(", ")
                ))
                .fix("set network.subnet_prefix to a range inside that of the network, or network.name to another network"),
        );
    }
    let taken = subnets(body).find(|other| {
        let other = prefix_of(other).and_then(|prefix| prefix.parse().ok());
        other.is_some_and(|other| overlap(&s.network.subnet_prefix, &other))
    })?;
    let other = taken["name"].as_str().unwrap_or("another one");
    let range = prefix_of(taken).unwrap_or_default();
    Some(
        finding
            .code("NetcfgSubnetRangesOverlap")
            .cause(format!("subnet {other} of {name} has the range {range}, which overlaps {wanted}"))
            .fix("set network.subnet_prefix to a range that overlaps none of its subnets"),
    )
}

/// Checks that the service range is outside the whole network.
/// <https://learn.microsoft.com/azure/aks/configure-azure-cni#plan-ip-addressing-for-your-cluster>
fn services(s: &Settings, body: &Value) -> Option<Finding> {
    let wanted = &s.cluster.service_cidr;
    let parsed = ranges(body).into_iter().filter_map(|range| range.parse().ok());
    let clash = parsed.into_iter().find(|range: &Ipv4Net| overlap(wanted, range))?;
    let name = &s.network.name;
    Some(
        Finding::input(
            PreflightCheckId::Ranges,
            format!("use {wanted} for services alongside network {name}"),
        )
        .code("ServiceCidrOverlapExistingSubnetsCidr")
        .cause(format!(
            "virtual network {name} has the range {clash}, which overlaps the service range {wanted}"
        ))
        .fix(
            "set cluster.service_cidr to a range outside the network's, and cluster.dns_service_ip to an \
                 address in it",
        )
        .for_a_new_cluster(),
    )
}

fn overlap(one: &Ipv4Net, other: &Ipv4Net) -> bool {
    one.contains(other) || other.contains(one)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn found(space: &str, subnet: &str, range: &str) -> Vec<Finding> {
        let body = json!({ "properties": {
            "addressSpace": { "addressPrefixes": [space] },
            "subnets": [{ "name": subnet, "properties": { "addressPrefix": range } }],
        }});
        evaluate(&crate::settings::tests::settings(), Some(&body))
    }

    #[test]
    fn each_mismatch_has_its_own_message() {
        assert_eq!(found("10.0.0.0/16", "theirs", "10.0.64.0/24"), []);
        assert_eq!(found("10.0.0.0/16", "SNET-AKS", "10.0.0.0/22"), []);
        let other = found("10.0.0.0/16", "snet-aks", "10.0.4.0/22");
        assert!(other[0].fix.starts_with("set network.subnet_prefix to 10.0.4.0/22"), "{other:?}");
        let outside = found("10.9.0.0/16", "theirs", "10.9.0.0/24");
        assert_eq!(outside[0].code, Some("NetcfgSubnetRangeOutsideVnet"));
        let overlap = found("10.0.0.0/16", "theirs", "10.0.3.0/24");
        assert!(
            overlap[0].causes[0].contains("theirs of vnet-demo has the range 10.0.3.0/24"),
            "{overlap:?}"
        );
        let services = found("10.0.0.0/15", "theirs", "10.0.64.0/24");
        assert_eq!(services[0].code, Some("ServiceCidrOverlapExistingSubnetsCidr"));
        assert_eq!(evaluate(&crate::settings::tests::settings(), None), []);
    }

    #[test]
    fn a_delegated_subnet_is_refused_and_another_one_is_not() {
        let found = |subnet: &str| {
            let body = json!({ "properties": {
                "addressSpace": { "addressPrefixes": ["10.0.0.0/16"] },
                "subnets": [
                    { "name": "snet-aks", "properties": { "addressPrefix": "10.0.0.0/22" } },
                    { "name": "web", "properties": { "addressPrefix": "10.0.9.0/24" } },
                ],
            }});
            let mut body = body;
            let listed = body["properties"]["subnets"].as_array_mut().unwrap();
            let delegated = listed.iter_mut().find(|one| one["name"] == subnet).unwrap();
            delegated["properties"]["delegations"] =
                json!([{ "name": "0", "properties": { "serviceName": "Microsoft.Web/serverFarms" } }]);
            evaluate(&crate::settings::tests::settings(), Some(&body))
        };
        assert_eq!(found("web"), []);
        let refused = found("snet-aks");
        assert_eq!((refused.len(), refused[0].code), (1, Some("SubnetIsDelegated")));
        assert!(refused[0].causes[0].contains("delegated to Microsoft.Web/serverFarms"), "{refused:?}");
    }
}
