//! Role assignments: a step for some roles of one principal at the scope of another step's resource.

use crate::{
    Clients,
    cluster::AcceptedCluster,
    cluster_ready::ReadyCluster,
    error_context::{ErrorContext, TrackWrite},
    graph::Records,
    identity::UserAssignedIdentity,
    key_vault::Vault,
    network::Subnet,
    operation,
    resource_spec::{Listed, LockScope, ROLE_ASSIGNMENT, Resource, ResourceSpec, Right},
    settings::Settings,
};
use landfall_cloud::{
    ApiErrorKind,
    arm::{Assignment as Existing, Role, SubscriptionClient},
};
use landfall_engine::{Check, Context, Kind, Leftover, Poll, RecordOf, Step, StepError, UndoOutcome, Wait};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{marker::PhantomData, time::Duration};

pub(crate) const RIGHTS: &[Right] =
    &[Right { act: "create role assignments", action: "Microsoft.Authorization/roleAssignments/write" }];

/// The roles that a step assigns, and their principal.
pub trait Assignment: Send + Sync + 'static {
    /// The values of earlier steps from which scope and principal follow.
    type Input: Send + Sync + 'static;
    /// The output of the step whose resource is the scope.
    type Parent: DeserializeOwned + 'static;
    /// The roles.
    const ROLES: &'static [Role];
    /// The roles that any settings assign, for the deletion.
    const ALL_ROLES: &'static [Role] = Self::ROLES;
    /// The title of the step.
    const TITLE: &'static str;

    /// Returns the scope.
    fn scope(input: &Self::Input) -> &str;
    /// Returns the object id of the managed identity that gets the roles; `None` for the signed-in principal.
    fn principal(input: &Self::Input) -> Option<&str>;
    /// Returns whether the resource at the scope existed before, although its step is owned.
    fn is_joined(_parent: &Self::Parent) -> bool {
        false
    }
}

/// Network Contributor on the subnet for the cluster's identity, granted while the cluster is being created.
pub struct ClusterOnSubnet;

impl Assignment for ClusterOnSubnet {
    type Input = (AcceptedCluster, Subnet);
    type Parent = Subnet;
    const ROLES: &'static [Role] = &[Role::NETWORK_CONTRIBUTOR];
    const TITLE: &'static str = "Network Contributor for the cluster";

    fn scope((_, subnet): &Self::Input) -> &str {
        &subnet.id
    }

    fn principal((cluster, _): &Self::Input) -> Option<&str> {
        Some(&cluster.principal_id)
    }

    fn is_joined(subnet: &Subnet) -> bool {
        subnet.joined
    }
}

/// Key Vault Secrets User and Certificate User for the add-on's identity, so that the CSI driver can read.
pub struct AddOnInVault;

impl Assignment for AddOnInVault {
    type Input = (ReadyCluster, Vault);
    type Parent = Vault;
    const ROLES: &'static [Role] = &[Role::SECRETS_USER, Role::CERTIFICATE_USER];
    const TITLE: &'static str = "Secrets and Certificate User for the add-on";

    fn scope((_, vault): &Self::Input) -> &str {
        &vault.id
    }

    fn principal((cluster, _): &Self::Input) -> Option<&str> {
        Some(&cluster.secrets.object_id)
    }
}

/// Key Vault Secrets User for the identity of the sync workload, granted while the cluster is being created. The
/// secret has the private key and the whole chain, so that no other role is needed.
pub struct IdentityInVault;

impl Assignment for IdentityInVault {
    type Input = (UserAssignedIdentity, Vault);
    type Parent = Vault;
    const ROLES: &'static [Role] = &[Role::SECRETS_USER];
    const TITLE: &'static str = "Secrets User for the managed identity";

    fn scope((_, vault): &Self::Input) -> &str {
        &vault.id
    }

    fn principal((identity, _): &Self::Input) -> Option<&str> {
        Some(&identity.object_id)
    }
}

/// Key Vault Certificates Officer for the signed-in principal, so that the certificate can be imported.
pub struct CallerInVault;

impl CallerInVault {
    /// The roles with which the account key of an ACME server can be stored too.
    const WITH_SECRETS: &'static [Role] = &[Role::CERTIFICATES_OFFICER, Role::SECRETS_OFFICER];
}

