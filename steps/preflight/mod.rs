//! Preflight: refuses in two seconds what would fail in twenty minutes; read-only.
//!
//! All queries run in one round; resources of an earlier run need none. All findings are reported at once,
//! each with its fix. A refused query is not a finding: then only the action itself may fail.

mod access_restrictions;
mod acme;
mod already_created;
mod check_id;
mod dns;
mod finding;
mod immutable_fields;
mod location;
mod node_size;
mod policy;
mod providers;
mod public_ip_quota;
mod queries;
mod quota;
mod ranges;
mod rights;
mod shared_limits;
mod subscription;
mod vault_name;
mod version;

pub use check_id::PreflightCheckId;
pub use shared_limits::{SharedLimit, shared_limits};

use crate::{
    Clients, Clusters,
    error_context::ErrorContext,
    manifests::Manifests,
    names,
    resource_spec::{Resource, ResourceSpec, Resources},
    settings::Settings,
};
use acme::{AcmeCheck, AcmeState};
use already_created::AlreadyCreated;
use dns::{DnsCheck, ZoneState};
use finding::{Finding, refusal};
use landfall_cloud::{
    ApiError, ApiErrorKind, Identity,
    arm::{KubernetesVersion, Permissions},
};
use landfall_engine::{Check, Context, Kind, Step, StepError, UndoOutcome};
use queries::{Queries, QueryResult, QueryResults};
use serde::{Deserialize, Serialize};
use std::{path::Path, time::Duration};

/// Runs the preflight checks.
pub struct Preflight {
    queries: Queries,
    dns: DnsCheck,
    acme: Option<AcmeCheck>,
    clusters: Clusters,
    manifests: Manifests,
}

/// The decisions of the checks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreflightOutput {
    /// The Kubernetes version of a new cluster.
    pub version: String,
    /// The tenant of the signed-in identity.
    pub tenant: String,
}

impl Preflight {
    /// Returns the step for these settings.
    #[must_use]
    pub fn new(c: &Clients, s: &Settings, resources: &Resources) -> Self {
        let queries = Queries::new(c, s, resources);
        let manifests = Manifests::new(s);
        let dns = DnsCheck::new(c, s, &manifests);
        let acme = AcmeCheck::new(c, s);
        Self { queries, dns, acme, clusters: c.clusters.clone(), manifests }
    }

    /// Returns the number of checks: those that are not skipped, and the sign-in.
    fn checks(&self) -> usize {
        let is_run = |check_id: &PreflightCheckId| {
            self.queries.is_enabled(*check_id) && (*check_id != PreflightCheckId::Acme || self.acme.is_some())
        };
        1 + PreflightCheckId::ALL.iter().filter(|check_id| is_run(check_id)).count()
    }

    async fn run_checks(&self, cx: &Context) -> Result<PreflightOutput, StepError> {
        let caller = self.queries.azure().arm().identity().await.context("sign in")?;
        let existing = AlreadyCreated::of(cx, self.queries.resources());
        let (results, zone, acme) =
            tokio::join!(self.queries.query(cx, &existing), self.query_zone(cx), self.query_acme(cx));
        self.warn_readable_kubeconfig(cx);
        if let Some(note) = self.manifests.exported_note() {
            cx.note(note);
        }
        let evaluation = Evaluation { cx, queries: &self.queries, caller: &caller, existing };
        let (version, mut findings) = evaluation.findings(results)?;
        findings.extend(evaluation.zone(&self.dns, zone)?);
        if let Some(check) = &self.acme {
            let answered = evaluation.result_of(PreflightCheckId::Acme, acme)?;
            findings.extend(answered.into_iter().flat_map(|state| check.evaluate(cx, state)));
        }
        let findings = self.relevant_findings(findings).await;
        if let Some(refused) = refusal(findings, self.checks()) {
            return Err(refused);
        }
        match self.immutable(cx).await {
            Some(refused) => Err(refused),
            None => Ok(PreflightOutput { version, tenant: caller.tenant }),
        }
    }

    async fn query_zone(&self, cx: &Context) -> QueryResult<ZoneState> {
        match self.queries.is_enabled(PreflightCheckId::Dns) {
            true => self.dns.query(cx, &self.queries.resources().records).await,
            false => None,
        }
    }

    async fn query_acme(&self, cx: &Context) -> QueryResult<AcmeState> {
        match &self.acme {
            Some(check) if self.queries.is_enabled(PreflightCheckId::Acme) => {
                check.query(cx, &self.queries.resources().records).await
            }
            _ => None,
        }
    }

    /// Emits a note if the cluster's credentials will be in a file that other users may read.
    fn warn_readable_kubeconfig(&self, cx: &Context) {
        let file = &self.queries.settings().kubeconfig;
        let recorded = cx.output_of(self.queries.resources().records.kubeconfig);
        let written = recorded.is_some_and(|merged| merged.file == *file);
        if let Some(warning) = readable_kubeconfig_warning(file).filter(|_| !written) {
            cx.note(warning);
        }
    }

