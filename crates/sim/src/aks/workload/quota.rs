//! The quota controller: counts what a namespace uses. Quotas are not enforced here.

use serde_json::{Value, json};

use super::MANAGER;
use crate::aks::object::{list, namespace};
use crate::aks::reconcile_context::ReconcileContext;
use crate::kubernetes::schema::quantity;

const QUOTAS: &str = "resourcequotas";
/// The watched resources.
pub(super) const WATCHED: &[&str] =
    &[QUOTAS, "pods", "services", "configmaps", "secrets", "persistentvolumeclaims"];

/// Reconciles all quotas.
pub(super) fn reconcile_all(cx: &mut ReconcileContext<'_>) {
    for quota in cx.all(QUOTAS) {
        let hard = quota["spec"]["hard"].clone();
        let mut used = json!({});
        for name in hard.as_object().into_iter().flat_map(|hard| hard.keys()) {
            used[name] = json!(usage(cx, namespace(&quota), name));
        }
        cx.status(QUOTAS, &quota, json!({"hard": hard, "used": used}), MANAGER);
    }
}

fn usage(cx: &ReconcileContext<'_>, space: &str, name: &str) -> String {
    let of_pods = |list: &str, name: &str| sum(cx, space, "pods", &format!("/resources/{list}/{name}"));
    match name {
        "cpu" | "memory" => of_pods("requests", name),
        "requests.storage" => sum(cx, space, "persistentvolumeclaims", "/resources/requests/storage"),
        _ => match name.split_once('.') {
            Some((list @ ("requests" | "limits"), name)) => of_pods(list, name),
            _ => {
                let resource = name.strip_prefix("count/").unwrap_or(name);
                let objects = cx.store.list(resource, Some(space)).into_iter();
                objects.filter(|object| counts(resource, object)).count().to_string()
            }
        },
    }
}

fn counts(resource: &str, object: &Value) -> bool {
    resource != "pods" || !super::is_over(object)
}

/// Sums up a quantity of the containers of pods, or of claims.
fn sum(cx: &ReconcileContext<'_>, space: &str, resource: &str, pointer: &str) -> String {
    let objects = cx.store.list(resource, Some(space)).into_iter().filter(|object| counts(resource, object));
    let total: f64 = objects
        .map(|object| match resource {
            "pods" => {
                let containers = list(object, "/spec/containers").iter();
                containers.filter_map(|one| one.pointer(pointer).and_then(quantity::amount)).sum()
            }
            _ => object["spec"].pointer(pointer).and_then(quantity::amount).unwrap_or(0.0),
        })
        .sum();
    let thousandths = (total * 1_000.0).round();
    let text = if thousandths % 1_024_000.0 == 0.0 && thousandths != 0.0 {
        format!("{}Ki", thousandths / 1_024_000.0)
    } else {
        format!("{thousandths}m")
    };
    quantity::canonical(&json!(text), true).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aks::fixture::ClusterFixture;
    use crate::aks::object::text;

    #[test]
    fn a_quota_shows_what_its_namespace_uses() {
        let mut fixture = ClusterFixture::running();
        let resources = json!({"requests": {"cpu": "250m", "memory": "64Mi"}});
        for name in ["a", "b"] {
            fixture.request(
                "pods",
                json!({
                    "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "default"},
                    "spec": {"containers": [{"name": "c", "image": "nginx:1", "resources": resources}]},
                }),
            );
        }
        fixture.request(QUOTAS, json!({
            "apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "q", "namespace": "default"},
            "spec": {"hard": {"pods": "10", "requests.cpu": "4", "requests.memory": "1Gi", "count/secrets": "5"}},
        }));
        fixture.advance(1.0);
        let quota = fixture.get(QUOTAS, "default", "q").expect("it is there");
        let used = &quota["status"]["used"];
        assert_eq!(text(used, "/pods"), "2");
        assert_eq!((text(used, "/requests.cpu"), text(used, "/requests.memory")), ("500m", "128Mi"));
        assert_eq!(text(used, "/count~1secrets"), "0");
    }
}
