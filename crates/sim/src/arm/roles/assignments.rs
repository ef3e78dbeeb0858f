//! Role assignments (Authorization REST API, roleAssignments): write-once triples of scope, role and
//! principal.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::arm::error::ArmError;
use crate::arm::roles::{Assignment, builtin, definitions};
use crate::arm::{Call, Route, id, scope, versions};
use crate::clock::SimTime;
use crate::durations;
use crate::entra::Principal;
use crate::request::Reply;
use crate::state::CloudState;

const KIND: &str = "Microsoft.Authorization/roleAssignments";
const ALL: &str = "/{scope*}/providers/Microsoft.Authorization/roleAssignments";
const ONE: &str = "/{scope*}/providers/Microsoft.Authorization/roleAssignments/{assignment}";

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::new("GET", ALL, KIND, versions::ROLE_ASSIGNMENTS, list),
        Route::new("GET", ONE, KIND, versions::ROLE_ASSIGNMENTS, get),
        Route::new("PUT", ONE, KIND, versions::ROLE_ASSIGNMENTS, put),
        Route::new("DELETE", ONE, KIND, versions::ROLE_ASSIGNMENTS, delete),
    ]
}

/// The validated body of a PUT.
struct AssignmentRequest {
    scope: String,
    role: String,
    principal_id: String,
    principal_type: Option<String>,
    description: Option<String>,
    condition: Option<(String, String)>,
}

impl AssignmentRequest {
    fn read(call: &Call<'_>) -> Result<Self, ArmError> {
        let body = call.body()?;
        let properties = &body["properties"];
        let text = |name: &str| properties[name].as_str().map(str::to_owned);
        let missing = |name: &str| {
            let why = format!(
                "The request to create role assignment is not valid. The property '{name}' is missing."
            );
            ArmError::new(400, "InvalidCreateRoleAssignmentRequest", why)
        };
        let definition = text("roleDefinitionId").ok_or_else(|| missing("roleDefinitionId"))?;
        let principal_id = text("principalId").ok_or_else(|| missing("principalId"))?;
        if Uuid::parse_str(&principal_id).is_err() {
            let why = format!("The Principal ID '{principal_id}' is not valid. Principal ID must be a GUID.");
            return Err(ArmError::new(400, "InvalidPrincipalId", why));
        }
        let role = id::name(&definition).to_ascii_lowercase();
        if builtin::by_id(&role).is_none() {
            return Err(definitions::not_found(&role));
        }
        let scope = format!("/{}", call.param("scope"));
        let version = text("conditionVersion").unwrap_or_else(|| "2.0".to_owned());
        Ok(Self {
            scope,
            role,
            principal_id,
            principal_type: text("principalType"),
            description: text("description"),
            condition: text("condition").map(|condition| (condition, version)),
        })
    }

    fn is_of(&self, assignment: &Assignment) -> bool {
        id::same(&assignment.scope, &self.scope)
            && assignment.role == self.role
            && assignment.principal_id.eq_ignore_ascii_case(&self.principal_id)
    }

    /// Returns the type of the principal, looked up in the directory. As in the service, an unknown principal
    /// passes if the caller declares it as a service principal.
    fn kind_of_principal(&self, state: &CloudState, now: SimTime) -> Result<String, ArmError> {
        let visible = |principal: &&Principal| principal.visible_from <= now;
        let known = state.directory.by_object_id(&self.principal_id).filter(visible);
        match (known, self.principal_type.as_deref()) {
            (Some(known), None) => Ok(known.kind.as_str().to_owned()),
            (Some(known), Some(given)) if given.eq_ignore_ascii_case(known.kind.as_str()) => {
                Ok(known.kind.as_str().to_owned())
            }
            (Some(known), Some(given)) => {
                let why = format!(
                    "The PrincipalId '{}' has type '{}' , which is different from specified PrincipalType '{given}'.",
                    self.principal_id.replace('-', ""),
                    known.kind.as_str()
                );
                Err(ArmError::new(400, "UnmatchedPrincipalType", why))
            }
            (None, Some(given)) if given.eq_ignore_ascii_case("ServicePrincipal") => {
                Ok("ServicePrincipal".to_owned())
            }
            (None, _) => Err(principal_not_found(&self.principal_id, &state.directory.tenant)),
        }
    }
}

