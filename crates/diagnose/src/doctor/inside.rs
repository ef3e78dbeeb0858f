//! The objects in the cluster on the paths from a gateway to its certificate, its address and its backends.

use super::picture::{Read, read};
use crate::{
    object_fields::{name, space, text},
    route_model::Gate,
};
use futures::future::join_all;
use landfall_cloud::{
    AddOnIdentity, ApiErrorKind, Clusters, Opened, ReadyCluster,
    environment::Environment,
    kubernetes::{
        DynamicObject, Kind,
        istio::{CONTROL_PLANE, NAMESPACE},
    },
};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

type Objects = Read<Vec<DynamicObject>>;

/// The objects of all namespaces that contain a part of the environment.
pub(super) struct Inside {
    pub(super) nodes: Objects,
    pub(super) classes: Objects,
    pub(super) istiod: Read<Option<DynamicObject>>,
    pub(super) mesh_pods: Objects,
    pub(super) gateways: Objects,
    pub(super) routes: Objects,
    pub(super) services: Objects,
    pub(super) pods: Objects,
    pub(super) events: Objects,
    pub(super) secret_classes: Objects,
    /// The Secrets that listeners name, by namespace and name; `None` if the Secret does not exist.
    pub(super) secrets: BTreeMap<(String, String), Read<Option<DynamicObject>>>,
}

impl Inside {
    /// Opens the cluster and reads all objects concurrently.
    pub(super) async fn read(
        clusters: &Clusters,
        body: &Value,
        environment: &Environment,
        max: Duration,
    ) -> Read<Self> {
        let cluster = ready(body);
        let opened = read("the objects in the cluster", max, clusters.open(&cluster)).await?;
        let istiod = async { opened.api.get(&Kind::DEPLOYMENT, Some(NAMESPACE), CONTROL_PLANE).await };
        let look = Look { opened: &opened, spaces: spaces(environment), max };
        let (
            nodes,
            classes,
            istiod,
            mesh_pods,
            gateways,
            routes,
            services,
            pods,
            events,
            secret_classes,
            secrets,
        ) = futures::join!(
            look.wide(Kind::NODE),
            look.wide(Kind::GATEWAY_CLASS),
            read("istiod", max, istiod),
            look.list(Kind::POD, Some(NAMESPACE)),
            look.all(Kind::GATEWAY),
            look.all(Kind::HTTP_ROUTE),
            look.all(Kind::SERVICE),
            look.all(Kind::POD),
            look.all(Kind::EVENT),
            look.all(Kind::SECRET_PROVIDER_CLASS),
            look.secrets(environment),
        );
        Ok(Self {
            nodes,
            classes,
            istiod,
            mesh_pods,
            gateways,
            routes,
            services,
            pods,
            events,
            secret_classes,
            secrets,
        })
    }

    /// Returns the reads that failed.
    pub(super) fn unseen(&self) -> Vec<String> {
        let lists = [
            &self.nodes,
            &self.classes,
            &self.mesh_pods,
            &self.gateways,
            &self.routes,
            &self.services,
            &self.pods,
            &self.events,
            &self.secret_classes,
        ];
        let lists = lists.into_iter().filter_map(|list| list.as_ref().err());
        let secrets = self.secrets.values().filter_map(|secret| secret.as_ref().err());
        lists.chain(self.istiod.as_ref().err()).chain(secrets).cloned().collect()
    }

    /// Returns the number of objects read, by kind.
    pub(super) fn looked(&self) -> Vec<(usize, &'static str)> {
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
    pub(super) fn find<'a>(list: &'a Objects, namespace: &str, wanted: &str) -> Option<&'a DynamicObject> {
        let mut all = list.as_ref().ok()?.iter();
        all.find(|object| name(object) == wanted && space(object) == namespace)
    }

    /// Returns the pods; empty if they could not be read.
    pub(super) fn pods(&self) -> &[DynamicObject] {
        self.pods.as_deref().unwrap_or_default()
    }

    /// Returns the events; empty if they could not be read.
    pub(super) fn events(&self) -> &[DynamicObject] {
        self.events.as_deref().unwrap_or_default()
    }
}

struct Look<'a> {
    opened: &'a Opened,
    spaces: BTreeSet<String>,
    max: Duration,
}

impl Look<'_> {
    /// Lists the objects of a kind; a kind unknown to the API has none.
    async fn list(&self, kind: Kind, namespace: Option<&str>) -> Objects {
        let asked = async {
            match self.opened.api.list(&kind, namespace, None).await {
                Err(error) if error.kind == ApiErrorKind::NotFound => Ok(Vec::new()),
                listed => listed,
            }
        };
        read(&kind.plural, self.max, asked).await
    }

    async fn wide(&self, kind: Kind) -> Objects {
        self.list(kind, None).await
    }

    async fn all(&self, kind: Kind) -> Objects {
        let lists = join_all(self.spaces.iter().map(|space| self.list(kind.clone(), Some(space)))).await;
        let lists: Vec<Vec<DynamicObject>> = lists.into_iter().collect::<Result<_, _>>()?;
        Ok(lists.into_iter().flatten().collect())
    }

    /// Reads only the Secrets that listeners name, and no other Secret.
    async fn secrets(
        &self,
        environment: &Environment,
    ) -> BTreeMap<(String, String), Read<Option<DynamicObject>>> {
        let own = &environment.tls_secret;
        let mut places: BTreeSet<(String, String)> =
            BTreeSet::from([(own.namespace.clone(), own.name.clone())]);
        for gateway in self.all(Kind::GATEWAY).await.unwrap_or_default() {
            places.extend(Gate::read(&gateway).secrets());
        }
        places.extend(
            environment
                .gateways
                .iter()
                .flat_map(|manifest| Gate::read(&manifest.object).secrets().collect::<Vec<_>>()),
        );
        let secrets = places.into_iter().map(|place| async move {
            let what = format!("Secret {}", place.1);
            let asked = async { self.opened.api.get(&Kind::SECRET, Some(&place.0), &place.1).await };
            let secret = read(&what, self.max, asked).await;
            (place, secret)
        });
        join_all(secrets).await.into_iter().collect()
    }
}

fn spaces(environment: &Environment) -> BTreeSet<String> {
    let objects = environment.apps.iter().chain(&environment.gateways).map(|manifest| &manifest.object);
    let mut spaces: BTreeSet<String> = objects.map(|object| space(object).to_owned()).collect();
    spaces.insert(environment.tls_secret.namespace.clone());
    spaces
}

/// Returns the fields of the cluster that opening it needs, without a check of its health.
fn ready(body: &Value) -> ReadyCluster {
    let properties = &body["properties"];
    let fqdn = text(properties, "/fqdn").to_owned();
    let identity = &properties["addonProfiles"]["azureKeyvaultSecretsProvider"]["identity"];
    ReadyCluster {
        id: text(body, "/id").to_owned(),
        name: text(body, "/name").to_owned(),
        uid: properties["resourceUID"].as_str().map_or_else(|| fqdn.clone(), str::to_owned),
        fqdn,
        version: text(properties, "/currentKubernetesVersion").to_owned(),
        secrets: AddOnIdentity {
            client_id: text(identity, "/clientId").to_owned(),
            object_id: text(identity, "/objectId").to_owned(),
        },
    }
}
