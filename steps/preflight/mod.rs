//! Preflight: refuses in two seconds what would fail in twenty minutes; read-only.
//!
//! All queries run in one round; resources of an earlier run need none. All findings are reported at once,
//! each with its fix. A refused query is not a finding: then only the action itself may fail.

mod addresses;
mod concern;
mod finding;
mod location;
mod node_size;
mod objects;
mod policy;
mod providers;
mod quota;
mod ranges;
mod remembered;
mod rights;
mod round;
mod subscription;
mod vault_name;
mod version;

pub use concern::Concern;

use crate::{
    Clouds, Clusters,
    doing::Doing,
    manifests::Manifests,
    names,
    resource::{Resource, ResourceSpec, Resources},
    settings::Settings,
};
use finding::{Finding, refusal};
use landfall_cloud::{
    ApiError, ApiErrorKind, Identity,
    arm::{Offered, Permissions},
};
use landfall_engine::{Check, Context, Kind, Step, StepError, Undone};
use remembered::Remembered;
use round::{Answer, Answers, Round};
use serde::{Deserialize, Serialize};
use std::{path::Path, time::Duration};

/// Runs the preflight checks.
pub struct Preflight {
    round: Round,
    clusters: Clusters,
    manifests: Manifests,
}

/// The decisions of the checks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cleared {
    /// The Kubernetes version of a new cluster.
    pub version: String,
    /// The tenant of the signed-in identity.
    pub tenant: String,
}

impl Preflight {
    /// Returns the step for these settings.
    #[must_use]
    pub fn new(c: &Clouds, s: &Settings, resources: &Resources) -> Self {
        let round = Round::new(c, s, resources);
        Self { round, clusters: c.clusters.clone(), manifests: Manifests::new(s) }
    }

    /// Returns the number of checks: those that are not skipped, and the sign-in.
    fn checks(&self) -> usize {
        1 + Concern::ALL.into_iter().filter(|concern| self.round.wants(*concern)).count()
    }

    async fn look(&self, cx: &Context) -> Result<Cleared, StepError> {
        let caller = self.round.azure().arm().identity().await.doing("sign in")?;
        let made = Remembered::of(cx, self.round.resources());
        let answers = self.round.ask(cx, &made).await;
        self.warn_of_open_kubeconfig(cx);
        let asked = Asked { cx, round: &self.round, caller: &caller, made };
        let (version, findings) = asked.findings(answers)?;
        let standing = self.standing(findings).await;
        if let Some(refused) = refusal(standing, self.checks()) {
            return Err(refused);
        }
        match self.immutable(cx).await {
            Some(refused) => Err(refused),
            None => Ok(Cleared { version, tenant: caller.tenant }),
        }
    }

    /// Emits a note if the cluster's credentials will be in a file that other users may read.
    fn warn_of_open_kubeconfig(&self, cx: &Context) {
        let file = &self.round.settings().kubeconfig;
        let recorded = cx.output_of(self.round.resources().records.kubeconfig);
        let written = recorded.is_some_and(|merged| merged.file == *file);
        if let Some(warning) = open_kubeconfig(file).filter(|_| !written) {
            cx.note(warning);
        }
    }

    /// Drops the findings that an existing cluster makes irrelevant. The journal may be lost, and an existing
    /// cluster does not depend on the region's offers for new ones.
    async fn standing(&self, mut findings: Vec<Finding>) -> Vec<Finding> {
        if findings.iter().any(|finding| finding.for_a_new_cluster) {
            let s = self.round.settings();
            let there = self.round.azure().cluster(&s.resource_group, &s.cluster.name).await;
            if matches!(there, Ok(Some(_))) {
                findings.retain(|finding| !finding.for_a_new_cluster);
            }
        }
        findings
    }
}

/// Returns the warning that other users may read a kubeconfig.
#[must_use]
pub fn open_kubeconfig(file: &Path) -> Option<String> {
    let mode = landfall_cloud::kubeconfig::open_to_others(file)?;
    let shown = file.display();
    Some(format!(
        "other users may read {shown} (mode {mode:04o}), and the cluster's credentials go into it; run chmod 600 {shown}"
    ))
}

/// A finished round of queries, with the signed-in identity.
struct Asked<'a> {
    cx: &'a Context,
    round: &'a Round,
    caller: &'a Identity,
    made: Remembered,
}

