//! Drift of an existing owned cluster from the settings: the changes in place, and the immutable fields.
//!
//! A cluster that landfall did not create keeps its owner's tags, pools and sizes.

use crate::{
    resource_group::{missing_tags, tags_of},
    settings::Settings,
};
use landfall_engine::{Change, Kind, Leftover, StepError};
use serde_json::{Value, json};

/// The node pool of every owned cluster.
pub(crate) const POOL: &str = "nodepool1";

/// Lists the drift that can be corrected in place: tags, and the autoscaler's bounds.
pub(crate) fn differences(body: &Value, s: &Settings) -> Vec<Change> {
    let mut changes = missing_tags(body, &s.tags);
    if let Some(pool) = pool(body) {
        let lacks = |(field, wanted): (&str, Value)| {
            let is = pool[field].clone();
            (is != wanted).then(|| Change { field: format!("agentPoolProfiles.{POOL}.{field}"), is, wanted })
        };
        changes.extend(bounds(s).into_iter().filter_map(lacks));
    }
    changes
}

/// Returns the body with the drift corrected; additions by others are preserved.
pub(crate) fn correct_drift(mut body: Value, s: &Settings) -> Value {
    let mut tags = tags_of(&body);
    tags.extend(s.tags.clone());
    body["tags"] = json!(tags);
    let pools = body["properties"]["agentPoolProfiles"].as_array_mut();
    if let Some(pool) = pools.into_iter().flatten().find(|pool| pool["name"] == POOL) {
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

fn pool(body: &Value) -> Option<&Value> {
    body["properties"]["agentPoolProfiles"].as_array()?.iter().find(|pool| pool["name"] == POOL)
}

/// Refuses settings that AKS cannot change in an existing cluster.
/// <https://learn.microsoft.com/azure/aks/update-credentials> names none of them: they are fixed at creation.
pub(crate) fn check_immutable(body: &Value, s: &Settings) -> Result<(), StepError> {
    let properties = &body["properties"];
    let pool = pool(body).unwrap_or(&Value::Null);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let cluster = &s.cluster;
    let version = text(&properties["currentKubernetesVersion"]);
    let fixed = [
        ("node_resource_group", text(&properties["nodeResourceGroup"]), s.node_resource_group.clone()),
        ("cluster.node_size", text(&pool["vmSize"]), cluster.node_size.clone()),
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
    if let Some(wanted) = cluster.version.as_ref().filter(|wanted| !satisfies(&version, wanted)) {
        refused.push(format!("the cluster runs Kubernetes {version}, but the settings have {wanted}"));
        hint = format!(
            "set cluster.version back, or upgrade it yourself, one minor version at a time: az aks upgrade -g {} -n {} \
             --kubernetes-version {wanted}",
            s.resource_group, cluster.name
        );
    }
    if refused.is_empty() {
        return Ok(());
    }
    let error = StepError::new(Kind::Input, format!("update cluster {}", cluster.name));
    Err(refused.into_iter().fold(error, StepError::cause).hint(hint).leftover(Leftover::Nothing))
}

/// Returns whether a version satisfies the setting. A minor version matches all its patches, and a later
/// patch satisfies an earlier one.
fn satisfies(version: &str, wanted: &str) -> bool {
    let numbers = |text: &str| text.split('.').map(|part| part.parse().unwrap_or(0)).collect::<Vec<u32>>();
    let (is, wanted) = (numbers(version), numbers(wanted));
    version.is_empty()
        || (is.len() >= 2 && wanted.len() >= 2 && is[..2] == wanted[..2] && is[2..] >= wanted[2..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minor_version_matches_its_patches_and_a_later_patch_satisfies_an_earlier_one() {
        assert!(satisfies("1.37.2", "1.37") && satisfies("1.37.2", "1.37.1") && satisfies("", "1.37"));
        assert!(
            !satisfies("1.36.9", "1.37") && !satisfies("1.37.1", "1.37.2") && !satisfies("1.38.0", "1.37")
        );
    }
}
