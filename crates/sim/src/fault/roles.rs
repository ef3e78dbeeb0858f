//! Faults of role assignments: late effect, unknown principals, and existing assignments.

use serde_json::Value;

use super::delay;
use super::row::{Injection, Kind, RequestContext, Row};
use super::variants::Fault;
use crate::arm::roles;
use crate::delays::DelaySubject;
use crate::request::Reply;
use crate::state::CloudState;

const fn row(
    fault: Fault,
    name: &'static str,
    kind: Kind,
    what: &'static str,
    client: &'static str,
    injection: Injection,
) -> Row {
    Row { fault, name, kind, method: "PUT", path: "/roleassignments/", what, client, heals: true, injection }
}

/// The rows of this topic.
pub(super) const ROWS: &[Row] = &[
    row(
        Fault::GrantsLate,
        "grants-late",
        Kind::StateChange,
        "the assignment takes effect 300 s of cloud time later than usual; until then the data plane returns \
         403 `ForbiddenByRbac`",
        "repeats what was refused for as long as propagation may take",
        Injection::After(grants_late),
    ),
    row(
        Fault::PrincipalNotFound,
        "principal-not-found",
        Kind::Refusal,
        "400 `PrincipalNotFound`, for every `principalType`",
        "retries while the directory replicates, and sends `principalType`",
        Injection::Respond(principal_not_found),
    ),
    row(
        Fault::RoleExists,
        "role-exists",
        Kind::StateChange,
        "another client has created the same assignment under another name: 409 `RoleAssignmentExists`",
        "finds the triple in the list, and takes it for granted but not for its own",
        Injection::Before(role_exists),
    ),
];

fn grants_late(state: &mut CloudState, context: &RequestContext<'_>, reply: &mut Reply) -> bool {
    let Some(name) = context.after("roleAssignments").filter(|_| reply.status == 201) else { return false };
    let key = name.to_ascii_lowercase();
    let Some(regular_time) = state.roles.assignments.get(&key).map(|assignment| assignment.effective) else {
        return false;
    };
    let from =
        state.delays.hold(DelaySubject::Grant(key.clone()), delay::GRANT, regular_time, context.timing);
    if let Some(assignment) = state.roles.assignments.get_mut(&key) {
        assignment.effective = from;
    }
    true
}

fn principal_not_found(state: &mut CloudState, context: &RequestContext<'_>) -> Option<Reply> {
    let body = context.request.json::<Value>().ok()?;
    let principal = body["properties"]["principalId"].as_str()?;
    Some(roles::assignments::principal_not_found(principal, &state.directory.tenant).into_reply())
}

fn role_exists(state: &mut CloudState, context: &RequestContext<'_>) -> bool {
    let id = context.id();
    let at = id.to_ascii_lowercase().find("/providers/microsoft.authorization/roleassignments/");
    let (Some(at), Ok(body)) = (at, context.request.json::<Value>()) else { return false };
    let scope = if at == 0 { "/" } else { &id[..at] };
    roles::test_hooks::create_competing(state, scope, &body, context.now, context.timing)
}

#[cfg(test)]
mod tests {
    use super::super::fixture::arm;
    use super::*;
    use crate::clock::{Speed, Timing};
    use crate::test_cloud::{TestCloud, code};
    use http::Method;
    use serde_json::json;

    const OFFICER: &str = "a4417e6f-fecd-4de8-b567-7b0420556985";
    const ONE: &str = "5b0a1c1e-7f0e-4c7b-8a4f-3c5d0e7d9a01";

    fn grant(cloud: &mut TestCloud) -> Reply {
        let scope = "Microsoft.KeyVault/vaults/kv-demo/providers/Microsoft.Authorization/roleAssignments";
        let at = cloud.in_group(&format!("{scope}/{ONE}?api-version=2022-04-01"));
        let principal = cloud.state.directory.owner().object_id.clone();
        let body = json!({ "properties": {
            "roleDefinitionId": format!("/providers/Microsoft.Authorization/roleDefinitions/{OFFICER}"),
            "principalId": principal, "principalType": "ServicePrincipal",
        } });
        cloud.put(&at, &body)
    }

    fn read(cloud: &mut TestCloud) -> u16 {
        cloud.vault("kv-demo", Method::GET, "/certificates/c?api-version=7.4", None).status.as_u16()
    }

    #[test]
    fn a_late_grant_counts_minutes_after_a_usual_one() {
        let mut cloud = TestCloud::new();
        cloud.make_vault("kv-demo");
        arm(&mut cloud, "grants-late");
        assert_eq!(grant(&mut cloud).status, 201);
        cloud.advance(359.0);
        let refused = cloud.vault("kv-demo", Method::GET, "/certificates/c?api-version=7.4", None);
        assert_eq!((refused.status.as_u16(), code(&refused).as_str()), (403, "Forbidden"));
        assert_eq!(refused.value()["error"]["innererror"]["code"], "ForbiddenByRbac");
        cloud.advance(1.0);
        assert_eq!(read(&mut cloud), 404);
    }

    #[test]
    fn at_instant_speed_a_late_grant_counts_after_three_refusals_or_a_second() {
        for waits in [false, true] {
            let mut cloud = TestCloud::new();
            cloud.make_vault("kv-demo");
            cloud.timing = Timing::new(Speed::Instant);
            arm(&mut cloud, "grants-late");
            assert_eq!(grant(&mut cloud).status, 201);
            if waits {
                cloud.now = cloud.now.plus_ms(1_000);
            } else {
                assert_eq!([read(&mut cloud), read(&mut cloud), read(&mut cloud)], [403, 403, 403]);
            }
            assert_eq!(read(&mut cloud), 404, "{waits}");
        }
    }

    #[test]
    fn the_directory_may_not_know_a_principal_whatever_its_type() {
        let mut cloud = TestCloud::new();
        cloud.make_vault("kv-demo");
        arm(&mut cloud, "principal-not-found");
        let reply = grant(&mut cloud);
        assert_eq!((reply.status.as_u16(), code(&reply).as_str()), (400, "PrincipalNotFound"));
        let why = reply.value()["error"]["message"].to_string();
        assert!(why.contains("does not exist in the directory"), "{why}");
        assert_eq!(grant(&mut cloud).status, 201);
    }

    #[test]
    fn the_assignment_can_exist_under_another_name() {
        let mut cloud = TestCloud::new();
        cloud.make_vault("kv-demo");
        arm(&mut cloud, "role-exists");
        let reply = grant(&mut cloud);
        assert_eq!((reply.status.as_u16(), code(&reply).as_str()), (409, "RoleAssignmentExists"));
        let at = cloud.in_group("Microsoft.KeyVault/vaults/kv-demo/providers/Microsoft.Authorization/roleAssignments?api-version=2022-04-01&$filter=atScope()");
        let listed = cloud.get(&at).value();
        let listed = listed["value"].as_array().unwrap();
        let competing: Vec<_> = listed
            .iter()
            .filter(|one| one["properties"]["roleDefinitionId"].as_str().unwrap().ends_with(OFFICER))
            .collect();
        assert_eq!(competing.len(), 1);
        assert_ne!(competing[0]["name"], ONE);
        cloud.advance(61.0);
        assert_eq!(read(&mut cloud), 404, "theirs counts as ours would");
    }
}
