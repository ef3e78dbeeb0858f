//! The ready cluster: attaches to the operation that creates it, and waits.

use crate::{
    Clients,
    cluster::AcceptedCluster,
    cluster::body::{self as cluster_body, Required},
    error_context::{ErrorContext, TrackWrite},
    operation,
    resource_spec::{MANAGED_CLUSTER, Resource, ResourceSpec},
    settings::Settings,
};
pub use landfall_cloud::{AddOnIdentity, ReadyCluster};
use landfall_cloud::{
    ApiErrorKind,
    arm::{State, SubscriptionClient, WriteResult},
};
use landfall_engine::{Check, Context, Kind, Leftover, Poll, Step, StepError, UndoOutcome, Wait};
use serde_json::Value;
use std::{sync::OnceLock, time::Duration};
use tokio::time::Instant;

/// The maximum time that the add-on's identity may be missing after the cluster has succeeded, before the PUT
/// is repeated. AKS sometimes fills it in late, and sometimes never.
const IDENTITY_TIMEOUT: Duration = Duration::from_secs(60);
const ADD_ON: &str = "/properties/addonProfiles/azureKeyvaultSecretsProvider/identity";

/// Waits for the cluster.
pub struct ClusterReady {
    azure: SubscriptionClient,
    group: String,
    name: String,
    required: Required,
}

impl ClusterReady {
    /// Returns the step for these settings.
    #[must_use]
    pub fn new(c: &Clients, s: &Settings) -> Self {
        let (group, name) = (s.resource_group.clone(), s.cluster.name.clone());
        Self { azure: c.azure.clone(), group, name, required: Required::of(s) }
    }

    fn what(&self) -> String {
        format!("create cluster {}", self.name)
    }

    fn wait() -> Wait {
        Wait::new("the cluster to be created", Duration::from_secs(280), Duration::from_secs(3600))
    }

    async fn read(&self) -> Result<Option<Value>, StepError> {
        let found = self.azure.cluster(&self.group, &self.name).await;
        found.context(format!("read cluster {}", self.name))
    }

    fn evaluate(&self, body: &Value) -> Result<Poll<ReadyCluster>, StepError> {
        match State::of(body) {
            State::Running(state) => Ok(Poll::not_yet(state)),
            State::Succeeded if cluster_body::is_stopped(body) => {
                Err(cluster_body::stopped(&self.group, &self.name))
            }
            State::Succeeded if let Some(why) = cluster_body::failed_pool(body) => Err(self.failed(why)),
            State::Succeeded => Ok(match found(body, &self.name) {
                Some(cluster) => Poll::Ready(cluster),
                None => Poll::not_yet("Succeeded, without the add-on's identity so far"),
            }),
            State::Deleting => Err(self.failed("it is being deleted".to_owned())),
            State::Failed => Err(self.failed_operation(body, "Failed")),
            State::Canceled => Err(self.failed_operation(body, "Canceled")),
        }
    }

    fn failed_operation(&self, body: &Value, state: &str) -> StepError {
        let failed = self.failed(cluster_body::reason(body, state));
        match cluster_body::failure_code(body) {
            Some(code) => failed.code(code),
            None => failed,
        }
    }

    fn failed(&self, why: String) -> StepError {
        StepError::new(Kind::Failed, self.what())
            .cause(why)
            .leftover(Leftover::Something)
            .hint("run again: landfall repairs a failed cluster by sending its request again")
    }

