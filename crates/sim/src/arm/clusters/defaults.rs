//! Default values that the service writes into the properties a caller omits.
//!
//! Source: answers of Microsoft.ContainerService/managedClusters, api-versions 2026-02-01 and later. A client
//! that compares the desired properties with the response must ignore all of these.

use jiff::civil::Date;
use serde_json::{Map, Value, json};

use super::features::KEY_VAULT_ADDON;
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
    put(properties, "oidcIssuerProfile", json!({}));
    put(&mut properties["oidcIssuerProfile"], "enabled", json!(true));
    put(properties, "serviceMeshProfile", json!({"mode": "Disabled"}));
    put(properties, "securityProfile", json!({}));
    put(properties, "storageProfile", json!({}));
    for driver in ["diskCSIDriver", "fileCSIDriver", "snapshotController"] {
        put(&mut properties["storageProfile"], driver, json!({"enabled": true}));
    }
    put(properties, "autoUpgradeProfile", json!({}));
    put(&mut properties["autoUpgradeProfile"], "nodeOSUpgradeChannel", json!("NodeImage"));
    put(properties, "workloadAutoScalerProfile", json!({}));
    put(properties, "metricsProfile", json!({"costAnalysis": {"enabled": false}}));
    put(properties, "nodeProvisioningProfile", json!({"mode": "Manual", "defaultNodePools": "Auto"}));
    put(properties, "bootstrapProfile", json!({"artifactSource": "Direct"}));
    put(properties, "maxAgentPools", json!(100));
    network(properties);
    ingress(properties);
    add_ons(properties);
    let version = properties["kubernetesVersion"].clone();
    let pods = pods_per_node(&properties["networkProfile"]);
    for pool in properties["agentPoolProfiles"].as_array_mut().into_iter().flatten() {
        fill_pool(pool, &version, pods);
    }
    auto_scaler(properties);
}

/// Returns whether pods have addresses of their own instead of those of a subnet. A new cluster has, unless its
/// body names a network plug-in.
pub(crate) fn has_pod_range(profile: &Value) -> bool {
    let plugin = profile["networkPlugin"].as_str().unwrap_or_default();
    profile["networkPluginMode"] == "overlay" || ["", "kubenet"].contains(&plugin)
}

/// Returns the default number of pods per node.
pub(crate) fn pods_per_node(profile: &Value) -> u64 {
    match profile["networkPlugin"].as_str() {
        Some("kubenet") => 110,
        _ if has_pod_range(profile) => 250,
        _ => 30,
    }
}

/// Fills in the config of the add-ons that have one.
fn add_ons(properties: &mut Value) {
    for (name, profile) in properties["addonProfiles"].as_object_mut().into_iter().flatten() {
        if profile["enabled"] == true && name == KEY_VAULT_ADDON {
            put(profile, "config", json!({}));
            put(&mut profile["config"], "enableSecretRotation", json!("false"));
            put(&mut profile["config"], "rotationPollInterval", json!("2m"));
        } else if let Some(profile) = profile.as_object_mut() {
            profile.entry("config").or_insert(Value::Null);
        }
    }
}

/// The settings of the cluster autoscaler, all of them texts.
const AUTO_SCALER: [(&str, &str); 19] = [
    ("balance-similar-node-groups", "false"),
    ("daemonset-eviction-for-empty-nodes", "false"),
    ("daemonset-eviction-for-occupied-nodes", "true"),
    ("expander", "random"),
    ("max-empty-bulk-delete", "10"),
    ("max-graceful-termination-sec", "600"),
    ("max-node-provision-time", "15m"),
    ("max-total-unready-percentage", "45"),
    ("new-pod-scale-up-delay", "0s"),
    ("ok-total-unready-count", "3"),
    ("scale-down-delay-after-add", "10m"),
    ("scale-down-delay-after-delete", "10s"),
    ("scale-down-delay-after-failure", "3m"),
    ("scale-down-unneeded-time", "10m"),
    ("scale-down-unready-time", "20m"),
    ("scale-down-utilization-threshold", "0.5"),
    ("scan-interval", "10s"),
    ("skip-nodes-with-local-storage", "false"),
    ("skip-nodes-with-system-pods", "true"),
];

