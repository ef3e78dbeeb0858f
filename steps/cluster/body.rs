//! The ARM body of the cluster: the body for its creation, and the faults of an existing one.

use crate::{cluster::settings_pool, names, read_only, settings::Settings, tags::Tags};
pub(crate) use landfall_cloud::arm::cluster::{failed_pool, is_stopped};
use landfall_cloud::{ApiError, arm::Condition};
use landfall_engine::{Change, Kind, Leftover, StepError};
use serde_json::{Value, json};

/// The default number of pods per node, with one address each in a flat network.
pub const PODS_PER_NODE: u32 = 30;

const GATEWAY_API: &str = "/properties/ingressProfile/gatewayAPI/installation";
const ISTIO: &str = "/properties/ingressProfile/webAppRouting/gatewayAPIImplementations/appRoutingIstio/mode";
const SECRETS_PROVIDER: &str = "/properties/addonProfiles/azureKeyvaultSecretsProvider/enabled";
const ROTATION: &str = "/properties/addonProfiles/azureKeyvaultSecretsProvider/config/enableSecretRotation";
const ROTATION_INTERVAL: &str =
    "/properties/addonProfiles/azureKeyvaultSecretsProvider/config/rotationPollInterval";

const OPERATOR: &str = "/properties/ingressProfile/webAppRouting/enabled";
/// The NGINX of application routing, with a load balancer of its own. The operator is used without it.
const NGINX: &str = "/properties/ingressProfile/webAppRouting/nginx/defaultIngressControllerType";
const ISSUER: &str = "/properties/oidcIssuerProfile/enabled";
const WORKLOAD_IDENTITY: &str = "/properties/securityProfile/workloadIdentity/enabled";

/// The effects of an issuer that is enabled on a running cluster.
/// <https://learn.microsoft.com/azure/aks/use-oidc-issuer>
pub(crate) const ISSUER_NOTE: &str = "enabling the issuer of service account tokens restarts the API server, which does not interrupt the gateways; \
     an issuer cannot be disabled again";

/// The optional requirements of the settings on the cluster.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Required {
    /// A managed identity trusts service accounts of the cluster.
    pub(crate) identity: bool,
    /// The operator of application routing is used.
    pub(crate) operator: bool,
}

impl Required {
    /// Returns the requirements of these settings.
    pub(crate) fn of(s: &Settings) -> Self {
        Self { identity: s.needs_identity(), operator: s.has_operator_tls() || s.has_operator_records() }
    }
}

/// Returns the properties that the gateways and the settings require. Values of `config` are strings. A cluster whose
/// operator is enabled already keeps its NGINX.
fn wanted(required: Required, body: &Value) -> Vec<(&'static str, Value)> {
    let mut wanted = vec![
        (GATEWAY_API, json!("Standard")),
        (ISTIO, json!("Enabled")),
        (SECRETS_PROVIDER, json!(true)),
        (ROTATION, json!("true")),
        (ROTATION_INTERVAL, json!("2m")),
    ];
    if required.identity {
        wanted.extend([(ISSUER, json!(true)), (WORKLOAD_IDENTITY, json!(true))]);
    }
    if required.operator {
        wanted.push((OPERATOR, json!(true)));
        if body.pointer(OPERATOR) != Some(&json!(true)) {
            wanted.push((NGINX, json!("None")));
        }
    }
    wanted
}

/// Returns the issuer of the service accounts' tokens, exactly as the cluster names it.
pub(crate) fn issuer(body: &Value) -> Option<String> {
    let issuer = body["properties"]["oidcIssuerProfile"]["issuerURL"].as_str()?;
    (!issuer.is_empty()).then(|| issuer.to_owned())
}

/// Returns whether a difference is an issuer that is disabled.
pub(crate) fn enables_issuer(change: &Change) -> bool {
    field_of(ISSUER) == change.field
}

