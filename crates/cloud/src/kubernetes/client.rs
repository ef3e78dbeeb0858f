//! The client of one cluster: reads and discovery. Changes are in `apply.rs`, watches in `watch.rs`.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::APIResourceList;
use kube_core::params::{GetParams, ListParams};
use kube_core::{DynamicObject, ObjectList, Request, TypeMeta};
use serde_json::{Value, json};

use super::client_from_kubeconfig;
use super::entra_access::ClusterOrigin;
use super::http_proxy::ProxyRules;
use super::into_api_error;
use super::kind::Kind;
use super::request_sender::RequestSender;
use crate::error::{ApiError, ApiErrorKind};
use crate::recent_reads::RecentReads;
use crate::request_counter::RequestCounter;
use crate::secret::Secret;
use crate::transport::Transport;

/// The number of objects per page of a list.
const PAGE: u32 = 500;

/// The way to an API server.
#[derive(Clone, Default)]
pub struct Connection {
    /// Replaces HTTPS over the network.
    pub transport: Option<Arc<dyn Transport>>,
    /// The proxies on the way.
    pub proxies: ProxyRules,
    /// The cluster in Resource Manager. With it, a kubeconfig that names `kubelogin` uses landfall's own token.
    pub origin: Option<ClusterOrigin>,
}

/// A connection to one cluster. Cheap to clone; clones share connections and discovered kinds.
#[derive(Clone)]
pub struct Cluster {
    pub(super) request_sender: RequestSender,
    discovered: Arc<Mutex<HashMap<(String, String), Kind>>>,
    pub(super) recent_lists: RecentReads<Vec<DynamicObject>>,
}

impl Cluster {
    /// Connects to the current context of a kubeconfig, which stays in memory. Sends no request yet.
    ///
    /// `request_counter` counts the requests. Pauses between retries are cloud time, `time_scale` times faster
    /// than real time. `transport` replaces HTTPS over the network, as in [`Endpoints`](crate::Endpoints).
    ///
    /// # Errors
    /// `SignIn` if the text is no kubeconfig, or requires a sign-in program.
    pub async fn connect(
        kubeconfig: &Secret<String>,
        transport: Option<Arc<dyn Transport>>,
        request_counter: &RequestCounter,
        time_scale: f64,
    ) -> Result<Cluster, ApiError> {
        let connection = Connection { transport, proxies: ProxyRules::default(), origin: None };
        Self::connect_over(kubeconfig, connection, request_counter, time_scale).await
    }

    /// Like [`Cluster::connect`], over this connection.
    ///
    /// # Errors
    /// `SignIn` if the text is no kubeconfig, or requires a sign-in program and the connection has no origin.
    pub async fn connect_over(
        kubeconfig: &Secret<String>,
        connection: Connection,
        request_counter: &RequestCounter,
        time_scale: f64,
    ) -> Result<Cluster, ApiError> {
        let origin = connection.origin.clone();
        let (client, sign_in) = client_from_kubeconfig::client(kubeconfig, connection, request_counter)?;
        Ok(Self {
            request_sender: RequestSender::new(client, time_scale, fastrand::u64(..)).with(origin, sign_in),
            discovered: Arc::default(),
            recent_lists: RecentReads::default(),
        })
    }

    /// Returns the UID of the `kube-system` namespace, which identifies a cluster for its lifetime.
    pub async fn uid(&self) -> Result<String, ApiError> {
        let system = self.get(&Kind::NAMESPACE, None, "kube-system").await?;
        system
            .and_then(|system| system.metadata.uid)
            .ok_or_else(|| into_api_error::incomplete("read the UID of the kube-system namespace"))
    }

    /// Returns whether the API server authorizes a verb on a kind, in a namespace or in the whole cluster. The
    /// request is a POST that changes nothing.
    /// <https://kubernetes.io/docs/reference/kubernetes-api/authorization-resources/self-subject-access-review-v1/>
    ///
    /// # Errors
    /// Any error of the request.
    pub async fn allows(&self, verb: &str, kind: &Kind, namespace: Option<&str>) -> Result<bool, ApiError> {
        let review = json!({
            "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
            "spec": { "resourceAttributes": {
                "verb": verb, "group": kind.group, "resource": kind.plural, "namespace": namespace.unwrap_or_default(),
            } },
        });
        let request = http::Request::post("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews")
            .header(http::header::CONTENT_TYPE, "application/json")
            .body(review.to_string().into_bytes())
            .map_err(|cause| {
                into_api_error::invalid_request("the review of the own rights", Box::new(cause))
            })?;
        let answer: Value = self.request_sender.json(request).await?;
        Ok(answer["status"]["allowed"].as_bool().unwrap_or_default())
    }

    /// Returns the API path and scope of an object's kind; `None` if the cluster does not know the kind
    /// (yet).
    ///
    /// The kinds of [`Kind::KNOWN`] need no request. Others are discovered once; absence is not cached,
    /// because the CRD may be installed later.
    pub async fn kind_of(&self, object: &DynamicObject) -> Result<Option<Kind>, ApiError> {
        if let Some(kind) = Kind::known_of(object) {
            return Ok(Some(kind));
        }
        let Some(types) = object.types.as_ref() else { return Ok(None) };
        let wanted = (types.api_version.clone(), types.kind.clone());
        if let Some(kind) = self.discovered().get(&wanted) {
            return Ok(Some(kind.clone()));
        }
        let served = self.discover(&types.api_version).await?;
        let mut discovered = self.discovered();
        for kind in served {
            discovered.insert((kind.api_version(), kind.kind.to_string()), kind);
        }
        Ok(discovered.get(&wanted).cloned())
    }