impl Assignment for CallerInVault {
    type Input = Vault;
    type Parent = Vault;
    const ROLES: &'static [Role] = &[Role::CERTIFICATES_OFFICER];
    const ALL_ROLES: &'static [Role] = Self::WITH_SECRETS;
    const TITLE: &'static str = "Certificates Officer for the caller";

    fn scope(vault: &Vault) -> &str {
        &vault.id
    }

    fn principal(_: &Vault) -> Option<&str> {
        None
    }
}

/// Assigns roles at the scope of another step's resource.
pub struct RoleAssignment<A: Assignment> {
    azure: SubscriptionClient,
    /// The step whose resource is the scope: Azure deletes the assignments with it.
    parent: RecordOf<A::Parent>,
    needed_by: Option<&'static str>,
    /// The roles: those of the assignment, or more of them.
    roles: &'static [Role],
    _assignment: PhantomData<fn() -> A>,
}

impl RoleAssignment<ClusterOnSubnet> {
    /// Returns the step for the cluster's identity, whose cluster does not work without the role.
    #[must_use]
    pub fn for_cluster(c: &Clients, records: &Records) -> Self {
        Self { needed_by: Some(records.accepted.id()), ..Self::at(c, records.network) }
    }
}

impl RoleAssignment<AddOnInVault> {
    /// Returns the step for the identity of the Secrets Store add-on.
    #[must_use]
    pub fn for_add_on(c: &Clients, records: &Records) -> Self {
        Self::at(c, records.vault)
    }
}

impl RoleAssignment<IdentityInVault> {
    /// Returns the step for the identity of the sync workload.
    #[must_use]
    pub fn for_identity(c: &Clients, records: &Records) -> Self {
        Self::at(c, records.vault)
    }
}

impl RoleAssignment<CallerInVault> {
    /// Returns the step for the signed-in principal.
    #[must_use]
    pub fn for_caller(c: &Clients, s: &Settings, records: &Records) -> Self {
        let roles =
            if s.certificate.acme.is_some() { CallerInVault::WITH_SECRETS } else { CallerInVault::ROLES };
        Self { roles, ..Self::at(c, records.vault) }
    }
}

impl<A: Assignment> RoleAssignment<A> {
    fn at(c: &Clients, parent: RecordOf<A::Parent>) -> Self {
        Self { azure: c.azure.clone(), parent, needed_by: None, roles: A::ROLES, _assignment: PhantomData }
    }

    async fn principal(&self, input: &A::Input) -> Result<Principal, StepError> {
        match A::principal(input) {
            Some(identity) => Ok(Principal { object_id: identity.to_owned(), kind: "ServicePrincipal" }),
            None => signed_in_principal(&self.azure).await,
        }
    }
}

impl<A: Assignment> Step for RoleAssignment<A> {
    type Input = A::Input;
    type Output = RoleAssignments;

    fn title(&self) -> String {
        match self.roles.len() > A::ROLES.len() {
            true => A::TITLE.replacen(" Officer", " and Secrets Officer", 1),
            false => A::TITLE.to_owned(),
        }
    }

    fn deadline(&self) -> Duration {
        Duration::from_secs(300)
    }

    fn typical_duration(&self) -> Duration {
        Duration::from_secs(2)
    }

    async fn check(&self, _: &Context, input: &A::Input) -> Result<Check<RoleAssignments>, StepError> {
        check_roles(&self.azure, A::scope(input), &self.principal(input).await?, self.roles).await
    }

    async fn apply(&self, cx: &Context, input: &A::Input) -> Result<RoleAssignments, StepError> {
        let principal = self.principal(input).await?;
        // Another caller may still use the roles of an earlier one; an identity is replaced with its cluster.
        if A::principal(input).is_some() {
            delete_outdated(cx, &self.azure, &principal, self.roles).await?;
        }
        assign(cx, &self.azure, A::scope(input), &principal, self.roles).await
    }

    fn parent(&self) -> Option<&'static str> {
        Some(self.parent.id())
    }

    async fn recover(&self, _: &Context, input: &A::Input) -> Result<Option<RoleAssignments>, StepError> {
        recover_roles(&self.azure, A::scope(input), &self.principal(input).await?, A::ALL_ROLES).await
    }

    async fn undo(&self, cx: &Context, granted: RoleAssignments) -> Result<UndoOutcome, StepError> {
        // Azure deletes the assignments at a scope together with the resource.
        let joined = cx.output_of(self.parent).is_some_and(|parent| A::is_joined(&parent));
        if cx.owns(self.parent) && !joined && !cx.retired() {
            return Ok(UndoOutcome::DeletedWithParent);
        }
        delete(cx, &self.azure, &granted, A::ALL_ROLES).await
    }
}

