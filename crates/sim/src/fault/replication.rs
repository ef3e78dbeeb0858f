//! Faults of Resource Manager's replication: a region does not know a new group or parent yet.
//!
//! Source: observed answers (hashicorp/terraform-provider-azurerm#18268, openshift/cloud-credential-operator#878).

use super::row::{Injection, Kind, RequestContext, Row};
use super::variants::Fault;
use crate::arm::error::ArmError;
use crate::arm::groups;
use crate::arm::resource_type::parent_id;
use crate::request::Reply;
use crate::state::CloudState;

/// The rows of this topic.
pub(super) const ROWS: &[Row] = &[
    Row {
        fault: Fault::GroupLate,
        name: "group-late",
        kind: Kind::Refusal,
        method: "PUT",
        path: "/resourcegroups/",
        what: "a region of Resource Manager does not know the group yet: 404 `ResourceGroupNotFound` for a \
               write into the empty group",
        client: "waits up to 300 s, then writes again",
        heals: true,
        injection: Injection::Respond(group_late),
    },
    Row {
        fault: Fault::ParentLate,
        name: "parent-late",
        kind: Kind::Refusal,
        method: "PUT",
        path: "/federatedidentitycredentials/",
        what: "a region of Resource Manager does not know the identity yet: 404 `ParentResourceNotFound`",
        client: "waits up to 300 s, then writes again",
        heals: true,
        injection: Injection::Respond(parent_late),
    },
];

fn group_late(state: &mut CloudState, context: &RequestContext<'_>) -> Option<Reply> {
    context.after("providers")?;
    let group = context.after("resourceGroups").filter(|name| groups::is_empty(state, name))?;
    Some(ArmError::group_not_found(&group).into_reply())
}

fn parent_late(state: &mut CloudState, context: &RequestContext<'_>) -> Option<Reply> {
    let id = context.id();
    let parent = state.tracked.get(parent_id(&id))?;
    Some(ArmError::parent_not_found(parent.name()).into_reply())
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{arm, group, network, network_body};
    use crate::test_cloud::{TestCloud, code};
    use serde_json::json;

    #[test]
    fn a_new_group_is_unknown_to_a_region_and_the_group_itself_is_not() {
        let mut cloud = TestCloud::new();
        arm(&mut cloud, "group-late*2");
        let (at, body) = (network(&cloud), network_body());
        for _ in 0..2 {
            let refused = cloud.put(&at, &body);
            assert_eq!((refused.status.as_u16(), code(&refused).as_str()), (404, "ResourceGroupNotFound"));
        }
        assert_eq!(cloud.put(&group(&cloud, "rg"), &json!({ "location": "eastus" })).status, 200);
        assert_eq!(cloud.put(&at, &body).status, 201);
    }
}
