//! The switch of listeners to the operator without an interruption.
//!
//! The operator refers to its Secret at once, and a listener without its Secret is off. So landfall first creates that
//! Secret with a class and a workload of its own. The workload is deleted when a pod of the operator holds the Secret
//! too.

use super::listeners::{self, OperatorListener};
use crate::{ClusterSession, error_context::ErrorContext, manifests::TlsNames, operation};
use landfall_cloud::{
    ApiError,
    kubernetes::{
        DynamicObject, Kind,
        manifest::{self, Manifest},
        readiness, tls_secret,
    },
    sync_diagnosis::message_summary,
};
use landfall_engine::{Context, Poll, StepError, Wait};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

const HANDOVER: &str = include_str!("../templates/operator/handover.yaml");
const READ: &str = "read the objects of the operator";
/// The reasons of the operator's events that name an error.
const REASONS: [&str; 5] = [
    "InvalidInput",
    "FailedUpdateOrCreateSPC",
    "FailedUpdateUpstreamCertRef",
    "FailedUpdateOrCreatePlaceholderPodDeployment",
    "FailedMount",
];

/// Returns the class and the workload that create the Secrets of these listeners, in each of their namespaces.
pub(crate) fn handover(listeners: &[OperatorListener], names: &TlsNames<'_>) -> Vec<Manifest> {
    let mut by_space: BTreeMap<&str, Vec<&OperatorListener>> = BTreeMap::new();
    for listener in listeners {
        by_space.entry(&listener.namespace).or_default().push(listener);
    }
    let mut all = Vec::new();
    for (space, listeners) in by_space {
        let secrets = listeners.iter().map(|listener| {
            json!({
                "secretName": listener.secret(), "type": "kubernetes.io/tls",
                "data": [
                    { "objectName": names.certificate, "key": "tls.key" },
                    { "objectName": names.certificate, "key": "tls.crt" },
                ],
            })
        });
        let secrets: Vec<Value> = secrets.collect();
        let mut parsed =
            manifest::parse("operator/handover.yaml", HANDOVER).expect("our own templates are well-formed");
        for one in &mut parsed {
            one.object.metadata.namespace = Some(space.to_owned());
            if let Some(slot) = one.object.data.pointer_mut("/spec/secretObjects") {
                *slot = json!(secrets);
            }
        }
        all.extend(parsed);
    }
    names.fill(&mut all);
    all
}

/// Returns the listeners that refer to a Secret now, while no pod of the operator holds the Secret that it will refer to.
pub(crate) async fn unprepared(
    session: &ClusterSession,
    all: &[OperatorListener],
) -> Result<Vec<OperatorListener>, StepError> {
    let objects = Objects::read(session, all).await.context(READ)?;
    let serves = |listener: &&OperatorListener| {
        let live = objects.gateway(listener).and_then(|gateway| listeners::live(gateway, &listener.name));
        live.is_some_and(|live| live["tls"]["certificateRefs"].as_array().is_some_and(|all| !all.is_empty()))
    };
    Ok(all.iter().filter(serves).filter(|one| !objects.is_held_by_operator(one)).cloned().collect())
}

/// Waits until the Secrets of the listeners exist.
pub(crate) async fn await_secrets(
    cx: &Context,
    session: &ClusterSession,
    all: &[OperatorListener],
) -> Result<(), StepError> {
    let wait = Wait::new("the operator's Secrets", Duration::from_secs(20), Duration::from_secs(600));
    cx.wait_until(wait, async || {
        poll(session, all, |objects, listener| match objects.secret(listener).and_then(tls_secret::leaf) {
            Some(_) => None,
            None => Some(objects.describe(listener, "is not synced yet")),
        })
        .await
    })
    .await
    .map_err(hint)
}

/// Waits until the operator provides the certificates of the listeners.
pub(crate) async fn await_operator(
    cx: &Context,
    session: &ClusterSession,
    all: &[OperatorListener],
) -> Result<(), StepError> {
    let wait = Wait::new("the operator's certificates", Duration::from_secs(20), Duration::from_secs(600));
    cx.wait_until(wait, async || poll(session, all, |objects, listener| objects.outstanding(listener)).await)
        .await
        .map_err(hint)
}

/// Returns what the operator has not done yet, for a check.
pub(crate) async fn outstanding(
    session: &ClusterSession,
    all: &[OperatorListener],
) -> Result<Vec<String>, StepError> {
    let objects = Objects::read(session, all).await.context(READ)?;
    Ok(all.iter().filter_map(|listener| objects.outstanding(listener)).collect())
}

fn hint(error: StepError) -> StepError {
    error.hint("the operator writes no status: its events and those of the pods kv-gw-cert-* show the cause (landfall doctor)")
}