impl<A: Assignment> Resource for RoleAssignment<A> {
    fn resource(&self) -> ResourceSpec {
        ResourceSpec::new("role assignment", "")
            .of_type(ROLE_ASSIGNMENT)
            .needs(RIGHTS)
            .listed(|past| {
                let granted = past.read_output::<RoleAssignments>()?;
                Some(Listed::RoleAssignments(granted.assignments.len()))
            })
            .locked_at(|past| {
                past.read_output::<RoleAssignments>()
                    .map(|granted| LockScope::At(granted.scope))
                    .into_iter()
                    .collect()
            })
            // Only the cloud shows the owner of an assignment.
            .with_found_parts(|_| true)
            .needed_by(self.needed_by)
    }
}

/// The principal of a role assignment.
#[derive(Debug, Clone)]
pub(crate) struct Principal {
    pub(crate) object_id: String,
    /// `User`, `ServicePrincipal` (managed identities too) or `Group`.
    pub(crate) kind: &'static str,
}

/// The existing assignments.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoleAssignments {
    /// Resource ids of the assignments, in the order of the roles.
    pub assignments: Vec<String>,
    /// The scope of the assignments.
    pub scope: String,
    /// The principal, an object id.
    pub principal: String,
}

/// Checks which of the roles are assigned already, inherited ones included: the effect decides.
pub(crate) async fn check_roles(
    azure: &SubscriptionClient,
    scope: &str,
    principal: &Principal,
    roles: &[Role],
) -> Result<Check<RoleAssignments>, StepError> {
    let listed = azure.recent_assignments_at(scope).await;
    let listed = listed.context(format!("list the role assignments at {scope}"))?;
    let found: Vec<String> = roles.iter().filter_map(|role| find(&listed, principal, *role)).collect();
    Ok(if found.len() == roles.len() {
        Check::InSync(RoleAssignments {
            assignments: found,
            scope: scope.to_owned(),
            principal: principal.object_id.clone(),
        })
    } else {
        Check::Missing
    })
}

/// Creates the assignments concurrently.
pub(crate) async fn assign(
    cx: &Context,
    azure: &SubscriptionClient,
    scope: &str,
    principal: &Principal,
    roles: &[Role],
) -> Result<RoleAssignments, StepError> {
    let grants = roles.iter().map(|role| grant(cx, azure, scope, principal, *role));
    // Each request runs to its end: a cancelled one could not report its leftover.
    let granted = futures::future::join_all(grants).await;
    let assignments = granted.into_iter().collect::<Result<_, _>>()?;
    Ok(RoleAssignments { assignments, scope: scope.to_owned(), principal: principal.object_id.clone() })
}

async fn grant(
    cx: &Context,
    azure: &SubscriptionClient,
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
        match azure.grant(scope, &principal.object_id, principal.kind, role).await.track_write(cx) {
            Ok(_) => Ok(Poll::Ready(azure.assignment_id(scope, &principal.object_id, role))),
            // Another party granted it under another name: it has the same effect and is not owned.
            Err(error) if error.code.as_deref() == Some("RoleAssignmentExists") => {
                let listed = azure.assignments_at(scope).await.context(&what)?;
                // The list may be older than the refusal.
                Ok(find(&listed, principal, role).map_or_else(
                    || Poll::not_yet("assigned under another name, not listed yet"),
                    Poll::Ready,
                ))
            }
            Err(error) if error.code.as_deref() == Some("PrincipalNotFound") => {
                cx.retrying("PrincipalNotFound", Duration::ZERO);
                Ok(Poll::not_yet("the directory does not list the identity yet, usually within 2 min"))
            }
            // The scope may be new too. The bound of this wait, 180 s, holds for it as well.
            Err(error) if operation::is_unreplicated(&error) => Ok(operation::not_replicated(cx, &error)),
            // The assignment's name is deterministic, so that a repeated grant is idempotent.
            Err(error) if operation::is_transient(&error) => Ok(operation::no_response(&error, None)),
            Err(error) if error.kind == ApiErrorKind::Forbidden => {
                Err(error).context(&what).map_err(|error| {
                    error.hint(format!(
                    "granting roles requires Owner, User Access Administrator or Role Based Access Control \
                     Administrator at {}; Contributor is not enough",
                    short(scope)
                ))
                })
            }
            Err(error) => Err(error).context(&what),
        }
    })
    .await
}