/// Fills in the settings of the autoscaler if a pool uses it.
fn auto_scaler(properties: &mut Value) {
    let mut pools = properties["agentPoolProfiles"].as_array().into_iter().flatten();
    if pools.any(|pool| pool["enableAutoScaling"] == true) {
        put(properties, "autoScalerProfile", json!({}));
        for (name, value) in AUTO_SCALER {
            put(&mut properties["autoScalerProfile"], name, json!(value));
        }
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
    if profile["networkPlugin"].is_null() && profile["networkPluginMode"].is_null() {
        profile["networkPluginMode"] = json!("overlay");
    }
    put(profile, "networkPlugin", json!("azure"));
    put(profile, "networkPolicy", json!("none"));
    put(profile, "networkDataplane", json!("azure"));
    put(profile, "loadBalancerSku", json!("standard"));
    put(profile, "outboundType", json!("loadBalancer"));
    put(profile, "serviceCidr", json!("10.0.0.0/16"));
    put(profile, "dnsServiceIP", json!("10.0.0.10"));
    if has_pod_range(profile) {
        put(profile, "podCidr", json!("10.244.0.0/16"));
        let pods = json!([profile["podCidr"]]);
        put(profile, "podCidrs", pods);
    }
    let services = json!([profile["serviceCidr"]]);
    put(profile, "serviceCidrs", services);
    put(profile, "ipFamilies", json!(["IPv4"]));
    if profile["outboundType"] == "loadBalancer" {
        put(profile, "loadBalancerProfile", json!({}));
        let balancer = &mut profile["loadBalancerProfile"];
        if balancer["outboundIPs"].is_null() && balancer["outboundIPPrefixes"].is_null() {
            put(balancer, "managedOutboundIPs", json!({"count": 1}));
        }
        put(balancer, "backendPoolType", json!("nodeIPConfiguration"));
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
        if routing["enabled"] == true {
            put(routing, "nginx", json!({}));
            put(&mut routing["nginx"], "defaultIngressControllerType", json!("AnnotationControlled"));
        }
        if let Some(routing) = routing.as_object_mut() {
            routing.entry("identity").or_insert(Value::Null);
            routing.entry("dnsZoneResourceIds").or_insert(Value::Null);
        }
    }
}

fn fill_pool(pool: &mut Value, version: &Value, pods: u64) {
    // Clients send unset texts and sizes as an empty text and 0.
    for name in ["vmSize", "orchestratorVersion", "osDiskType", "osSKU"] {
        if pool[name].as_str().is_some_and(str::is_empty) {
            pool[name] = Value::Null;
        }
    }
    if pool["osDiskSizeGB"] == 0 {
        pool["osDiskSizeGB"] = Value::Null;
    }
    put(pool, "vmSize", json!(sizes::DEFAULT));
    put(pool, "nodeLabels", json!({}));
    put(pool, "count", json!(1));
    put(pool, "osType", json!("Linux"));
    put(pool, "osSKU", json!("Ubuntu"));
    put(pool, "osDiskSizeGB", json!(128));
    put(pool, "osDiskType", json!("Managed"));
    put(pool, "kubeletDiskType", json!("OS"));
    put(pool, "type", json!("VirtualMachineScaleSets"));
    put(pool, "mode", json!("User"));
    put(pool, "maxPods", json!(pods));
    put(pool, "scaleDownMode", json!("Delete"));
    put(pool, "enableAutoScaling", json!(false));
    put(pool, "enableNodePublicIP", json!(false));
    put(pool, "enableEncryptionAtHost", json!(false));
    put(pool, "enableUltraSSD", json!(false));
    put(pool, "enableFIPS", json!(false));
    put(pool, "upgradeSettings", json!({}));
    put(&mut pool["upgradeSettings"], "maxSurge", json!("10%"));
    put(&mut pool["upgradeSettings"], "maxUnavailable", json!("0"));
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
