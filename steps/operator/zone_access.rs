//! DNS Zone Contributor on the zone for the managed identity, with which ExternalDNS signs in.

use crate::{
    Clients,
    dns::{FoundZone, ZoneSearch},
    error_context::ErrorContext,
    identity::UserAssignedIdentity,
    resource_spec::{Listed, LockScope, ROLE_ASSIGNMENT, Resource, ResourceSpec},
    role_assignment::{self, Principal, RIGHTS, RoleAssignments},
    settings::Settings,
};
use landfall_cloud::arm::{Role, SubscriptionClient};
use landfall_engine::{Check, Context, Kind, Leftover, Step, StepError, UndoOutcome};
use std::time::Duration;

const ROLES: &[Role] = &[Role::DNS_ZONE_CONTRIBUTOR];

/// Grants the role.
pub struct ZoneAccess {
    azure: SubscriptionClient,
    search: ZoneSearch,
}

impl ZoneAccess {
    /// Returns the step for these settings.
    #[must_use]
    pub fn new(c: &Clients, s: &Settings) -> Self {
        Self { azure: c.azure.clone(), search: ZoneSearch::new(&c.azure, s) }
    }

    async fn scope(&self) -> Result<String, StepError> {
        match self.search.find().await.context(self.search.what())? {
            FoundZone::Zone(zone) => Ok(zone.id),
            FoundZone::Wrong(error) => Err(error),
            FoundZone::None | FoundZone::Unreadable => Err(StepError::new(Kind::Input, self.search.what())
                .cause("no zone of the domain in this subscription is readable, and ExternalDNS publishes into one")
                .hint("create the zone, or set dns.publish = \"table\"")
                .leftover(Leftover::Nothing)),
        }
    }
}

fn principal(identity: &UserAssignedIdentity) -> Principal {
    Principal { object_id: identity.object_id.clone(), kind: "ServicePrincipal" }
}

impl Step for ZoneAccess {
    type Input = UserAssignedIdentity;
    type Output = RoleAssignments;

    fn title(&self) -> String {
        "DNS Zone Contributor for the managed identity".to_owned()
    }

    fn deadline(&self) -> Duration {
        Duration::from_secs(300)
    }

    fn typical_duration(&self) -> Duration {
        Duration::from_secs(2)
    }

    async fn check(&self, _: &Context, identity: &Self::Input) -> Result<Check<RoleAssignments>, StepError> {
        role_assignment::check_roles(&self.azure, &self.scope().await?, &principal(identity), ROLES).await
    }

    async fn apply(&self, cx: &Context, identity: &Self::Input) -> Result<RoleAssignments, StepError> {
        let principal = principal(identity);
        role_assignment::delete_outdated(cx, &self.azure, &principal, ROLES).await?;
        role_assignment::assign(cx, &self.azure, &self.scope().await?, &principal, ROLES).await
    }

    async fn recover(
        &self,
        _: &Context,
        identity: &Self::Input,
    ) -> Result<Option<RoleAssignments>, StepError> {
        role_assignment::recover_roles(&self.azure, &self.scope().await?, &principal(identity), ROLES).await
    }

    /// The zone is not part of the environment, so no deletion of another resource deletes the assignment.
    fn outlives_parent(&self, _: &RoleAssignments) -> bool {
        true
    }

    async fn undo(&self, cx: &Context, granted: RoleAssignments) -> Result<UndoOutcome, StepError> {
        role_assignment::delete(cx, &self.azure, &granted, ROLES).await
    }
}

impl Resource for ZoneAccess {
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
            .with_found_parts(|_| true)
    }
}
