//! Requests for role assignments, for the steps that assign roles.

use crate::{
    doing::{Doing, Written},
    operation,
};
use landfall_cloud::{
    ApiErrorKind,
    arm::{Assignment, Azure, Role},
};
use landfall_engine::{Check, Context, Kind, Look, Residue, StepError, Undone, Wait};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The principal of a role assignment.
#[derive(Debug, Clone)]
pub(crate) struct Principal {
    pub(crate) object_id: String,
    /// `User`, `ServicePrincipal` (managed identities too) or `Group`.
    pub(crate) kind: &'static str,
}

/// The existing assignments.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Granted {
    /// Resource ids of the assignments, in the order of the roles.
    pub assignments: Vec<String>,
    /// The scope of the assignments.
    pub scope: String,
    /// The principal, an object id.
    pub principal: String,
}

/// Checks which of the roles are assigned already, inherited ones included: the effect decides.
pub(crate) async fn check(
    azure: &Azure,
    scope: &str,
    principal: &Principal,
    roles: &[Role],
) -> Result<Check<Granted>, StepError> {
    let listed = azure.assignments_at(scope).await.doing(format!("list the role assignments at {scope}"))?;
    let found: Vec<String> = roles.iter().filter_map(|role| find(&listed, principal, *role)).collect();
    Ok(if found.len() == roles.len() {
        Check::Ready(Granted {
            assignments: found,
            scope: scope.to_owned(),
            principal: principal.object_id.clone(),
        })
    } else {
        Check::Missing
    })
}

/// Creates the assignments concurrently.
pub(crate) async fn apply(
    cx: &Context,
    azure: &Azure,
    scope: &str,
    principal: &Principal,
    roles: &[Role],
) -> Result<Granted, StepError> {
    let grants = roles.iter().map(|role| grant(cx, azure, scope, principal, *role));
    // Each request runs to its end: a cancelled one could not report its leftover.
    let granted = futures::future::join_all(grants).await;
    let assignments = granted.into_iter().collect::<Result<_, _>>()?;
    Ok(Granted { assignments, scope: scope.to_owned(), principal: principal.object_id.clone() })
}

async fn grant(
    cx: &Context,
    azure: &Azure,
    scope: &str,
    principal: &Principal,
    role: Role,
) -> Result<String, StepError> {
    let what = format!("grant {} at {}", role.name, short(scope));
    let wait = Wait::new(
        "the identity to replicate in the directory",
        Duration::from_secs(5),
        Duration::from_secs(180),
    );
    cx.wait_until(wait, async || {
        match azure.grant(scope, &principal.object_id, principal.kind, role).await.written(cx) {
            Ok(_) => Ok(Look::There(azure.assignment_id(scope, &principal.object_id, role))),
            // Another party granted it under another name: it has the same effect and is not owned.
            Err(error) if error.code.as_deref() == Some("RoleAssignmentExists") => {
                let listed = azure.assignments_at(scope).await.doing(&what)?;
                // The list may be older than the refusal.
                Ok(find(&listed, principal, role).map_or_else(
                    || Look::not_yet("assigned under another name, not listed yet"),
                    Look::There,
                ))
            }
            Err(error) if error.code.as_deref() == Some("PrincipalNotFound") => {
                cx.retrying("PrincipalNotFound", Duration::ZERO);
                Ok(Look::not_yet("the directory does not list the identity yet, usually within 2 min"))
            }
            // The assignment's name is deterministic, so that a repeated grant is idempotent.
            Err(error) if operation::passes(&error) => Ok(operation::unanswered(&error, None)),
            Err(error) if error.kind == ApiErrorKind::Forbidden => Err(error).doing(&what).map_err(|error| {
                error.hint(format!(
                    "granting roles requires Owner, User Access Administrator or Role Based Access Control \
                     Administrator at {}; Contributor is not enough",
                    short(scope)
                ))
            }),
            Err(error) => Err(error).doing(&what),
        }
    })
    .await
}

