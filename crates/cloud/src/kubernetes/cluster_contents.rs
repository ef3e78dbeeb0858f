//! Contents of a namespace or of the whole cluster, listed in every kind that the cluster serves.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{APIGroupList, APIResource, APIResourceList};
use kube_core::DynamicObject;
use serde::de::DeserializeOwned;

use super::client::Cluster;
use super::into_api_error;
use super::kind::Kind;
use super::system_objects::{backend, is_system_name, is_system_namespace, is_system_object};
use crate::error::{ApiError, ApiErrorKind};

/// The maximum number of concurrent lists.
const CONCURRENT_LISTS_MAX: usize = 8;
/// Objects that the cluster creates in every namespace, or derives from its contents.
const GENERATED_KINDS: [&str; 5] = ["CiliumEndpoint", "Event", "Endpoints", "EndpointSlice", "PodMetrics"];

/// The objects that users and tools created in a cluster or a namespace.
#[derive(Debug, Clone, Default)]
pub struct ObjectList {
    /// The objects.
    pub objects: Vec<DynamicObject>,
    /// The aggregated APIs that do not answer: `objects` does not contain their objects, if any.
    pub unavailable: Vec<AggregatedApi>,
}

/// An API that a Service in the cluster serves through the API server, such as metrics-server.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct AggregatedApi {
    /// Group and version: `metrics.k8s.io/v1beta1`.
    pub group_version: String,
    /// Namespace and name of the Service: `kube-system/metrics-server`.
    pub service: String,
    /// True if the Service is in a system namespace, so that the API belongs to the system too.
    pub is_system: bool,
}

impl fmt::Display for AggregatedApi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (served by {})", self.group_version, self.service)
    }
}

/// The scope of a listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scope<'a> {
    /// One namespace.
    Namespace(&'a str),
    /// All namespaces and the cluster-scoped kinds.
    Cluster,
}

/// The kinds that can be listed, and the aggregated APIs whose discovery fails.
struct Listable {
    kinds: Vec<Kind>,
    unavailable: Vec<AggregatedApi>,
}

impl Cluster {
    /// Returns the objects that users and tools created in a namespace, in every kind that can be listed.
    /// Omits objects with an owner, and those that the cluster itself creates there.
    ///
    /// # Errors
    /// Any error of a request. A kind that vanishes before its list has no objects. The result names an
    /// aggregated API without a backend.
    pub async fn list_objects(&self, namespace: &str) -> Result<ObjectList, ApiError> {
        self.list_user_objects(Scope::Namespace(namespace)).await
    }

    /// Returns the same for the whole cluster: namespaces of users and tools, the contents of these and of
    /// `default`, and the cluster-scoped objects. The contents of a system namespace belong to the system.
    ///
    /// # Errors
    /// Those of [`Cluster::list_objects`].
    pub async fn list_all_objects(&self) -> Result<ObjectList, ApiError> {
        let kind = Kind::NAMESPACE;
        let (namespaces, cluster_objects) =
            futures::try_join!(self.list(&kind, None, None), self.list_user_objects(Scope::Cluster))?;
        let user_namespaces: BTreeSet<String> = namespaces
            .iter()
            .filter(|space| !is_system_namespace(space))
            .filter_map(|s| s.metadata.name.clone())
            .collect();
        let all: BTreeSet<&str> = namespaces.iter().filter_map(|s| s.metadata.name.as_deref()).collect();
        let is_system = |space: &str| match all.contains(space) {
            true => !user_namespaces.contains(space),
            false => is_system_name(space),
        };
        let is_user_object = |object: &DynamicObject| match object.metadata.namespace.as_deref() {
            // A namespace that was created between the two lists is foreign too.
            Some(space) => !is_system(space),
            None => !is_system_object(object, is_system),
        };
        let user_objects: Vec<DynamicObject> =
            cluster_objects.objects.into_iter().filter(is_user_object).collect();
        let user_created_namespaces = namespaces.iter().filter(|space| {
            let name = space.metadata.name.as_ref();
            name.is_some_and(|name| name != "default" && user_namespaces.contains(name))
        });
        let objects = user_created_namespaces.cloned().chain(user_objects).collect();
        Ok(ObjectList { objects, unavailable: cluster_objects.unavailable })
    }

