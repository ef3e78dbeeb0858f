//! The gateway controller that AKS runs: istiod available, and its GatewayClass accepted.

use crate::{
    Clients, Clusters,
    cluster_ready::ReadyCluster,
    error_context::ErrorContext,
    resource_spec::{Resource, ResourceSpec},
    watch::{self, WatchTarget},
};
use landfall_cloud::kubernetes::{
    Cluster, DynamicObject, Kind, Selection,
    istio::{CLASS, CONTROL_PLANE, NAMESPACE},
    readiness::{self, Readiness},
};
use landfall_engine::{Check, Context, StatusCell, Step, StepError, UndoOutcome, Wait};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Waits for the controller. The class must be *Accepted*; its existence alone proves nothing.
pub struct Istio {
    clusters: Clusters,
}

/// The class that gateways name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AcceptedClass {
    /// Its name.
    pub name: String,
    /// Its controller, from the class itself.
    pub controller: String,
}

impl Istio {
    /// Returns the step.
    #[must_use]
    pub fn new(c: &Clients) -> Self {
        Self { clusters: c.clusters.clone() }
    }
}

impl Resource for Istio {
    /// The controller is part of the cluster.
    fn resource(&self) -> ResourceSpec {
        ResourceSpec::new("GatewayClass", CLASS)
    }
}

impl Step for Istio {
    type Input = ReadyCluster;
    type Output = AcceptedClass;

    fn title(&self) -> String {
        format!("istiod and GatewayClass {CLASS}")
    }

    fn deadline(&self) -> Duration {
        Duration::from_secs(900)
    }

    fn typical_duration(&self) -> Duration {
        Duration::from_secs(50)
    }

    async fn check(&self, _: &Context, cluster: &ReadyCluster) -> Result<Check<AcceptedClass>, StepError> {
        let session = self.clusters.open(cluster).await.context(format!("open cluster {}", cluster.name))?;
        let (istiod, class) = futures::join!(
            async { session.api.get(&Kind::DEPLOYMENT, Some(NAMESPACE), CONTROL_PLANE).await },
            async { session.api.get(&Kind::GATEWAY_CLASS, None, CLASS).await },
        );
        let istiod = istiod.context("read istiod")?;
        // Before AKS has installed the CRDs, the API does not know the kind.
        let class = class.context(format!("read GatewayClass {CLASS}"))?;
        let available =
            istiod.as_ref().is_some_and(|o| matches!(readiness::deployment(o), Readiness::Ready(())));
        Ok(match class.as_ref().and_then(accepted) {
            Some(class) if available => Check::InSync(class),
            _ => Check::InProgress,
        })
    }

    async fn apply(&self, cx: &Context, cluster: &ReadyCluster) -> Result<AcceptedClass, StepError> {
        let session = self.clusters.open(cluster).await.context(format!("open cluster {}", cluster.name))?;
        let wait =
            Wait::new("the GatewayClass to be accepted", Duration::from_secs(50), Duration::from_secs(600));
        let status = StatusCell::new();
        let both = async {
            let (class, istiod) = futures::try_join!(
                await_class(&session.api, &status),
                await_control_plane(&session.api, &status)
            )?;
            let since = [class.1, istiod].into_iter().flatten().max();
            Ok((class.0, since))
        };
        let (class, since) = cx.wait_for(wait, &status, both).await.map_err(|error| {
            error.hint(
                "AKS creates the class some time after the cluster: run again; leftover istio.io CRDs \
                 prevent it",
            )
        })?;
        if let Some(since) = since {
            cx.ended_at(since);
        }
        Ok(class)
    }

    async fn undo(&self, _: &Context, _: AcceptedClass) -> Result<UndoOutcome, StepError> {
        Ok(UndoOutcome::DeletedWithParent)
    }
}

type Since = Option<std::time::SystemTime>;

async fn await_class(api: &Cluster, status: &StatusCell) -> Result<(AcceptedClass, Since), StepError> {
    let evaluate = |all: &[DynamicObject]| {
        let class = all.first();
        status.set(match class.map(readiness::gateway_class) {
            None => format!("GatewayClass {CLASS} does not exist yet"),
            Some(Readiness::Ready(())) => "waiting for istiod".to_owned(),
            Some(Readiness::Waiting(why) | Readiness::Broken(why)) => why,
        });
        class.and_then(|class| Some((accepted(class)?, readiness::gateway_class_since(class))))
    };
    let class = WatchTarget { kind: &Kind::GATEWAY_CLASS, space: None, selection: Selection::Name(CLASS) };
    watch::until(api, class, status, "watch GatewayClass approuting-istio", evaluate).await
}

async fn await_control_plane(api: &Cluster, status: &StatusCell) -> Result<Since, StepError> {
    let selection = Selection::Name(CONTROL_PLANE);
    let evaluate = |all: &[DynamicObject]| {
        let istiod = all.first()?;
        matches!(readiness::deployment(istiod), Readiness::Ready(()))
            .then(|| readiness::deployment_since(istiod))
    };
    let istiod = WatchTarget { kind: &Kind::DEPLOYMENT, space: Some(NAMESPACE), selection };
    watch::until(api, istiod, status, "watch istiod", evaluate).await
}

fn accepted(class: &DynamicObject) -> Option<AcceptedClass> {
    matches!(readiness::gateway_class(class), Readiness::Ready(())).then(|| AcceptedClass {
        name: CLASS.to_owned(),
        controller: class.data["spec"]["controllerName"].as_str().unwrap_or_default().to_owned(),
    })
}