async fn poll(
    session: &ClusterSession,
    all: &[OperatorListener],
    outstanding: impl Fn(&Objects, &OperatorListener) -> Option<String>,
) -> Result<Poll<()>, StepError> {
    let objects = match Objects::read(session, all).await {
        Err(error) if operation::is_transient(&error) => return Ok(operation::no_response(&error, None)),
        read => read.context(READ)?,
    };
    let missing: Vec<String> = all.iter().filter_map(|listener| outstanding(&objects, listener)).collect();
    Ok(if missing.is_empty() { Poll::Ready(()) } else { Poll::not_yet(missing.join("; ")) })
}

/// The objects of the listeners' namespaces.
struct Objects {
    gateways: Vec<DynamicObject>,
    secrets: Vec<DynamicObject>,
    deployments: Vec<DynamicObject>,
    events: Vec<DynamicObject>,
}

impl Objects {
    async fn read(session: &ClusterSession, all: &[OperatorListener]) -> Result<Self, ApiError> {
        let spaces: BTreeSet<&str> = all.iter().map(|listener| listener.namespace.as_str()).collect();
        let list = |kind: Kind| {
            let lists = spaces.iter().map(|space| {
                let kind = kind.clone();
                async move { session.api.list(&kind, Some(space), None).await }
            });
            let lists = futures::future::try_join_all(lists);
            async { Ok::<_, ApiError>(lists.await?.into_iter().flatten().collect::<Vec<_>>()) }
        };
        let secrets = all.iter().map(|listener| async move {
            session.api.get(&Kind::SECRET, Some(&listener.namespace), &listener.secret()).await
        });
        let secrets = futures::future::try_join_all(secrets);
        let (gateways, deployments, events, secrets) =
            futures::try_join!(list(Kind::GATEWAY), list(Kind::DEPLOYMENT), list(Kind::EVENT), secrets)?;
        Ok(Self { gateways, deployments, events, secrets: secrets.into_iter().flatten().collect() })
    }

    fn find<'a>(all: &'a [DynamicObject], space: &str, name: &str) -> Option<&'a DynamicObject> {
        all.iter().find(|one| {
            one.metadata.name.as_deref() == Some(name)
                && one.metadata.namespace.as_deref().unwrap_or("default") == space
        })
    }

    fn gateway(&self, listener: &OperatorListener) -> Option<&DynamicObject> {
        Self::find(&self.gateways, &listener.namespace, &listener.gateway)
    }

    fn secret(&self, listener: &OperatorListener) -> Option<&DynamicObject> {
        Self::find(&self.secrets, &listener.namespace, &listener.secret())
    }

    /// Returns whether a workload of the operator keeps the Secret.
    fn is_held_by_operator(&self, listener: &OperatorListener) -> bool {
        let prefix = format!("{}-", listener.secret());
        let owners = |secret: &DynamicObject| {
            let owners = secret.metadata.owner_references.clone().unwrap_or_default();
            owners.into_iter().any(|owner| owner.kind == "ReplicaSet" && owner.name.starts_with(&prefix))
        };
        self.secret(listener).is_some_and(owners)
    }

    /// Returns what the operator has not done for a listener yet.
    fn outstanding(&self, listener: &OperatorListener) -> Option<String> {
        let gateway = self.gateway(listener);
        let live = gateway.and_then(|gateway| listeners::live(gateway, &listener.name));
        let references = live.map(|live| &live["tls"]["certificateRefs"]);
        let refers = references.is_some_and(|references| references[0]["name"] == listener.secret());
        let workload = Self::find(&self.deployments, &listener.namespace, &listener.secret());
        let runs = workload.is_some_and(|workload| {
            matches!(readiness::deployment(workload), readiness::Readiness::Ready(()))
        });
        if !refers {
            Some(self.describe(listener, "has no certificate from the operator yet"))
        } else if !runs {
            Some(self.describe(listener, "has no running pod of the operator yet"))
        } else if !self.is_held_by_operator(listener) {
            Some(self.describe(listener, "has no Secret of the operator yet"))
        } else {
            None
        }
    }

    /// Describes the state of a listener, with the newest event about it.
    fn describe(&self, listener: &OperatorListener, state: &str) -> String {
        let text = |event: &DynamicObject, pointer: &str| {
            event.data.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        let own = listener.secret();
        let concerns = |event: &&DynamicObject| {
            let about = text(event, "/involvedObject/name");
            let is_about = about.starts_with(&own)
                || about.starts_with("gateway-certificate-handover-")
                || (about == listener.gateway && text(event, "/involvedObject/kind") == "Gateway");
            is_about && REASONS.contains(&text(event, "/reason").as_str())
        };
        let newest = self.events.iter().filter(concerns).max_by_key(|event| text(event, "/lastTimestamp"));
        let why = newest.map(|event| format!(" ({})", message_summary(&text(event, "/message"))));
        format!("listener {}/{} {state}{}", listener.gateway, listener.name, why.unwrap_or_default())
    }
}