    async fn list_user_objects(&self, scope: Scope<'_>) -> Result<ObjectList, ApiError> {
        let aggregated = self.aggregated().await?;
        let Listable { kinds, mut unavailable } = self.listable(scope, &aggregated).await?;
        let namespace = match scope {
            Scope::Namespace(space) => Some(space),
            Scope::Cluster => None,
        };
        let lists = kinds.into_iter().map(|kind| {
            let api = aggregated.get(&kind.api_version());
            async move {
                match self.list(&kind, namespace, None).await {
                    Err(error)
                        if matches!(error.kind, ApiErrorKind::NotFound) || error.status == Some(405) =>
                    {
                        Ok((Vec::new(), None))
                    }
                    Err(error) if is_unreachable(&error) && api.is_some() => {
                        Ok((Vec::new(), api.map(|(api, _)| api.clone())))
                    }
                    listed => listed.map(|listed| (listed, None)),
                }
            }
        });
        let all: Vec<(Vec<DynamicObject>, Option<AggregatedApi>)> =
            stream::iter(lists).buffer_unordered(CONCURRENT_LISTS_MAX).try_collect().await?;
        let mut seen = BTreeSet::new();
        let mut objects = Vec::new();
        for (listed, unavailable_api) in all {
            unavailable.extend(unavailable_api);
            // Some objects are served by two groups under the same UID.
            objects.extend(
                listed.into_iter().filter(is_user_created).filter(|o| seen.insert(o.metadata.uid.clone())),
            );
        }
        unavailable.sort();
        unavailable.dedup();
        Ok(ObjectList { objects, unavailable })
    }

    /// Returns the APIs that Services serve, by group and version, and whether each reports itself available.
    async fn aggregated(&self) -> Result<BTreeMap<String, (AggregatedApi, bool)>, ApiError> {
        let listed = match self.list(&Kind::API_SERVICE, None, None).await {
            // Without the registrations no API is known to be aggregated, so every API must answer.
            Err(error) if matches!(error.kind, ApiErrorKind::NotFound | ApiErrorKind::Forbidden) => {
                return Ok(BTreeMap::new());
            }
            listed => listed?,
        };
        Ok(listed.iter().filter_map(aggregated).collect())
    }

    /// Returns every kind that can be listed, once: in its group's preferred version if that serves it.
    async fn listable(
        &self,
        scope: Scope<'_>,
        aggregated: &BTreeMap<String, (AggregatedApi, bool)>,
    ) -> Result<Listable, ApiError> {
        let groups: APIGroupList = self.read("/apis").await?;
        let versions = groups.groups.into_iter().flat_map(|group| {
            let preferred = group.preferred_version.clone().into_iter();
            let mut versions: Vec<String> =
                preferred.chain(group.versions).map(|version| version.group_version).collect();
            let mut seen = BTreeSet::new();
            versions.retain(|version| seen.insert(version.clone()));
            versions
        });
        let resource_lists = std::iter::once("v1".to_owned()).chain(versions).map(|version| async move {
            let api = aggregated.get(&version);
            if let Some((api, false)) = api {
                return Ok((version, Vec::new(), Some(api.clone())));
            }
            let path = if version == "v1" { "/api/v1".to_owned() } else { format!("/apis/{version}") };
            match self.read::<APIResourceList>(&path).await {
                Ok(served) => Ok((version, served.resources, None)),
                Err(error) if error.kind == ApiErrorKind::NotFound => Ok((version, Vec::new(), None)),
                Err(error) if is_unreachable(&error) && api.is_some() => {
                    Ok((version, Vec::new(), api.map(|(api, _)| api.clone())))
                }
                Err(error) => Err(error),
            }
        });
        let served: Vec<(String, Vec<APIResource>, Option<AggregatedApi>)> =
            stream::iter(resource_lists).buffered(CONCURRENT_LISTS_MAX).try_collect().await?;
        let mut listable = Listable { kinds: Vec::new(), unavailable: Vec::new() };
        let mut seen = BTreeSet::new();
        for (version, resources, unavailable_api) in served {
            listable.unavailable.extend(unavailable_api);
            for one in resources.into_iter().filter(|one| may_be_listed(one, scope)) {
                let kind = kind(&version, one);
                if seen.insert((kind.group.clone(), kind.plural.clone())) {
                    listable.kinds.push(kind);
                }
            }
        }
        Ok(listable)
    }