/// Returns the assignments with landfall's names, also if some are missing.
pub(crate) async fn recover_roles(
    azure: &SubscriptionClient,
    scope: &str,
    principal: &Principal,
    roles: &[Role],
) -> Result<Option<RoleAssignments>, StepError> {
    let listed = match azure.assignments_at(scope).await {
        // Assignments at a scope are deleted with it.
        Err(error) if error.kind == ApiErrorKind::NotFound => return Ok(None),
        listed => listed.context(format!("list the role assignments at {scope}"))?,
    };
    let owned = roles.iter().map(|role| azure.assignment_id(scope, &principal.object_id, *role));
    let exists = |id: &String| listed.iter().any(|one| one.id.eq_ignore_ascii_case(id));
    let assignments: Vec<String> = owned.filter(exists).collect();
    Ok((!assignments.is_empty()).then(|| RoleAssignments {
        assignments,
        scope: scope.to_owned(),
        principal: principal.object_id.clone(),
    }))
}

/// Deletes the assignments of an earlier run of this step for an identity that is gone. A recreated cluster has
/// another identity, and the old assignment would stay as "Identity not found".
pub(crate) async fn delete_outdated(
    cx: &Context,
    azure: &SubscriptionClient,
    principal: &Principal,
    roles: &[Role],
) -> Result<(), StepError> {
    let before = cx.last_output::<RoleAssignments>().filter(|_| cx.owned());
    if let Some(before) = before.filter(|before| before.principal != principal.object_id) {
        delete(cx, azure, &before, roles).await?;
    }
    Ok(())
}

/// Deletes the assignments with landfall's names. After an adoption it also deletes foreign ones at this very
/// scope, but never inherited ones.
pub(crate) async fn delete(
    cx: &Context,
    azure: &SubscriptionClient,
    granted: &RoleAssignments,
    roles: &[Role],
) -> Result<UndoOutcome, StepError> {
    let (mut kept, mut kept_at_scope) = (0, 0);
    let scope_prefix = format!("{}/providers/microsoft.authorization/", granted.scope.to_ascii_lowercase());
    for assignment in &granted.assignments {
        let is = |role: &&Role| {
            assignment.eq_ignore_ascii_case(&azure.assignment_id(&granted.scope, &granted.principal, **role))
        };
        let owned = roles.iter().find(is).map(|role| role.name);
        let adopted = cx.adopted() && assignment.to_ascii_lowercase().starts_with(&scope_prefix);
        if let Some(role) = owned.or(adopted.then_some("a role")) {
            let revoked = azure.revoke(assignment).await;
            revoked.context(format!("delete role assignment {role} at {}", short(&granted.scope)))?;
        } else {
            kept += 1;
            kept_at_scope += usize::from(assignment.to_ascii_lowercase().starts_with(&scope_prefix));
        }
    }
    // A foreign assignment at this scope stays recorded: otherwise no later `--adopt` could name it.
    Ok(if kept == granted.assignments.len() || kept_at_scope > 0 {
        UndoOutcome::Kept { why: "another identity granted it, here or at a higher scope".to_owned() }
    } else {
        UndoOutcome::Deleted
    })
}

/// Returns the signed-in identity as a principal of assignments.
async fn signed_in_principal(azure: &SubscriptionClient) -> Result<Principal, StepError> {
    let identity = azure.arm().identity().await.context("identify the signed-in identity")?;
    if identity.object_id.is_empty() {
        return Err(StepError::new(Kind::Refused, "identify the signed-in identity")
            .cause("the access token has no object id")
            .leftover(Leftover::Nothing));
    }
    let kind = identity.kind.as_str();
    Ok(Principal { object_id: identity.object_id, kind })
}

fn find(listed: &[Existing], principal: &Principal, role: Role) -> Option<String> {
    listed.iter().find(|a| a.grants(&principal.object_id, role)).map(|a| a.id.clone())
}

/// Returns the last part of a scope, its short name.
fn short(scope: &str) -> &str {
    scope.rsplit('/').next().unwrap_or(scope)
}
