//! Role assignments that come late, meet an unknown principal, or are there already.

use serde_json::Value;

use super::around::{Bite, Scene};
use super::lag::{self, Held};
use super::{Fault, Kind, Row};
use crate::arm::roles;
use crate::request::Reply;
use crate::world::World;

const fn row(
    fault: Fault,
    name: &'static str,
    kind: Kind,
    what: &'static str,
    client: &'static str,
    bite: Bite,
) -> Row {
    Row { fault, name, kind, method: "PUT", path: "/roleassignments/", what, client, heals: true, bite }
}

/// The rows of the topic.
pub(super) const ROWS: &[Row] = &[
    row(
        Fault::GrantsLate,
        "grants-late",
        Kind::World,
        "the assignment counts 300 s of cloud time later than usual; until then the data plane answers 403 `ForbiddenByRbac`",
        "repeats what was refused for as long as propagation may take",
        Bite::After(grants_late),
    ),
    row(
        Fault::PrincipalNotFound,
        "principal-not-found",
        Kind::Refusal,
        "400 `PrincipalNotFound`, whatever `principalType` says",
        "asks again while the directory replicates, and sends `principalType`",
        Bite::Instead(principal_not_found),
    ),
    row(
        Fault::RoleExists,
        "role-exists",
        Kind::World,
        "somebody has made the same assignment under another name: 409 `RoleAssignmentExists`",
        "finds the triple in the list, and takes it for granted but not for its own",
        Bite::Before(role_exists),
    ),
];

fn grants_late(world: &mut World, scene: &Scene<'_>, reply: &mut Reply) -> bool {
    let Some(name) = scene.after("roleAssignments").filter(|_| reply.status == 201) else { return false };
    let key = name.to_ascii_lowercase();
    let Some(usual) = world.roles.assignments.get(&key).map(|assignment| assignment.effective) else {
        return false;
    };
    let from = world.lags.hold(Held::Grant(key.clone()), lag::GRANT, usual, scene.timing);
    if let Some(assignment) = world.roles.assignments.get_mut(&key) {
        assignment.effective = from;
    }
    true
}

fn principal_not_found(world: &mut World, scene: &Scene<'_>) -> Option<Reply> {
    let body = scene.request.json::<Value>().ok()?;
    let principal = body["properties"]["principalId"].as_str()?;
    Some(roles::principal_not_found(principal, &world.directory.tenant).into_reply())
}

fn role_exists(world: &mut World, scene: &Scene<'_>) -> bool {
    let id = scene.id();
    let at = id.to_ascii_lowercase().find("/providers/microsoft.authorization/roleassignments/");
    let (Some(at), Ok(body)) = (at, scene.request.json::<Value>()) else { return false };
    let scope = if at == 0 { "/" } else { &id[..at] };
    roles::forestall(world, scope, &body, scene.now, scene.timing)
}
