//! The snapshot of a cluster's objects, read concurrently.
//!
//! A failed read does not end the others: every list keeps its own error.

use crate::{
    object_fields::{name, space},
    route_model::Gateway,
};
use futures::future::join_all;
use landfall_cloud::{
    ApiError, ApiErrorKind, ClusterSession,
    environment_description::{Environment, ObjectKey},
    kubernetes::{
        DynamicObject, Kind,
        istio::{CONTROL_PLANE, NAMESPACE},
    },
};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// A list of objects, or the error of its read.
pub(crate) type Objects = Result<Vec<DynamicObject>, Unread>;
/// An object, or the error of its read; `None` if it does not exist.
pub(crate) type Object = Result<Option<DynamicObject>, Unread>;

/// A failed read.
#[derive(Debug)]
pub(crate) struct Unread {
    /// The object of the read, as a fragment: `pods`, `Secret tls`.
    pub(crate) what: String,
    cause: Cause,
}

#[derive(Debug)]
enum Cause {
    Api(ApiError),
    Timeout(Duration),
}

impl Unread {
    /// Returns the failed read and its cause, as a sentence.
    pub(crate) fn description(&self) -> String {
        match &self.cause {
            Cause::Api(error) => format!("could not read {}: {error}", self.what),
            Cause::Timeout(max) => {
                format!("could not read {}: no response within {} s", self.what, max.as_secs())
            }
        }
    }

    /// Returns the error of the API; `None` if it did not answer in time.
    pub(crate) fn error(&self) -> Option<&ApiError> {
        match &self.cause {
            Cause::Api(error) => Some(error),
            Cause::Timeout(_) => None,
        }
    }

    /// Returns the message of the cause.
    pub(crate) fn message(&self) -> String {
        match &self.cause {
            Cause::Api(error) => error.message.clone(),
            Cause::Timeout(max) => format!("no response within {} s", max.as_secs()),
        }
    }

    fn is_not_found(&self) -> bool {
        matches!(&self.cause, Cause::Api(error) if error.kind == ApiErrorKind::NotFound)
    }
}

/// Reads; `timeout` includes all retries.
pub(crate) async fn read<T>(
    what: &str,
    timeout: Option<Duration>,
    request: impl Future<Output = Result<T, ApiError>>,
) -> Result<T, Unread> {
    let failed = |cause| Unread { what: what.to_owned(), cause };
    let Some(max) = timeout else { return request.await.map_err(|error| failed(Cause::Api(error))) };
    match tokio::time::timeout(max, request).await {
        Ok(read) => read.map_err(|error| failed(Cause::Api(error))),
        Err(_) => Err(failed(Cause::Timeout(max))),
    }
}

/// The objects on the paths from a gateway to its certificate, its address and its backends. A list that a
/// diagnosis does not request is empty.
pub(crate) struct ClusterSnapshot {
    pub(crate) nodes: Objects,
    pub(crate) classes: Objects,
    pub(crate) istiod: Object,
    /// The pods in the namespace of the control plane.
    pub(crate) istio_pods: Objects,
    pub(crate) gateways: Objects,
    pub(crate) routes: Objects,
    pub(crate) deployments: Objects,
    pub(crate) services: Objects,
    pub(crate) autoscalers: Objects,
    pub(crate) budgets: Objects,
    pub(crate) pods: Objects,
    pub(crate) events: Objects,
    pub(crate) secret_classes: Objects,
    /// The TLS Secrets, by namespace and name.
    pub(crate) secrets: BTreeMap<(String, String), Object>,
}

impl ClusterSnapshot {
    /// Reads the namespaces that contain a part of the environment, and the Secrets that listeners name. A
    /// kind unknown to the API has no objects.
    pub(crate) async fn of_environment(
        session: &ClusterSession,
        environment: &Environment,
        max: Duration,
    ) -> Self {
        let reader = Reader { session, timeout: Some(max) };
        let namespaces = &namespaces(environment);
        let istiod = async { session.api.get(&Kind::DEPLOYMENT, Some(NAMESPACE), CONTROL_PLANE).await };
        let with_secrets = async {
            let gateways = reader.known(Kind::GATEWAY, namespaces).await;
            let secrets = reader.secrets(named_secrets(environment, &gateways)).await;
            (gateways, secrets)
        };
        let (
            nodes,
            classes,
            istiod,
            istio_pods,
            routes,
            services,
            pods,
            events,
            secret_classes,
            (gateways, secrets),
        ) = futures::join!(
            reader.known(Kind::NODE, &[None]),
            reader.known(Kind::GATEWAY_CLASS, &[None]),
            read("istiod", Some(max), istiod),
            reader.known(Kind::POD, &[Some(NAMESPACE)]),
            reader.known(Kind::HTTP_ROUTE, namespaces),
            reader.known(Kind::SERVICE, namespaces),
            reader.known(Kind::POD, namespaces),
            reader.known(Kind::EVENT, namespaces),
            reader.known(Kind::SECRET_PROVIDER_CLASS, namespaces),
            with_secrets,
        );
        Self {
            nodes,
            classes,
            istiod,
            istio_pods,
            gateways,
            routes,
            services,
            pods,
            events,
            secret_classes,
            secrets,
            ..Self::empty()
        }
    }

