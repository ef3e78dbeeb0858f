//! What is in a namespace, or in all of them: every kind that the cluster serves is asked for.

use std::collections::BTreeSet;

use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{APIGroupList, APIResource, APIResourceList};
use kube::core::DynamicObject;
use serde::de::DeserializeOwned;

use super::client::Cluster;
use super::failure;
use super::kind::Kind;
use crate::error::{ApiError, ApiErrorKind};

/// How many lists are asked for at once.
const LISTS_AT_ONCE: usize = 8;
/// What the cluster puts into every namespace, or writes about what is in it.
const ITS_OWN: [&str; 4] = ["Event", "Endpoints", "EndpointSlice", "PodMetrics"];

impl Cluster {
    /// Returns what people and tools have put into a namespace, in every kind that can be listed: without what is
    /// owned by another object, and without what the cluster puts there itself.
    ///
    /// # Errors
    /// Whatever a request ran into. A kind that is not there any more when its turn comes has no objects.
    pub async fn contents(&self, namespace: &str) -> Result<Vec<DynamicObject>, ApiError> {
        self.put_there(Some(namespace)).await
    }

    /// Returns the same for the whole cluster: the namespaces that people and tools have made, and what is in these
    /// and in `default`. What is in a namespace of the system's is the system's.
    ///
    /// # Errors
    /// Whatever a request ran into.
    pub async fn contents_of_all(&self) -> Result<Vec<DynamicObject>, ApiError> {
        let kind = Kind::NAMESPACE;
        let (spaces, inside) = futures::try_join!(self.list(&kind, None, None), self.put_there(None))?;
        let theirs: BTreeSet<String> = spaces
            .iter()
            .filter(|space| !is_of_system(space))
            .filter_map(|s| s.metadata.name.clone())
            .collect();
        let in_theirs = |object: &DynamicObject| {
            object.metadata.namespace.as_ref().is_some_and(|space| theirs.contains(space))
        };
        let made = spaces.into_iter().filter(|space| {
            let name = space.metadata.name.as_ref();
            name.is_some_and(|name| name != "default" && theirs.contains(name))
        });
        Ok(made.chain(inside.into_iter().filter(in_theirs)).collect())
    }

    async fn put_there(&self, namespace: Option<&str>) -> Result<Vec<DynamicObject>, ApiError> {
        let kinds = self.listable().await?;
        let lists = kinds.into_iter().map(|kind| async move {
            match self.list(&kind, namespace, None).await {
                Err(error) if matches!(error.kind, ApiErrorKind::NotFound) || error.status == Some(405) => {
                    Ok(Vec::new())
                }
                listed => listed,
            }
        });
        let all: Vec<Vec<DynamicObject>> =
            stream::iter(lists).buffer_unordered(LISTS_AT_ONCE).try_collect().await?;
        let mut seen = BTreeSet::new();
        // Some objects are served by two groups; the UID is one.
        Ok(all
            .into_iter()
            .flatten()
            .filter(is_put_there)
            .filter(|o| seen.insert(o.metadata.uid.clone()))
            .collect())
    }

    /// Every namespaced kind that can be listed, in its group's preferred version.
    async fn listable(&self) -> Result<Vec<Kind>, ApiError> {
        let groups: APIGroupList = self.read("/apis").await?;
        let preferred = groups.groups.into_iter().filter_map(|group| {
            let preferred = group.preferred_version.or_else(|| group.versions.first().cloned());
            Some(preferred?.group_version)
        });
        let mut kinds = Vec::new();
        for version in std::iter::once("v1".to_owned()).chain(preferred) {
            let path = if version == "v1" { "/api/v1".to_owned() } else { format!("/apis/{version}") };
            let served: APIResourceList = match self.read(&path).await {
                Ok(served) => served,
                Err(error) if error.kind == ApiErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            kinds.extend(served.resources.into_iter().filter(may_be_listed).map(|one| kind(&version, one)));
        }
        Ok(kinds)
    }

    async fn read<T: DeserializeOwned>(&self, path: &str) -> Result<T, ApiError> {
        let request = http::Request::get(path)
            .body(Vec::new())
            .map_err(|cause| failure::unwritable(path, Box::new(cause)))?;
        self.exchange.json(request).await
    }
}

fn may_be_listed(resource: &APIResource) -> bool {
    resource.namespaced && !resource.name.contains('/') && resource.verbs.iter().any(|verb| verb == "list")
}

fn kind(api_version: &str, resource: APIResource) -> Kind {
    let (group, version) = api_version.rsplit_once('/').unwrap_or(("", api_version));
    Kind {
        group: group.to_owned().into(),
        version: version.to_owned().into(),
        kind: resource.kind.into(),
        plural: resource.name.into(),
        namespaced: true,
    }
}

fn is_put_there(object: &DynamicObject) -> bool {
    let kind = object.types.as_ref().map(|types| types.kind.as_str()).unwrap_or_default();
    let name = object.metadata.name.as_deref().unwrap_or_default();
    let given = matches!(
        (kind, name),
        ("ServiceAccount", "default")
            | ("ConfigMap", "kube-root-ca.crt" | "istio-ca-root-cert" | "istio-ca-crl")
            | ("Service", "kubernetes")
    );
    let owned = object.metadata.owner_references.as_ref().is_some_and(|owners| !owners.is_empty());
    !given && !owned && !ITS_OWN.contains(&kind)
}

/// Namespaces that Kubernetes and AKS make for themselves: <https://learn.microsoft.com/azure/aks/core-aks-concepts>,
/// and those of its add-ons and extensions, which AKS labels or names.
fn is_of_system(space: &DynamicObject) -> bool {
    const NAMES: [&str; 4] = ["gatekeeper-system", "app-routing-system", "calico-system", "tigera-operator"];
    let name = space.metadata.name.as_deref().unwrap_or_default();
    let managed =
        space.metadata.labels.as_ref().and_then(|labels| labels.get("kubernetes.azure.com/managedby"));
    name.starts_with("kube-")
        || name.starts_with("aks-")
        || NAMES.contains(&name)
        || managed.is_some_and(|by| by == "aks")
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
    fn the_systems_namespaces_are_told_from_peoples() {
        let none = json!([]);
        for name in ["kube-system", "aks-istio-system", "gatekeeper-system"] {
            assert!(is_of_system(&object("Namespace", name, &none)), "{name}");
        }
        assert!(!is_of_system(&object("Namespace", "shop", &none)));
        let mut labelled = object("Namespace", "fleet", &none);
        labelled.metadata.labels =
            Some([("kubernetes.azure.com/managedby".to_owned(), "aks".to_owned())].into());
        assert!(is_of_system(&labelled));
    }

    #[test]
    fn what_the_cluster_puts_there_itself_is_nobodys() {
        let none = json!([]);
        assert!(!is_put_there(&object("ServiceAccount", "default", &none)));
        assert!(!is_put_there(&object("ConfigMap", "kube-root-ca.crt", &none)));
        assert!(!is_put_there(&object("Event", "x", &none)));
        let owner = json!([{ "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "r", "uid": "u" }]);
        assert!(!is_put_there(&object("Pod", "p", &owner)));
        assert!(is_put_there(&object("ConfigMap", "theirs", &none)));
    }
}
