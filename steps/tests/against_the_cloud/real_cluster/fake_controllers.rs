//! Replacement for the controllers of AKS: it accepts classes, programs gateways, binds routes, reports
//! workloads as available, and writes the certificate to the Secret.

use super::definitions::{KINDS, definition};
use base64::{Engine, engine::general_purpose::STANDARD};
use kube::{
    Client, Config, Error,
    api::{
        Api, ApiResource, DeleteParams, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams,
        PostParams,
    },
    config::{KubeConfigOptions, Kubeconfig},
};
use landfall_cloud::certificate::Material;
use p12_keystore::Pkcs12Archive;
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};

const CLASS: &str = "approuting-istio";
const MESH: &str = "aks-istio-system";
/// The poll interval; a real controller would watch.
const PERIOD: Duration = Duration::from_millis(100);

#[derive(Clone)]
pub struct FakeControllers {
    client: Client,
}

/// The kinds and names of installed objects.
type Installed = Vec<(ApiResource, Option<&'static str>, String)>;

fn kind(group: &str, version: &str, kind: &str, plural: &str) -> ApiResource {
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural)
}

fn gateway_api(name: &str, plural: &str) -> ApiResource {
    kind("gateway.networking.k8s.io", "v1", name, plural)
}

impl FakeControllers {
    pub async fn new(kubeconfig: &str) -> Self {
        let read = Kubeconfig::from_yaml(kubeconfig).unwrap();
        let config = Config::from_custom_kubeconfig(read, &KubeConfigOptions::default()).await.unwrap();
        Self { client: Client::try_from(config).unwrap() }
    }

