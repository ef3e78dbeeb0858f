//! Check that no policy denies the resources, as far as Azure can evaluate policies in advance.

use super::{PreflightCheckId, finding::Finding};
use crate::resource_spec::{MANAGED_CLUSTER, RESOURCE_GROUP, Resources};
use futures::future::try_join_all;
use landfall_cloud::{
    ApiError,
    arm::{Denial, SubscriptionClient},
};
use landfall_engine::Context;

/// A policy's denial of a resource.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Denied {
    what: String,
    denial: Denial,
    is_cluster: bool,
}

/// Evaluates the policies for every resource that does not exist yet. The scope is the group if it exists,
/// else the subscription.
pub(super) async fn query(
    cx: &Context,
    azure: &SubscriptionClient,
    resources: &Resources,
    group: &str,
) -> Result<Vec<Denied>, ApiError> {
    let is_recorded = |resource_type: &str| resources.is_recorded(cx, resource_type);
    let group_exists = is_recorded(RESOURCE_GROUP) || azure.group(group).await?.is_some();
    let scope = group_exists.then_some(group);
    let exists = |kind: &str| if kind == RESOURCE_GROUP { group_exists } else { is_recorded(kind) };
    let subjects = resources.enabled().filter_map(|one| {
        let (subject, kind) = (one.spec.policy.as_ref()?, one.spec.resource_type?);
        (!exists(kind)).then_some((subject, kind, &one.spec.name))
    });
    let requests = subjects.map(|(subject, kind, name)| async move {
        let denials = azure.policy_denials(scope, kind, name, &subject.body).await?;
        let denied = |denial| Denied {
            what: format!("{} {name}", subject.noun),
            denial,
            is_cluster: kind == MANAGED_CLUSTER,
        };
        Ok::<_, ApiError>(denials.into_iter().map(denied).collect::<Vec<_>>())
    });
    Ok(try_join_all(requests).await?.into_iter().flatten().collect())
}

/// Returns one finding for each policy, whatever number of resources it denies.
pub(super) fn evaluate(denied: &[Denied]) -> Vec<Finding> {
    let mut findings: Vec<Finding> = Vec::new();
    let mut reported: Vec<&Denial> = Vec::new();
    for one in denied {
        let same =
            |other: &Denial| (&other.assignment, &other.scope) == (&one.denial.assignment, &one.denial.scope);
        if reported.iter().any(|other| same(other)) {
            continue;
        }
        reported.push(&one.denial);
        let all: Vec<&Denied> = denied.iter().filter(|other| same(&other.denial)).collect();
        findings.push(finding(&one.denial, &all));
    }
    findings
}

fn finding(denial: &Denial, all: &[&Denied]) -> Finding {
    let resources: Vec<&str> = all.iter().map(|one| one.what.as_str()).collect();
    let because = match denial.because.as_slice() {
        [] => String::new(),
        reasons => format!(": {}", reasons.join(", ")),
    };
    let finding = Finding::refused(PreflightCheckId::Policy, format!("create {}", resources.join(", ")))
        .code("RequestDisallowedByPolicy")
        .cause(format!("policy {} denies {}{because}", denial.assignment, resources.join(", ")))
        .fix(format!("change the setting that the policy denies, or ask the owner of the policy at {} for an exemption", denial.scope));
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
    fn a_policy_is_reported_once_with_every_resource_that_it_denies() {
        let findings = evaluate(&[
            denied("key vault kv", "where"),
            denied("cluster aks", "where"),
            denied("cluster aks", "no-clusters"),
        ]);
        assert_eq!(findings.len(), 2);
        assert_eq!(findings[0].causes, ["policy where denies key vault kv, cluster aks: location is eastus"]);
        assert!(!findings[0].for_a_new_cluster && findings[1].for_a_new_cluster);
    }
}
