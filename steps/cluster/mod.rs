//! The cluster, until Azure has accepted it; the next step waits for it.

pub(crate) mod body;
pub(crate) mod drift;
mod recreate_broken;
pub(crate) mod settings_pool;
mod version_comparison;

use self::{body as cluster_body, body::Required, drift as cluster_drift};
use crate::{
    Clients, Clusters,
    cluster_access::{self, ClusterAccess, access_cluster},
    cluster_ready::{self, ReadyCluster},
    error_context::{ErrorContext, TrackWrite},
    network::Subnet,
    objects::foreign::{self, Foreign},
    operation,
    policy_overrides::{self, Written},
    preflight::PreflightOutput,
    provider_registration,
    resource_group::same_region,
    resource_spec::{LockScope, MANAGED_CLUSTER, NameSetting, Resource, ResourceSpec, Resources, Right},
    settings::{Settings, Teardown},
};
use landfall_cloud::arm::{Condition, Operation, State, SubscriptionClient, WriteResult};
use landfall_engine::{Change, Check, Context, Kind, Leftover, Poll, Step, StepError, UndoOutcome, Wait};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::time::Duration;

const RIGHTS: &[Right] = &[
    Right { act: "create clusters", action: "Microsoft.ContainerService/managedClusters/write" },
    Right {
        act: "sign in to clusters",
        action: "Microsoft.ContainerService/managedClusters/listClusterUserCredential/action",
    },
];

/// Requests the cluster from Azure.
pub struct Cluster {
    pub(crate) azure: SubscriptionClient,
    pub(crate) clusters: Clusters,
    pub(crate) settings: Settings,
    pub(crate) teardown: Teardown,
    resources: Resources,
}

/// A cluster that Azure accepted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AcceptedCluster {
    /// Its resource id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The object id of its own identity, which exists long before the cluster is ready.
    pub principal_id: String,
    /// The issuer of its service accounts' tokens, if the sync workload has an identity of its own; absent while
    /// the cluster does not name it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// The operation that creates it, if this run started one. The waiting step saves it as a ticket. In the
    /// output it would make the same cluster look changed.
    #[serde(skip)]
    pub operation: Option<Operation>,
}

impl Cluster {
    /// Returns the step for these settings.
    #[must_use]
    pub fn new(c: &Clients, s: &Settings, teardown: &Teardown, resources: &Resources) -> Self {
        let (azure, clusters) = (c.azure.clone(), c.clusters.clone());
        let (settings, resources) = (s.clone(), resources.clone());
        Self { azure, clusters, settings, teardown: *teardown, resources }
    }

    pub(crate) fn name(&self) -> &str {
        &self.settings.cluster.name
    }

    fn what(&self) -> String {
        format!("create cluster {}", self.name())
    }

    async fn read(&self) -> Result<Option<Value>, StepError> {
        let found = self.azure.cluster(&self.settings.resource_group, self.name()).await;
        found.context(format!("read cluster {}", self.name()))
    }

    fn parse(&self, body: &Value, operation: Option<Operation>) -> Option<AcceptedCluster> {
        Some(AcceptedCluster {
            id: body["id"].as_str()?.to_owned(),
            name: self.name().to_owned(),
            principal_id: body["identity"]["principalId"].as_str()?.to_owned(),
            issuer: self.issuer(body),
            operation,
        })
    }

    /// Returns the issuer, if an identity is to trust it.
    fn issuer(&self, body: &Value) -> Option<String> {
        cluster_body::issuer(body).filter(|_| self.settings.needs_identity())
    }

    /// Lists the properties that the gateways and the sync workload require, and that differ.
    fn required_differences(&self, body: &Value) -> Vec<Change> {
        cluster_body::differences(body, Required::of(&self.settings))
    }

