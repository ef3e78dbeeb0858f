//! Network access to the API server: private clusters and authorized IP ranges.
//!
//! Source: "Create a private AKS cluster" and "Secure access to the API server using authorized IP address
//! ranges". A client elsewhere gets no connection: its packets are dropped. The simulated cloud closes the
//! connection instead, so that the client's wait is short.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use serde_json::{Value, json};

use super::error::{bad, change, parameter};
use crate::arm::error::ArmError;

/// The address of every client outside of the clusters.
const CLIENT: Ipv4Addr = Ipv4Addr::LOCALHOST;

/// Returns whether the API server accepts connections from this machine.
pub(super) fn admits_client(properties: &Value) -> bool {
    let profile = &properties["apiServerAccessProfile"];
    if is_private(properties) {
        return false;
    }
    let mut ranges = ranges(profile).peekable();
    ranges.peek().is_none() || ranges.filter_map(parse).any(|range| range.contains(&CLIENT))
}

/// Returns whether only private networks reach the API server.
pub(super) fn is_private(properties: &Value) -> bool {
    properties["apiServerAccessProfile"]["enablePrivateCluster"] == true
}

/// Returns whether a private cluster also has a public name. It leads to the private address.
pub(super) fn has_public_name(properties: &Value) -> bool {
    properties["apiServerAccessProfile"]["enablePrivateClusterPublicFQDN"] != false
}

fn ranges(profile: &Value) -> impl Iterator<Item = &str> {
    profile["authorizedIPRanges"].as_array().into_iter().flatten().filter_map(Value::as_str)
}

/// Parses a range, or a single address.
fn parse(text: &str) -> Option<Ipv4Net> {
    text.parse().ok().or_else(|| Some(Ipv4Net::from(text.parse::<Ipv4Addr>().ok()?)))
}

/// Validates the access profile and the Entra integration.
///
/// # Errors
/// 400 for the first invalid combination. The texts of the combinations are not recorded from the service.
pub(super) fn check(properties: &Value) -> Result<(), ArmError> {
    let profile = &properties["apiServerAccessProfile"];
    if let Some(invalid) = ranges(profile).find(|range| parse(range).is_none()) {
        let why = format!("'{invalid}' is not an IPv4 address or range in CIDR notation.");
        return Err(parameter("apiServerAccessProfile.authorizedIPRanges", why));
    }
    if is_private(properties) && ranges(profile).next().is_some() {
        let message = "Authorized IP ranges are not supported for a private cluster.";
        return Err(bad("BadRequest", message).with_target("apiServerAccessProfile.authorizedIPRanges"));
    }
    let entra = &properties["aadProfile"];
    if properties["disableLocalAccounts"] == true && entra["managed"] != true {
        let message =
            "Disabling local accounts is only supported for clusters with Microsoft Entra integration.";
        return Err(bad("BadRequest", message).with_target("disableLocalAccounts"));
    }
    if entra["enableAzureRBAC"] == true && (entra["managed"] != true || properties["enableRBAC"] == false) {
        let message = "Azure RBAC requires Kubernetes RBAC and a managed Microsoft Entra integration.";
        return Err(bad("BadRequest", message).with_target("aadProfile.enableAzureRBAC"));
    }
    Ok(())
}

/// Checks an update: a cluster stays private or public, and keeps its Entra integration.
///
/// # Errors
/// 400 `PropertyChangeNotAllowed`.
pub(super) fn check_change(old: &Value, new: &Value) -> Result<(), ArmError> {
    let names_access = new["apiServerAccessProfile"]["enablePrivateCluster"].is_boolean();
    if names_access && is_private(old) != is_private(new) {
        return Err(change("apiServerAccessProfile.enablePrivateCluster"));
    }
    if old["aadProfile"]["managed"] == true && new["aadProfile"]["managed"] == false {
        return Err(change("aadProfile.managed"));
    }
    Ok(())
}

/// Fills in the defaults of the access profile and of the Entra integration.
pub(super) fn fill(properties: &mut Value, tenant: &str) {
    if let Some(entra) = properties["aadProfile"].as_object_mut() {
        for (key, value) in [
            ("adminGroupObjectIDs", Value::Null),
            ("adminUsers", Value::Null),
            ("enableAzureRBAC", json!(false)),
            ("tenantID", json!(tenant)),
        ] {
            let is = entra.entry(key).or_insert(Value::Null);
            if is.is_null() {
                *is = value;
            }
        }
    }
    let is_private = is_private(properties);
    let Some(profile) = properties["apiServerAccessProfile"].as_object_mut() else { return };
    let ranges = profile.get("authorizedIPRanges").and_then(Value::as_array);
    let ranges: Vec<String> =
        ranges.into_iter().flatten().filter_map(|range| Some(parse(range.as_str()?)?.to_string())).collect();
    match ranges.is_empty() {
        true => drop(profile.shift_remove("authorizedIPRanges")),
        false => drop(profile.insert("authorizedIPRanges".to_owned(), json!(ranges))),
    }
    if is_private {
        profile.entry("privateDNSZone").or_insert(json!("system"));
        profile.entry("enablePrivateClusterPublicFQDN").or_insert(json!(true));
    }
}

/// Replaces the public name of a new private cluster. `id` is the cluster's.
pub(super) fn name_private(properties: &mut Value, id: &str, prefix: &str, digits: &str, location: &str) {
    let zone = format!("privatelink.{location}.azmk8s.io");
    properties["privateFQDN"] = json!(format!("{prefix}-{}.{digits}.{zone}", &digits[..8]));
    properties["azurePortalFQDN"] = json!(format!("{digits}-priv.portal.hcp.{location}.azmk8s.io"));
    properties["privateLinkResources"] = json!([{
        "id": format!("{id}/privateLinkResources/management"), "name": "management",
        "type": "Microsoft.ContainerService/managedClusters/privateLinkResources",
        "groupId": "management", "requiredMembers": ["management"],
    }]);
    if !has_public_name(properties)
        && let Some(properties) = properties.as_object_mut()
    {
        properties.shift_remove("fqdn");
    }
}
