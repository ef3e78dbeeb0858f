//! Permissions of the caller at a scope (Authorization REST API, permissions).

use serde_json::{Value, json};

use crate::arm::error::ArmError;
use crate::arm::roles::builtin;
use crate::arm::versions::PERMISSIONS as VERSIONS;
use crate::arm::{Call, Route, id, scope};
use crate::request::Reply;
use crate::state::CloudState;

const KIND: &str = "Microsoft.Authorization/permissions";
const ALL: &str = "/{scope*}/providers/Microsoft.Authorization/permissions";

pub(super) fn routes() -> Vec<Route> {
    vec![Route::new("GET", ALL, KIND, VERSIONS, list)]
}

/// Returns one entry for every effective role at the scope, with the actions of its definition.
fn list(state: &mut CloudState, call: &Call<'_>) -> Result<Reply, ArmError> {
    let scope = format!("/{}", call.param("scope"));
    scope::scope_exists(state, &scope)?;
    let counting = state.roles.assignments.values().filter(|assignment| {
        assignment.principal_id.eq_ignore_ascii_case(&call.caller.object_id)
            && assignment.effective <= call.now
            && id::within(&scope, &assignment.scope)
    });
    let value: Vec<Value> = counting
        .filter_map(|assignment| builtin::by_id(&assignment.role))
        .map(|role| {
            json!({
                "actions": role.actions,
                "notActions": role.not_actions,
                "dataActions": role.data_actions,
                "notDataActions": [],
            })
        })
        .collect();
    Ok(Reply::json(200, &json!({ "value": value })))
}

#[cfg(test)]
mod tests {
    use crate::test_cloud::{TestCloud, code};
    use http::Method;
    use serde_json::json;

    const PATH: &str = "/providers/Microsoft.Authorization/permissions?api-version=2022-04-01";
    const READER: &str = "acdd72a7-3385-48ef-bd42-f606fba81ae7";
    const PRINCIPAL: &str = "7d0c4b7e-58c1-4f2a-9c1f-0d6e3a3b8f11";

    #[test]
    fn a_role_counts_where_it_was_given_and_below() {
        let mut cloud = TestCloud::new();
        let visible = crate::clock::SimTime(0);
        cloud.state.directory.add_managed_identity(PRINCIPAL.to_owned(), "c".to_owned(), "m", "/x", visible);
        cloud.grant("/resourceGroups/rg", READER, PRINCIPAL);
        cloud.advance(61.0);
        let (group, whole) = (cloud.path(&format!("/resourceGroups/rg{PATH}")), cloud.path(PATH));
        let request = cloud.request_as(PRINCIPAL, Method::GET, &group);
        assert_eq!(cloud.send(&request).value()["value"][0]["actions"], json!(["*/read"]));
        let request = cloud.request_as(PRINCIPAL, Method::GET, &whole);
        assert_eq!(code(&cloud.send(&request)), "AuthorizationFailed");
        assert_eq!(cloud.get(&whole).value()["value"][0]["actions"], json!(["*"]));
        let missing_group = cloud.path(&format!("/resourceGroups/none{PATH}"));
        assert_eq!(code(&cloud.get(&missing_group)), "ResourceGroupNotFound");
    }
}
