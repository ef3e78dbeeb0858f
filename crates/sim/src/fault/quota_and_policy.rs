//! Limits on the subscription and on the rights of the caller.

use super::row::{Injection, Kind, RequestContext, Row};
use super::variants::Fault;
use crate::arm::policies::{self, Operator, Policy};
use crate::arm::quota::PUBLIC_ADDRESSES;
use crate::arm::{clusters, roles};
use crate::entra;
use crate::state::CloudState;

/// The limits that the faults set.
const FEW_CORES: u64 = 10;
const FEW_ADDRESSES: u64 = 2;
/// The name of the policy assignment that the fault adds.
const POLICY: &str = "no-clusters";
/// The name of the policy assignment that changes tags.
const MODIFY_POLICY: &str = "environment-tag";

const fn row(
    fault: Fault,
    name: &'static str,
    place: (&'static str, &'static str),
    texts: (&'static str, &'static str),
    injection: fn(&mut CloudState, &RequestContext<'_>) -> bool,
) -> Row {
    let ((method, path), (what, client)) = (place, texts);
    Row {
        fault,
        name,
        kind: Kind::StateChange,
        method,
        path,
        what,
        client,
        heals: false,
        injection: Injection::Before(injection),
    }
}

/// The rows of this topic.
pub(super) const ROWS: &[Row] = &[
    row(
        Fault::CoresFew,
        "cores-few",
        ("", "/microsoft.compute/locations/"),
        (
            "the subscription may use 10 cores of each family in the region: a cluster that needs more gets 400 `ErrCode_InsufficientVCPUQuota`",
            "checks the usage first, and reports how many nodes fit",
        ),
        |state, context| limited(state, context, clusters::compute::limit_families, FEW_CORES),
    ),
    row(
        Fault::AddressesFew,
        "addresses-few",
        ("", "/microsoft.network/locations/"),
        (
            "the subscription may have 2 public addresses in the region: the load balancer of the last gateway gets `PublicIPCountLimitReached`",
            "checks the usage first, and reports how many addresses are needed",
        ),
        |state, context| {
            limited(
                state,
                context,
                |state, at, most| state.limits.set(at, PUBLIC_ADDRESSES, most),
                FEW_ADDRESSES,
            )
        },
    ),
    row(
        Fault::SizeWithheld,
        "size-withheld",
        ("", "/microsoft.compute/skus"),
        (
            "the subscription may not have machines of `Standard_D4s_v5` anywhere: 400 `VMSizeNotSupported`, and a restriction in the list of SKUs",
            "checks the SKUs first, and names available sizes",
        ),
        withheld,
    ),
    row(
        Fault::PolicyDenies,
        "policy-denies",
        ("", "/checkpolicyrestrictions"),
        (
            "a policy of the subscription denies clusters: 403 `RequestDisallowedByPolicy`",
            "checks the policies first, and names the one that denies",
        ),
        policy,
    ),
    Row {
        heals: true,
        ..row(
            Fault::PolicyModifies,
            "policy-modifies",
            ("PUT", "/resourcegroups/"),
            (
                "a policy of the subscription has the effect modify and sets the tag `Environment` of every resource to `Production`",
                "compares the answer with the request, names the policy, and does not write the tag again",
            ),
            |state, _| policies::test_hooks::assign_tag(state, MODIFY_POLICY, "Environment", "Production"),
        )
    },
    row(
        Fault::RoleLost,
        "role-lost",
        ("", "/microsoft.authorization/permissions"),
        (
            "whoever is signed in is Contributor and no longer Owner: 403 `AuthorizationFailed` for role assignments",
            "checks its rights first, and names the roles that may grant",
        ),
        |state, context| {
            let caller = entra::bearer(state, context.request, &state.arm_audience(), context.now);
            caller.is_ok_and(|caller| roles::test_hooks::demote(state, &caller.object_id))
        },
    ),
];

fn limited(
    state: &mut CloudState,
    context: &RequestContext<'_>,
    set: impl FnOnce(&mut CloudState, &str, u64),
    most: u64,
) -> bool {
    context.after("locations").map(|location| set(state, &location, most)).is_some()
}

fn withheld(state: &mut CloudState, _: &RequestContext<'_>) -> bool {
    for location in state.locations.clone() {
        state.limits.withhold(&location, "Standard_D4s_v5");
    }
    true
}

fn policy(state: &mut CloudState, _: &RequestContext<'_>) -> bool {
    if state.policies.0.iter().any(|policy| policy.name == POLICY) {
        return false;
    }
    state.policies.0.push(Policy {
        name: POLICY.to_owned(),
        group: String::new(),
        field: "type".to_owned(),
        operator: Operator::In,
        values: vec!["Microsoft.ContainerService/managedClusters".to_owned()],
    });
    true
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{arm, put_cluster};
    use crate::test_cloud::{TestCloud, code};
    use http::Method;
    use serde_json::json;

    fn list_answer(cloud: &mut TestCloud, path: &str) -> serde_json::Value {
        let path = cloud.path(&format!("/providers/{path}"));
        cloud.get(&path).value()
    }

    #[test]
    fn limits_in_lists_match_those_of_writes() {
        let mut cloud = TestCloud::new();
        arm(&mut cloud, "size-withheld");
        let skus = list_answer(&mut cloud, "Microsoft.Compute/skus?api-version=2021-07-01");
        let restricted = |sku: &&serde_json::Value| sku["restrictions"][0]["reasonCode"].is_string();
        let withheld = skus["value"].as_array().unwrap().iter().filter(restricted);
        assert!(withheld.clone().count() > 0 && withheld.clone().all(|sku| sku["name"] == "Standard_D4s_v5"));
        assert_eq!(code(&put_cluster(&mut cloud)), "VMSizeNotSupported");

        let mut cloud = TestCloud::new();
        arm(&mut cloud, "policy-denies");
        let check =
            cloud.path("/providers/Microsoft.PolicyInsights/checkPolicyRestrictions?api-version=2024-10-01");
        let content = json!({ "type": "Microsoft.ContainerService/managedClusters" });
        let request = cloud
            .request(Method::POST, &check)
            .with_json(&json!({ "resourceDetails": { "resourceContent": content } }));
        let reply = cloud.send(&request).value();
        assert_eq!(
            reply["contentEvaluationResult"]["policyEvaluations"][0]["evaluationResult"],
            "NonCompliant"
        );
        assert_eq!(code(&put_cluster(&mut cloud)), "RequestDisallowedByPolicy");
    }

    #[test]
    fn an_owner_who_is_a_contributor_now_grants_nothing_any_more() {
        let mut cloud = TestCloud::new();
        arm(&mut cloud, "role-lost");
        let mine = list_answer(&mut cloud, "Microsoft.Authorization/permissions?api-version=2022-04-01");
        assert!(mine["value"][0]["notActions"].to_string().contains("Microsoft.Authorization/*/Write"));
        let grant = cloud.path(
            "/providers/Microsoft.Authorization/roleAssignments/5b0a1c1e-7f0e-4c7b-8a4f-3c5d0e7d9a01?api-version=2022-04-01",
        );
        let refused = cloud.put(&grant, &json!({ "properties": {} }));
        assert_eq!(code(&refused), "AuthorizationFailed");
    }
}