    fn api(&self, resource: &ApiResource, namespace: Option<&str>) -> Api<DynamicObject> {
        match namespace {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, resource),
            None => Api::all_with(self.client.clone(), resource),
        }
    }

    async fn create(
        &self,
        resource: ApiResource,
        space: Option<&'static str>,
        object: Value,
        done: &mut Installed,
    ) {
        let object: DynamicObject = serde_json::from_value(object).unwrap();
        let name = object.metadata.name.clone().unwrap();
        match self.api(&resource, space).create(&PostParams::default(), &object).await {
            Ok(_) => done.push((resource, space, name)),
            Err(Error::Api(refused)) if refused.code == 409 => {}
            Err(error) => panic!("{name}: {error}"),
        }
    }

    /// Installs the missing CRDs and objects of AKS, and returns them.
    pub async fn install(&self) -> Installed {
        let mut done = Installed::new();
        let definitions =
            kind("apiextensions.k8s.io", "v1", "CustomResourceDefinition", "customresourcedefinitions");
        for one in KINDS {
            let resource = kind(one.0, one.1, one.2, one.3);
            if self.api(&resource, None).list(&ListParams::default()).await.is_err() {
                self.create(definitions.clone(), None, definition(one), &mut done).await;
            }
            // The API server serves a CRD a moment after accepting it.
            while self.api(&resource, None).list(&ListParams::default()).await.is_err() {
                tokio::time::sleep(PERIOD).await;
            }
        }
        let class = json!({
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": "GatewayClass", "metadata": { "name": CLASS },
            "spec": { "controllerName": "istio.aks.azure.com/gateway-controller" },
        });
        self.create(gateway_api("GatewayClass", "gatewayclasses"), None, class, &mut done).await;
        let namespace = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": MESH } });
        self.create(kind("", "v1", "Namespace", "namespaces"), None, namespace, &mut done).await;
        let labels = json!({ "app": "istiod" });
        let istiod = json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "istiod", "namespace": MESH },
            "spec": {
                "selector": { "matchLabels": labels },
                "template": {
                    "metadata": { "labels": labels },
                    "spec": { "containers": [{ "name": "discovery", "image": "registry.k8s.io/pause:3.10" }] },
                },
            },
        });
        self.create(kind("apps", "v1", "Deployment", "deployments"), Some(MESH), istiod, &mut done).await;
        done
    }

    /// Deletes the installed objects and landfall's leftovers, in reverse order.
    pub async fn remove(&self, installed: &Installed) {
        for (resource, object) in self.list_owned().await {
            let space = object.metadata.namespace.as_deref();
            let _ = self
                .api(&resource, space)
                .delete(&object.metadata.name.unwrap(), &DeleteParams::default())
                .await;
        }
        let _ = self
            .api(&kind("", "v1", "Secret", "secrets"), Some("default"))
            .delete("gateway-tls-secret", &DeleteParams::default())
            .await;
        for (resource, space, name) in installed.iter().rev() {
            let _ = self.api(resource, *space).delete(name, &DeleteParams::default()).await;
        }
    }

    async fn list_owned(&self) -> Vec<(ApiResource, DynamicObject)> {
        let mut all = Vec::new();
        let labelled = ListParams::default().labels("app.kubernetes.io/managed-by=landfall");
        for resource in [
            kind("apps", "v1", "Deployment", "deployments"),
            kind("", "v1", "Service", "services"),
            gateway_api("Gateway", "gateways"),
            gateway_api("HTTPRoute", "httproutes"),
            kind("secrets-store.csi.x-k8s.io", "v1", "SecretProviderClass", "secretproviderclasses"),
        ] {
            let found = self.api(&resource, Some("default")).list(&labelled).await.unwrap();
            all.extend(found.items.into_iter().map(|object| (resource.clone(), object)));
        }
        all
    }

    /// Returns the objects with landfall's ownership mark, by kind and name.
    pub async fn owned(&self) -> Vec<String> {
        let all = self.list_owned().await.into_iter();
        let named = all.filter(|(_, object)| object.metadata.deletion_timestamp.is_none());
        let mut names: Vec<String> = named
            .map(|(resource, object)| format!("{} {}", resource.kind, object.metadata.name.unwrap()))
            .collect();
        names.sort();
        names
    }

    /// Deletes a Service out of band.
    pub async fn delete(&self, service: &str) {
        let services = self.api(&kind("", "v1", "Service", "services"), Some("default"));
        services.delete(service, &DeleteParams::default()).await.unwrap();
    }

    /// Runs until it is dropped.
    pub async fn run(self, certificate: Arc<Material>) {
        let mut ticks = tokio::time::interval(PERIOD);
        loop {
            ticks.tick().await;
            for resource in
                [gateway_api("GatewayClass", "gatewayclasses"), gateway_api("Gateway", "gateways")]
            {
                self.update_status(&resource, status).await;
            }
            self.update_status(&gateway_api("HTTPRoute", "httproutes"), route_status).await;
            self.update_status(&kind("apps", "v1", "Deployment", "deployments"), deployment_status).await;
            self.write_secret(&certificate).await;
        }
    }

    async fn update_status(
        &self,
        resource: &ApiResource,
        statuses: impl Fn(&DynamicObject) -> Option<Value>,
    ) {
        let Ok(all) = self.api(resource, None).list(&ListParams::default()).await else { return };
        for object in all.items {
            let owned = object.metadata.name.as_deref() == Some(CLASS)
                || object
                    .metadata
                    .namespace
                    .as_deref()
                    .is_some_and(|space| ["default", MESH].contains(&space));
            let Some(status) = statuses(&object).filter(|_| owned) else { continue };
            let api = self.api(resource, object.metadata.namespace.as_deref());
            let patch = Patch::Merge(json!({ "status": status }));
            // The object may have been deleted meanwhile; the next poll shows that.
            let _ = api.patch_status(&object.metadata.name.unwrap(), &PatchParams::default(), &patch).await;
        }
    }

    /// Creates the Secret while there is a class that requires it.
    async fn write_secret(&self, certificate: &Material) {
        let classes =
            kind("secrets-store.csi.x-k8s.io", "v1", "SecretProviderClass", "secretproviderclasses");
        let Ok(found_classes) = self.api(&classes, Some("default")).list(&ListParams::default()).await else {
            return;
        };
        let secrets = self.api(&kind("", "v1", "Secret", "secrets"), Some("default"));
        let there = secrets.get_opt("gateway-tls-secret").await.ok().flatten().is_some();
        if there || found_classes.items.is_empty() {
            return;
        }
        let pem = pem("CERTIFICATE", certificate.certificate());
        let (pfx, password) = (certificate.pfx().expose(), certificate.password().expose());
        let archive = Pkcs12Archive::from_pkcs12(pfx, password).unwrap();
        let key = self::pem("PRIVATE KEY", archive.keys[0].key.as_der());
        let data = json!({ "tls.crt": STANDARD.encode(pem), "tls.key": STANDARD.encode(key) });
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
            "metadata": {
                "name": "gateway-tls-secret", "namespace": "default",
                "labels": { "secrets-store.csi.k8s.io/managed": "true" },
            },
            "data": data,
        });
        let secret: DynamicObject = serde_json::from_value(secret).unwrap();
        let _ = secrets.create(&PostParams::default(), &secret).await;
    }
}