/// Returns the body of a new cluster; with an empty version, the one about which policies are asked before the
/// version is known.
/// <https://learn.microsoft.com/rest/api/aks/managed-clusters/create-or-update>
pub(crate) fn create_body(s: &Settings, version: &str, subnet: &str, subscription: &str) -> Value {
    let cluster = &s.cluster;
    let mut body = json!({
        "location": s.location,
        "tags": owned_tags(s, subscription),
        "sku": { "name": "Base", "tier": "Standard" },
        "identity": { "type": "SystemAssigned" },
        "properties": {
            "kubernetesVersion": version,
            "dnsPrefix": dns_prefix(s, subscription),
            "enableRBAC": true,
            "nodeResourceGroup": s.node_resource_group,
            "agentPoolProfiles": [{
                "name": settings_pool::POOL,
                "mode": "System",
                "type": "VirtualMachineScaleSets",
                "osType": "Linux",
                "orchestratorVersion": version,
                "vmSize": cluster.node_size,
                // Without it AKS chooses an ephemeral disk if the size has room for one.
                "osDiskType": "Managed",
                "vnetSubnetID": subnet,
                "count": cluster.nodes,
                "enableAutoScaling": true,
                "minCount": cluster.nodes_min,
                "maxCount": cluster.nodes_max,
                "maxPods": PODS_PER_NODE,
            }],
            "networkProfile": {
                "networkPlugin": "azure",
                "serviceCidr": cluster.service_cidr.to_string(),
                "dnsServiceIP": cluster.dns_service_ip.to_string(),
                "loadBalancerSku": "standard",
                "outboundType": "loadBalancer",
            },
        },
    });
    for (pointer, value) in wanted(Required::of(s), &Value::Null) {
        set(&mut body, pointer, value);
    }
    // A policy that lists allowed versions would refuse an empty one.
    if version.is_empty() {
        let properties = &mut body["properties"];
        for (object, field) in [("/agentPoolProfiles/0", "orchestratorVersion"), ("", "kubernetesVersion")] {
            if let Some(object) = properties.pointer_mut(object).and_then(Value::as_object_mut) {
                object.remove(field);
            }
        }
    }
    body
}

/// Returns the tags of an owned cluster, with the ownership tag.
pub(crate) fn owned_tags(s: &Settings, subscription: &str) -> Tags {
    let mut tags = s.tags.clone();
    tags.insert(names::OWNER.to_owned(), names::mark(s, subscription));
    tags
}

/// Returns the existing body with minimal changes: unknown fields are preserved.
pub(crate) fn update_body(mut body: Value, required: Required) -> Value {
    for (pointer, value) in wanted(required, &body) {
        set(&mut body, pointer, value);
    }
    read_only::without(body, read_only::CLUSTER)
}

/// Lists the required properties that differ in an existing cluster.
pub(crate) fn differences(body: &Value, required: Required) -> Vec<Change> {
    let lacks = |(pointer, wanted): (&str, Value)| {
        let is = body.pointer(pointer).cloned().unwrap_or(Value::Null);
        (is != wanted).then_some(Change { field: field_of(pointer), is, wanted })
    };
    wanted(required, body).into_iter().filter_map(lacks).collect()
}

/// Returns whether a difference concerns a property without which no gateway serves HTTPS.
pub(crate) fn is_required(change: &Change) -> bool {
    [GATEWAY_API, ISTIO, SECRETS_PROVIDER, ISSUER, OPERATOR]
        .iter()
        .any(|pointer| field_of(pointer) == change.field)
}

fn field_of(pointer: &str) -> String {
    pointer.trim_start_matches("/properties/").replace('/', ".")
}

/// Returns the reason why a cluster of this name is foreign; `None` if it is usable.
pub(crate) fn ownership_conflict(body: &Value, subnet: &str) -> Option<String> {
    let pools = body["properties"]["agentPoolProfiles"].as_array().cloned().unwrap_or_default();
    let name = body["name"].as_str().unwrap_or_default();
    let in_subnet =
        |pool: &Value| pool["vnetSubnetID"].as_str().is_some_and(|is| is.eq_ignore_ascii_case(subnet));
    if !pools.is_empty() && !pools.iter().any(in_subnet) {
        let is = pools[0]["vnetSubnetID"].as_str().unwrap_or("a network that AKS manages");
        return Some(format!("cluster {name} has its nodes in {is}, but {subnet} is required"));
    }
    let plugin = body["properties"]["networkProfile"]["networkPlugin"].as_str().unwrap_or("azure");
    if !plugin.eq_ignore_ascii_case("azure") {
        return Some(format!(
            "cluster {name} has network plugin {plugin}, which cannot change, but azure is required; set \
             cluster.name to another name"
        ));
    }
    None
}