impl Asked<'_> {
    /// Returns an answer; a refused query is noted and counts as passed.
    fn said<T>(&self, concern: Concern, answer: Answer<T>) -> Result<Option<T>, StepError> {
        match answer {
            None => Ok(None),
            Some(Ok(said)) => Ok(Some(said)),
            Some(Err(error)) if ends_it(&error) => {
                Err(error).doing(format!("run the check {}", concern.name()))
            }
            Some(Err(error)) => {
                self.cx.note(format!("{} could not run: {error}", concern.name()));
                Ok(None)
            }
        }
    }

    /// Evaluates all answers.
    fn findings(&self, answers: Answers) -> Result<(String, Vec<Finding>), StepError> {
        let s = self.round.settings();
        let location = self.said(Concern::Location, answers.locations)?;
        if let Some(nowhere) = location.and_then(|listed| location::judge(&s.location, &listed)) {
            // For an unknown region the other answers are meaningless.
            return Ok((String::new(), vec![nowhere]));
        }
        let mut findings = Vec::new();
        let version = self.version(answers.versions, &mut findings)?;
        let subscription = self.said(Concern::Subscription, answers.subscription)?;
        findings.extend(subscription::judge(subscription.flatten().as_ref(), &self.caller.tenant));
        self.rights(answers.providers, answers.group_rights, answers.rights, &mut findings)?;
        if let Some(standing) = self.said(Concern::VaultName, answers.vault_name)? {
            let name = names::vault(s, self.round.azure().id());
            if matches!(standing, vault_name::Standing::Recoverable) {
                self.cx.note(format!("key vault {name} is deleted and will be recovered"));
            }
            findings.extend(vault_name::judge(s, &name, &standing));
        }
        let sizes = self.said(Concern::NodeSize, answers.sizes)?.unwrap_or_default();
        findings.extend(node_size::judge(s, &sizes));
        let cores = self.said(Concern::Quota, answers.cores)?;
        if let (Some(size), Some(cores)) = (node_size::of(s, &sizes), cores) {
            findings.extend(quota::judge(s, size, &cores));
        }
        let addresses = self.said(Concern::Addresses, answers.addresses)?.unwrap_or_default();
        findings.extend(addresses::judge(&s.location, &addresses));
        let network = self.said(Concern::Ranges, answers.network)?;
        findings.extend(ranges::judge(s, network.flatten().as_ref()));
        let denied = self.said(Concern::Policy, answers.policies)?.unwrap_or_default();
        findings.extend(policy::judge(&denied));
        findings.retain(|finding| self.round.wants(finding.concern));
        Ok((version, findings))
    }

    /// Returns the version of a new cluster. An existing one keeps its own.
    fn version(
        &self,
        offered: Result<Vec<Offered>, ApiError>,
        findings: &mut Vec<Finding>,
    ) -> Result<String, StepError> {
        let s = self.round.settings();
        let wanted = s.cluster.version.as_deref();
        let offered = offered.doing(format!("list the Kubernetes versions of {}", s.location))?;
        let refused = match version::choose(wanted, &s.location, &offered) {
            Ok(version) => return Ok(version),
            Err(refused) => refused,
        };
        if !self.made.cluster {
            findings.push(refused);
        }
        Ok(wanted.unwrap_or_default().to_owned())
    }

    /// Evaluates the rights of the signed-in identity.
    fn rights(
        &self,
        providers: Answer<Vec<(String, landfall_cloud::arm::Registration)>>,
        in_group: Answer<Option<Permissions>>,
        at_subscription: Answer<Permissions>,
        findings: &mut Vec<Finding>,
    ) -> Result<(), StepError> {
        let azure = self.round.azure();
        let providers = self.said(Concern::Providers, providers)?;
        // An identity without a role at the subscription is refused the query itself: that is an answer.
        let at_subscription = match at_subscription {
            Some(Err(error)) if error.kind == ApiErrorKind::Forbidden => Some(Ok(Permissions::default())),
            answer => answer,
        };
        let at_subscription = self.said(Concern::Rights, at_subscription)?;
        if let (Some(listed), Some(rights)) = (providers, &at_subscription) {
            let wanted = self.round.resources().providers();
            findings.extend(providers::judge(&wanted, &listed, rights, azure.id()));
        }
        let (scope, rights, makes_group) = match self.said(Concern::Rights, in_group)? {
            Some(Some(rights)) => (azure.group_id(&self.round.settings().resource_group), rights, false),
            Some(None) => match at_subscription {
                Some(rights) => (azure.path(""), rights, true),
                None => return Ok(()),
            },
            None => return Ok(()),
        };
        let who = self.caller.name.as_deref().unwrap_or(&self.caller.object_id);
        let needed = rights::needed(self.round.resources(), makes_group);
        let place = rights::Place { who, scope: &scope, needed };
        if !self.made.everything() {
            findings.extend(rights::to_make(&rights, &place));
        }
        if !self.made.grants {
            findings.extend(rights::to_grant(&rights, &place));
        }
        Ok(())
    }
}

/// Returns whether an error concerns the sign-in, so that every later request fails too.
fn ends_it(error: &ApiError) -> bool {
    matches!(error.kind, ApiErrorKind::SignIn | ApiErrorKind::Unauthorized)
}

impl Resource for Preflight {
    fn resource(&self) -> ResourceSpec {
        ResourceSpec::undeletable("checks")
    }
}

impl Step for Preflight {
    type Input = ();
    type Output = Cleared;

    fn title(&self) -> String {
        format!("{} checks", self.checks())
    }

    fn deadline(&self) -> Duration {
        Duration::from_secs(120)
    }

    async fn check(&self, cx: &Context, (): &()) -> Result<Check<Cleared>, StepError> {
        Ok(Check::Ready(self.look(cx).await?))
    }

    async fn apply(&self, cx: &Context, input: &()) -> Result<Cleared, StepError> {
        match self.check(cx, input).await? {
            Check::Ready(cleared) => Ok(cleared),
            _ => Err(StepError::new(Kind::Bug, "run the preflight checks")),
        }
    }

    async fn undo(&self, _: &Context, _: Cleared) -> Result<Undone, StepError> {
        Ok(Undone::AlreadyGone)
    }
}