/// Returns the assignments with landfall's names, also if some are missing.
pub(crate) async fn recover(
    azure: &Azure,
    scope: &str,
    principal: &Principal,
    roles: &[Role],
) -> Result<Option<Granted>, StepError> {
    let listed = match azure.assignments_at(scope).await {
        // Assignments at a scope are deleted with it.
        Err(error) if error.kind == ApiErrorKind::NotFound => return Ok(None),
        listed => listed.doing(format!("list the role assignments at {scope}"))?,
    };
    let ours = roles.iter().map(|role| azure.assignment_id(scope, &principal.object_id, *role));
    let there = |id: &String| listed.iter().any(|one| one.id.eq_ignore_ascii_case(id));
    let assignments: Vec<String> = ours.filter(there).collect();
    Ok((!assignments.is_empty()).then(|| Granted {
        assignments,
        scope: scope.to_owned(),
        principal: principal.object_id.clone(),
    }))
}

/// Deletes the assignments of an earlier run of this step for an identity that is gone. A recreated cluster has
/// another identity, and the old assignment would stay as "Identity not found".
pub(crate) async fn sweep(
    cx: &Context,
    azure: &Azure,
    principal: &Principal,
    roles: &[Role],
) -> Result<(), StepError> {
    let before = cx.last_output::<Granted>().filter(|_| cx.ours());
    if let Some(before) = before.filter(|before| before.principal != principal.object_id) {
        undo(cx, azure, &before, roles).await?;
    }
    Ok(())
}

/// Deletes the assignments with landfall's names. After an adoption it also deletes foreign ones at this very
/// scope, but never inherited ones.
pub(crate) async fn undo(
    cx: &Context,
    azure: &Azure,
    granted: &Granted,
    roles: &[Role],
) -> Result<Undone, StepError> {
    let (mut kept, mut kept_here) = (0, 0);
    let here = format!("{}/providers/microsoft.authorization/", granted.scope.to_ascii_lowercase());
    for assignment in &granted.assignments {
        let is = |role: &&Role| {
            assignment.eq_ignore_ascii_case(&azure.assignment_id(&granted.scope, &granted.principal, **role))
        };
        let ours = roles.iter().find(is).map(|role| role.name);
        let adopted = cx.adopted() && assignment.to_ascii_lowercase().starts_with(&here);
        if let Some(role) = ours.or(adopted.then_some("a role")) {
            let revoked = azure.revoke(assignment).await;
            revoked.doing(format!("delete role assignment {role} at {}", short(&granted.scope)))?;
        } else {
            kept += 1;
            kept_here += usize::from(assignment.to_ascii_lowercase().starts_with(&here));
        }
    }
    // A foreign assignment at this scope stays recorded: otherwise no later `--adopt` could name it.
    Ok(if kept == granted.assignments.len() || kept_here > 0 {
        Undone::Kept { why: "another identity granted it, here or at a higher scope".to_owned() }
    } else {
        Undone::Deleted
    })
}

/// Returns the signed-in identity as a principal of assignments.
pub(crate) async fn caller(azure: &Azure) -> Result<Principal, StepError> {
    let identity = azure.arm().identity().await.doing("identify the signed-in identity")?;
    if identity.object_id.is_empty() {
        return Err(StepError::new(Kind::Refused, "identify the signed-in identity")
            .cause("the access token has no object id")
            .residue(Residue::Nothing));
    }
    let kind = identity.kind.as_str();
    Ok(Principal { object_id: identity.object_id, kind })
}

fn find(listed: &[Assignment], principal: &Principal, role: Role) -> Option<String> {
    listed.iter().find(|a| a.gives(&principal.object_id, role)).map(|a| a.id.clone())
}

/// Returns the last part of a scope, its short name.
fn short(scope: &str) -> &str {
    scope.rsplit('/').next().unwrap_or(scope)
}