    /// Waits for the cluster; returns the body as the error if it succeeded without the add-on's identity.
    async fn wait_until_ready(&self, cx: &Context) -> Result<Result<ReadyCluster, Value>, StepError> {
        let succeeded = OnceLock::new();
        let timeout = cx.time_scale().real(IDENTITY_TIMEOUT);
        cx.wait_until(Self::wait(), async || {
            let body = match self.azure.cluster(&self.group, &self.name).await {
                Ok(Some(body)) => body,
                Ok(None) => return Err(self.failed("it no longer exists".to_owned())),
                // The cloud continues the creation, whether or not it answers now.
                Err(error) if operation::is_transient(&error) => {
                    return Ok(Poll::not_yet(format!("cannot read the state now: {}", error.message)));
                }
                Err(error) => return Err(error).context(format!("read cluster {}", self.name)),
            };
            Ok(match self.evaluate(&body)? {
                Poll::Ready(cluster) => Poll::Ready(Ok(cluster)),
                Poll::NotYet { .. }
                    if State::of(&body) == State::Succeeded
                        && succeeded.get_or_init(Instant::now).elapsed() >= timeout =>
                {
                    Poll::Ready(Err(body))
                }
                Poll::NotYet { state, not_before } => Poll::NotYet { state, not_before },
            })
        })
        .await
        .map_err(|error| self.with_timeout_hint(error))
    }

    /// Repeats the PUT of the unchanged cluster, which creates a missing add-on identity.
    async fn resend_put(&self, cx: &Context, body: Value) -> Result<ReadyCluster, StepError> {
        cx.note("requesting the add-on again, because it has no identity");
        let what = self.what();
        let condition = cluster_body::unchanged(&body);
        let body = cluster_body::update_body(body, self.required);
        let put = || async {
            let put = self.azure.put_cluster(&self.group, &self.name, &body, condition.clone()).await;
            match put.track_write(cx) {
                // Another writer, or an earlier attempt whose answer was lost, has put it since: that
                // suffices.
                Err(error) if error.kind == ApiErrorKind::Precondition => Ok(WriteResult::Done(None)),
                write_result => write_result,
            }
        };
        let write_result = operation::retry_while_busy(cx, &what, put).await?;
        operation::finish_cluster(cx, self.azure.arm(), write_result, Self::wait(), &what).await?;
        self.wait_until_ready(cx).await?.map_err(|_| self.failed("the add-on has no identity".to_owned()))
    }

    /// Polls the operation: the one that this run started, else the one that an earlier run left.
    async fn poll_operation(&self, cx: &Context, accepted: &AcceptedCluster) -> Result<(), StepError> {
        if let Some(operation) = &accepted.operation {
            cx.save_ticket(operation)?;
        }
        let ended = operation::resume_cluster(cx, self.azure.arm(), Self::wait(), &self.what()).await;
        match ended {
            Ok(_) => Ok(()),
            // Another operation replaced this one, or another party aborted it: the state of the cluster
            // decides, and is read next.
            Err(error) if error.code.as_deref().is_some_and(was_preempted) => {
                cx.note("the operation was preempted by another one");
                cx.drop_ticket()
            }
            // The same holds after an operation of an earlier run, whose failure may have been repaired
            // since.
            Err(error) if error.kind == Kind::Failed && accepted.operation.is_none() => {
                cx.note("the operation of an earlier run has failed");
                cx.drop_ticket()
            }
            Err(error) if error.kind == Kind::Failed => {
                cx.drop_ticket()?;
                Err(error
                    .leftover(Leftover::Something)
                    .hint("run again: landfall repairs a failed cluster by sending its request again"))
            }
            Err(error) => Err(self.with_timeout_hint(error)),
        }
    }

    fn with_timeout_hint(&self, error: StepError) -> StepError {
        let id = self.azure.cluster_id(&self.group, &self.name);
        cluster_body::with_timeout_hint(error, &id, &self.group, &self.name)
    }
}

/// Returns whether a code means that the operation ended without a conclusion about the cluster.
fn was_preempted(code: &str) -> bool {
    ["AKSOperationPreempted", "AKSOperationPreemptedByDelete", "Canceled", "Cancelled", "OperationCanceled"]
        .iter()
        .any(|known| known.eq_ignore_ascii_case(code))
}

impl Step for ClusterReady {
    type Input = AcceptedCluster;
    type Output = ReadyCluster;

    fn title(&self) -> String {
        format!("cluster {} ready", self.name)
    }