/// Returns the error for a stopped cluster, with the command that starts it.
pub(crate) fn stopped(group: &str, name: &str) -> StepError {
    StepError::new(Kind::Refused, format!("use cluster {name}"))
        .code("ClusterStopped")
        .cause("the cluster is stopped")
        .hint(format!("start it, then run again: az aks start -g {group} -n {name}"))
        .leftover(Leftover::Nothing)
}

/// Adds the remedy to a timeout of a wait for the cluster. Landfall itself never aborts an operation.
/// <https://learn.microsoft.com/azure/aks/manage-abort-operations>
pub(crate) fn with_timeout_hint(error: StepError, id: &str, group: &str, name: &str) -> StepError {
    if error.kind != Kind::TimedOut {
        return error;
    }
    error.hint(format!(
        "run the same command again to resume the wait. To abort the operation in Azure, POST {id}/abort (az \
         aks operation-abort -g {group} -n {name}); the next run then repairs the cluster"
    ))
}

/// Returns the precondition that the cluster is unchanged since it was read. AKS spells the ETag field
/// differently.
pub(crate) fn unchanged(body: &Value) -> Condition {
    let etag = body["eTag"].as_str().or_else(|| body["etag"].as_str());
    etag.map_or(Condition::None, |etag| Condition::IfMatch(etag.to_owned()))
}

/// Returns the cause of a cluster's last failure.
pub(crate) fn reason(body: &Value, state: &str) -> String {
    let error = &body["properties"]["status"]["provisioningError"];
    match error["message"].as_str() {
        Some(message) => format!("the cluster is {state}: {message}"),
        None => format!("the cluster is {state}"),
    }
}

/// Returns the code of a cluster's last failure, `AllocationFailed`.
pub(crate) fn failure_code(body: &Value) -> Option<&str> {
    body["properties"]["status"]["provisioningError"]["code"].as_str()
}

/// Returns the preview flag that an error names: "… since feature 'Microsoft.ContainerService/X' is not
/// enabled".
pub(crate) fn required_preview_flag(error: &ApiError) -> Option<String> {
    if !error.code.as_deref().is_some_and(|code| code.contains("Feature"))
        && !error.message.contains("is not enabled")
    {
        return None;
    }
    let (_, after) = error.message.split_once("feature '")?;
    let (flag, _) = after.split_once('\'')?;
    flag.contains('/').then(|| flag.to_owned())
}

/// Returns az's default, so that both tools agree on the same cluster.
fn dns_prefix(s: &Settings, subscription: &str) -> String {
    let plain = |text: &str, at_most: usize| {
        text.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').take(at_most).collect::<String>()
    };
    let prefix =
        format!("{}-{}-{}", plain(&s.cluster.name, 10), plain(&s.resource_group, 16), plain(subscription, 6));
    if prefix.starts_with(|c: char| c.is_ascii_alphabetic()) { prefix } else { format!("a{prefix}") }
}

