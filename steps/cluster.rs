//! The cluster, until Azure has accepted it; the next step waits for it.

use crate::{
    Clouds, Clusters, cluster_body, cluster_drift,
    cluster_ready::{self, ReadyCluster},
    doing::{Doing, Written},
    features,
    network::Subnet,
    objects::strangers::{self, Foreign},
    operation,
    preflight::Cleared,
    reach::{self, Reached, reach},
    resource::{LockScope, MANAGED_CLUSTER, NameSetting, Resource, ResourceSpec, Resources, Right},
    resource_group::same_region,
    settings::{Settings, Teardown},
};
use landfall_cloud::arm::{Azure, Begun, Condition, Operation, State};
use landfall_engine::{Check, Context, Kind, Look, Residue, Step, StepError, Undone, Wait};
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
    pub(crate) azure: Azure,
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
    /// The operation that creates it, if this run started one. The waiting step saves it as a ticket. In the
    /// output it would make the same cluster look changed.
    #[serde(skip)]
    pub operation: Option<Operation>,
}

impl Cluster {
    /// Returns the step for these settings.
    #[must_use]
    pub fn new(c: &Clouds, s: &Settings, teardown: &Teardown, resources: &Resources) -> Self {
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

    async fn look(&self) -> Result<Option<Value>, StepError> {
        let found = self.azure.cluster(&self.settings.resource_group, self.name()).await;
        found.doing(format!("read cluster {}", self.name()))
    }

    fn found(&self, body: &Value, operation: Option<Operation>) -> Option<AcceptedCluster> {
        Some(AcceptedCluster {
            id: body["id"].as_str()?.to_owned(),
            name: self.name().to_owned(),
            principal_id: body["identity"]["principalId"].as_str()?.to_owned(),
            operation,
        })
    }

    fn judge(&self, cx: &Context, body: &Value, subnet: &Subnet) -> Check<AcceptedCluster> {
        let region = body["location"].as_str().unwrap_or_default();
        if !same_region(region, &self.settings.location) {
            let why =
                format!("cluster {} is in {region}, but {} is required", self.name(), self.settings.location);
            return Check::Foreign { why };
        }
        if let Some(why) = cluster_body::stranger(body, &subnet.id) {
            return Check::Foreign { why };
        }
        match State::of(body) {
            State::Deleting => return Check::Missing,
            State::Failed => return Check::Broken { why: cluster_body::reason(body, "Failed") },
            State::Canceled => return Check::Broken { why: cluster_body::reason(body, "Canceled") },
            // During its creation or update, the body already has the target values: a remaining difference
            // is corrected once the cluster has settled.
            State::Running(_) if !cluster_body::differences(body).is_empty() => return Check::Underway,
            State::Running(_) => {}
            State::Succeeded => {
                if let Some(why) = cluster_body::failed_pool(body) {
                    return Check::Broken { why };
                }
                let mut changes = cluster_body::differences(body);
                if cx.ours() {
                    changes.extend(cluster_drift::differences(body, &self.settings));
                }
                if !changes.is_empty() {
                    return Check::Differs { changes };
                }
            }
        }
        self.found(body, None).map_or(Check::Underway, Check::Ready)
    }

    /// Waits until no operation runs on it, and until a deletion in progress has ended.
    async fn wait_until_settled(&self, cx: &Context) -> Result<Option<Value>, StepError> {
        let wait = Wait::new(
            "the operation on the cluster to end",
            Duration::from_secs(300),
            Duration::from_secs(3600),
        );
        self.looked_until(cx, wait, |body| match body.as_ref().map(State::of) {
            Some(State::Running(state)) if !cx.ours() => Look::not_yet(operation::in_words(&state)),
            Some(State::Deleting) => Look::not_yet("Deleting"),
            _ => Look::There(body),
        })
        .await
    }

    /// Polls the cluster until `judge` returns a result, and tolerates missing answers.
    pub(crate) async fn looked_until<T>(
        &self,
        cx: &Context,
        wait: Wait,
        judge: impl Fn(Option<Value>) -> Look<T> + Send + Sync,
    ) -> Result<T, StepError> {
        let group = &self.settings.resource_group;
        let what = format!("read cluster {}", self.name());
        let ask = || self.azure.cluster(group, self.name());
        let waited = operation::look_until(cx, wait, &what, ask, |body| Ok(judge(body))).await;
        let id = self.azure.cluster_id(group, self.name());
        waited.map_err(|error| cluster_body::way_out(error, &id, group, self.name()))
    }

    /// Puts the cluster as read, with the changes. Reads it again as long as another writer changes it in
    /// between, which may be an earlier attempt whose answer was lost.
    async fn mend(&self, cx: &Context, subnet: &Subnet) -> Result<Mended, StepError> {
        let wait =
            Wait::new("the cluster to stay unchanged", Duration::from_secs(60), Duration::from_secs(3600));
        cx.wait_until(wait, async || {
            let Some(body) = self.wait_until_settled(cx).await? else {
                return Err(StepError::new(Kind::Failed, self.what())
                    .cause("it no longer exists")
                    .hint("run again: it is recreated"));
            };
            if cluster_body::is_stopped(&body) {
                return Err(cluster_body::stopped(&self.settings.resource_group, self.name()));
            }
            if cx.ours() {
                cluster_drift::refused(&body, &self.settings)?;
            }
            match self.judge(cx, &body, subnet) {
                Check::Ready(accepted) => return Ok(Look::There(Mended::Needless(accepted))),
                Check::Foreign { why } => return Err(StepError::new(Kind::Foreign, self.what()).cause(why)),
                _ => {}
            }
            let condition = cluster_body::unchanged(&body);
            let mut body = cluster_body::mended(body);
            if cx.ours() {
                body = cluster_drift::settle(body, &self.settings);
            }
            match self.put(cx, &body, condition).await {
                Err(error) if is_there(&error) => Ok(Look::not_yet("it was changed concurrently")),
                begun => Ok(Look::There(Mended::Begun(begun?))),
            }
        })
        .await
    }

    async fn put(&self, cx: &Context, body: &Value, condition: Condition) -> Result<Begun, StepError> {
        let group = &self.settings.resource_group;
        let what = self.what();
        let mut registered = Vec::new();
        loop {
            let put = operation::when_free(cx, &what, || async {
                let put = self.azure.put_cluster(group, self.name(), body, condition.clone()).await;
                match put.written(cx) {
                    Err(error) => match cluster_body::flag_asked_for(&error) {
                        Some(flag) if !registered.contains(&flag) => Ok(Err(flag)),
                        _ => Err(error),
                    },
                    Ok(begun) => Ok(Ok(begun)),
                }
            })
            .await?;
            match put {
                Ok(begun) => return Ok(begun),
                Err(flag) => {
                    cx.note(format!("the service requires the preview feature {flag}"));
                    features::enable(cx, &self.azure, &flag).await?;
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
        if self.teardown.with_strangers {
            return Ok(None);
        }
        let remembered = cx.output_of(self.resources.records.cluster);
        let Some(ready) = cluster_ready::created(body, self.name(), remembered) else { return Ok(None) };
        match self.foreign(cx, &ready).await {
            Err(error) if error.kind == Kind::Interrupted => Err(error),
            Err(error) => {
                let causes = std::iter::once(&error.message).chain(&error.causes);
                Ok(Some(unexamined(&causes.cloned().collect::<Vec<_>>().join(": "))))
            }
            Ok(Examined::Not(why)) => Ok(Some(unexamined(&why))),
            Ok(Examined::Gone) => Ok(None),
            Ok(Examined::Completely(foreign)) => {
                let names = &foreign.names;
                Ok((!names.is_empty())
                    .then(|| format!("it contains foreign resources: {}", strangers::listed(names))))
            }
        }
    }

    async fn foreign(&self, cx: &Context, ready: &ReadyCluster) -> Result<Examined, StepError> {
        let opened = match reach(cx, &self.clusters, self.resources.records.accepted, ready).await? {
            Reached::Open(opened) => opened,
            Reached::Gone => return Ok(Examined::Gone),
            Reached::Closed(why) => return Ok(Examined::Not(why)),
        };
        let with_found = |step: &str| cx.past_of(step).adopted || cx.adopted();
        let ours = self.resources.owned_objects(|step| cx.past_of(step), with_found);
        let what = format!("examine cluster {}", self.name());
        let ask = || strangers::in_cluster(&opened.api, |object| strangers::is_among(&ours, object));
        let foreign =
            operation::look_until(cx, reach::wait(), &what, ask, |foreign| Ok(Look::There(foreign))).await?;
        for api in &foreign.unavailable {
            cx.note(format!("{api} does not answer and was not examined"));
        }
        Ok(Examined::Completely(foreign))
    }

    /// Returns the accepted cluster. The identity's object id appears early, but not always in the first
    /// answer.
    async fn accepted(&self, cx: &Context, begun: Begun) -> Result<AcceptedCluster, StepError> {
        let (operation, body) = match begun {
            Begun::Accepted { operation, value } => (Some(operation), value),
            Begun::Done(value) => (None, value),
        };
        if let Some(operation) = &operation {
            cx.keep(operation)?;
        }
        if let Some(accepted) = body.as_ref().and_then(|body| self.found(body, operation.clone())) {
            return Ok(accepted);
        }
        let wait = Wait::new("the cluster's identity", Duration::from_secs(5), Duration::from_secs(300));
        self.looked_until(cx, wait, |body| match body.and_then(|body| self.found(&body, operation.clone())) {
            Some(accepted) => Look::There(accepted),
            None => Look::not_yet("accepted, without an identity so far"),
        })
        .await
    }
}

impl Step for Cluster {
    type Input = (Subnet, Cleared, ());
    type Output = AcceptedCluster;

    fn title(&self) -> String {
        format!("cluster {}", self.name())
    }

    fn named(&self) -> Option<Value> {
        Some(json!({ "name": self.name() }))
    }

    fn deadline(&self) -> Duration {
        Duration::from_secs(2 * 3600)
    }

    fn usual(&self) -> Duration {
        Duration::from_secs(2)
    }

    async fn check(
        &self,
        cx: &Context,
        (subnet, ..): &Self::Input,
    ) -> Result<Check<AcceptedCluster>, StepError> {
        let Some(body) = self.look().await? else { return Ok(Check::Missing) };
        if cx.ours() && State::of(&body) != State::Deleting {
            cluster_drift::refused(&body, &self.settings)?;
        }
        match self.judge(cx, &body, subnet) {
            foreign @ Check::Foreign { .. } => Ok(foreign),
            _ if cluster_body::is_stopped(&body) => {
                Err(cluster_body::stopped(&self.settings.resource_group, self.name()))
            }
            Check::Broken { why } if self.is_to_be_replaced(cx, &body) => {
                Ok(Check::Broken { why: format!("{why}; it is recreated") })
            }
            judged => Ok(judged),
        }
    }

    async fn apply(
        &self,
        cx: &Context,
        (subnet, cleared, ()): &Self::Input,
    ) -> Result<AcceptedCluster, StepError> {
        let there = self.wait_until_settled(cx).await?;
        if let Some(body) = there.as_ref().filter(|body| self.is_to_be_replaced(cx, body)) {
            self.clear_away(cx, body).await?;
        } else if there.is_some() {
            return match self.mend(cx, subnet).await? {
                Mended::Needless(accepted) => Ok(accepted),
                Mended::Begun(begun) => self.accepted(cx, begun).await,
            };
        }
        let body = cluster_body::anew(&self.settings, &cleared.version, &subnet.id, self.azure.id());
        // The precondition closes the race between check and PUT: only one cluster is ever created.
        match self.put(cx, &body, Condition::IfNoneMatch).await {
            // The answer to landfall's first attempt was lost, and that attempt has created it.
            Err(error) if is_there(&error) && error.residue != Residue::Nothing => {
                cx.note("an earlier attempt created it");
                self.accepted(cx, Begun::Done(None)).await
            }
            Err(error) if is_there(&error) => {
                Err(error.hint("it was created by another client: run again to check it"))
            }
            begun => self.accepted(cx, begun?).await,
        }
    }

    /// A cluster whose creation is in progress counts as created by landfall.
    async fn recover(
        &self,
        _: &Context,
        (subnet, ..): &Self::Input,
    ) -> Result<Option<AcceptedCluster>, StepError> {
        let ours = |body: &Value| cluster_body::stranger(body, &subnet.id).is_none();
        Ok(self.look().await?.filter(ours).map(|body| AcceptedCluster {
            id: self.azure.cluster_id(&self.settings.resource_group, self.name()),
            name: self.name().to_owned(),
            principal_id: body["identity"]["principalId"].as_str().unwrap_or_default().to_owned(),
            operation: None,
        }))
    }

    async fn undo(&self, cx: &Context, cluster: AcceptedCluster) -> Result<Undone, StepError> {
        let what = format!("delete cluster {}", cluster.name);
        let Some(body) = self.look().await? else { return Ok(Undone::AlreadyGone) };
        if State::of(&body) != State::Deleting {
            if let Some(why) = self.reason_to_keep(cx, &body).await? {
                return Ok(Undone::Kept { why });
            }
            let begun = self.begin_to_delete(cx, &cluster.name).await?;
            if let Begun::Accepted { operation, .. } = &begun
                && self.teardown.no_wait
            {
                cx.keep(operation)?;
                return Ok(Undone::Underway);
            }
            operation::finish(cx, self.azure.arm(), begun, Self::deletion(), &what).await?;
        }
        if self.teardown.no_wait && self.look().await?.is_some() {
            return Ok(Undone::Underway);
        }
        self.until_gone(cx).await?;
        Ok(Undone::Deleted)
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
            .judged_by_policy("cluster", cluster_body::anew(s, version, &subnet, azure.id()))
            .needs_providers(&["Microsoft.Compute", "Microsoft.ManagedIdentity"])
    }
}

/// The result of an examination of the cluster's contents.
enum Examined {
    /// Every kind was listed.
    Completely(Foreign),
    /// It could not be examined, with the reason.
    Not(String),
    /// The cluster no longer exists.
    Gone,
}

/// Returns the reason to keep a cluster that could not be examined.
pub(crate) fn unexamined(why: &str) -> String {
    format!("it could not be examined for foreign objects: {why}")
}

/// The result of repairing the cluster.
enum Mended {
    /// It is in sync already.
    Needless(AcceptedCluster),
    /// Azure has accepted the change.
    Begun(Begun),
}

/// Returns whether the precondition (If-None-Match or If-Match) failed.
fn is_there(error: &StepError) -> bool {
    error.code.as_deref() == Some("PreconditionFailed")
}
