//! The managed Gateway API installation: its kinds, and the classes of application routing.

use serde_json::{Value, json};

use super::reconcile_context::ReconcileContext;
use super::timers::Task;
use super::{condition, mesh, object};
use crate::clock::SimTime;
use crate::durations;
use crate::kubernetes::schema::documents;

/// The name of the class for managed gateways.
pub(super) const CLASS: &str = "approuting-istio";
/// The controller name of that class (observed on live clusters; not documented).
pub(super) const CONTROLLER: &str = "istio.aks.azure.com/gateway-controller";
/// The additional class for gateways of another cluster (observed on live clusters).
const REMOTE: (&str, &str) = ("istio-remote", "istio.io/unmanaged-gateway");
const CLASSES: &str = "gatewayclasses.gateway.networking.k8s.io";
const MANAGER: &str = "aks-addon-manager";
/// The delay between enabling the mesh and the creation of its classes, in seconds of cloud time (inferred).
/// Acceptance comes later.
const CLASSES_WRITTEN: f64 = 30.0;
/// The interval between two checks of a control plane that is not ready to accept its classes, in seconds of
/// cloud time.
const CONTROL_PLANE_RETRY: f64 = 5.0;

/// Returns the Gateway API release that AKS installs for a minor version (documented).
fn bundle(minor: u32) -> &'static str {
    match minor {
        ..=33 => "v1.2.1",
        34 => "v1.3.0",
        35 => "v1.4.1",
        _ => "v1.5.1",
    }
}

/// Serves the kinds of the release for the cluster's version.
pub(super) fn install(cx: &mut ReconcileContext<'_>) {
    if !cx.cluster_info.gateway_api {
        return;
    }
    let release = bundle(cx.cluster_info.minor());
    for document in documents::gateway_api(release) {
        serve(cx, document, Some(release));
    }
    cx.state.gateway_api_since = Some(cx.at);
    schedule_classes(cx);
}

/// Serves one custom kind, and annotates its definition with the release.
pub(super) fn serve(cx: &mut ReconcileContext<'_>, document: &Value, bundle: Option<&str>) {
    let mut document = document.clone();
    document["metadata"]["labels"]["app.kubernetes.io/managed-by"] = json!("aks");
    if let Some(bundle) = bundle {
        document["metadata"]["annotations"]["gateway.networking.k8s.io/bundle-version"] = json!(bundle);
        document["metadata"]["annotations"]["gateway.networking.k8s.io/channel"] = json!("standard");
    }
    cx.store.serve_document(document, bundle.unwrap_or_default(), MANAGER, cx.at);
}

/// Schedules the creation of the classes once both the mesh and the kinds exist.
pub(super) fn schedule_classes(cx: &mut ReconcileContext<'_>) {
    let (Some(mesh), Some(_)) = (cx.state.mesh_since, cx.state.gateway_api_since) else { return };
    let due = |takes: f64| cx.timing.after(mesh, takes).max(cx.at);
    let (written, accepted) = (due(CLASSES_WRITTEN), due(durations::CLASS_ACCEPTED));
    cx.state.timers.insert_once(written, Task::WriteClasses);
    cx.state.timers.insert_once(accepted, Task::AcceptClasses);
}

/// Writes the missing classes with the condition `Accepted` still unknown.
pub(super) fn write_classes(cx: &mut ReconcileContext<'_>) {
    for (name, controller) in [(CLASS, CONTROLLER), REMOTE] {
        if cx.store.get(CLASSES, "", name).is_some() {
            continue;
        }
        let class = json!({
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": "GatewayClass",
            "metadata": {"name": name},
            "spec": {"controllerName": controller, "description": "The default Istio GatewayClass"},
            "status": {"conditions": [{
                "type": "Accepted", "status": "Unknown", "reason": "Pending", "message": "Waiting for controller",
                "lastTransitionTime": "1970-01-01T00:00:00Z",
            }]},
        });
        cx.put(CLASSES, class, MANAGER);
    }
}

/// Accepts the classes as the control plane, or retries later if it is not ready.
pub(super) fn accept_classes(cx: &mut ReconcileContext<'_>) {
    if cx.state.mesh_since.is_none() {
        return;
    }
    if !mesh::is_ready(cx) {
        let due = cx.retry_after(CONTROL_PLANE_RETRY);
        cx.state.timers.insert_once(due, Task::AcceptClasses);
        return;
    }
    if std::mem::take(&mut cx.state.class_late) {
        cx.state.class_from = Some(cx.timing.delayed_until(cx.at, durations::LATE_CLASS));
    }
    if let Some(from) = cx.state.class_from.filter(|from| *from > cx.at) {
        cx.state.timers.insert_once(from, Task::AcceptClasses);
        return;
    }
    for (name, controller) in [(CLASS, CONTROLLER), REMOTE] {
        let Some(class) = cx.get(CLASSES, "", name) else { continue };
        if object::text(&class, "/spec/controllerName") == controller {
            accept(cx, &class);
        }
    }
}

fn accept(cx: &mut ReconcileContext<'_>, class: &Value) {
    let mut status = class.get("status").cloned().unwrap_or_else(|| json!({}));
    let mut conditions = object::list(class, "/status/conditions").to_vec();
    let condition = condition::Condition::yes("Accepted", "Accepted", "Handled by Istio controller");
    condition::observe(&mut conditions, &[condition], object::generation(class), cx.at);
    status["conditions"] = Value::Array(conditions);
    cx.status(CLASSES, class, status, mesh::MANAGER);
}

/// Returns whether a class of that name belongs to this controller and is accepted.
pub(super) fn is_managed(cx: &ReconcileContext<'_>, class: &str) -> bool {
    cx.store.get(CLASSES, "", class).is_some_and(|class| {
        object::text(class, "/spec/controllerName") == CONTROLLER && condition::is_true(class, "Accepted")
    })
}

/// Returns whether the classes are overdue and one is missing or not accepted.
pub(super) fn classes_are_missing(cx: &ReconcileContext<'_>) -> bool {
    let overdue =
        |since: Option<SimTime>| since.is_some_and(|s| cx.timing.after(s, durations::CLASS_ACCEPTED) < cx.at);
    overdue(cx.state.mesh_since)
        && cx.state.gateway_api_since.is_some()
        && [CLASS, REMOTE.0].iter().any(|name| {
            cx.store.get(CLASSES, "", name).is_none_or(|class| !condition::is_true(class, "Accepted"))
        })
}
