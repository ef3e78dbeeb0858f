//! ExternalDNS in the cluster, by the operator: an object in each namespace with a gateway, and its service account.
//!
//! The operator writes no status. So the step waits for the Deployment, and reads from its arguments the owner id by
//! which ExternalDNS marks its records. <https://learn.microsoft.com/azure/aks/app-routing-gateway-api-dns-tls>

use super::listeners;
use crate::{
    Clients, ClusterSession, Clusters,
    cluster_ready::ReadyCluster,
    dns::{FoundZone, PublishedZone, ZoneSearch},
    error_context::ErrorContext,
    manifests::{Manifests, UNKNOWN_ID},
    objects::{self, Applied, DesiredObjects, PreviousApply},
    operation,
    resource_spec::{Resource, ResourceSpec, Resources},
    settings::Settings,
};
use landfall_cloud::{
    ApiError,
    kubernetes::{
        DynamicObject, Kind,
        manifest::{self, Manifest},
        readiness,
    },
};
use landfall_engine::{
    Check, Context, Kind as ErrorKind, Leftover, Poll, Step, StepError, UndoOutcome, Wait,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::{collections::BTreeMap, time::Duration};

/// The service account of ExternalDNS.
pub(crate) const ACCOUNT: &str = "gateway-records";
/// The API version and the kind of the object.
const API: (&str, &str) = ("approuting.kubernetes.azure.com/v1alpha1", "ExternalDNS");
const NAME: &str = "gateway-records";
const OWNER: &str = "--txt-owner-id=";
/// The label by which the workload identity webhook finds a pod, and a variable that it adds.
const WEBHOOK: (&str, &str) = ("azure.workload.identity/use", "AZURE_CLIENT_ID");

/// Applies the objects of ExternalDNS.
pub struct ExternalDns {
    resources: Resources,
    cluster_name: String,
    clusters: Clusters,
    search: ZoneSearch,
    wanted: DesiredObjects,
    spaces: Vec<String>,
}

/// The running ExternalDNS.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunningExternalDns {
    /// The applied objects.
    pub applied: Applied,
    /// The zone that it manages.
    pub zone: PublishedZone,
    /// The owner id in its registry, by namespace.
    pub owners: BTreeMap<String, String>,
}

impl ExternalDns {
    /// Returns the step for these settings.
    #[must_use]
    pub fn new(c: &Clients, s: &Settings, resources: &Resources) -> Self {
        let manifests = Manifests::new(s);
        let spaces = manifests.gateway_spaces();
        let own: Vec<Manifest> = spaces.iter().flat_map(|space| set_in(space, UNKNOWN_ID, "")).collect();
        Self {
            resources: resources.clone(),
            cluster_name: s.cluster.name.clone(),
            clusters: c.clusters.clone(),
            search: ZoneSearch::new(&c.azure, s),
            wanted: manifests.wanted().and(&own),
            spaces,
        }
    }

    fn previous(&self, cx: &Context) -> PreviousApply {
        let output = cx.last_output::<RunningExternalDns>().map(|running| running.applied);
        PreviousApply { output, unfinished: cx.ticket(), wanted: self.wanted.clone() }
    }

    async fn open(&self, cluster: &ReadyCluster) -> Result<ClusterSession, StepError> {
        self.clusters.open(cluster).await.context(format!("open cluster {}", cluster.name))
    }

    async fn zone(&self) -> Result<PublishedZone, StepError> {
        match self.search.find().await.context(self.search.what())? {
            FoundZone::Zone(zone) => Ok(PublishedZone { id: zone.id, name: zone.name }),
            FoundZone::Wrong(error) => Err(error),
            FoundZone::None | FoundZone::Unreadable => Err(StepError::new(
                ErrorKind::Input,
                self.search.what(),
            )
            .cause(
                "no zone of the domain in this subscription is readable, and ExternalDNS publishes into one",
            )
            .hint("create the zone, or set dns.publish = \"table\"")
            .leftover(Leftover::Nothing)),
        }
    }

    /// Returns the service accounts and the objects.
    fn set(&self, cx: &Context, zone: &PublishedZone) -> Vec<Manifest> {
        let identity = cx.output_of(self.resources.records.identity);
        let client_id = identity.map_or_else(|| UNKNOWN_ID.to_owned(), |identity| identity.client_id);
        self.spaces.iter().flat_map(|space| set_in(space, &client_id, &zone.id)).collect()
    }

