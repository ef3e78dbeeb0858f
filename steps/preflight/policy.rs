//! Check that no policy denies the resources, as far as Azure can evaluate policies in advance.

use super::{Concern, finding::Finding, remembered::Remembered};
use crate::{cluster_body, names, settings::Settings};
use futures::future::try_join_all;
use landfall_cloud::{
    ApiError,
    arm::{Azure, Denial},
};
use serde_json::{Value, json};

/// A desired resource, in the form that policies evaluate.
struct Subject {
    /// Its kind as display text.
    words: &'static str,
    kind: &'static str,
    name: String,
    body: Value,
    is_cluster: bool,
}

/// A policy's denial of a resource.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Denied {
    what: String,
    denial: Denial,
    is_cluster: bool,
}

/// Evaluates the policies for every resource that does not exist yet. The scope is the group if it exists,
/// else the subscription.
pub(super) async fn ask(
    azure: &Azure,
    s: &Settings,
    remembered: &Remembered,
) -> Result<Vec<Denied>, ApiError> {
    let there = remembered.group || azure.group(&s.resource_group).await?.is_some();
    let group = there.then_some(s.resource_group.as_str());
    let asked = subjects(azure, s, remembered, there).into_iter().map(|subject| async move {
        let denials = azure.policy_denials(group, subject.kind, &subject.name, &subject.body).await?;
        let denied = |denial| Denied {
            what: format!("{} {}", subject.words, subject.name),
            denial,
            is_cluster: subject.is_cluster,
        };
        Ok::<_, ApiError>(denials.into_iter().map(denied).collect::<Vec<_>>())
    });
    Ok(try_join_all(asked).await?.into_iter().flatten().collect())
}

fn subjects(azure: &Azure, s: &Settings, remembered: &Remembered, group_is_there: bool) -> Vec<Subject> {
    let mut marked = s.tags.clone();
    marked.insert(names::OWNER.to_owned(), names::mark(s, azure.id()));
    let subject = |words, kind, name: &str, body: Value| Subject {
        words,
        kind,
        name: name.to_owned(),
        body,
        is_cluster: words == "cluster",
    };
    let subnet =
        format!("{}/subnets/{}", azure.network_id(&s.resource_group, &s.network.name), s.network.subnet);
    let group = subject(
        "resource group",
        "Microsoft.Resources/subscriptions/resourceGroups",
        &s.resource_group,
        json!({ "location": s.location, "tags": s.tags }),
    );
    let network = subject(
        "virtual network",
        "Microsoft.Network/virtualNetworks",
        &s.network.name,
        json!({ "location": s.location, "tags": marked, "properties": {
            "addressSpace": { "addressPrefixes": [s.network.address_space.to_string()] },
        }}),
    );
    let vault = subject(
        "key vault",
        "Microsoft.KeyVault/vaults",
        &names::vault(s, azure.id()),
        json!({ "location": s.location, "tags": marked, "properties": {
            "sku": { "name": "standard", "family": "A" }, "enableRbacAuthorization": true, "enableSoftDelete": true,
            "networkAcls": { "bypass": "AzureServices", "defaultAction": "Allow" },
        }}),
    );
    let version = s.cluster.version.as_deref().unwrap_or_default();
    let body = cluster_body::anew(s, version, &subnet, azure.id());
    let cluster = subject("cluster", "Microsoft.ContainerService/managedClusters", &s.cluster.name, body);
    [
        (group_is_there, group),
        (remembered.network, network),
        (remembered.vault, vault),
        (remembered.cluster, cluster),
    ]
    .into_iter()
    .filter_map(|(is_there, subject)| (!is_there).then_some(subject))
    .collect()
}

/// Returns one finding for each policy, whatever number of resources it denies.
pub(super) fn judge(denied: &[Denied]) -> Vec<Finding> {
    let mut findings: Vec<Finding> = Vec::new();
    let mut told: Vec<&Denial> = Vec::new();
    for one in denied {
        let same =
            |other: &Denial| (&other.assignment, &other.scope) == (&one.denial.assignment, &one.denial.scope);
        if told.iter().any(|other| same(other)) {
            continue;
        }
        told.push(&one.denial);
        let all: Vec<&Denied> = denied.iter().filter(|other| same(&other.denial)).collect();
        findings.push(finding(&one.denial, &all));
    }
    findings
}

fn finding(denial: &Denial, all: &[&Denied]) -> Finding {
    let things: Vec<&str> = all.iter().map(|one| one.what.as_str()).collect();
    let because = match denial.because.as_slice() {
        [] => String::new(),
        reasons => format!(": {}", reasons.join(", ")),
    };
    let finding = Finding::refused(Concern::Policy, format!("create {}", things.join(", ")))
        .code("RequestDisallowedByPolicy")
        .cause(format!("policy {} denies {}{because}", denial.assignment, things.join(", ")))
        .mend(format!("change what the policy names, or ask its owner at {} for an exemption", denial.scope));
    match all.iter().all(|one| one.is_cluster) {
        true => finding.for_a_new_cluster(),
        false => finding,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn denied(what: &str, assignment: &str) -> Denied {
        let denial = Denial {
            assignment: assignment.to_owned(),
            scope: "/subscriptions/s".to_owned(),
            because: vec!["location is eastus".to_owned()],
        };
        Denied { what: what.to_owned(), denial, is_cluster: what.starts_with("cluster") }
    }

    #[test]
    fn a_policy_is_told_once_with_everything_that_it_denies() {
        let findings = judge(&[
            denied("key vault kv", "where"),
            denied("cluster aks", "where"),
            denied("cluster aks", "no-clusters"),
        ]);
        assert_eq!(findings.len(), 2);
        assert_eq!(findings[0].causes, ["policy where denies key vault kv, cluster aks: location is eastus"]);
        assert!(!findings[0].for_a_new_cluster && findings[1].for_a_new_cluster);
    }
}