pub(crate) fn principal_not_found(principal: &str, tenant: &str) -> ArmError {
    let principal = principal.replace('-', "");
    ArmError::new(
        400,
        "PrincipalNotFound",
        format!(
            "Principal {principal} does not exist in the directory {tenant}. Check that you have the correct principal \
             ID. If you are creating this principal and then immediately assigning a role, this error might be related \
             to a replication delay. In this case, set the role assignment principalType property to a value, such as \
             ServicePrincipal, User, or Group.  See https://aka.ms/docs-principaltype"
        ),
    )
}

fn put(state: &mut CloudState, call: &Call<'_>) -> Result<Reply, ArmError> {
    let name = call.param("assignment").to_owned();
    if Uuid::parse_str(&name).is_err() {
        let why =
            format!("The role assignment ID '{name}' is not valid. The role assignment ID must be a GUID.");
        return Err(ArmError::new(400, "InvalidRoleAssignmentId", why));
    }
    let desired = AssignmentRequest::read(call)?;
    scope::scope_exists(state, &desired.scope)?;
    let principal_type = desired.kind_of_principal(state, call.now)?;
    let key = name.to_ascii_lowercase();
    if let Some(existing) = state.roles.assignments.get_mut(&key) {
        if !desired.is_of(existing) {
            let why = "Tenant ID, application ID, principal ID, and scope are not allowed to be updated.";
            return Err(ArmError::new(400, "RoleAssignmentUpdateNotPermitted", why));
        }
        let is_changed = (desired.description.is_some() && existing.description != desired.description)
            || (desired.condition.is_some() && existing.condition != desired.condition);
        if is_changed {
            existing.description = desired.description.or_else(|| existing.description.take());
            existing.condition = desired.condition.or_else(|| existing.condition.take());
            existing.updated = call.now;
        }
        let existing = existing.clone();
        // The service answers a change like a creation.
        let status = if is_changed { 201 } else { 200 };
        return Ok(Reply::json(status, &body(state, &existing)).with_latency(durations::ROLE_PUT));
    }
    if let Some(same) = state.roles.assignments.values().find(|other| desired.is_of(other)) {
        let existing = same.name.replace('-', "").to_ascii_lowercase();
        let why = format!(
            "The role assignment already exists. The ID of the existing role assignment is {existing}."
        );
        return Err(ArmError::new(409, "RoleAssignmentExists", why));
    }
    let assignment = Assignment {
        name,
        scope: desired.scope,
        role: desired.role,
        principal_id: desired.principal_id,
        principal_type,
        description: desired.description,
        condition: desired.condition,
        created: call.now,
        updated: call.now,
        by: call.caller.object_id.clone(),
        effective: call.timing.after(call.now, durations::ROLE_EFFECT),
    };
    let reply = Reply::json(201, &body(state, &assignment)).with_latency(durations::ROLE_PUT);
    state.roles.assignments.insert(key, assignment);
    Ok(reply)
}

fn get(state: &mut CloudState, call: &Call<'_>) -> Result<Reply, ArmError> {
    match find(state, call) {
        Some(assignment) => Ok(Reply::json(200, &body(state, assignment))),
        None => {
            let why = format!("The role assignment '{}' is not found.", call.param("assignment"));
            Err(ArmError::new(404, "RoleAssignmentNotFound", why))
        }
    }
}

fn delete(state: &mut CloudState, call: &Call<'_>) -> Result<Reply, ArmError> {
    let Some(assignment) = find(state, call).cloned() else { return Ok(Reply::empty(204)) };
    let reply = Reply::json(200, &body(state, &assignment));
    state.roles.assignments.remove(&assignment.name.to_ascii_lowercase());
    Ok(reply)
}

fn find<'a>(state: &'a CloudState, call: &Call<'_>) -> Option<&'a Assignment> {
    let found = state.roles.assignments.get(&call.param("assignment").to_ascii_lowercase())?;
    id::same(&found.scope, call.param("scope")).then_some(found)
}

fn list(state: &mut CloudState, call: &Call<'_>) -> Result<Reply, ArmError> {
    let scope = format!("/{}", call.param("scope"));
    scope::scope_exists(state, &scope)?;
    let filter = Filter::read(call.request.query("$filter").unwrap_or_default())?;
    let fits = |assignment: &&Assignment| {
        let above = id::within(&scope, &assignment.scope);
        let below = id::within(&assignment.scope, &scope);
        (above || (below && !filter.at_scope))
            && filter
                .principal
                .as_ref()
                .is_none_or(|wanted| assignment.principal_id.eq_ignore_ascii_case(wanted))
    };
    let value: Vec<Value> =
        state.roles.assignments.values().filter(fits).map(|found| body(state, found)).collect();
    Ok(Reply::json(200, &json!({ "value": value })))
}

