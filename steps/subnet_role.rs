//! Network Contributor on the subnet for the cluster's identity, granted while the cluster is being created.

use crate::{
    Clouds,
    cluster::AcceptedCluster,
    grant::{self, Granted, Principal},
    network::Subnet,
};
use landfall_cloud::arm::{Azure, Role};
use landfall_engine::{Check, Context, Step, StepError, Undone};
use std::time::Duration;

const ROLES: &[Role] = &[Role::NETWORK_CONTRIBUTOR];

/// Network Contributor on the subnet for the cluster's identity, granted while the cluster is being created.
pub struct SubnetRole {
    azure: Azure,
}

impl SubnetRole {
    /// Returns the step.
    #[must_use]
    pub fn new(c: &Clouds) -> Self {
        Self { azure: c.azure.clone() }
    }

    async fn wanted(
        &self,
        (cluster, subnet): &(AcceptedCluster, Subnet),
    ) -> Result<(String, Principal), StepError> {
        let principal = Principal { object_id: cluster.principal_id.clone(), kind: "ServicePrincipal" };
        Ok((subnet.id.clone(), principal))
    }
}

impl Step for SubnetRole {
    type Input = (AcceptedCluster, Subnet);
    type Output = Granted;

    fn title(&self) -> String {
        "Network Contributor for the cluster".to_owned()
    }

    fn deadline(&self) -> Duration {
        Duration::from_secs(300)
    }

    fn usual(&self) -> Duration {
        Duration::from_secs(2)
    }

    async fn check(&self, _: &Context, input: &Self::Input) -> Result<Check<Granted>, StepError> {
        let (scope, principal) = self.wanted(input).await?;
        grant::check(&self.azure, &scope, &principal, ROLES).await
    }

    async fn apply(&self, cx: &Context, input: &Self::Input) -> Result<Granted, StepError> {
        let (scope, principal) = self.wanted(input).await?;
        grant::sweep(cx, &self.azure, "subnet-role", &principal, ROLES).await?;
        grant::apply(cx, &self.azure, &scope, &principal, ROLES).await
    }

    fn part_of(&self) -> Option<&'static str> {
        Some("network")
    }

    async fn recover(&self, _: &Context, input: &Self::Input) -> Result<Option<Granted>, StepError> {
        let (scope, principal) = self.wanted(input).await?;
        grant::recover(&self.azure, &scope, &principal, ROLES).await
    }

    async fn undo(&self, cx: &Context, granted: Granted) -> Result<Undone, StepError> {
        // Azure deletes the assignments at a scope together with the resource.
        let joined = cx.output::<Subnet>("network").is_some_and(|subnet| subnet.joined);
        if cx.is_ours("network") && !joined {
            return Ok(Undone::GoesWithParent);
        }
        grant::undo(cx, &self.azure, &granted, ROLES).await
    }
}