    fn discovered(&self) -> std::sync::MutexGuard<'_, HashMap<(String, String), Kind>> {
        // The map contains only complete entries, so a panic elsewhere leaves it consistent.
        self.discovered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lists the kinds of a group and version; empty if the cluster does not know them.
    async fn discover(&self, api_version: &str) -> Result<Vec<Kind>, ApiError> {
        let (group, version) = api_version.rsplit_once('/').unwrap_or(("", api_version));
        let path =
            if group.is_empty() { format!("/api/{version}") } else { format!("/apis/{group}/{version}") };
        let request = http::Request::get(&path)
            .body(Vec::new())
            .map_err(|cause| into_api_error::invalid_request(api_version, Box::new(cause)))?;
        let list: APIResourceList = match self.request_sender.json(request).await {
            Ok(list) => list,
            Err(error) if error.kind == ApiErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let served = list.resources.into_iter().filter(|resource| !resource.name.contains('/'));
        Ok(served
            .map(|resource| Kind {
                group: group.to_owned().into(),
                version: version.to_owned().into(),
                kind: resource.kind.into(),
                plural: resource.name.into(),
                namespaced: resource.namespaced,
            })
            .collect())
    }

    /// Reads one object; `None` if it, its namespace or its kind does not exist.
    pub async fn get(
        &self,
        kind: &Kind,
        namespace: Option<&str>,
        name: &str,
    ) -> Result<Option<DynamicObject>, ApiError> {
        let request = Request::new(kind.path(namespace))
            .get(name, &GetParams::default())
            .map_err(|cause| into_api_error::invalid_request(name, Box::new(cause)))?;
        match self.request_sender.json(request).await {
            Ok(object) => Ok(Some(object)),
            Err(error) if error.kind == ApiErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Reads the last lines of the log of a pod's only container; `None` if the pod does not exist, or has not started.
    ///
    /// # Errors
    /// Any other error of the request.
    pub async fn log(&self, namespace: &str, pod: &str, lines: u32) -> Result<Option<String>, ApiError> {
        let path = format!("{}/{pod}/log?tailLines={lines}", Kind::POD.path(Some(namespace)));
        let request = http::Request::get(&path)
            .body(Vec::new())
            .map_err(|cause| into_api_error::invalid_request(pod, Box::new(cause)))?;
        match self.request_sender.text(request).await {
            Ok(text) => Ok(Some(text)),
            // 400: the container waits to start.
            Err(error) if matches!(error.status, Some(400 | 404)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Reads all objects of a kind whose labels match the selector, in one namespace or in all.
    ///
    /// # Errors
    /// `NotFound` if the cluster does not know the kind.
    pub async fn list(
        &self,
        kind: &Kind,
        namespace: Option<&str>,
        labels: Option<&str>,
    ) -> Result<Vec<DynamicObject>, ApiError> {
        let params = ListParams { label_selector: labels.map(str::to_owned), ..ListParams::default() };
        self.pages(kind, namespace, params).await.map(|(objects, _)| objects)
    }

    /// Like [`Cluster::list`], but may return the list of up to a second ago, if this process has written nothing to the
    /// cluster since. For the first look of a check, not for a wait.
    ///
    /// # Errors
    /// Those of [`Cluster::list`].
    pub async fn list_recent(
        &self,
        kind: &Kind,
        namespace: Option<&str>,
    ) -> Result<Vec<DynamicObject>, ApiError> {
        let request = kind.path(namespace);
        self.recent_lists.read(request, self.list(kind, namespace, None)).await
    }

    /// Reads every page of a list; returns the objects and the resource version of the list.
    pub(super) async fn pages(
        &self,
        kind: &Kind,
        namespace: Option<&str>,
        params: ListParams,
    ) -> Result<(Vec<DynamicObject>, String), ApiError> {
        let path = Request::new(kind.path(namespace));
        let mut params = params.limit(PAGE);
        let mut objects = Vec::new();
        loop {
            let request = path
                .list(&params)
                .map_err(|cause| into_api_error::invalid_request(&kind.plural, Box::new(cause)))?;
            let page: ObjectList<DynamicObject> = match self.request_sender.json(request).await {
                // The continue token has expired: the list starts again, as the API specifies.
                Err(error) if error.status == Some(410) && params.continue_token.is_some() => {
                    params.continue_token = None;
                    objects.clear();
                    continue;
                }
                other => other?,
            };
            objects.extend(page.items);
            params.continue_token = page.metadata.continue_.filter(|token| !token.is_empty());
            if params.continue_token.is_none() {
                // Items of built-in kinds do not contain their type.
                let types = TypeMeta { api_version: kind.api_version(), kind: kind.kind.to_string() };
                for object in &mut objects {
                    object.types.get_or_insert_with(|| types.clone());
                }
                return Ok((objects, page.metadata.resource_version.unwrap_or_default()));
            }
        }
    }
}