/// The `$filter` of a list.
struct Filter {
    /// True if only assignments at this scope and above match; otherwise those below match as well.
    at_scope: bool,
    principal: Option<String>,
}

impl Filter {
    /// Parses `atScope()`, `principalId eq '…'`, `assignedTo('…')` and `atScope() and assignedTo('…')`. As in
    /// the service, the first two cannot be combined.
    fn read(filter: &str) -> Result<Self, ArmError> {
        let unknown = || {
            let why = "The filter is not supported. Supported filters are 'atScope()', 'principalId eq '{value}'', 'assignedTo('{value}')' or a combination of 'atScope()' and 'assignedTo('{value}')'.";
            ArmError::new(400, "UnsupportedQuery", why)
        };
        let mut read = Self { at_scope: false, principal: None };
        let mut terms = 0;
        let mut compared = false;
        for term in filter.split(" and ").map(str::trim).filter(|term| !term.is_empty()) {
            let lower = term.to_ascii_lowercase();
            terms += 1;
            if lower == "atscope()" {
                read.at_scope = true;
            } else if let Some(value) =
                lower.strip_prefix("assignedto('").and_then(|rest| rest.strip_suffix("')"))
            {
                read.principal = Some(value.to_owned());
            } else if let Some(value) =
                lower.strip_prefix("principalid eq '").and_then(|rest| rest.strip_suffix('\''))
            {
                read.principal = Some(value.to_owned());
                compared = true;
            } else {
                return Err(unknown());
            }
        }
        if compared && terms > 1 { Err(unknown()) } else { Ok(read) }
    }
}

