//! Default values that the service writes into the properties a caller omits.
//!
//! Source: answers of Microsoft.ContainerService/managedClusters, api-versions 2026-02-01 and later. A client
//! that compares the desired properties with the response must ignore all of these.

use jiff::civil::Date;
use serde_json::{Map, Value, json};

use super::{sizes, version_support};

/// Fills in every default of the whole cluster. Expects a validated body.
pub(crate) fn fill(resource: &mut Value, today: Date) {
    let location = resource["location"].as_str().unwrap_or_default().to_owned();
    put(resource, "sku", json!({"name": "Base", "tier": "Free"}));
    put(&mut resource["sku"], "tier", json!("Free"));
    put(&mut resource["sku"], "name", json!("Base"));
    let (name, group) = (text(resource, "name"), group_of(&text(resource, "id")));
    let properties = &mut resource["properties"];
    let desired = properties.get("kubernetesVersion").and_then(Value::as_str).unwrap_or_default().to_owned();
    if desired.is_empty() {
        properties["kubernetesVersion"] = json!(version_support::default_release(today).newest());
    }
    put(properties, "nodeResourceGroup", json!(node_group(&group, &name, &location)));
    put(properties, "enableRBAC", json!(true));
    put(properties, "supportPlan", json!(version_support::COMMUNITY));
    put(properties, "disableLocalAccounts", json!(false));
    put(properties, "servicePrincipalProfile", json!({"clientId": "msi"}));
    put(properties, "oidcIssuerProfile", json!({"enabled": false}));
    put(properties, "securityProfile", json!({}));
    put(
        properties,
        "storageProfile",
        json!({
            "diskCSIDriver": {"enabled": true}, "fileCSIDriver": {"enabled": true}, "snapshotController": {"enabled": true},
        }),
    );
    put(
        properties,
        "autoUpgradeProfile",
        json!({"upgradeChannel": "none", "nodeOSUpgradeChannel": "NodeImage"}),
    );
    put(properties, "maxAgentPools", json!(100));
    network(properties);
    ingress(properties);
    let version = properties["kubernetesVersion"].clone();
    for pool in properties["agentPoolProfiles"].as_array_mut().into_iter().flatten() {
        fill_pool(pool, &version);
    }
}

/// Returns the default name of the node resource group that AKS creates.
pub(crate) fn node_group(group: &str, name: &str, location: &str) -> String {
    let mut all = format!("MC_{group}_{name}_{location}");
    all.truncate(80);
    all
}

fn group_of(id: &str) -> String {
    id.split('/').nth(4).unwrap_or_default().to_owned()
}

fn text(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap_or_default().to_owned()
}

/// Sets a key that is absent or null.
fn put(object: &mut Value, key: &str, value: Value) {
    if !object.is_object() {
        *object = Value::Object(Map::new());
    }
    if object[key].is_null() {
        object[key] = value;
    }
}

fn network(properties: &mut Value) {
    put(properties, "networkProfile", json!({}));
    let profile = &mut properties["networkProfile"];
    put(profile, "networkPlugin", json!("azure"));
    put(profile, "networkPolicy", json!("none"));
    put(profile, "networkDataplane", json!("azure"));
    put(profile, "loadBalancerSku", json!("standard"));
    put(profile, "outboundType", json!("loadBalancer"));
    put(profile, "serviceCidr", json!("10.0.0.0/16"));
    put(profile, "dnsServiceIP", json!("10.0.0.10"));
    if profile["networkPluginMode"] == "overlay" {
        put(profile, "podCidr", json!("10.244.0.0/16"));
    }
    let services = json!([profile["serviceCidr"]]);
    put(profile, "serviceCidrs", services);
    put(profile, "ipFamilies", json!(["IPv4"]));
    if profile["outboundType"] == "loadBalancer" {
        put(
            profile,
            "loadBalancerProfile",
            json!({"managedOutboundIPs": {"count": 1}, "backendPoolType": "nodeIPConfiguration"}),
        );
    }
}

fn ingress(properties: &mut Value) {
    put(properties, "ingressProfile", json!({}));
    let profile = &mut properties["ingressProfile"];
    put(profile, "gatewayAPI", json!({"installation": "Disabled"}));
    put(&mut profile["gatewayAPI"], "installation", json!("Disabled"));
    if profile["webAppRouting"].is_object() {
        let routing = &mut profile["webAppRouting"];
        put(routing, "enabled", json!(false));
        if let Some(routing) = routing.as_object_mut() {
            routing.entry("identity").or_insert(Value::Null);
            routing.entry("dnsZoneResourceIds").or_insert(Value::Null);
        }
    }
}

fn fill_pool(pool: &mut Value, version: &Value) {
    if pool["vmSize"].as_str().unwrap_or_default().is_empty() {
        pool["vmSize"] = json!(sizes::DEFAULT);
    }
    put(pool, "count", json!(1));
    put(pool, "osType", json!("Linux"));
    put(pool, "osSKU", json!("Ubuntu"));
    put(pool, "osDiskSizeGB", json!(128));
    put(pool, "osDiskType", json!("Managed"));
    put(pool, "kubeletDiskType", json!("OS"));
    put(pool, "type", json!("VirtualMachineScaleSets"));
    put(pool, "mode", json!("User"));
    put(pool, "maxPods", json!(30));
    put(pool, "enableAutoScaling", json!(false));
    put(pool, "enableNodePublicIP", json!(false));
    put(pool, "enableEncryptionAtHost", json!(false));
    put(pool, "enableUltraSSD", json!(false));
    put(pool, "enableFIPS", json!(false));
    put(pool, "upgradeSettings", json!({"maxSurge": "10%"}));
    put(pool, "orchestratorVersion", version.clone());
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;

    #[test]
    fn given_properties_stay_and_defaults_fill_the_rest() {
        let mut cluster = json!({
            "id": "/subscriptions/s/resourcegroups/rg/providers/Microsoft.ContainerService/managedClusters/c",
            "name": "c", "location": "eastus",
            "properties": {
                "dnsPrefix": "c",
                "agentPoolProfiles": [{"name": "np", "mode": "System", "vmSize": ""}],
                "ingressProfile": {"webAppRouting": {"gatewayAPIImplementations": {"appRoutingIstio": {"mode": "Enabled"}}}},
                "networkProfile": {"serviceCidr": "10.1.0.0/16", "dnsServiceIP": "10.1.0.10"},
            },
        });
        fill(&mut cluster, date(2026, 11, 23));
        let properties = &cluster["properties"];
        assert_eq!(properties["nodeResourceGroup"], "MC_rg_c_eastus");
        assert_eq!(properties["networkProfile"]["serviceCidrs"], json!(["10.1.0.0/16"]));
        assert_eq!(properties["agentPoolProfiles"][0]["mode"], "System");
        assert_eq!(properties["agentPoolProfiles"][0]["vmSize"], sizes::DEFAULT);
        assert_eq!(properties["ingressProfile"]["webAppRouting"]["identity"], Value::Null);
        assert_eq!(properties["ingressProfile"]["gatewayAPI"]["installation"], "Disabled");
        assert_eq!(cluster["sku"], json!({"name": "Base", "tier": "Free"}));
    }
}
