//! Synchronous validation of the body of a PUT by the AKS provider.
//!
//! Source: patterns and bounds of the 2026-06-01 specification; codes from the AKS support articles. The
//! order is that of the service as far as observed: shape, names, version, pools, networks, node group,
//! features.

use std::collections::BTreeSet;

use jiff::civil::Date;
use serde_json::Value;

use super::address_plan::{self, SubnetPlan};
use super::error::{bad, parameter};
use super::{api_access, defaults, features, pool_validation, version_support};
use crate::arm::error::ArmError;

/// The input of the validation of a PUT.
pub(crate) struct Case<'a> {
    /// The name of the cluster from the URL.
    pub(crate) name: &'a str,
    /// The resource group of the cluster from the URL.
    pub(crate) group: &'a str,
    /// The subscription from the URL.
    pub(crate) subscription: &'a str,
    /// The body, without defaults.
    pub(crate) body: &'a Value,
    /// The current day, for the version calendar.
    pub(crate) today: Date,
    /// True if the cluster exists already; then, the update checks its names and groups.
    pub(crate) update: bool,
    /// Finds a subnet by its id.
    pub(crate) subnet: &'a dyn Fn(&str) -> Option<SubnetPlan>,
    /// Returns whether the subscription has a resource group of that name.
    pub(crate) group_exists: &'a dyn Fn(&str) -> bool,
}

/// Validates the whole body.
///
/// # Errors
/// The first validation error.
pub(crate) fn check(case: &Case<'_>) -> Result<(), ArmError> {
    let properties = &case.body["properties"];
    if !properties.is_object() {
        return Err(parameter("properties", "the request has no properties."));
    }
    cluster_name(case.name)?;
    if !case.update {
        dns_prefix(properties)?;
    }
    identity(case.body)?;
    tier(case.body)?;
    version(case)?;
    pool_validation::check(properties)?;
    features::check(properties)?;
    api_access::check(properties)?;
    networks(case)?;
    if !case.update {
        node_group(case)?;
    }
    Ok(())
}

fn cluster_name(name: &str) -> Result<(), ArmError> {
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    let inner = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    if (1..=63).contains(&name.len()) && inner && edge(name.chars().next()) && edge(name.chars().last()) {
        return Ok(());
    }
    let why = format!(
        "managed cluster name '{name}' must have 1 to 63 letters, digits, underscores and hyphens, and start and end \
         with a letter or digit."
    );
    Err(parameter("resourceName", why))
}

fn dns_prefix(properties: &Value) -> Result<(), ArmError> {
    let (prefix, whole) = (properties["dnsPrefix"].as_str(), properties["fqdnSubdomain"].as_str());
    let Some(prefix) = prefix.or(whole) else {
        let message = "Required parameter dnsPrefix is missing (null).";
        return Err(bad("InvalidParameter", message).with_target("dnsPrefix"));
    };
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    let inner = prefix.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    if (1..=54).contains(&prefix.len()) && inner && edge(prefix.chars().next()) && edge(prefix.chars().last())
    {
        return Ok(());
    }
    let why = format!(
        "DNS prefix '{prefix}' is invalid. The DNS prefix must contain between 1 and 54 characters, letters, digits and \
         hyphens, and start and end with a letter or digit."
    );
    Err(parameter("dnsPrefix", why))
}

fn identity(body: &Value) -> Result<(), ArmError> {
    let kind = body["identity"]["type"].as_str().unwrap_or("None");
    let principal = body["properties"]["servicePrincipalProfile"]["clientId"].as_str();
    match kind {
        "SystemAssigned" | "UserAssigned" => Ok(()),
        "None" if principal.is_some_and(|id| id != "msi") => Ok(()),
        "None" => {
            let message =
                "Either a managed identity or a service principal must be given for the managed cluster.";
            Err(bad("BadRequest", message).with_target("identity"))
        }
        other => Err(parameter("identity.type", format!("'{other}' is not an identity type."))),
    }
}

fn tier(body: &Value) -> Result<(), ArmError> {
    let sku = &body["sku"];
    let one_of = |value: &Value, known: &[&str]| {
        value.as_str().is_none_or(|value| known.iter().any(|known| known.eq_ignore_ascii_case(value)))
    };
    if !one_of(&sku["name"], &["Base", "Automatic"])
        || !one_of(&sku["tier"], &["Free", "Standard", "Premium"])
    {
        let message = format!("The managed cluster sku {sku} is not supported.");
        return Err(bad("InvalidSku", message).with_target("sku"));
    }
    let long = body["properties"]["supportPlan"] == version_support::LONG_TERM;
    if long && !premium(body) {
        let message = "Long-Term Support requires the Premium tier (see https://aka.ms/aks/enable-lts).";
        return Err(bad("BadRequest", message).with_target("properties.supportPlan"));
    }
    Ok(())
}