fn body(state: &CloudState, assignment: &Assignment) -> Value {
    let scope = if assignment.scope == "/" { "" } else { assignment.scope.as_str() };
    json!({
        "properties": {
            "roleDefinitionId": builtin::definition_id(&state.subscription, &assignment.role),
            "principalId": assignment.principal_id,
            "principalType": assignment.principal_type,
            "scope": assignment.scope,
            "condition": assignment.condition.as_ref().map(|(condition, _)| condition),
            "conditionVersion": assignment.condition.as_ref().map(|(_, version)| version),
            "createdOn": assignment.created.rfc3339(),
            "updatedOn": assignment.updated.rfc3339(),
            "createdBy": assignment.by,
            "updatedBy": assignment.by,
            "delegatedManagedIdentityResourceId": null,
            "description": assignment.description,
        },
        "id": format!("{scope}/providers/{KIND}/{}", assignment.name),
        "type": KIND,
        "name": assignment.name,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arm::roles::Right;
    use crate::test_cloud::{TestCloud, code};

    const ONE: &str = "5b0a1c1e-7f0e-4c7b-8a4f-3c5d0e7d9a01";
    const TWO: &str = "5b0a1c1e-7f0e-4c7b-8a4f-3c5d0e7d9a02";
    const SECRETS_USER: &str = "4633458b-17de-408a-b874-0445c86b69e6";
    const READ_SECRET: Right<'_> = Right::Data("Microsoft.KeyVault/vaults/secrets/getSecret/action");

    fn at(cloud: &TestCloud, name: &str) -> String {
        cloud.path(&format!("/resourceGroups/rg/providers/Microsoft.Authorization/roleAssignments/{name}?api-version=2022-04-01"))
    }

    fn desired(principal: &str, kind: Option<&str>) -> Value {
        let mut body = json!({ "properties": {
            "roleDefinitionId": format!("/providers/Microsoft.Authorization/roleDefinitions/{SECRETS_USER}"),
            "principalId": principal,
        } });
        if let Some(kind) = kind {
            body["properties"]["principalType"] = json!(kind);
        }
        body
    }

    #[test]
    fn an_assignment_is_written_once_and_found_under_its_own_name_only() {
        let mut cloud = TestCloud::new();
        let user = cloud.state.directory.user().object_id.clone();
        let owner = cloud.state.directory.owner().object_id.clone();
        let (one, two) = (at(&cloud, ONE), at(&cloud, TWO));
        let created = cloud.put(&one, &desired(&user, None));
        assert_eq!(
            (created.status.as_u16(), created.value()["properties"]["principalType"].as_str()),
            (201, Some("User"))
        );
        assert_eq!(
            cloud
                .put(&one.to_uppercase().replace("API-VERSION", "api-version"), &desired(&user, Some("User")))
                .status,
            200
        );
        let again = cloud.put(&two, &desired(&user, Some("User")));
        assert_eq!((again.status.as_u16(), code(&again).as_str()), (409, "RoleAssignmentExists"));
        assert!(again.value()["error"]["message"].to_string().contains(&ONE.replace('-', "")));
        let other = cloud.put(&one, &desired(&owner, None));
        assert_eq!((other.status.as_u16(), code(&other).as_str()), (400, "RoleAssignmentUpdateNotPermitted"));
        assert_eq!(cloud.delete(&one).status, 200);
        assert_eq!(cloud.delete(&one).status, 204);
        assert_eq!(code(&cloud.get(&one)), "RoleAssignmentNotFound");
    }

    #[test]
    fn a_principal_the_directory_does_not_know_yet_passes_only_as_service_principal() {
        let mut cloud = TestCloud::new();
        let fresh = "0f3a8c80-27f3-4b59-8b67-0f5b2a0f0a55";
        let visible = cloud.now.plus_ms(30_000);
        cloud.state.directory.add_managed_identity(fresh.to_owned(), "c".to_owned(), "m", "/x", visible);
        let one = at(&cloud, ONE);
        assert_eq!(code(&cloud.put(&one, &desired(fresh, None))), "PrincipalNotFound");
        assert_eq!(code(&cloud.put(&one, &desired(fresh, Some("User")))), "PrincipalNotFound");
        assert_eq!(cloud.put(&one, &desired(fresh, Some("ServicePrincipal"))).status, 201);
        cloud.advance(30.0);
        assert_eq!(
            code(&cloud.put(&at(&cloud, TWO), &desired(fresh, Some("User")))),
            "UnmatchedPrincipalType"
        );
    }

    #[test]
    fn a_grant_takes_a_minute_to_count_and_lists_know_above_from_below() {
        let mut cloud = TestCloud::new();
        let user = cloud.state.directory.user().object_id.clone();
        let one = at(&cloud, ONE);
        assert_eq!(cloud.put(&one, &desired(&user, None)).status, 201);
        let vault = cloud.in_group("Microsoft.KeyVault/vaults/kv");
        assert!(!cloud.state.allows(&user, READ_SECRET, &vault, cloud.now));
        assert_eq!(crate::arm::roles::grant_due(&cloud.state, cloud.now), Some(cloud.now.plus_ms(60_000)));
        cloud.advance(60.0);
        assert!(cloud.state.allows(&user, READ_SECRET, &vault, cloud.now));

        let list = |cloud: &mut TestCloud, scope: &str, filter: &str| {
            let path = cloud.path(&format!("{scope}/providers/Microsoft.Authorization/roleAssignments?api-version=2022-04-01&$filter={filter}"));
            let reply = cloud.get(&path);
            reply.value()["value"].as_array().map_or(usize::MAX, Vec::len)
        };
        assert_eq!(list(&mut cloud, "/resourceGroups/rg", "atScope()"), 3, "the two owners above count");
        assert_eq!(list(&mut cloud, "", "atScope()"), 2);
        assert_eq!(list(&mut cloud, "", ""), 3, "without a filter what is below counts as well");
        assert_eq!(list(&mut cloud, "", &format!("principalId%20eq%20'{user}'")), 2);
        assert_eq!(
            list(&mut cloud, "/resourceGroups/rg", &format!("atScope()%20and%20assignedTo('{user}')")),
            2
        );
        assert_eq!(
            list(&mut cloud, "", &format!("atScope()%20and%20principalId%20eq%20'{user}'")),
            usize::MAX
        );
    }

    #[test]
    fn a_scope_that_is_not_there_takes_no_assignment() {
        let mut cloud = TestCloud::new();
        let user = cloud.state.directory.user().object_id.clone();
        let path = cloud.in_group(&format!("Microsoft.KeyVault/vaults/none/providers/Microsoft.Authorization/roleAssignments/{ONE}?api-version=2022-04-01"));
        assert_eq!(code(&cloud.put(&path, &desired(&user, None))), "ResourceNotFound");
    }
}