    /// Drops the findings that an existing cluster makes irrelevant. The journal may be lost, and an existing
    /// cluster does not depend on the region's offers for new ones.
    async fn relevant_findings(&self, mut findings: Vec<Finding>) -> Vec<Finding> {
        if findings.iter().any(|finding| finding.for_a_new_cluster) {
            let s = self.queries.settings();
            let existing_cluster =
                self.queries.azure().recent_cluster(&s.resource_group, &s.cluster.name).await;
            if matches!(existing_cluster, Ok(Some(_))) {
                findings.retain(|finding| !finding.for_a_new_cluster);
            }
        }
        findings
    }
}

/// Returns the warning that other users may read a kubeconfig.
#[must_use]
pub fn readable_kubeconfig_warning(file: &Path) -> Option<String> {
    let mode = landfall_cloud::kubeconfig::open_to_others(file)?;
    let shown = file.display();
    Some(format!(
        "other users may read {shown} (mode {mode:04o}), and the cluster's credentials go into it; run chmod 600 {shown}"
    ))
}

/// A finished round of queries, with the signed-in identity.
struct Evaluation<'a> {
    cx: &'a Context,
    queries: &'a Queries,
    caller: &'a Identity,
    existing: AlreadyCreated,
}

impl Evaluation<'_> {
    /// Returns an answer; a refused query is noted and counts as passed.
    fn result_of<T>(
        &self,
        check_id: PreflightCheckId,
        result: QueryResult<T>,
    ) -> Result<Option<T>, StepError> {
        match result {
            None => Ok(None),
            Some(Ok(value)) => Ok(Some(value)),
            Some(Err(error)) if is_sign_in_error(&error) => {
                Err(error).context(format!("run the check {}", check_id.name()))
            }
            Some(Err(error)) => {
                self.cx.note(format!("{} could not run: {error}", check_id.name()));
                Ok(None)
            }
        }
    }

    /// Evaluates all answers.
    fn findings(&self, results: QueryResults) -> Result<(String, Vec<Finding>), StepError> {
        let s = self.queries.settings();
        let location = self.result_of(PreflightCheckId::Location, results.locations)?;
        if let Some(unknown_region) = location.and_then(|listed| location::evaluate(&s.location, &listed)) {
            // For an unknown region the other answers are meaningless.
            return Ok((String::new(), vec![unknown_region]));
        }
        let mut findings = Vec::new();
        let version = self.version(results.versions, &mut findings)?;
        let subscription = self.result_of(PreflightCheckId::Subscription, results.subscription)?;
        findings.extend(subscription::evaluate(subscription.flatten().as_ref(), &self.caller.tenant));
        self.rights(results.providers, results.group_rights, results.rights, &mut findings)?;
        if let Some(name_state) = self.result_of(PreflightCheckId::VaultName, results.vault_name)? {
            let name = names::vault(s, self.queries.azure().id());
            if matches!(name_state, vault_name::NameState::Recoverable) {
                self.cx.note(format!(
                    "key vault {name} was deleted earlier (soft delete) and will be recovered"
                ));
            }
            findings.extend(vault_name::evaluate(s, &name, &name_state));
        }
        let sizes = self.result_of(PreflightCheckId::NodeSize, results.sizes)?.unwrap_or_default();
        findings.extend(node_size::evaluate(s, &sizes));
        let cores = self.result_of(PreflightCheckId::Quota, results.cores)?;
        if let (Some(size), Some(cores)) = (node_size::of(s, &sizes), cores) {
            findings.extend(quota::evaluate(s, size, &cores));
        }
        let addresses = self.result_of(PreflightCheckId::Addresses, results.addresses)?.unwrap_or_default();
        findings.extend(public_ip_quota::evaluate(&s.location, &addresses));
        let network = self.result_of(PreflightCheckId::Ranges, results.network)?;
        findings.extend(ranges::evaluate(s, network.flatten().as_ref()));
        let denied = self.result_of(PreflightCheckId::Policy, results.policies)?.unwrap_or_default();
        findings.extend(policy::evaluate(&denied));
        if let Some(results) = results.access {
            self.access(results, &mut findings)?;
        }
        findings.retain(|finding| self.queries.is_enabled(finding.check_id));
        Ok((version, findings))
    }

    /// Evaluates the DNS zone.
    fn zone(&self, dns: &DnsCheck, zone: QueryResult<ZoneState>) -> Result<Vec<Finding>, StepError> {
        if let Some(Err(error)) = &zone
            && dns::is_forbidden(error)
        {
            return Ok(vec![dns.forbidden(error)]);
        }
        let records = &self.queries.resources().records;
        let zone = self.result_of(PreflightCheckId::Dns, zone)?;
        Ok(zone.map(|zone| dns.evaluate(self.cx, records, zone)).unwrap_or_default())
    }

    /// Returns the version of a new cluster. An existing one keeps its own, and the recorded choice stays the same.
    fn version(
        &self,
        offered: QueryResult<Vec<KubernetesVersion>>,
        findings: &mut Vec<Finding>,
    ) -> Result<String, StepError> {
        let s = self.queries.settings();
        let wanted = s.cluster.version.as_deref();
        let Some(offered) = offered else {
            let recorded = self.cx.last_output::<PreflightOutput>().map(|output| output.version);
            return Ok(wanted.map(str::to_owned).or(recorded).unwrap_or_default());
        };
        let offered = offered.context(format!("list the Kubernetes versions of {}", s.location))?;
        let refused = match version::choose(wanted, &s.location, &offered) {
            Ok(version) => return Ok(version),
            Err(refused) => refused,
        };
        if !self.existing.cluster {
            findings.push(refused);
        }
        Ok(wanted.unwrap_or_default().to_owned())
    }

    /// Evaluates the restrictions of the existing resources. Those that admit this run are noted.
    fn access(
        &self,
        results: access_restrictions::AccessResults,
        findings: &mut Vec<Finding>,
    ) -> Result<(), StepError> {
        let mut evaluated = Vec::new();
        for result in [results.cluster, results.vault] {
            evaluated.extend(self.result_of(PreflightCheckId::Access, Some(result))?.flatten());
        }
        let locks = self.result_of(PreflightCheckId::Access, Some(results.locks))?.unwrap_or_default();
        let group = self.queries.azure().group_id(&self.queries.settings().resource_group);
        evaluated.extend(access_restrictions::locks(&locks, &group));
        for evaluated in evaluated {
            match evaluated {
                access_restrictions::Evaluated::Refused(finding) => findings.push(*finding),
                access_restrictions::Evaluated::Noted(note) => self.cx.note(note),
            }
        }
        Ok(())
    }

    /// Evaluates the rights of the signed-in identity.
    fn rights(
        &self,
        providers: QueryResult<Vec<(String, landfall_cloud::arm::Registration)>>,
        in_group: QueryResult<Option<Permissions>>,
        at_subscription: QueryResult<Permissions>,
        findings: &mut Vec<Finding>,
    ) -> Result<(), StepError> {
        let azure = self.queries.azure();
        let providers = self.result_of(PreflightCheckId::Providers, providers)?;
        // An identity without a role at the subscription is refused the query itself: that is an answer.
        let at_subscription = match at_subscription {
            Some(Err(error)) if error.kind == ApiErrorKind::Forbidden => Some(Ok(Permissions::default())),
            result => result,
        };
        let at_subscription = self.result_of(PreflightCheckId::Rights, at_subscription)?;
        if let (Some(listed), Some(rights)) = (providers, &at_subscription) {
            let wanted = self.queries.resources().providers();
            findings.extend(providers::evaluate(&wanted, &listed, rights, azure.id()));
        }
        let (scope, rights, creates_group) = match self.result_of(PreflightCheckId::Rights, in_group)? {
            Some(Some(rights)) => (azure.group_id(&self.queries.settings().resource_group), rights, false),
            Some(None) => match at_subscription {
                Some(rights) => (azure.path(""), rights, true),
                None => return Ok(()),
            },
            None => return Ok(()),
        };
        let who = self.caller.name.as_deref().unwrap_or(&self.caller.object_id);
        let needed = rights::needed(self.queries.resources(), creates_group);
        let rights_scope = rights::RightsScope { who, scope: &scope, needed };
        if !self.existing.has_all_resources() {
            findings.extend(rights::check_create(&rights, &rights_scope));
        }
        if !self.existing.grants {
            findings.extend(rights::check_role_grants(&rights, &rights_scope));
        }
        Ok(())
    }
}

/// Returns whether an error concerns the sign-in, so that every later request fails too.
fn is_sign_in_error(error: &ApiError) -> bool {
    matches!(error.kind, ApiErrorKind::SignIn | ApiErrorKind::Unauthorized)
}

impl Resource for Preflight {
    fn resource(&self) -> ResourceSpec {
        ResourceSpec::undeletable("checks")
    }
}

impl Step for Preflight {
    type Input = ();
    type Output = PreflightOutput;

    fn title(&self) -> String {
        format!("{} checks", self.checks())
    }

    fn deadline(&self) -> Duration {
        Duration::from_secs(120)
    }

    async fn check(&self, cx: &Context, (): &()) -> Result<Check<PreflightOutput>, StepError> {
        Ok(Check::InSync(self.run_checks(cx).await?))
    }

    async fn apply(&self, cx: &Context, input: &()) -> Result<PreflightOutput, StepError> {
        match self.check(cx, input).await? {
            Check::InSync(output) => Ok(output),
            _ => Err(StepError::new(Kind::Bug, "run the preflight checks")),
        }
    }

    async fn undo(&self, _: &Context, _: PreflightOutput) -> Result<UndoOutcome, StepError> {
        Ok(UndoOutcome::AlreadyDeleted)
    }
}