    /// Reads all namespaces, and one Secret.
    pub(crate) async fn of_cluster(session: &ClusterSession, secret: &ObjectKey) -> Self {
        let reader = Reader { session, timeout: None };
        let key = (secret.namespace.clone(), secret.name.clone());
        let (nodes, classes, gateways, routes, deployments, services, autoscalers, budgets, pods, secrets) = futures::join!(
            reader.list(Kind::NODE, None),
            reader.list(Kind::GATEWAY_CLASS, None),
            reader.list(Kind::GATEWAY, None),
            reader.list(Kind::HTTP_ROUTE, None),
            reader.list(Kind::DEPLOYMENT, None),
            reader.list(Kind::SERVICE, None),
            reader.list(Kind::HPA, None),
            reader.list(Kind::PDB, None),
            reader.list(Kind::POD, None),
            reader.secrets(BTreeSet::from([key])),
        );
        Self {
            nodes,
            classes,
            gateways,
            routes,
            deployments,
            services,
            autoscalers,
            budgets,
            pods,
            secrets,
            ..Self::empty()
        }
    }

    fn empty() -> Self {
        let none = || Ok(Vec::new());
        Self {
            nodes: none(),
            classes: none(),
            istiod: Ok(None),
            istio_pods: none(),
            gateways: none(),
            routes: none(),
            deployments: none(),
            services: none(),
            autoscalers: none(),
            budgets: none(),
            pods: none(),
            events: none(),
            secret_classes: none(),
            secrets: BTreeMap::new(),
        }
    }

    /// Returns the reads that failed.
    pub(crate) fn unread(&self) -> impl Iterator<Item = &Unread> {
        let lists = [
            &self.nodes,
            &self.classes,
            &self.istio_pods,
            &self.gateways,
            &self.routes,
            &self.deployments,
            &self.services,
            &self.autoscalers,
            &self.budgets,
            &self.pods,
            &self.events,
            &self.secret_classes,
        ];
        let lists = lists.into_iter().filter_map(|list| list.as_ref().err());
        let secrets = self.secrets.values().filter_map(|secret| secret.as_ref().err());
        lists.chain(self.istiod.as_ref().err()).chain(secrets)
    }

    /// Returns the number of objects read, by kind.
    pub(crate) fn counts(&self) -> Vec<(usize, &'static str)> {
        let count = |list: &Objects| list.as_ref().map_or(0, Vec::len);
        vec![
            (count(&self.nodes), "node"),
            (count(&self.gateways), "gateway"),
            (count(&self.routes), "route"),
            (count(&self.services), "Service"),
            (count(&self.pods), "pod"),
            (self.secrets.len(), "TLS Secret"),
        ]
    }

    /// Returns the live object with this name and namespace from a list.
    pub(crate) fn find<'a>(list: &'a Objects, namespace: &str, wanted: &str) -> Option<&'a DynamicObject> {
        let mut all = list.as_ref().ok()?.iter();
        all.find(|object| name(object) == wanted && space(object) == namespace)
    }

    /// Returns the pods; empty if they could not be read.
    pub(crate) fn pods(&self) -> &[DynamicObject] {
        self.pods.as_deref().unwrap_or_default()
    }

    /// Returns the events; empty if they could not be read.
    pub(crate) fn events(&self) -> &[DynamicObject] {
        self.events.as_deref().unwrap_or_default()
    }
}

struct Reader<'a> {
    session: &'a ClusterSession,
    timeout: Option<Duration>,
}

impl Reader<'_> {
    /// Lists the objects of a kind in one namespace, or in all.
    async fn list(&self, kind: Kind, namespace: Option<&str>) -> Objects {
        read(&kind.plural, self.timeout, self.session.api.list(&kind, namespace, None)).await
    }

    /// Lists the objects of a kind in some namespaces; a kind unknown to the API has none.
    async fn known(&self, kind: Kind, namespaces: &[Option<&str>]) -> Objects {
        let lists = join_all(namespaces.iter().map(|namespace| self.list(kind.clone(), *namespace))).await;
        let lists = lists.into_iter().map(|list| match list {
            Err(error) if error.is_not_found() => Ok(Vec::new()),
            listed => listed,
        });
        Ok(lists.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
    }

    /// Reads these Secrets, and no other Secret.
    async fn secrets(&self, keys: BTreeSet<(String, String)>) -> BTreeMap<(String, String), Object> {
        let secrets = keys.into_iter().map(|key| async move {
            let request = async { self.session.api.get(&Kind::SECRET, Some(&key.0), &key.1).await };
            let secret = read(&format!("Secret {}", key.1), self.timeout, request).await;
            (key, secret)
        });
        join_all(secrets).await.into_iter().collect()
    }
}

/// Returns landfall's own Secret, and those that the live and the desired listeners name.
fn named_secrets(environment: &Environment, live: &Objects) -> BTreeSet<(String, String)> {
    let own = &environment.tls_secret;
    let desired = environment.gateways.iter().map(|manifest| &manifest.object);
    let gateways = live.iter().flatten().chain(desired).map(Gateway::read);
    let named = gateways.flat_map(|gateway| gateway.secrets().collect::<Vec<_>>());
    named.chain([(own.namespace.clone(), own.name.clone())]).collect()
}

/// Returns the namespaces that contain a part of the environment.
fn namespaces(environment: &Environment) -> Vec<Option<&str>> {
    let objects = environment.apps.iter().chain(&environment.gateways).map(|manifest| &manifest.object);
    let namespaces = objects.map(space).chain([environment.tls_secret.namespace.as_str()]);
    namespaces.collect::<BTreeSet<&str>>().into_iter().map(Some).collect()
}