    /// Returns the owner ids of the available Deployments, or what is outstanding.
    async fn owners(
        &self,
        session: &ClusterSession,
    ) -> Result<Result<BTreeMap<String, String>, String>, ApiError> {
        let mut owners = BTreeMap::new();
        for space in &self.spaces {
            let name = deployment_name(space);
            let Some(deployment) = session.api.get(&Kind::DEPLOYMENT, Some(space), &name).await? else {
                return Ok(Err(format!("Deployment {name} does not exist yet")));
            };
            match (owner(&deployment), readiness::deployment(&deployment)) {
                (Some(owner), readiness::Readiness::Ready(())) => drop(owners.insert(space.clone(), owner)),
                _ => return Ok(Err(format!("Deployment {name} has no ready pod yet"))),
            }
        }
        Ok(Ok(owners))
    }

    /// Waits until the cluster serves the operator's kind, which comes some time after its add-on.
    async fn await_kind(&self, cx: &Context, session: &ClusterSession) -> Result<(), StepError> {
        let wait = Wait::new("the operator's kinds", Duration::from_secs(20), Duration::from_secs(600));
        cx.wait_until(wait, async || {
            let kind = match session.api.find_kind(API.0, API.1).await {
                Err(error) if operation::is_transient(&error) => {
                    return Ok(operation::no_response(&error, None));
                }
                kind => kind.context("find the kind ExternalDNS")?,
            };
            Ok(kind.map_or_else(
                || Poll::not_yet("the cluster has no kind ExternalDNS yet"),
                |_| Poll::Ready(()),
            ))
        })
        .await
    }

    async fn await_owners(
        &self,
        cx: &Context,
        session: &ClusterSession,
    ) -> Result<BTreeMap<String, String>, StepError> {
        let wait = Wait::new("ExternalDNS", Duration::from_secs(20), Duration::from_secs(900));
        let waited = cx.wait_until(wait, async || {
            match self.replace_pods_without_identity(cx, session).await {
                Err(error) if operation::is_transient(&error) => {
                    return Ok(operation::no_response(&error, None));
                }
                replaced => replaced.context("replace a pod of ExternalDNS")?,
            }
            match self.owners(session).await {
                Err(error) if operation::is_transient(&error) => Ok(operation::no_response(&error, None)),
                owners => Ok(match owners.context("read the Deployments of ExternalDNS")? {
                    Ok(owners) => Poll::Ready(owners),
                    Err(outstanding) => Poll::not_yet(outstanding),
                }),
            }
        });
        waited.await.map_err(|error| {
            error.hint("the events of ExternalDNS and of its pod show the cause (landfall doctor)")
        })
    }

    /// Deletes pods that started before the workload identity webhook: they have no identity, and never get one.
    async fn replace_pods_without_identity(
        &self,
        cx: &Context,
        session: &ClusterSession,
    ) -> Result<(), ApiError> {
        for space in &self.spaces {
            let pods = session.api.list(&Kind::POD, Some(space), None).await?;
            let app = deployment_name(space);
            let own = |pod: &&DynamicObject| {
                pod.metadata.labels.as_ref().is_some_and(|all| all.get("app") == Some(&app))
            };
            for pod in pods.iter().filter(own).filter(|pod| lacks_identity(pod)) {
                let name = pod.metadata.name.as_deref().unwrap_or_default();
                cx.note(format!("deleting pod {name}, which started before the workload identity webhook"));
                session.api.delete(&Kind::POD, Some(space), name, pod.metadata.uid.as_deref()).await?;
            }
        }
        Ok(())
    }
}

/// Returns the service account and the object in a namespace.
fn set_in(space: &str, client_id: &str, zone: &str) -> Vec<Manifest> {
    let object = json!({
        "apiVersion": API.0, "kind": API.1,
        "metadata": {
            "name": NAME, "namespace": space,
            "labels": { "app.kubernetes.io/managed-by": "landfall", "app.kubernetes.io/part-of": "landfall-operator" },
        },
        "spec": {
            "resourceName": resource_name(space),
            "dnsZoneResourceIDs": [zone],
            "resourceTypes": ["gateway"],
            "identity": { "type": "workloadIdentity", "serviceAccount": ACCOUNT },
        },
    });
    let mut all = listeners::account(ACCOUNT, space, client_id);
    all.extend(manifest::parse("operator/external-dns", &object.to_string()).expect("JSON is YAML"));
    all
}

