//! What the settings say of a cluster of ours that is there: what can be changed in place, and what never can.
//!
//! A cluster that was only found keeps its owner's tags, pools and sizes.

use crate::{
    resource_group::{missing_tags, tags_of},
    settings::Settings,
};
use landfall_engine::{Change, Kind, Residue, StepError};
use serde_json::{Value, json};

/// The pool that every cluster of ours is made with.
pub(crate) const POOL: &str = "nodepool1";

/// Lists what is not as the settings say and can be changed in place: tags, and the autoscaler's bounds.
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

/// Changes the body so that it is as the settings say; what others have added stays.
pub(crate) fn settle(mut body: Value, s: &Settings) -> Value {
    let mut tags = tags_of(&body);
    tags.extend(s.tags.clone());
    body["tags"] = json!(tags);
    let pools = body["properties"]["agentPoolProfiles"].as_array_mut();
    if let Some(pool) = pools.into_iter().flatten().find(|pool| pool["name"] == POOL) {
        for (field, wanted) in bounds(s) {
            pool[field] = wanted;
        }
        // The autoscaler moves the count within its bounds, and a count outside of them is refused.
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

/// Refuses what the settings say and AKS cannot change in a cluster that is there.
/// <https://learn.microsoft.com/azure/aks/update-credentials> names none of them: they are fixed at creation.
pub(crate) fn refused(body: &Value, s: &Settings) -> Result<(), StepError> {
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
            format!("{setting} is {is} for as long as the cluster lives, and {wanted} is wanted")
        })
        .collect();
    let mut hint = "set it back, or take the environment down and bring it up again".to_owned();
    if let Some(wanted) = cluster.version.as_ref().filter(|wanted| !runs(&version, wanted)) {
        refused.push(format!("the cluster runs Kubernetes {version}, and {wanted} is wanted"));
        hint = format!(
            "set cluster.version back, or upgrade it yourself, one minor version at a time: az aks upgrade -g {} -n {} \
             --kubernetes-version {wanted}",
            s.resource_group, cluster.name
        );
    }
    if refused.is_empty() {
        return Ok(());
    }
    let error = StepError::new(Kind::Input, format!("change cluster {}", cluster.name));
    Err(refused.into_iter().fold(error, StepError::cause).hint(hint).residue(Residue::Nothing))
}

/// Tells whether a cluster of this version is as wished: a minor version stands for all its patches, and a patch that
/// the service has moved on from is no wish to go back.
fn runs(version: &str, wanted: &str) -> bool {
    let numbers = |text: &str| text.split('.').map(|part| part.parse().unwrap_or(0)).collect::<Vec<u32>>();
    let (is, wanted) = (numbers(version), numbers(wanted));
    version.is_empty()
        || (is.len() >= 2 && wanted.len() >= 2 && is[..2] == wanted[..2] && is[2..] >= wanted[2..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minor_version_stands_for_its_patches_and_a_later_patch_does_too() {
        assert!(runs("1.37.2", "1.37") && runs("1.37.2", "1.37.1") && runs("", "1.37"));
        assert!(!runs("1.36.9", "1.37") && !runs("1.37.1", "1.37.2") && !runs("1.38.0", "1.37"));
    }
}