fn premium(body: &Value) -> bool {
    body["sku"]["tier"].as_str().is_some_and(|tier| tier.eq_ignore_ascii_case("Premium"))
}

/// Validates the version of the control plane and of every pool for the current day.
fn version(case: &Case<'_>) -> Result<(), ArmError> {
    let properties = &case.body["properties"];
    let control = properties["kubernetesVersion"].as_str().filter(|version| !version.is_empty());
    if let Some(desired) = control {
        offered(case, desired, "K8sVersionNotSupported")?;
    }
    for pool in properties["agentPoolProfiles"].as_array().into_iter().flatten() {
        let Some(desired) = pool["orchestratorVersion"].as_str().filter(|version| !version.is_empty()) else {
            continue;
        };
        offered(case, desired, "AgentPoolK8sVersionNotSupported")?;
        let minor = |version: &str| version.split('.').take(2).map(str::to_owned).collect::<Vec<_>>();
        if let Some(control) = control.filter(|control| minor(control) < minor(desired)) {
            let message =
                format!("Node pool version {desired} and control plane version {control} are incompatible.");
            return Err(bad("NodePoolMcVersionIncompatible", message));
        }
    }
    Ok(())
}

fn offered(case: &Case<'_>, desired: &str, code: &str) -> Result<(), ArmError> {
    const HINT: &str = "Please use [az aks get-versions] command to get the supported version list in this region. For \
                        more information, please check https://aka.ms/supported-version-list";
    let Some((release, full)) = version_support::resolve(desired, case.today) else {
        let message = format!("Version {desired} is not supported in this region. {HINT}");
        return Err(bad(code, message));
    };
    let long = case.body["properties"]["supportPlan"] == version_support::LONG_TERM && premium(case.body);
    // A running cluster keeps its version when community support ends; only new clusters are refused.
    if case.update
        || long
        || release.community(case.today)
        || release.minor == version_support::default_release(case.today).minor
    {
        return Ok(());
    }
    let message = format!(
        "Managed cluster {} is on version {full}, which is only available for Long-Term Support (LTS). If you intend to \
         onboard to LTS, please ensure the cluster is in Premium tier and LTS support plan (see \
         https://aka.ms/aks/enable-lts). Otherwise, use [az aks get-versions] command to get the supported version list \
         in this region. For more information, please check https://aka.ms/supported-version-list",
        case.name
    );
    Err(bad("K8sVersionNotSupported", message))
}

fn networks(case: &Case<'_>) -> Result<(), ArmError> {
    let properties = &case.body["properties"];
    let profile = &properties["networkProfile"];
    let services = address_plan::services(profile)?;
    let overlay = defaults::has_pod_range(profile);
    let location = case.body["location"].as_str().unwrap_or_default();
    let pools = || properties["agentPoolProfiles"].as_array().into_iter().flatten();
    let ids: BTreeSet<&str> = pools().filter_map(|pool| pool["vnetSubnetID"].as_str()).collect();
    for id in ids {
        let Some(subnet) = (case.subnet)(id) else {
            let message = format!(
                "The subnet '{id}' could not be found. Please make sure the virtual network and its subnet exist."
            );
            return Err(ArmError::aks(404, "VnetSubnetNotFound", message)
                .with_target("agentPoolProfile.vnetSubnetID"));
        };
        let here = pools().filter(|pool| pool["vnetSubnetID"] == id);
        let needed = here.map(|pool| address_plan::needed(pool, overlay)).sum();
        address_plan::subnet(id, &subnet, location, services, needed)?;
    }
    Ok(())
}