    fn evaluate(&self, cx: &Context, body: &Value, subnet: &Subnet) -> Check<AcceptedCluster> {
        let region = body["location"].as_str().unwrap_or_default();
        if !same_region(region, &self.settings.location) {
            let why =
                format!("cluster {} is in {region}, but {} is required", self.name(), self.settings.location);
            return Check::NotOwned { why };
        }
        if let Some(why) = cluster_body::ownership_conflict(body, &subnet.id) {
            return Check::NotOwned { why };
        }
        match State::of(body) {
            State::Deleting => return Check::Missing,
            State::Failed => return Check::Failed { why: cluster_body::reason(body, "Failed") },
            State::Canceled => return Check::Failed { why: cluster_body::reason(body, "Canceled") },
            // During its creation or update, the body already has the target values: a remaining difference
            // is corrected once the cluster has settled.
            State::Running(_) if !self.required_differences(body).is_empty() => return Check::InProgress,
            State::Running(_) => {}
            State::Succeeded => {
                if let Some(why) = cluster_body::failed_pool(body) {
                    return Check::Failed { why };
                }
                let changes = self.differences(cx, body, subnet);
                let changes =
                    policy_overrides::unexplained(cx, &self.title(), changes, cluster_body::is_required);
                if !changes.is_empty() {
                    return Check::Drifted { changes };
                }
            }
        }
        self.parse(body, None).map_or(Check::InProgress, Check::InSync)
    }

    /// Lists the required properties that differ, and the drift of an owned cluster.
    fn differences(&self, cx: &Context, body: &Value, subnet: &Subnet) -> Vec<Change> {
        let mut changes = self.required_differences(body);
        if cx.owned() {
            changes.extend(cluster_drift::differences(body, &self.settings, &subnet.id));
        }
        changes
    }

    /// Reports the settings that cannot apply to an owned cluster, because another party changed it.
    fn report_inapplicable(&self, cx: &Context, body: &Value, subnet: &Subnet) {
        for warning in cluster_drift::inapplicable(body, &self.settings, &subnet.id) {
            cx.warn(warning);
        }
        if let Some(note) = settings_pool::autoscaled(body, &self.settings, &subnet.id) {
            cx.note(note);
        }
    }

    /// Puts the cluster, and records the fields in which the answer differs from the request.
    async fn write(
        &self,
        cx: &Context,
        subnet: &Subnet,
        body: &Value,
        condition: Condition,
    ) -> Result<WriteResult, StepError> {
        let write_result = self.put(cx, body, condition).await?;
        let (resource, group) = (self.title(), &self.settings.resource_group);
        let written = Written {
            resource: &resource,
            group,
            is_in_group: true,
            is_required: cluster_body::is_required,
            write_result: &write_result,
        };
        policy_overrides::record(cx, &self.azure, written, |answer| self.differences(cx, answer, subnet))
            .await?;
        Ok(write_result)
    }

    /// Waits until no operation runs on it, and until a deletion in progress has ended.
    async fn wait_until_idle(&self, cx: &Context) -> Result<Option<Value>, StepError> {
        let wait = Wait::new(
            "the operation on the cluster to end",
            Duration::from_secs(300),
            Duration::from_secs(3600),
        );
        self.poll_cluster_until(cx, wait, |body| match body.as_ref().map(State::of) {
            Some(State::Running(state)) if !cx.owned() => Poll::not_yet(operation::display_state(&state)),
            Some(State::Deleting) => Poll::not_yet("Deleting"),
            _ => Poll::Ready(body),
        })
        .await
    }

    /// Polls the cluster until `judge` returns a result, and tolerates missing answers.
    pub(crate) async fn poll_cluster_until<T>(
        &self,
        cx: &Context,
        wait: Wait,
        evaluate: impl Fn(Option<Value>) -> Poll<T> + Send + Sync,
    ) -> Result<T, StepError> {
        let group = &self.settings.resource_group;
        let what = format!("read cluster {}", self.name());
        let request = || self.azure.cluster(group, self.name());
        let waited = operation::poll_until(cx, wait, &what, request, |body| Ok(evaluate(body))).await;
        let id = self.azure.cluster_id(group, self.name());
        waited.map_err(|error| cluster_body::with_timeout_hint(error, &id, group, self.name()))
    }

