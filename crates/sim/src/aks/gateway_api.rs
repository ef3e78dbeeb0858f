//! The managed Gateway API installation: its kinds, and the classes of application routing.

use serde_json::{Value, json};

use super::agenda::Task;
use super::turn::Turn;
use super::{condition, mesh, object};
use crate::clock::Moment;
use crate::durations;
use crate::fault::lag;
use crate::kubernetes::definition::Definition;
use crate::kubernetes::schema;

/// The name of the class for managed gateways.
pub(super) const CLASS: &str = "approuting-istio";
/// The controller name of that class (observed on live clusters; not documented).
pub(super) const CONTROLLER: &str = "istio.aks.azure.com/gateway-controller";
/// The additional class for gateways of another cluster (observed on live clusters).
const REMOTE: (&str, &str) = ("istio-remote", "istio.io/unmanaged-gateway");
const CLASSES: &str = "gatewayclasses.gateway.networking.k8s.io";
const DEFINITIONS: &str = "customresourcedefinitions.apiextensions.k8s.io";
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

/// Returns whether a kind is in the standard channel of the release for that minor version.
fn is_in_bundle(plural: &str, minor: u32) -> bool {
    match plural {
        "backendtlspolicies" => minor >= 35,
        "tlsroutes" | "listenersets" => minor >= 36,
        _ => true,
    }
}

/// Serves the kinds of the release for the cluster's version.
pub(super) fn install(turn: &mut Turn<'_>) {
    if !turn.facts.gateway_api {
        return;
    }
    let minor = turn.facts.minor();
    for definition in schema::gateway_api() {
        if is_in_bundle(&definition.plural, minor) {
            serve(turn, &definition, Some(bundle(minor)));
        }
    }
    turn.memory.gateway_api_since = Some(turn.at);
    plan_classes(turn);
}

/// Serves one custom kind, and annotates its definition with the release.
pub(super) fn serve(turn: &mut Turn<'_>, definition: &Definition, bundle: Option<&str>) {
    turn.store.serve_kind_at(definition, turn.at);
    let Some(mut listed) = turn.get(DEFINITIONS, "", &definition.resource()) else { return };
    listed["metadata"]["labels"]["app.kubernetes.io/managed-by"] = json!("aks");
    if let Some(bundle) = bundle {
        listed["metadata"]["annotations"]["gateway.networking.k8s.io/bundle-version"] = json!(bundle);
        listed["metadata"]["annotations"]["gateway.networking.k8s.io/channel"] = json!("standard");
    }
    turn.put(DEFINITIONS, listed, MANAGER);
}

/// Schedules the creation of the classes once both the mesh and the kinds exist.
pub(super) fn plan_classes(turn: &mut Turn<'_>) {
    let (Some(mesh), Some(_)) = (turn.memory.mesh_since, turn.memory.gateway_api_since) else { return };
    let due = |takes: f64| turn.timing.after(mesh, takes).max(turn.at);
    let (written, accepted) = (due(CLASSES_WRITTEN), due(durations::CLASS_ACCEPTED));
    turn.memory.agenda.enter_once(written, Task::WriteClasses);
    turn.memory.agenda.enter_once(accepted, Task::AcceptClasses);
}

/// Writes the missing classes with the condition `Accepted` still unknown.
pub(super) fn write_classes(turn: &mut Turn<'_>) {
    for (name, controller) in [(CLASS, CONTROLLER), REMOTE] {
        if turn.store.get(CLASSES, "", name).is_some() {
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
        turn.put(CLASSES, class, MANAGER);
    }
}

/// Accepts the classes as the control plane, or retries later if it is not ready.
pub(super) fn accept_classes(turn: &mut Turn<'_>) {
    if turn.memory.mesh_since.is_none() {
        return;
    }
    if !mesh::is_ready(turn) {
        let due = turn.again_after(CONTROL_PLANE_RETRY);
        turn.memory.agenda.enter_once(due, Task::AcceptClasses);
        return;
    }
    if std::mem::take(&mut turn.memory.class_late) {
        turn.memory.class_from = Some(lag::late(turn.timing, turn.at, lag::CLASS));
    }
    if let Some(from) = turn.memory.class_from.filter(|from| *from > turn.at) {
        turn.memory.agenda.enter_once(from, Task::AcceptClasses);
        return;
    }
    for (name, controller) in [(CLASS, CONTROLLER), REMOTE] {
        let Some(class) = turn.get(CLASSES, "", name) else { continue };
        if object::text(&class, "/spec/controllerName") == controller {
            accept(turn, &class);
        }
    }
}

fn accept(turn: &mut Turn<'_>, class: &Value) {
    let mut status = class.get("status").cloned().unwrap_or_else(|| json!({}));
    let mut conditions = object::list(class, "/status/conditions").to_vec();
    let said = condition::Condition::yes("Accepted", "Accepted", "Handled by Istio controller");
    condition::observe(&mut conditions, &[said], object::generation(class), turn.at);
    status["conditions"] = Value::Array(conditions);
    turn.status(CLASSES, class, status, mesh::MANAGER);
}

/// Returns whether a class of that name belongs to this controller and is accepted.
pub(super) fn is_ours(turn: &Turn<'_>, class: &str) -> bool {
    turn.store.get(CLASSES, "", class).is_some_and(|class| {
        object::text(class, "/spec/controllerName") == CONTROLLER && condition::is_true(class, "Accepted")
    })
}

/// Returns whether the classes are overdue and one is missing or not accepted.
pub(super) fn classes_are_missing(turn: &Turn<'_>) -> bool {
    let overdue = |since: Option<Moment>| {
        since.is_some_and(|s| turn.timing.after(s, durations::CLASS_ACCEPTED) < turn.at)
    };
    overdue(turn.memory.mesh_since)
        && turn.memory.gateway_api_since.is_some()
        && [CLASS, REMOTE.0].iter().any(|name| {
            turn.store.get(CLASSES, "", name).is_none_or(|class| !condition::is_true(class, "Accepted"))
        })
}