fn node_group(case: &Case<'_>) -> Result<(), ArmError> {
    let location = case.body["location"].as_str().unwrap_or_default();
    let named = case.body["properties"]["nodeResourceGroup"].as_str().map(str::to_owned);
    let group = named.unwrap_or_else(|| defaults::node_group(case.group, case.name, location));
    let alphabet = |c: char| c.is_alphanumeric() || "_-.()".contains(c);
    if group.is_empty() || group.chars().count() > 80 || !group.chars().all(alphabet) || group.ends_with('.')
    {
        let why = format!("node resource group name '{group}' is invalid, it must have 1 to 80 characters.");
        return Err(parameter("nodeResourceGroup", why));
    }
    if group.eq_ignore_ascii_case(case.group) {
        let message = format!(
            "Node resource group '{group}' is the same as ResourceGroup '{}', which is not allowed, please provide a \
             different node resource group.",
            case.group
        );
        return Err(bad("NodeResourceGroupSameAsResourceGroup", message));
    }
    if (case.group_exists)(&group) {
        let message = format!(
            "Node resource group '{group}' under subscription '{}' already exists, please provide a new one.",
            case.subscription
        );
        return Err(bad("NodeResourceGroupAlreadyExists", message));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;
    use serde_json::json;

    fn body() -> Value {
        json!({
            "location": "eastus",
            "identity": {"type": "SystemAssigned"},
            "sku": {"name": "Base", "tier": "Standard"},
            "properties": {
                "kubernetesVersion": "1.34", "dnsPrefix": "demo", "nodeResourceGroup": "rg-nodes",
                "agentPoolProfiles": [{
                    "name": "nodepool1", "mode": "System", "vmSize": "Standard_D4s_v5", "count": 2,
                    "enableAutoScaling": true, "minCount": 1, "maxCount": 3, "vnetSubnetID": "/s/snet",
                }],
                "networkProfile": {"networkPlugin": "azure", "serviceCidr": "10.1.0.0/16", "dnsServiceIP": "10.1.0.10"},
            },
        })
    }

    fn refused_on(body: &Value, today: Date, update: bool) -> String {
        let subnet = |id: &str| {
            (id == "/s/snet").then(|| SubnetPlan {
                range: "10.0.0.0/22".parse().unwrap(),
                network: vec!["10.0.0.0/16".parse().unwrap()],
                state: "Succeeded".into(),
                location: "eastus".into(),
                delegated: false,
            })
        };
        let case = Case {
            name: "demo",
            group: "rg",
            subscription: "s",
            body,
            today,
            update,
            subnet: &subnet,
            group_exists: &|name| name == "rg-taken",
        };
        check(&case).err().map_or(String::new(), |error| error.code)
    }

    /// Returns the error code for a valid body with one property changed; empty if it is valid.
    fn refused(pointer: &str, value: Value) -> String {
        let mut body = body();
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        body.pointer_mut(parent).unwrap()[key] = value;
        refused_on(&body, date(2026, 11, 23), false)
    }

    #[test]
    fn a_good_body_passes() {
        assert_eq!(refused_on(&body(), date(2026, 11, 23), false), "");
    }

    #[test]
    fn a_version_left_to_long_term_support_takes_the_premium_tier_and_its_plan() {
        let december = date(2026, 12, 1);
        let mut body = body();
        assert_eq!(refused_on(&body, december, false), "K8sVersionNotSupported");
        assert_eq!(refused_on(&body, december, true), "");
        body["sku"]["tier"] = json!("Premium");
        assert_eq!(refused_on(&body, december, false), "K8sVersionNotSupported");
        body["properties"]["supportPlan"] = json!(version_support::LONG_TERM);
        assert_eq!(refused_on(&body, december, false), "");
        body["sku"]["tier"] = json!("Standard");
        assert_eq!(refused_on(&body, december, false), "BadRequest");
    }

    #[test]
    fn each_mistake_has_its_code() {
        for (pointer, value, code) in [
            ("/properties/kubernetesVersion", json!("1.30.0"), "K8sVersionNotSupported"),
            (
                "/properties/agentPoolProfiles/0/orchestratorVersion",
                json!("1.29"),
                "AgentPoolK8sVersionNotSupported",
            ),
            (
                "/properties/agentPoolProfiles/0/orchestratorVersion",
                json!("1.35"),
                "NodePoolMcVersionIncompatible",
            ),
            ("/properties/agentPoolProfiles/0/vnetSubnetID", json!("/s/none"), "VnetSubnetNotFound"),
            ("/properties/agentPoolProfiles/0/maxCount", json!(40), "InsufficientSubnetSize"),
            ("/properties/networkProfile/dnsServiceIP", json!("10.9.0.1"), "DnsServiceIpOutOfServiceCidr"),
            ("/properties/nodeResourceGroup", json!("RG"), "NodeResourceGroupSameAsResourceGroup"),
            ("/properties/nodeResourceGroup", json!("rg-taken"), "NodeResourceGroupAlreadyExists"),
            ("/properties/nodeResourceGroup", json!("x".repeat(81)), "InvalidParameter"),
            ("/properties/dnsPrefix", json!("-demo"), "InvalidParameter"),
            ("/properties/dnsPrefix", Value::Null, "InvalidParameter"),
            ("/identity/type", json!("None"), "BadRequest"),
            ("/sku/tier", json!("Gold"), "InvalidSku"),
        ] {
            assert_eq!(refused(pointer, value.clone()), code, "{pointer} = {value}");
        }
    }

    #[test]
    fn a_cluster_name_starts_and_ends_with_a_letter_or_digit() {
        assert!(cluster_name("aks_demo-1").is_ok());
        for name in ["", "-a", "a-", "a.b", &"a".repeat(64)] {
            assert!(cluster_name(name).is_err(), "{name}");
        }
    }
}
