//! The NGINX that the add-on brings unless its default type is `None`: with a load balancer of its own.
//!
//! The type `None` creates none, and deletes no existing one: that is the deletion of its `NginxIngressController`.

use serde_json::{Value, json};

use super::{DEPLOYMENTS, NAMESPACE, NGINX_CONTROLLERS, OPERATOR, labels, owner};
use crate::aks::object::{is_ending, list, text};
use crate::aks::reconcile_context::ReconcileContext;

const INGRESS_CLASSES: &str = "ingressclasses.networking.k8s.io";

/// Creates the default controller of a type.
pub(super) fn create_default(cx: &mut ReconcileContext<'_>, kind: &str) {
    if kind == "None" || cx.store.get(NGINX_CONTROLLERS, "", "default").is_some() {
        return;
    }
    let annotations = match kind {
        "Internal" => json!({"service.beta.kubernetes.io/azure-load-balancer-internal": "true"}),
        _ => json!({}),
    };
    let controller = json!({
        "apiVersion": "approuting.kubernetes.azure.com/v1alpha1", "kind": "NginxIngressController",
        "metadata": {"name": "default", "labels": labels()},
        "spec": {
            "controllerNamePrefix": "nginx",
            "ingressClassName": "webapprouting.kubernetes.azure.com",
            "loadBalancerAnnotations": annotations,
        },
    });
    cx.put(NGINX_CONTROLLERS, controller, OPERATOR);
}

/// Ensures the workload and the load balancer of every controller.
pub(super) fn reconcile_all(cx: &mut ReconcileContext<'_>) {
    for (index, controller) in cx.all(NGINX_CONTROLLERS).into_iter().enumerate() {
        if is_ending(&controller) {
            continue;
        }
        let known = list(&controller, "/status/managedResourceRefs");
        let own_name = known.first().map(|first| text(first, "/name").to_owned());
        let prefix = text(&controller, "/spec/controllerNamePrefix");
        let own_name = own_name.unwrap_or_else(|| match index {
            0 => prefix.to_owned(),
            other => format!("{prefix}-{other}"),
        });
        for (resource, wanted) in members(&controller, &own_name) {
            cx.ensure(resource, wanted, OPERATOR);
        }
        let reference =
            json!({"apiGroup": "apps", "kind": "Deployment", "name": own_name, "namespace": NAMESPACE});
        let status = json!({"managedResourceRefs": [reference]});
        cx.status(NGINX_CONTROLLERS, &controller, status, OPERATOR);
    }
}

fn members(controller: &Value, own_name: &str) -> [(&'static str, Value); 3] {
    let metadata = json!({
        "name": own_name, "namespace": NAMESPACE, "labels": labels(), "ownerReferences": [owner(controller)],
    });
    let mut service_metadata = metadata.clone();
    service_metadata["annotations"] = controller["spec"]["loadBalancerAnnotations"].clone();
    let selected = json!({"app": own_name});
    let deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata,
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": selected},
            "template": {
                "metadata": {"labels": selected},
                "spec": {"containers": [{
                    "name": "controller",
                    "image": "mcr.microsoft.com/oss/kubernetes/ingress/nginx-ingress-controller:v1.13.7",
                    "ports": [{"name": "http", "containerPort": 80}, {"name": "https", "containerPort": 443}],
                }]},
            },
        },
    });
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": service_metadata,
        "spec": {
            "type": "LoadBalancer",
            "selector": selected,
            "ports": [
                {"name": "http", "port": 80, "protocol": "TCP", "targetPort": "http"},
                {"name": "https", "port": 443, "protocol": "TCP", "targetPort": "https"},
            ],
        },
    });
    let class = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "IngressClass",
        "metadata": {
            "name": controller["spec"]["ingressClassName"], "labels": labels(),
            "ownerReferences": [owner(controller)],
        },
        "spec": {"controller": format!("{}/{own_name}", text(controller, "/spec/ingressClassName"))},
    });
    [(DEPLOYMENTS, deployment), ("services", service), (INGRESS_CLASSES, class)]
}
