//! The user of a request, and the authorization of its actions: Kubernetes RBAC, and Azure RBAC if the cluster
//! uses it.
//!
//! Contract: <https://kubernetes.io/docs/reference/access-authn-authz/rbac/>. Of the built-in ClusterRoles only
//! `cluster-admin` has rules here; the others grant nothing.

use serde_json::Value;

use super::dispatch::ANONYMOUS;
use super::store::Store;

/// The group whose members may do everything.
pub const MASTERS: &str = "system:masters";

const BINDINGS: &str = "clusterrolebindings.rbac.authorization.k8s.io";
const NAMESPACE_BINDINGS: &str = "rolebindings.rbac.authorization.k8s.io";
const CLUSTER_ROLES: &str = "clusterroles.rbac.authorization.k8s.io";
const ROLES: &str = "roles.rbac.authorization.k8s.io";

/// Decides whether Azure grants a data action, `pods/read`, in a namespace or in the whole cluster.
pub type AzureRbac = Box<dyn Fn(&str, Option<&str>) -> bool>;

/// The user of a request.
pub struct User {
    /// The name in Kubernetes.
    pub name: String,
    /// The groups in Kubernetes.
    pub groups: Vec<String>,
    /// The authorization by Azure; `None` if the cluster does not use Azure RBAC.
    pub azure: Option<AzureRbac>,
}

/// An action on objects.
#[derive(Debug, Clone, Copy)]
pub struct Action<'a> {
    /// The verb, `patch`.
    pub verb: &'a str,
    /// The API group; empty for the core group.
    pub group: &'a str,
    /// The resource with its subresource, `pods/log`.
    pub resource: &'a str,
    /// The namespace; `None` for the whole cluster.
    pub namespace: Option<&'a str>,
}

impl User {
    /// Returns the user of a request without a token, or of a local account, which may do everything.
    pub fn local(name: &str) -> Self {
        let groups = match name {
            ANONYMOUS => vec!["system:unauthenticated".to_owned()],
            _ => vec![MASTERS.to_owned(), "system:authenticated".to_owned()],
        };
        Self { name: name.to_owned(), groups, azure: None }
    }

    /// Returns whether the request has no token.
    pub fn is_anonymous(&self) -> bool {
        self.name == ANONYMOUS
    }

    /// Returns whether the user may do everything, without any rule.
    pub fn is_master(&self) -> bool {
        self.groups.iter().any(|group| group == MASTERS)
    }

    /// Returns whether the user may act so.
    pub fn may(&self, store: &Store, action: Action<'_>) -> bool {
        if self.is_master() {
            return true;
        }
        if self.is_anonymous() {
            return false;
        }
        let by_azure =
            self.azure.as_ref().is_some_and(|allows| allows(&data_action(action), action.namespace));
        by_azure || self.is_bound(store, action)
    }

    /// Returns whether a binding in the cluster grants an action.
    fn is_bound(&self, store: &Store, action: Action<'_>) -> bool {
        let in_cluster = store.list(BINDINGS, None).into_iter().filter(|binding| self.is_subject(binding));
        let mut in_cluster = in_cluster.map(|binding| (binding, ""));
        let space = action.namespace.filter(|namespace| !namespace.is_empty());
        let in_space = space.map(|space| store.list(NAMESPACE_BINDINGS, Some(space))).unwrap_or_default();
        let mut in_space = in_space
            .into_iter()
            .filter(|binding| self.is_subject(binding))
            .map(|binding| (binding, space.unwrap_or_default()));
        let grants = |(binding, space): (&Value, &str)| {
            let (kind, name) = (binding["roleRef"]["kind"].as_str(), binding["roleRef"]["name"].as_str());
            let name = name.unwrap_or_default();
            let role = match kind {
                Some("ClusterRole") if name == "cluster-admin" => return true,
                Some("ClusterRole") => store.get(CLUSTER_ROLES, "", name),
                _ => store.get(ROLES, space, name),
            };
            let rules = role.and_then(|role| role["rules"].as_array());
            rules.into_iter().flatten().any(|rule| rule_grants(rule, action))
        };
        in_cluster.any(grants) || in_space.any(grants)
    }