/// Returns the name from which the operator derives those of its objects, some of which are cluster-wide.
fn resource_name(space: &str) -> String {
    format!("landfall-{space}")
}

/// Returns the name of the Deployment in a namespace.
pub(crate) fn deployment_name(space: &str) -> String {
    format!("{}-external-dns", resource_name(space))
}

/// Returns the owner id in the arguments of a Deployment.
fn owner(deployment: &DynamicObject) -> Option<String> {
    let arguments = deployment.data.pointer("/spec/template/spec/containers/0/args")?.as_array()?;
    arguments.iter().find_map(|argument| argument.as_str()?.strip_prefix(OWNER)).map(str::to_owned)
}

/// Returns whether the webhook should have given a pod its identity, and did not.
fn lacks_identity(pod: &DynamicObject) -> bool {
    let is_meant = pod.metadata.labels.as_ref().is_some_and(|labels| labels.contains_key(WEBHOOK.0));
    let containers = pod.data.pointer("/spec/containers").and_then(Value::as_array);
    let has = |container: &Value| {
        let variables = container["env"].as_array();
        variables.is_some_and(|all| all.iter().any(|variable| variable["name"] == WEBHOOK.1))
    };
    is_meant
        && containers.is_some_and(|all| !all.iter().any(has))
        && pod.metadata.deletion_timestamp.is_none()
}

impl Resource for ExternalDns {
    fn resource(&self) -> ResourceSpec {
        objects::spec(&self.cluster_name)
    }
}

impl Step for ExternalDns {
    type Input = (ReadyCluster, (), ((), ()));
    type Output = RunningExternalDns;

    fn title(&self) -> String {
        format!("ExternalDNS in {}", self.spaces.join(", "))
    }

    fn deadline(&self) -> Duration {
        Duration::from_secs(1500)
    }

    fn typical_duration(&self) -> Duration {
        Duration::from_secs(15)
    }

    async fn check(&self, cx: &Context, input: &Self::Input) -> Result<Check<RunningExternalDns>, StepError> {
        let session = self.open(&input.0).await?;
        let zone = self.zone().await?;
        if session.api.find_kind(API.0, API.1).await.context("find the kind ExternalDNS")?.is_none() {
            return Ok(Check::Missing);
        }
        let diff = objects::diff(&session, &self.set(cx, &zone), &self.previous(cx)).await?;
        diff.note_found(cx);
        let found = match diff.check() {
            Ok(found) => found,
            Err(verdict) => return Ok(objects::verdict(verdict)),
        };
        let owners = self.owners(&session).await.context("read the Deployments of ExternalDNS")?;
        let Ok(owners) = owners else { return Ok(Check::InProgress) };
        let applied = objects::references(cx, &session, self.previous(cx).output, &found).await?;
        Ok(Check::InSync(RunningExternalDns { applied, zone, owners }))
    }

    async fn apply(&self, cx: &Context, input: &Self::Input) -> Result<RunningExternalDns, StepError> {
        let session = self.open(&input.0).await?;
        let zone = self.zone().await?;
        self.await_kind(cx, &session).await?;
        let applied = objects::apply(cx, &session, self.previous(cx), &self.set(cx, &zone)).await?;
        let owners = self.await_owners(cx, &session).await?;
        Ok(RunningExternalDns { applied, zone, owners })
    }

    async fn recover(
        &self,
        cx: &Context,
        input: &Self::Input,
    ) -> Result<Option<RunningExternalDns>, StepError> {
        let zone = self.zone().await?;
        let set = self.set(cx, &zone);
        let recovered = objects::recover(cx, &self.clusters, &self.resources, &input.0, &set).await?;
        Ok(recovered.map(|applied| RunningExternalDns { applied, zone, owners: BTreeMap::new() }))
    }

    async fn existing(
        &self,
        cx: &Context,
        input: &Self::Input,
    ) -> Result<Option<RunningExternalDns>, StepError> {
        let (session, zone) = (self.open(&input.0).await?, self.zone().await?);
        let existing = objects::existing(cx, &session, &self.set(cx, &zone)).await?;
        Ok(existing.map(|(applied, _)| RunningExternalDns { applied, zone, owners: BTreeMap::new() }))
    }

    async fn undo(&self, cx: &Context, running: RunningExternalDns) -> Result<UndoOutcome, StepError> {
        objects::undo(cx, &self.clusters, &self.resources, &running.applied).await
    }
}
