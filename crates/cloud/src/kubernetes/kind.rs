//! Kinds of objects, and the API paths that serve them.

use std::borrow::Cow;

use kube_core::DynamicObject;

/// One kind of object, as the API serves it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Kind {
    /// API group; empty for the core group.
    pub group: Cow<'static, str>,
    /// Version inside the group: `v1`.
    pub version: Cow<'static, str>,
    /// Singular name in documents: `HTTPRoute`.
    pub kind: Cow<'static, str>,
    /// Name in paths: `httproutes`.
    pub plural: Cow<'static, str>,
    /// True if its objects are namespaced.
    pub namespaced: bool,
}

/// Shorthand of the table below.
const fn known(
    group: &'static str,
    version: &'static str,
    kind: &'static str,
    plural: &'static str,
    namespaced: bool,
) -> Kind {
    Kind {
        group: Cow::Borrowed(group),
        version: Cow::Borrowed(version),
        kind: Cow::Borrowed(kind),
        plural: Cow::Borrowed(plural),
        namespaced,
    }
}

const GATEWAY_API: &str = "gateway.networking.k8s.io";

#[expect(missing_docs, reason = "each constant is the kind it is named after")]
impl Kind {
    pub const API_SERVICE: Kind = known("apiregistration.k8s.io", "v1", "APIService", "apiservices", false);
    pub const CONFIG_MAP: Kind = known("", "v1", "ConfigMap", "configmaps", true);
    pub const DAEMON_SET: Kind = known("apps", "v1", "DaemonSet", "daemonsets", true);
    pub const DEPLOYMENT: Kind = known("apps", "v1", "Deployment", "deployments", true);
    pub const EVENT: Kind = known("", "v1", "Event", "events", true);
    pub const GATEWAY: Kind = known(GATEWAY_API, "v1", "Gateway", "gateways", true);
    pub const GATEWAY_CLASS: Kind = known(GATEWAY_API, "v1", "GatewayClass", "gatewayclasses", false);
    pub const HPA: Kind =
        known("autoscaling", "v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers", true);
    pub const HTTP_ROUTE: Kind = known(GATEWAY_API, "v1", "HTTPRoute", "httproutes", true);
    pub const JOB: Kind = known("batch", "v1", "Job", "jobs", true);
    pub const NAMESPACE: Kind = known("", "v1", "Namespace", "namespaces", false);
    pub const NODE: Kind = known("", "v1", "Node", "nodes", false);
    pub const PDB: Kind = known("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets", true);
    pub const POD: Kind = known("", "v1", "Pod", "pods", true);
    pub const REFERENCE_GRANT: Kind =
        known(GATEWAY_API, "v1beta1", "ReferenceGrant", "referencegrants", true);
    pub const REPLICA_SET: Kind = known("apps", "v1", "ReplicaSet", "replicasets", true);
    pub const SECRET: Kind = known("", "v1", "Secret", "secrets", true);
    pub const SECRET_PROVIDER_CLASS: Kind =
        known("secrets-store.csi.x-k8s.io", "v1", "SecretProviderClass", "secretproviderclasses", true);
    pub const SERVICE: Kind = known("", "v1", "Service", "services", true);
    pub const SERVICE_ACCOUNT: Kind = known("", "v1", "ServiceAccount", "serviceaccounts", true);
    pub const STATEFUL_SET: Kind = known("apps", "v1", "StatefulSet", "statefulsets", true);

    /// The kinds whose path is known without discovery.
    pub const KNOWN: [Kind; 20] = [
        Kind::CONFIG_MAP,
        Kind::DAEMON_SET,
        Kind::DEPLOYMENT,
        Kind::EVENT,
        Kind::GATEWAY,
        Kind::GATEWAY_CLASS,
        Kind::HPA,
        Kind::HTTP_ROUTE,
        Kind::JOB,
        Kind::NAMESPACE,
        Kind::NODE,
        Kind::PDB,
        Kind::POD,
        Kind::REFERENCE_GRANT,
        Kind::REPLICA_SET,
        Kind::SECRET,
        Kind::SECRET_PROVIDER_CLASS,
        Kind::SERVICE,
        Kind::SERVICE_ACCOUNT,
        Kind::STATEFUL_SET,
    ];
}

impl Kind {
    /// Returns `v1` or `group/version`, as `apiVersion` has it.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.to_string()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    /// Returns the known kind of an object, if it is one of [`Kind::KNOWN`].
    pub fn known_of(object: &DynamicObject) -> Option<Kind> {
        let types = object.types.as_ref()?;
        Self::KNOWN
            .into_iter()
            .find(|known| known.kind == types.kind && known.api_version() == types.api_version)
    }

    /// Returns the path of the collection. A namespaced kind without a namespace means all namespaces.
    pub(crate) fn path(&self, namespace: Option<&str>) -> String {
        let root = if self.group.is_empty() { "/api".to_owned() } else { format!("/apis/{}", self.group) };
        match namespace.filter(|_| self.namespaced) {
            Some(namespace) => format!("{root}/{}/namespaces/{namespace}/{}", self.version, self.plural),
            None => format!("{root}/{}/{}", self.version, self.plural),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_of_a_collection_follows_group_and_scope() {
        assert_eq!(Kind::POD.path(Some("demo")), "/api/v1/namespaces/demo/pods");
        assert_eq!(Kind::POD.path(None), "/api/v1/pods");
        assert_eq!(
            Kind::GATEWAY.path(Some("demo")),
            "/apis/gateway.networking.k8s.io/v1/namespaces/demo/gateways"
        );
        // A namespace on a cluster-scoped object is the object's mistake and does not change the path.
        assert_eq!(Kind::NODE.path(Some("demo")), "/api/v1/nodes");
    }

    #[test]
    fn an_object_is_known_by_its_kind_and_version_together() {
        let object = |version: &str, kind: &str| -> DynamicObject {
            serde_json::from_value(serde_json::json!({"apiVersion": version, "kind": kind, "metadata": {}}))
                .unwrap()
        };
        assert_eq!(Kind::known_of(&object("apps/v1", "Deployment")), Some(Kind::DEPLOYMENT));
        assert_eq!(Kind::known_of(&object("apps/v1beta1", "Deployment")), None);
        assert_eq!(Kind::known_of(&object("v1", "Deployment")), None);
    }
}