fn pem(label: &str, der: &[u8]) -> String {
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode(der))
}

fn condition(of: &DynamicObject, kind: &str, status: &str) -> Value {
    json!({
        "type": kind, "status": status, "reason": kind, "message": "",
        "lastTransitionTime": "2026-01-01T00:00:00Z", "observedGeneration": of.metadata.generation,
    })
}

fn has_condition(of: &DynamicObject, kind: &str) -> bool {
    let conditions = of.data["status"]["conditions"].as_array().into_iter().flatten();
    conditions.into_iter().any(|one| {
        one["type"] == kind
            && one["status"] == "True"
            && one["observedGeneration"].as_i64() == of.metadata.generation
    })
}

/// Returns the status that a class or a gateway lacks; `None` if it has one.
fn status(object: &DynamicObject) -> Option<Value> {
    let Some(listeners) = object.data["spec"]["listeners"].as_array() else {
        let accepted = condition(object, "Accepted", "True");
        return (!has_condition(object, "Accepted")).then(|| json!({ "conditions": [accepted] }));
    };
    if has_condition(object, "Programmed") {
        return None;
    }
    let true_conditions =
        |kinds: &[&str]| -> Vec<Value> { kinds.iter().map(|kind| condition(object, kind, "True")).collect() };
    let listener = |listener: &Value| {
        let mut conditions = true_conditions(&["Accepted", "Programmed", "ResolvedRefs"]);
        conditions.push(condition(object, "Conflicted", "False"));
        json!({ "name": listener["name"], "attachedRoutes": 1, "supportedKinds": [], "conditions": conditions })
    };
    Some(json!({
        "conditions": true_conditions(&["Accepted", "Programmed"]),
        "addresses": [{ "type": "IPAddress", "value": "127.0.0.1" }],
        "listeners": listeners.iter().map(listener).collect::<Vec<_>>(),
    }))
}

fn route_status(route: &DynamicObject) -> Option<Value> {
    let statuses = route.data["status"]["parents"].as_array().into_iter().flatten();
    let current =
        |parent: &Value| parent["conditions"][0]["observedGeneration"].as_i64() == route.metadata.generation;
    if statuses.clone().next().is_some() && statuses.clone().all(current) {
        return None;
    }
    let parent = |reference: &Value| {
        json!({
            "parentRef": reference, "controllerName": "istio.aks.azure.com/gateway-controller",
            "conditions": [condition(route, "Accepted", "True"), condition(route, "ResolvedRefs", "True")],
        })
    };
    let references = route.data["spec"]["parentRefs"].as_array()?;
    Some(json!({ "parents": references.iter().map(parent).collect::<Vec<_>>() }))
}

fn deployment_status(deployment: &DynamicObject) -> Option<Value> {
    let wanted = deployment.data["spec"]["replicas"].as_i64().unwrap_or(1);
    let status = &deployment.data["status"];
    let seen = status["observedGeneration"].as_i64() >= deployment.metadata.generation;
    (!seen || status["availableReplicas"].as_i64().unwrap_or(0) < wanted).then(|| {
        json!({
            "observedGeneration": deployment.metadata.generation, "replicas": wanted, "updatedReplicas": wanted,
            "readyReplicas": wanted, "availableReplicas": wanted,
        })
    })
}
