//! Role assignments: a step for some roles of one principal at the scope of another step's resource.

use crate::{
    clouds::Clouds,
    cluster::AcceptedCluster,
    cluster_ready::ReadyCluster,
    deployment::Records,
    grant::{self, Granted, Principal},
    key_vault::Vault,
    network::Subnet,
    resource::{Listed, LockScope, ROLE_ASSIGNMENT, Resource, ResourceSpec, Right},
};
use landfall_cloud::arm::{Azure, Role};
use landfall_engine::{Check, Context, RecordOf, Step, StepError, Undone};
use serde::de::DeserializeOwned;
use std::{marker::PhantomData, time::Duration};

const RIGHTS: &[Right] =
    &[Right { act: "create role assignments", action: "Microsoft.Authorization/roleAssignments/write" }];

/// The roles that a step assigns, and to whom.
pub trait Assignment: Send + Sync + 'static {
    /// The values of earlier steps from which scope and principal follow.
    type Input: Send + Sync + 'static;
    /// The output of the step whose resource is the scope.
    type Parent: DeserializeOwned + 'static;
    /// The roles.
    const ROLES: &'static [Role];
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

/// Key Vault Certificates Officer for the signed-in principal, so that the certificate can be imported.
pub struct CallerInVault;

impl Assignment for CallerInVault {
    type Input = Vault;
    type Parent = Vault;
    const ROLES: &'static [Role] = &[Role::CERTIFICATES_OFFICER];
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
    azure: Azure,
    /// The step whose resource is the scope: Azure deletes the assignments with it.
    parent: RecordOf<A::Parent>,
    needed_by: Option<&'static str>,
    _assignment: PhantomData<fn() -> A>,
}

impl RoleAssignment<ClusterOnSubnet> {
    /// Returns the step for the cluster's identity, whose cluster does not work without the role.
    #[must_use]
    pub fn for_cluster(c: &Clouds, records: &Records) -> Self {
        Self { needed_by: Some(records.accepted.id()), ..Self::at(c, records.network) }
    }
}

impl RoleAssignment<AddOnInVault> {
    /// Returns the step for the identity of the Secrets Store add-on.
    #[must_use]
    pub fn for_add_on(c: &Clouds, records: &Records) -> Self {
        Self::at(c, records.vault)
    }
}

impl RoleAssignment<CallerInVault> {
    /// Returns the step for the signed-in principal.
    #[must_use]
    pub fn for_caller(c: &Clouds, records: &Records) -> Self {
        Self::at(c, records.vault)
    }
}

impl<A: Assignment> RoleAssignment<A> {
    fn at(c: &Clouds, parent: RecordOf<A::Parent>) -> Self {
        Self { azure: c.azure.clone(), parent, needed_by: None, _assignment: PhantomData }
    }

    async fn principal(&self, input: &A::Input) -> Result<Principal, StepError> {
        match A::principal(input) {
            Some(identity) => Ok(Principal { object_id: identity.to_owned(), kind: "ServicePrincipal" }),
            None => grant::caller(&self.azure).await,
        }
    }
}

impl<A: Assignment> Step for RoleAssignment<A> {
    type Input = A::Input;
    type Output = Granted;

    fn title(&self) -> String {
        A::TITLE.to_owned()
    }

    fn deadline(&self) -> Duration {
        Duration::from_secs(300)
    }

    fn usual(&self) -> Duration {
        Duration::from_secs(2)
    }

    async fn check(&self, _: &Context, input: &A::Input) -> Result<Check<Granted>, StepError> {
        grant::check(&self.azure, A::scope(input), &self.principal(input).await?, A::ROLES).await
    }

    async fn apply(&self, cx: &Context, input: &A::Input) -> Result<Granted, StepError> {
        let principal = self.principal(input).await?;
        // Another caller may still use the roles of an earlier one; an identity is replaced with its cluster.
        if A::principal(input).is_some() {
            grant::sweep(cx, &self.azure, &principal, A::ROLES).await?;
        }
        grant::apply(cx, &self.azure, A::scope(input), &principal, A::ROLES).await
    }

    fn part_of(&self) -> Option<&'static str> {
        Some(self.parent.id())
    }

    async fn recover(&self, _: &Context, input: &A::Input) -> Result<Option<Granted>, StepError> {
        grant::recover(&self.azure, A::scope(input), &self.principal(input).await?, A::ROLES).await
    }

    async fn undo(&self, cx: &Context, granted: Granted) -> Result<Undone, StepError> {
        // Azure deletes the assignments at a scope together with the resource.
        let joined = cx.output_of(self.parent).is_some_and(|parent| A::is_joined(&parent));
        if cx.owns(self.parent) && !joined {
            return Ok(Undone::GoesWithParent);
        }
        grant::undo(cx, &self.azure, &granted, A::ROLES).await
    }
}

impl<A: Assignment> Resource for RoleAssignment<A> {
    fn resource(&self) -> ResourceSpec {
        ResourceSpec::new("role assignment", "")
            .of_type(ROLE_ASSIGNMENT)
            .needs(RIGHTS)
            .listed(|past| {
                let granted = past.read_output::<Granted>()?;
                Some(Listed::RoleAssignments(granted.assignments.len()))
            })
            .locked_at(|past| {
                past.read_output::<Granted>()
                    .map(|granted| LockScope::At(granted.scope))
                    .into_iter()
                    .collect()
            })
            // Only the cloud shows the owner of an assignment.
            .with_found_parts(|_| true)
            .needed_by(self.needed_by)
    }
}