    fn is_subject(&self, binding: &Value) -> bool {
        let is = |subject: &Value| {
            let name = subject["name"].as_str().unwrap_or_default();
            match subject["kind"].as_str() {
                Some("User") => name.eq_ignore_ascii_case(&self.name),
                Some("ServiceAccount") => {
                    let namespace = subject["namespace"].as_str().unwrap_or_default();
                    self.name == format!("system:serviceaccount:{namespace}:{name}")
                }
                Some("Group") => self.groups.iter().any(|group| group.eq_ignore_ascii_case(name)),
                _ => false,
            }
        };
        binding["subjects"].as_array().into_iter().flatten().any(is)
    }
}

fn rule_grants(rule: &Value, action: Action<'_>) -> bool {
    let has = |field: &str, wanted: &str| {
        let mut listed = rule[field].as_array().into_iter().flatten().filter_map(Value::as_str);
        listed.any(|one| one == "*" || one == wanted)
    };
    // A rule for single names never covers a list or a creation; such rules grant nothing here.
    let is_general = rule["resourceNames"].as_array().is_none_or(Vec::is_empty);
    is_general
        && has("verbs", action.verb)
        && has("apiGroups", action.group)
        && has("resources", action.resource)
}

/// Returns the data action of Azure roles without its provider: `apps/deployments/write`.
///
/// Source: "Use Azure RBAC for Kubernetes authorization"; the verbs map to read, write and delete.
fn data_action(action: Action<'_>) -> String {
    let verb = match action.verb {
        "get" | "list" | "watch" => "read",
        "delete" | "deletecollection" => "delete",
        _ => "write",
    };
    match action.group {
        "" => format!("{}/{verb}", action.resource),
        group => format!("{group}/{}/{verb}", action.resource),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::kubernetes::fixture::{Cluster, T0};

    fn member(azure: Option<AzureRbac>) -> User {
        let groups = vec!["system:authenticated".to_owned(), "team".to_owned()];
        User { name: "ada@example.com".to_owned(), groups, azure }
    }

    fn bind(cluster: &mut Cluster, role: &str, subject: &Value) {
        let binding = json!({
            "metadata": {"name": role}, "subjects": [subject],
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        });
        cluster.store.put(BINDINGS, binding, "boot", T0);
    }

    const LIST: Action<'_> = Action { verb: "list", group: "", resource: "pods", namespace: Some("demo") };

    #[test]
    fn a_binding_grants_the_rules_of_its_role_to_users_and_groups() {
        let mut cluster = Cluster::new();
        let (patch, user) = (Action { verb: "patch", ..LIST }, member(None));
        assert!(!user.may(&cluster.store, LIST));
        let rules = json!([{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]}]);
        let role = json!({"metadata": {"name": "viewer"}, "rules": rules});
        cluster.store.put(CLUSTER_ROLES, role, "boot", T0);
        bind(&mut cluster, "viewer", &json!({"kind": "Group", "name": "team"}));
        assert!(user.may(&cluster.store, LIST) && !user.may(&cluster.store, patch));
        bind(&mut cluster, "cluster-admin", &json!({"kind": "User", "name": "ada@example.com"}));
        assert!(user.may(&cluster.store, patch));
    }

    #[test]
    fn azure_decides_by_data_action_and_namespace() {
        let cluster = Cluster::new();
        let user = member(Some(Box::new(|action, namespace| {
            action == "apps/deployments/write" && namespace == Some("demo")
        })));
        let patch = Action { verb: "patch", group: "apps", resource: "deployments", namespace: Some("demo") };
        assert!(user.may(&cluster.store, patch));
        assert!(!user.may(&cluster.store, Action { namespace: None, ..patch }));
        assert!(!user.may(&cluster.store, Action { verb: "delete", ..patch }));
    }
}