    /// Puts the cluster as read, with the changes. Reads it again as long as another writer changes it in
    /// between, which may be an earlier attempt whose answer was lost.
    async fn repair(&self, cx: &Context, subnet: &Subnet) -> Result<RepairOutcome, StepError> {
        let wait =
            Wait::new("the cluster to stay unchanged", Duration::from_secs(60), Duration::from_secs(3600));
        cx.wait_until(wait, async || {
            let Some(body) = self.wait_until_idle(cx).await? else {
                return Err(StepError::new(Kind::Failed, self.what())
                    .cause("it no longer exists")
                    .hint("run again: it is recreated"));
            };
            if cluster_body::is_stopped(&body) {
                return Err(cluster_body::stopped(&self.settings.resource_group, self.name()));
            }
            if cx.owned() {
                cluster_drift::check_immutable(&body, &self.settings, &subnet.id)?;
            }
            match self.evaluate(cx, &body, subnet) {
                Check::InSync(accepted) => return Ok(Poll::Ready(RepairOutcome::InSync(accepted))),
                Check::NotOwned { why } => return Err(StepError::new(Kind::Foreign, self.what()).cause(why)),
                _ => {}
            }
            let condition = cluster_body::unchanged(&body);
            let mut body = cluster_body::update_body(body, Required::of(&self.settings));
            if cx.owned() {
                body = cluster_drift::correct_drift(body, &self.settings, &subnet.id, self.azure.id());
            }
            match self.write(cx, subnet, &body, condition).await {
                Err(error) if is_precondition_failed(&error) => {
                    Ok(Poll::not_yet("it was changed concurrently"))
                }
                write_result => Ok(Poll::Ready(RepairOutcome::WriteResult(write_result?))),
            }
        })
        .await
    }

    async fn put(&self, cx: &Context, body: &Value, condition: Condition) -> Result<WriteResult, StepError> {
        let group = &self.settings.resource_group;
        let what = self.what();
        let mut registered = Vec::new();
        loop {
            let put = operation::retry_while_busy(cx, &what, || async {
                let put = self.azure.put_cluster(group, self.name(), body, condition.clone()).await;
                match put.track_write(cx) {
                    Err(error) => match cluster_body::required_preview_flag(&error) {
                        Some(flag) if !registered.contains(&flag) => Ok(Err(flag)),
                        _ => Err(error),
                    },
                    Ok(write_result) => Ok(Ok(write_result)),
                }
            })
            .await?;
            match put {
                Ok(write_result) => return Ok(write_result),
                Err(flag) => {
                    cx.note(format!("the service requires the preview feature {flag}"));
                    provider_registration::enable(cx, &self.azure, &flag).await?;
                    registered.push(flag);
                }
            }
        }
    }

    /// Returns the reason to keep the cluster: it contains foreign objects, or could not be examined for
    /// them. `None` if it may be deleted: it contains none, its creation never succeeded, or the person
    /// consented to lose them.
    ///
    /// # Errors
    /// Fails if the run is interrupted.
    pub(crate) async fn reason_to_keep(
        &self,
        cx: &Context,
        body: &Value,
    ) -> Result<Option<String>, StepError> {
        if self.teardown.with_foreign {
            return Ok(None);
        }
        let recorded = cx.output_of(self.resources.records.cluster);
        let Some(ready) = cluster_ready::created(body, self.name(), recorded) else { return Ok(None) };
        match self.foreign(cx, &ready).await {
            Err(error) if error.kind == Kind::Interrupted => Err(error),
            Err(error) => {
                let causes = std::iter::once(&error.message).chain(&error.causes);
                Ok(Some(unexamined(&causes.cloned().collect::<Vec<_>>().join(": "))))
            }
            Ok(Examination::Failed(why)) => Ok(Some(unexamined(&why))),
            Ok(Examination::ClusterNotFound) => Ok(None),
            Ok(Examination::Complete(foreign)) => {
                let names = &foreign.names;
                Ok((!names.is_empty())
                    .then(|| format!("it contains foreign resources: {}", foreign::listed(names))))
            }
        }
    }

    async fn foreign(&self, cx: &Context, ready: &ReadyCluster) -> Result<Examination, StepError> {
        let session = match access_cluster(cx, &self.clusters, self.resources.records.accepted, ready).await?
        {
            ClusterAccess::Open(session) => session,
            ClusterAccess::NotFound => return Ok(Examination::ClusterNotFound),
            ClusterAccess::Inaccessible(why) => return Ok(Examination::Failed(why)),
        };
        let with_found = |step: &str| cx.past_of(step).adopted || cx.adopted();
        let owned = self.resources.owned_objects(|step| cx.past_of(step), with_found);
        let what = format!("examine cluster {}", self.name());
        let request = || foreign::in_cluster(&session.api, |object| owned.owns(object));
        let foreign = operation::poll_until(cx, cluster_access::wait(), &what, request, |foreign| {
            Ok(Poll::Ready(foreign))
        })
        .await?;
        for api in &foreign.unavailable {
            cx.note(format!("{api} does not answer and was not examined"));
        }
        Ok(Examination::Complete(foreign))
    }