    async fn read<T: DeserializeOwned>(&self, path: &str) -> Result<T, ApiError> {
        let request = http::Request::get(path)
            .body(Vec::new())
            .map_err(|cause| into_api_error::invalid_request(path, Box::new(cause)))?;
        self.request_sender.json(request).await
    }
}

/// Parses the registration of an aggregated API: group and version, the API, and whether it is available.
fn aggregated(api_service: &DynamicObject) -> Option<(String, (AggregatedApi, bool))> {
    let (space, name) = backend(api_service)?;
    let spec = &api_service.data["spec"];
    let group_version = format!("{}/{}", spec["group"].as_str()?, spec["version"].as_str()?);
    let conditions = api_service.data["status"]["conditions"].as_array();
    let unavailable = conditions
        .into_iter()
        .flatten()
        .any(|condition| condition["type"] == "Available" && condition["status"] == "False");
    let service = format!("{space}/{name}");
    let api =
        AggregatedApi { group_version: group_version.clone(), service, is_system: is_system_name(space) };
    Some((group_version, (api, !unavailable)))
}

/// Returns whether an error means that no backend serves an API; its contents stay unknown.
fn is_unreachable(error: &ApiError) -> bool {
    matches!(error.kind, ApiErrorKind::Unavailable | ApiErrorKind::Transport)
}

fn may_be_listed(resource: &APIResource, scope: Scope<'_>) -> bool {
    let fits = resource.namespaced || scope == Scope::Cluster;
    fits && !resource.name.contains('/') && resource.verbs.iter().any(|verb| verb == "list")
}

fn kind(api_version: &str, resource: APIResource) -> Kind {
    let (group, version) = api_version.rsplit_once('/').unwrap_or(("", api_version));
    Kind {
        group: group.to_owned().into(),
        version: version.to_owned().into(),
        kind: resource.kind.into(),
        plural: resource.name.into(),
        namespaced: resource.namespaced,
    }
}

fn is_user_created(object: &DynamicObject) -> bool {
    let kind = object.types.as_ref().map(|types| types.kind.as_str()).unwrap_or_default();
    let name = object.metadata.name.as_deref().unwrap_or_default();
    let is_default = matches!(
        (kind, name),
        ("ServiceAccount", "default")
            | ("ConfigMap", "kube-root-ca.crt" | "istio-ca-root-cert" | "istio-ca-crl")
            | ("Service", "kubernetes")
    );
    let owned = object.metadata.owner_references.as_ref().is_some_and(|owners| !owners.is_empty());
    !is_default && !owned && !GENERATED_KINDS.contains(&kind)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(kind: &str, name: &str, owners: &serde_json::Value) -> DynamicObject {
        serde_json::from_value(json!({
            "apiVersion": "v1", "kind": kind, "metadata": { "name": name, "ownerReferences": owners },
        }))
        .unwrap()
    }

    #[test]
    fn objects_of_the_cluster_itself_are_not_user_created() {
        let none = json!([]);
        assert!(!is_user_created(&object("ServiceAccount", "default", &none)));
        assert!(!is_user_created(&object("ConfigMap", "kube-root-ca.crt", &none)));
        assert!(!is_user_created(&object("Event", "x", &none)));
        let owner = json!([{ "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "r", "uid": "u" }]);
        assert!(!is_user_created(&object("Pod", "p", &owner)));
        assert!(is_user_created(&object("ConfigMap", "theirs", &none)));
    }
}