    fn deadline(&self) -> Duration {
        Duration::from_secs(2 * 3600)
    }

    fn typical_duration(&self) -> Duration {
        Duration::from_secs(280)
    }

    async fn check(&self, _: &Context, _: &AcceptedCluster) -> Result<Check<ReadyCluster>, StepError> {
        let found = self.azure.recent_cluster(&self.group, &self.name).await;
        let Some(body) = found.context(format!("read cluster {}", self.name))? else {
            return Err(self.failed("it no longer exists".to_owned()));
        };
        self.evaluate(&body).map(|poll| match poll {
            Poll::Ready(cluster) => Check::InSync(cluster),
            Poll::NotYet { .. } => Check::InProgress,
        })
    }

    async fn apply(&self, cx: &Context, accepted: &AcceptedCluster) -> Result<ReadyCluster, StepError> {
        self.poll_operation(cx, accepted).await?;
        match self.wait_until_ready(cx).await? {
            Ok(cluster) => Ok(cluster),
            Err(body) => self.resend_put(cx, body).await,
        }
    }

    /// Returns the cluster in any state: its known fields are sufficient to delete its contents.
    async fn recover(&self, _: &Context, _: &AcceptedCluster) -> Result<Option<ReadyCluster>, StepError> {
        Ok(self.read().await?.and_then(|body| found(&body, &self.name)))
    }

    async fn undo(&self, _: &Context, _: ReadyCluster) -> Result<UndoOutcome, StepError> {
        Ok(UndoOutcome::DeletedWithParent)
    }
}

impl Resource for ClusterReady {
    /// The cluster of the step before, which deletes it.
    fn resource(&self) -> ResourceSpec {
        ResourceSpec::new("cluster", &self.name).of_type(MANAGED_CLUSTER)
    }
}

/// Returns a cluster whose creation succeeded at least once, to examine its contents. It is identified by the
/// record of this very cluster in `remembered`, else by its state. `None` if it never succeeded, so that it
/// cannot contain foreign objects.
pub(crate) fn created(body: &Value, name: &str, recorded: Option<ReadyCluster>) -> Option<ReadyCluster> {
    let uid = body["properties"]["resourceUID"].as_str();
    let recorded = recorded.filter(|ready| uid.is_none_or(|uid| uid == ready.uid));
    let has_succeeded = match State::of(body) {
        State::Succeeded => true,
        State::Running(state) => !state.eq_ignore_ascii_case("Creating"),
        // Its add-ons have identities only after its first success.
        State::Failed | State::Canceled => {
            found(body, name).is_some()
                || body["properties"]["identityProfile"]["kubeletidentity"].is_object()
        }
        State::Deleting => false,
    };
    recorded.or_else(|| has_succeeded.then(|| from_basic_fields(body, name)).flatten())
}

/// Returns a cluster from the fields that every body has, without its add-ons.
fn from_basic_fields(body: &Value, name: &str) -> Option<ReadyCluster> {
    let properties = &body["properties"];
    let fqdn = properties["fqdn"].as_str().unwrap_or_default().to_owned();
    Some(ReadyCluster {
        id: body["id"].as_str()?.to_owned(),
        name: name.to_owned(),
        uid: properties["resourceUID"].as_str().map_or_else(|| fqdn.clone(), str::to_owned),
        fqdn,
        version: properties["currentKubernetesVersion"].as_str().unwrap_or_default().to_owned(),
        secrets: AddOnIdentity { client_id: String::new(), object_id: String::new() },
    })
}

pub(crate) fn found(body: &Value, name: &str) -> Option<ReadyCluster> {
    let identity = body.pointer(ADD_ON)?;
    let secrets = AddOnIdentity {
        client_id: identity["clientId"].as_str()?.to_owned(),
        object_id: identity["objectId"].as_str()?.to_owned(),
    };
    Some(ReadyCluster { secrets, ..from_basic_fields(body, name)? })
}