/// Sets a value at a JSON pointer, and creates the objects on the path.
fn set(body: &mut Value, pointer: &str, value: Value) {
    let mut at = body;
    for key in pointer.trim_start_matches('/').split('/') {
        if !at.is_object() {
            *at = json!({});
        }
        at = &mut at[key];
    }
    *at = value;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::tests::settings;

    #[test]
    fn a_new_cluster_has_the_disks_of_az() {
        let body = create_body(&settings(), "1.36", "/subnet", "s");
        assert_eq!(body["properties"]["agentPoolProfiles"][0]["osDiskType"], "Managed");
    }

    #[test]
    fn a_version_that_is_not_known_yet_is_left_out() {
        let body = create_body(&settings(), "", "/subnet", "s");
        assert!(!body.to_string().contains("Version"), "{body}");
        let body = create_body(&settings(), "1.36", "/subnet", "s");
        assert_eq!(body["properties"]["agentPoolProfiles"][0]["orchestratorVersion"], "1.36");
        assert_eq!(body["properties"]["kubernetesVersion"], "1.36");
    }

    #[test]
    fn an_update_preserves_unknown_fields() {
        let existing = json!({
            "properties": {
                "provisioningState": "Failed",
                "ingressProfile": { "webAppRouting": { "dnsZoneResourceIds": ["z"] } },
                "somethingNew": { "a": 1 },
            },
        });
        let body = update_body(existing, Required::default());
        assert_eq!(body["properties"]["somethingNew"], json!({ "a": 1 }));
        assert_eq!(body["properties"]["ingressProfile"]["webAppRouting"]["dnsZoneResourceIds"], json!(["z"]));
        assert!(differences(&body, Required::default()).is_empty());
        assert!(body["properties"].get("provisioningState").is_none());
    }

    #[test]
    fn an_update_sends_no_value_that_the_service_issued() {
        let existing = json!({
            "id": "/c", "eTag": "1", "tags": { "a": "b" },
            "properties": { "fqdn": "c.example.com", "resourceUID": "u", "agentPoolProfiles": [{ "name": "np", "eTag": "2" }] },
        });
        let body = update_body(existing, Required::default());
        assert_eq!(body["tags"]["a"], "b");
        assert_eq!(body["properties"]["agentPoolProfiles"], json!([{ "name": "np" }]));
        for issued in ["fqdn", "resourceUID"] {
            assert!(body["properties"].get(issued).is_none(), "{issued}");
        }
        assert!(body.get("eTag").is_none(), "the precondition is in the header");
    }

    #[test]
    fn only_a_timeout_gets_the_hint_to_abort_the_operation() {
        let timed_out = with_timeout_hint(
            StepError::new(Kind::TimedOut, "wait: Updating after 3600 s"),
            "/s/c",
            "g",
            "c",
        );
        let hint = timed_out.hint.unwrap();
        assert!(hint.contains("POST /s/c/abort") && hint.contains("operation-abort -g g -n c"), "{hint}");
        assert_eq!(with_timeout_hint(StepError::new(Kind::Failed, "wait"), "/s/c", "g", "c").hint, None);
    }

    #[test]
    fn a_stopped_cluster_is_not_foreign_and_its_error_names_the_start_command() {
        let body = json!({ "name": "c", "properties": { "powerState": { "code": "Stopped" } } });
        assert!(is_stopped(&body) && ownership_conflict(&body, "/subnet").is_none());
        assert!(stopped("g", "c").hint.unwrap().contains("az aks start -g g -n c"));
    }

    #[test]
    fn an_identity_of_the_workload_needs_the_issuer() {
        let body = update_body(json!({ "properties": {} }), Required::default());
        let required = Required { identity: true, ..Required::default() };
        let changes = differences(&body, required);
        assert_eq!(changes.iter().filter(|change| enables_issuer(change)).count(), 1);
        assert_eq!(changes[1].field, "securityProfile.workloadIdentity.enabled");
        assert!(differences(&update_body(body, required), required).is_empty());
    }

    #[test]
    fn the_operator_comes_without_nginx_unless_the_cluster_has_it_already() {
        let required = Required { operator: true, ..Required::default() };
        let body = update_body(json!({ "properties": {} }), required);
        assert_eq!(body.pointer(NGINX), Some(&json!("None")));
        let mut found = body.clone();
        set(&mut found, NGINX, json!("AnnotationControlled"));
        assert!(differences(&found, required).is_empty());
        assert_eq!(update_body(found, required).pointer(NGINX), Some(&json!("AnnotationControlled")));
    }

    #[test]
    fn a_disabled_add_on_is_reported_as_drift() {
        let mut body = update_body(json!({ "properties": {} }), Required::default());
        set(&mut body, SECRETS_PROVIDER, json!(false));
        let changes = differences(&body, Required::default());
        assert_eq!(changes.len(), 1);
        assert_eq!(changes[0].field, "addonProfiles.azureKeyvaultSecretsProvider.enabled");
    }
}
