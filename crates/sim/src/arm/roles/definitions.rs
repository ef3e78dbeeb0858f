//! Role definitions: reading built-in roles (Authorization REST API, roleDefinitions).

use serde_json::{Value, json};

use crate::arm::error::ArmError;
use crate::arm::roles::{BUILTIN, Role, builtin};
use crate::arm::{Call, Route, versions};
use crate::request::Reply;
use crate::state::CloudState;

const KIND: &str = "Microsoft.Authorization/roleDefinitions";
const ALL: &str = "/{scope*}/providers/Microsoft.Authorization/roleDefinitions";
const ONE: &str = "/{scope*}/providers/Microsoft.Authorization/roleDefinitions/{role}";

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::new("GET", ALL, KIND, versions::ROLE_DEFINITIONS, list),
        Route::new("GET", ONE, KIND, versions::ROLE_DEFINITIONS, get),
    ]
}

fn list(state: &mut CloudState, call: &Call<'_>) -> Result<Reply, ArmError> {
    let wanted = Condition::read(call.request.query("$filter").unwrap_or_default())?;
    let fits = |role: &&Role| match &wanted {
        Condition::Any => true,
        Condition::Name(name) => role.name.eq_ignore_ascii_case(name),
        Condition::Kind(kind) => kind.eq_ignore_ascii_case("BuiltInRole"),
    };
    let value: Vec<Value> = BUILTIN.iter().filter(fits).map(|role| role.body(&state.subscription)).collect();
    Ok(Reply::json(200, &json!({ "value": value })))
}

/// The `$filter` of a list.
enum Condition {
    Any,
    Name(String),
    Kind(String),
}

impl Condition {
    /// Parses `roleName eq 'x'` and `type eq 'BuiltInRole'`. Besides `atScopeAndBelow()`, the service
    /// supports no other conditions.
    fn read(filter: &str) -> Result<Self, ArmError> {
        if filter.is_empty() || filter.trim().eq_ignore_ascii_case("atScopeAndBelow()") {
            return Ok(Self::Any);
        }
        let unknown = || {
            let why = format!(
                "The filter '{filter}' is not supported. Supported filters are 'atScopeAndBelow()', 'roleName eq' and 'type eq'."
            );
            ArmError::new(400, "UnsupportedFilter", why)
        };
        let (field, value) = filter.split_once(" eq ").ok_or_else(unknown)?;
        let value =
            value.trim().strip_prefix('\'').and_then(|value| value.strip_suffix('\'')).ok_or_else(unknown)?;
        let value = value.replace("''", "'");
        match field.trim().to_ascii_lowercase().as_str() {
            "rolename" => Ok(Self::Name(value)),
            "type" => Ok(Self::Kind(value)),
            _ => Err(unknown()),
        }
    }
}

fn get(state: &mut CloudState, call: &Call<'_>) -> Result<Reply, ArmError> {
    let requested = call.param("role");
    let role = builtin::by_id(requested).ok_or_else(|| not_found(requested))?;
    Ok(Reply::json(200, &role.body(&state.subscription)))
}

/// Returns the 404 of an unknown role.
pub(super) fn not_found(role: &str) -> ArmError {
    ArmError::new(
        404,
        "RoleDefinitionDoesNotExist",
        format!("The specified role definition with ID '{}' does not exist.", role.replace('-', "")),
    )
}

#[cfg(test)]
mod tests {
    use crate::test_cloud::{TestCloud, code};

    #[test]
    fn a_role_is_found_by_its_name_at_any_scope() {
        let mut cloud = TestCloud::new();
        let path = cloud.path("/resourceGroups/rg/providers/Microsoft.Authorization/roleDefinitions?api-version=2022-05-01-preview&$filter=roleName%20eq%20'Network%20Contributor'");
        let value = cloud.get(&path).value()["value"].clone();
        assert_eq!(value.as_array().unwrap().len(), 1);
        assert_eq!(value[0]["name"], "4d97b98b-1d4f-4787-a291-c67834d212e7");
        assert_eq!(code(&cloud.get(&path.replace("roleName", "colour"))), "UnsupportedFilter");
    }
}