    /// Returns the accepted cluster. The identity's object id appears early, but not always in the first
    /// answer.
    async fn accepted(&self, cx: &Context, write_result: WriteResult) -> Result<AcceptedCluster, StepError> {
        let (operation, body) = match write_result {
            WriteResult::Accepted { operation, value } => (Some(operation), value),
            WriteResult::Done(value) => (None, value),
        };
        if let Some(operation) = &operation {
            cx.save_ticket(operation)?;
        }
        if let Some(accepted) = body.as_ref().and_then(|body| self.parse(body, operation.clone())) {
            return Ok(accepted);
        }
        let wait = Wait::new("the cluster's identity", Duration::from_secs(5), Duration::from_secs(300));
        self.poll_cluster_until(cx, wait, |body| {
            match body.and_then(|body| self.parse(&body, operation.clone())) {
                Some(accepted) => Poll::Ready(accepted),
                None => Poll::not_yet("accepted, without an identity so far"),
            }
        })
        .await
    }
}

impl Step for Cluster {
    type Input = (Subnet, PreflightOutput, ());
    type Output = AcceptedCluster;

    fn title(&self) -> String {
        format!("cluster {}", self.name())
    }

    fn planned_name(&self) -> Option<Value> {
        Some(json!({ "name": self.name() }))
    }

    fn deadline(&self) -> Duration {
        Duration::from_secs(2 * 3600)
    }

    fn typical_duration(&self) -> Duration {
        Duration::from_secs(2)
    }

    async fn check(
        &self,
        cx: &Context,
        (subnet, ..): &Self::Input,
    ) -> Result<Check<AcceptedCluster>, StepError> {
        let found = self.azure.recent_cluster(&self.settings.resource_group, self.name()).await;
        let found = found.context(format!("read cluster {}", self.name()))?;
        let Some(body) = found else { return Ok(Check::Missing) };
        if cx.owned() && State::of(&body) != State::Deleting {
            cluster_drift::check_immutable(&body, &self.settings, &subnet.id)?;
            self.report_inapplicable(cx, &body, subnet);
        }
        match self.evaluate(cx, &body, subnet) {
            foreign @ Check::NotOwned { .. } => Ok(foreign),
            _ if cluster_body::is_stopped(&body) => {
                Err(cluster_body::stopped(&self.settings.resource_group, self.name()))
            }
            Check::Drifted { changes } if changes.iter().any(cluster_body::enables_issuer) => {
                cx.note(cluster_body::ISSUER_NOTE);
                Ok(Check::Drifted { changes })
            }
            Check::Failed { why } if self.must_be_recreated(cx, &body) => {
                Ok(Check::Failed { why: format!("{why}; it is recreated") })
            }
            evaluated => Ok(evaluated),
        }
    }

    async fn apply(
        &self,
        cx: &Context,
        (subnet, preflight, ()): &Self::Input,
    ) -> Result<AcceptedCluster, StepError> {
        let existing = self.wait_until_idle(cx).await?;
        if let Some(body) = existing.as_ref().filter(|body| self.must_be_recreated(cx, body)) {
            self.delete_to_recreate(cx, body).await?;
        } else if existing.is_some() {
            return match self.repair(cx, subnet).await? {
                RepairOutcome::InSync(accepted) => Ok(accepted),
                RepairOutcome::WriteResult(write_result) => self.accepted(cx, write_result).await,
            };
        }
        let body = cluster_body::create_body(&self.settings, &preflight.version, &subnet.id, self.azure.id());
        // The precondition closes the race between check and PUT: only one cluster is ever created.
        match self.write(cx, subnet, &body, Condition::IfNoneMatch).await {
            // The answer to landfall's first attempt was lost, and that attempt has created it.
            Err(error) if is_precondition_failed(&error) && error.leftover != Leftover::Nothing => {
                cx.note("an earlier attempt created it");
                self.accepted(cx, WriteResult::Done(None)).await
            }
            Err(error) if is_precondition_failed(&error) => {
                Err(error.hint("another program created it in the meantime: run landfall again to check it"))
            }
            write_result => self.accepted(cx, write_result?).await,
        }
    }

