//! Drift of an existing owned cluster from the settings: the changes in place, and the settings that cannot apply.
//!
//! A cluster that landfall did not create keeps its owner's tags, pools and sizes.

use crate::{
    cluster::{
        body::owned_tags,
        settings_pool::{self, NodePool},
        version_comparison::{self, Relation},
    },
    settings::Settings,
    tags,
};
use landfall_engine::{Change, Kind, Leftover, StepError};
use serde_json::{Value, json};

/// Lists the drift that can be corrected in place: tags, and the autoscaler's bounds. The node count is the
/// autoscaler's own. The ownership tag is no drift: clusters of earlier versions have none, and a write only for a
/// tag would occupy the cluster.
pub(crate) fn differences(body: &Value, s: &Settings, subnet: &str) -> Vec<Change> {
    let mut changes = tags::differences(body, &s.tags);
    if let Some(pool) = NodePool::find(body, subnet).of_settings() {
        let name = pool["name"].as_str().unwrap_or_default();
        let lacks = |(field, wanted): (&str, Value)| {
            let is = pool[field].clone();
            (is != wanted).then(|| Change { field: format!("agentPoolProfiles.{name}.{field}"), is, wanted })
        };
        changes.extend(bounds(s).into_iter().filter_map(lacks));
    }
    changes
}

/// Returns the body with the drift corrected and with the ownership tag; additions by others are preserved.
pub(crate) fn correct_drift(mut body: Value, s: &Settings, subnet: &str, subscription: &str) -> Value {
    body["tags"] = json!(tags::merged(&body, &owned_tags(s, subscription)));
    let Some(name) = NodePool::find(&body, subnet).of_settings().map(|pool| pool["name"].clone()) else {
        return body;
    };
    let pools = body["properties"]["agentPoolProfiles"].as_array_mut();
    if let Some(pool) = pools.into_iter().flatten().find(|pool| pool["name"] == name) {
        for (field, wanted) in bounds(s) {
            pool[field] = wanted;
        }
        // The autoscaler moves the count within its bounds, and AKS rejects a count outside of them.
        if let Some(count) = pool["count"].as_u64() {
            pool["count"] = json!(count.clamp(s.cluster.nodes_min.into(), s.cluster.nodes_max.into()));
        }
    }
    body
}

fn bounds(s: &Settings) -> [(&'static str, Value); 3] {
    [
        ("enableAutoScaling", json!(true)),
        ("minCount", json!(s.cluster.nodes_min)),
        ("maxCount", json!(s.cluster.nodes_max)),
    ]
}

/// Lists the settings that cannot apply to the cluster although it is usable: what another party replaced or
/// upgraded.
pub(crate) fn inapplicable(body: &Value, s: &Settings, subnet: &str) -> Vec<String> {
    let name = &s.cluster.name;
    let mut warnings = settings_pool::inapplicable(body, s, subnet);
    let is = version_comparison::of(body);
    if let Some(wanted) = &s.cluster.version
        && let Relation::Ahead(minor) = version_comparison::compare(is, wanted)
    {
        warnings.push(format!(
            "cluster {name} runs Kubernetes {is}, which is newer than cluster.version = \"{wanted}\", and AKS never \
             goes back: set cluster.version = \"{minor}\""
        ));
    }
    warnings
}

/// Refuses settings that AKS cannot change in an existing cluster.
/// <https://learn.microsoft.com/azure/aks/update-credentials> names none of them: they are fixed at creation.
pub(crate) fn check_immutable(body: &Value, s: &Settings, subnet: &str) -> Result<(), StepError> {
    let properties = &body["properties"];
    // The size of a pool that replaced landfall's own is a warning, not an error.
    let size = match NodePool::find(body, subnet) {
        NodePool::Own(pool) => &pool["vmSize"],
        _ => &Value::Null,
    };
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let cluster = &s.cluster;
    let fixed = [
        ("node_resource_group", text(&properties["nodeResourceGroup"]), s.node_resource_group.clone()),
        ("cluster.node_size", text(size), cluster.node_size.clone()),
        (
            "cluster.service_cidr",
            text(&properties["networkProfile"]["serviceCidr"]),
            cluster.service_cidr.to_string(),
        ),
        (
            "cluster.dns_service_ip",
            text(&properties["networkProfile"]["dnsServiceIP"]),
            cluster.dns_service_ip.to_string(),
        ),
    ];
    let differs =
        |(_, is, wanted): &&(&str, String, String)| !is.is_empty() && !is.eq_ignore_ascii_case(wanted);
    let mut refused: Vec<String> = fixed
        .iter()
        .filter(differs)
        .map(|(setting, is, wanted)| {
            format!(
                "{setting} is {is} and cannot change on an existing cluster, but the settings have {wanted}"
            )
        })
        .collect();
    let mut hint =
        "set it back, or delete the environment and create it again (landfall down, landfall up)".to_owned();
    let is = version_comparison::of(body);
    if let Some(wanted) = &cluster.version
        && let Relation::Behind(next) = version_comparison::compare(is, wanted)
    {
        refused.push(format!("the cluster runs Kubernetes {is}, but the settings have {wanted}"));
        let further = if next == *wanted { "" } else { ", and so on, one minor version at a time" };
        hint = format!(
            "set cluster.version back, or upgrade it yourself: az aks upgrade -g {} -n {} --kubernetes-version \
             {next}{further}",
            s.resource_group, cluster.name
        );
    }
    if refused.is_empty() {
        return Ok(());
    }
    let error = StepError::new(Kind::Input, format!("update cluster {}", cluster.name));
    Err(refused.into_iter().fold(error, StepError::cause).hint(hint).leftover(Leftover::Nothing))
}
