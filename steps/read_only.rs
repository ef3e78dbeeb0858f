//! Read-only fields of resources. A PUT of a body that was read leaves them out: the service sets them, and may
//! refuse a request with another value.
//!
//! Source: the fields that az never sends although the answers have them, and the `readOnly` marks of the REST
//! specifications.

use serde_json::Value;

/// The fields of a managed cluster.
pub(crate) const CLUSTER: &[&str] = &[
    "systemData",
    "etag",
    "eTag",
    "identity.principalId",
    "identity.tenantId",
    "properties.provisioningState",
    "properties.powerState",
    "properties.fqdn",
    "properties.privateFQDN",
    "properties.azurePortalFQDN",
    "properties.currentKubernetesVersion",
    "properties.maxAgentPools",
    "properties.resourceUID",
    "properties.status",
    "properties.oidcIssuerProfile.issuerURL",
    "properties.addonProfiles.*.identity",
    "properties.ingressProfile.webAppRouting.identity",
    "properties.agentPoolProfiles.*.provisioningState",
    "properties.agentPoolProfiles.*.currentOrchestratorVersion",
    "properties.agentPoolProfiles.*.nodeImageVersion",
    "properties.agentPoolProfiles.*.eTag",
];

/// The fields of a key vault.
pub(crate) const KEY_VAULT: &[&str] = &[
    "systemData",
    "properties.provisioningState",
    "properties.hsmPoolResourceId",
    "properties.privateEndpointConnections",
];

/// The fields of a virtual network.
pub(crate) const NETWORK: &[&str] = &[
    "systemData",
    "etag",
    "properties.provisioningState",
    "properties.resourceGuid",
    "properties.subnets.*.etag",
    "properties.subnets.*.properties.provisioningState",
    "properties.subnets.*.properties.purpose",
    "properties.subnets.*.properties.ipConfigurations",
    "properties.subnets.*.properties.ipConfigurationProfiles",
    "properties.subnets.*.properties.privateEndpoints",
    "properties.subnets.*.properties.resourceNavigationLinks",
    "properties.subnets.*.properties.serviceAssociationLinks",
    "properties.subnets.*.properties.delegations.*.etag",
    "properties.subnets.*.properties.delegations.*.properties.actions",
    "properties.subnets.*.properties.delegations.*.properties.provisioningState",
];

/// Returns a body without these fields; `*` in a path stands for every element of a list or object.
pub(crate) fn without(mut body: Value, fields: &[&str]) -> Value {
    fields.iter().for_each(|field| remove(&mut body, field));
    body
}

fn remove(at: &mut Value, path: &str) {
    let Some((first, rest)) = path.split_once('.') else {
        if let Some(object) = at.as_object_mut() {
            object.remove(path);
        }
        return;
    };
    match (first, at) {
        ("*", Value::Array(all)) => all.iter_mut().for_each(|one| remove(one, rest)),
        ("*", Value::Object(all)) => all.values_mut().for_each(|one| remove(one, rest)),
        (name, Value::Object(object)) => {
            if let Some(below) = object.get_mut(name) {
                remove(below, rest);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_the_named_fields_are_removed_in_lists_and_maps() {
        let body = json!({
            "id": "/c", "eTag": "1", "systemData": {}, "identity": { "type": "SystemAssigned", "principalId": "p" },
            "properties": {
                "fqdn": "c.example.com", "dnsPrefix": "c",
                "agentPoolProfiles": [{ "name": "np", "eTag": "2", "count": 1 }],
                "addonProfiles": { "azureKeyvaultSecretsProvider": { "enabled": true, "identity": { "objectId": "o" } } },
            },
        });
        let sent = json!({
            "id": "/c", "identity": { "type": "SystemAssigned" },
            "properties": {
                "dnsPrefix": "c",
                "agentPoolProfiles": [{ "name": "np", "count": 1 }],
                "addonProfiles": { "azureKeyvaultSecretsProvider": { "enabled": true } },
            },
        });
        assert_eq!(without(body, CLUSTER), sent);
        assert_eq!(without(sent.clone(), CLUSTER), sent);
        assert_eq!(without(json!({ "properties": null }), NETWORK), json!({ "properties": null }));
    }
}