    /// A cluster whose creation is in progress counts as created by landfall.
    async fn recover(
        &self,
        _: &Context,
        (subnet, ..): &Self::Input,
    ) -> Result<Option<AcceptedCluster>, StepError> {
        let owned = |body: &Value| cluster_body::ownership_conflict(body, &subnet.id).is_none();
        Ok(self.read().await?.filter(owned).map(|body| AcceptedCluster {
            id: self.azure.cluster_id(&self.settings.resource_group, self.name()),
            name: self.name().to_owned(),
            principal_id: body["identity"]["principalId"].as_str().unwrap_or_default().to_owned(),
            issuer: self.issuer(&body),
            operation: None,
        }))
    }

    async fn undo(&self, cx: &Context, cluster: AcceptedCluster) -> Result<UndoOutcome, StepError> {
        let what = format!("delete cluster {}", cluster.name);
        let Some(body) = self.read().await? else { return Ok(UndoOutcome::AlreadyDeleted) };
        if State::of(&body) != State::Deleting {
            if let Some(why) = self.reason_to_keep(cx, &body).await? {
                return Ok(UndoOutcome::Kept { why });
            }
            let write_result = self.start_deletion(cx, &cluster.name).await?;
            if let WriteResult::Accepted { operation, .. } = &write_result
                && self.teardown.no_wait
            {
                cx.save_ticket(operation)?;
                return Ok(UndoOutcome::InProgress);
            }
            operation::finish_cluster(cx, self.azure.arm(), write_result, Self::deletion(), &what).await?;
        }
        if self.teardown.no_wait && self.read().await?.is_some() {
            return Ok(UndoOutcome::InProgress);
        }
        self.wait_until_deleted(cx).await?;
        Ok(UndoOutcome::Deleted)
    }
}

impl Resource for Cluster {
    const NAMES: &'static [NameSetting] = &[NameSetting {
        setting: "cluster.name",
        key: "name",
        get: |s, _| s.cluster.name.clone(),
        set: |s, name| s.cluster.name = name.unwrap_or_default(),
        recorded: |past| past.read_output::<AcceptedCluster>().map(|cluster| cluster.name),
        fixed: true,
        optional: false,
    }];

    fn resource(&self) -> ResourceSpec {
        let (azure, s) = (&self.azure, &self.settings);
        let id = azure.cluster_id(&s.resource_group, self.name());
        let scopes = [id.clone(), azure.group_id(&s.node_resource_group)].map(LockScope::Deletion);
        let network = azure.network_id(&s.resource_group, &s.network.name);
        let subnet = format!("{network}/subnets/{}", s.network.subnet);
        let version = s.cluster.version.as_deref().unwrap_or_default();
        ResourceSpec::new("cluster", self.name())
            .of_type(MANAGED_CLUSTER)
            .with_id(id)
            .listed_in_group(false)
            .locked_at(move |_| scopes.to_vec())
            .needs(RIGHTS)
            .judged_by_policy("cluster", cluster_body::create_body(s, version, &subnet, azure.id()))
            .needs_providers(&["Microsoft.Compute", "Microsoft.ManagedIdentity"])
    }
}

/// The result of an examination of the cluster's contents.
enum Examination {
    /// Every kind was listed.
    Complete(Foreign),
    /// It could not be examined, with the reason.
    Failed(String),
    /// The cluster no longer exists.
    ClusterNotFound,
}

/// Returns the reason to keep a cluster that could not be examined.
pub(crate) fn unexamined(why: &str) -> String {
    format!("it could not be examined for foreign objects: {why}")
}

/// The result of repairing the cluster.
enum RepairOutcome {
    /// It is in sync already.
    InSync(AcceptedCluster),
    /// Azure has accepted the change.
    WriteResult(WriteResult),
}

/// Returns whether the precondition (If-None-Match or If-Match) failed.
fn is_precondition_failed(error: &StepError) -> bool {
    error.code.as_deref() == Some("PreconditionFailed")
}
