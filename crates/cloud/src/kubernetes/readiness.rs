//! Readiness of an object, from its status alone.
//!
//! A condition counts only if its observed generation is current: right after a change the old status is
//! still present and reports success. A `Broken` state requires a changed spec. A state that may still change
//! (a missing Secret, a pending address) is `Waiting`, with the controller's own reason.
//! <https://gateway-api.sigs.k8s.io/reference/spec/#gatewayconditiontype>

use std::time::SystemTime;

use jiff::Timestamp;
use kube_core::DynamicObject;
use serde_json::Value;

/// The readiness of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Readiness<T> {
    /// Ready.
    Ready(T),
    /// Not ready yet; the reason as a lowercase fragment, or in the controller's words.
    Waiting(String),
    /// Permanently failed with this spec; the reason.
    Broken(String),
}

impl<T> Readiness<T> {
    /// Returns whether it is ready.
    pub fn is_ready(&self) -> bool {
        matches!(self, Readiness::Ready(_))
    }
}

use Readiness::{Broken, Ready, Waiting};

/// The state of one condition type in a list of conditions.
enum ConditionStatus<'a> {
    True,
    /// `False`, with reason and message.
    False(&'a str, &'a str),
    /// Absent, `Unknown`, or of an earlier generation.
    Nothing(String),
}

fn condition<'a>(status: &'a Value, name: &str) -> Option<&'a Value> {
    status["conditions"].as_array()?.iter().find(|condition| condition["type"] == name)
}

/// Reads one condition, which must be of `generation` if the object has one.
fn condition_status<'a>(status: &'a Value, name: &str, generation: Option<i64>) -> ConditionStatus<'a> {
    let Some(found) = condition(status, name) else {
        return ConditionStatus::Nothing(format!("no controller has set the condition {name}"));
    };
    if generation.is_some() && found["observedGeneration"].as_i64() != generation {
        return ConditionStatus::Nothing(format!("{name} is outdated: the last change is not reconciled"));
    }
    let reason = found["reason"].as_str().unwrap_or("no reason");
    let message = found["message"].as_str().unwrap_or_default();
    match found["status"].as_str() {
        Some(status) if status.eq_ignore_ascii_case("true") => ConditionStatus::True,
        Some(status) if status.eq_ignore_ascii_case("false") => ConditionStatus::False(reason, message),
        _ => ConditionStatus::Nothing(describe(name, reason, message)),
    }
}

fn describe(name: &str, reason: &str, message: &str) -> String {
    if message.is_empty() { format!("{name}: {reason}") } else { format!("{name}: {reason}: {message}") }
}

/// Requires one condition to be true; `hopeless` contains the reasons that only a changed spec can fix.
fn required(status: &Value, name: &str, generation: Option<i64>, permanent: &[&str]) -> Readiness<()> {
    match condition_status(status, name, generation) {
        ConditionStatus::True => Ready(()),
        ConditionStatus::False(reason, message) if permanent.contains(&reason) => {
            Broken(describe(name, reason, message))
        }
        ConditionStatus::False(reason, message) => Waiting(describe(name, reason, message)),
        ConditionStatus::Nothing(why) => Waiting(why),
    }
}

/// Combines results: the first broken one, else the first waiting one.
fn all(results: impl IntoIterator<Item = Readiness<()>>) -> Readiness<()> {
    let mut waiting = None;
    for result in results {
        match result {
            Ready(()) => {}
            Waiting(why) => waiting = waiting.or(Some(why)),
            Broken(why) => return Broken(why),
        }
    }
    waiting.map_or(Ready(()), Waiting)
}

/// Prefixes the message of a result with the name of the part.
fn with_part(part: &str, result: Readiness<()>) -> Readiness<()> {
    match result {
        Ready(()) => Ready(()),
        Waiting(why) => Waiting(format!("{part}: {why}")),
        Broken(why) => Broken(format!("{part}: {why}")),
    }
}

/// Evaluates a `CustomResourceDefinition`; ready if the cluster serves its kind.
/// <https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/>
pub fn definition(definition: &DynamicObject) -> Readiness<()> {
    let status = &definition.data["status"];
    match condition_status(status, "NamesAccepted", None) {
        ConditionStatus::False(reason, message) => Broken(describe("NamesAccepted", reason, message)),
        ConditionStatus::True | ConditionStatus::Nothing(_) => required(status, "Established", None, &[]),
    }
}

/// Evaluates a `Gateway`; ready with its addresses.
///
/// It must be accepted and programmed at its current generation, and have an address. Each of its listeners
/// must be programmed with its references resolved. A gateway can be programmed as a whole while a listener
/// has no certificate.
pub fn gateway(gateway: &DynamicObject) -> Readiness<Vec<String>> {
    let generation = gateway.metadata.generation;
    let status = &gateway.data["status"];
    let accepted =
        required(status, "Accepted", generation, &["Invalid", "InvalidParameters", "UnsupportedAddress"]);
    let listeners = listeners(gateway, generation);
    let programmed = required(status, "Programmed", generation, &[]);
    let addresses: Vec<String> = status["addresses"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|address| address["value"].as_str())
        .filter(|address| !address.is_empty())
        .map(str::to_owned)
        .collect();
    let addressed = if addresses.is_empty() { Waiting("it has no address".to_owned()) } else { Ready(()) };
    match all([accepted, programmed, listeners, addressed]) {
        Ready(()) => Ready(addresses),
        Waiting(why) => Waiting(why),
        Broken(why) => Broken(why),
    }
}

fn listeners(gateway: &DynamicObject, generation: Option<i64>) -> Readiness<()> {
    let wanted = gateway.data["spec"]["listeners"].as_array().into_iter().flatten();
    let results = gateway.data["status"]["listeners"].as_array();
    all(wanted.filter_map(|listener| listener["name"].as_str()).map(|name| {
        let part = format!("listener {name}");
        let Some(status) =
            results.and_then(|results| results.iter().find(|listener| listener["name"] == name))
        else {
            return Waiting(format!("{part}: no controller has reconciled it"));
        };
        let conflicted = match condition_status(status, "Conflicted", generation) {
            ConditionStatus::True => {
                let found = condition(status, "Conflicted").unwrap_or(&Value::Null);
                let text = |key: &str| found[key].as_str().unwrap_or_default();
                Broken(describe("Conflicted", text("reason"), text("message")))
            }
            ConditionStatus::False(..) | ConditionStatus::Nothing(_) => Ready(()),
        };
        let accepted = match condition(status, "Accepted") {
            Some(_) => required(status, "Accepted", generation, &["UnsupportedProtocol", "PortUnavailable"]),
            None => Ready(()),
        };
        let resolved = required(status, "ResolvedRefs", generation, &["InvalidRouteKinds"]);
        // Reference errors are the usual cause of an unprogrammed listener, so they come first.
        let programmed = required(status, "Programmed", generation, &[]);
        with_part(&part, all([conflicted, accepted, resolved, programmed]))
    }))
}

/// Evaluates an `HTTPRoute` with respect to the gateway of this name.
///
/// Every entry of its status about that gateway must be accepted with its references resolved. Without an
/// entry no controller has claimed the route: the name is wrong, or the controller is down.
pub fn route(route: &DynamicObject, gateway: &str) -> Readiness<()> {
    let entries = parents(route, gateway);
    if entries.is_empty() {
        return Waiting(format!("no controller has accepted it for gateway {gateway}"));
    }
    let generation = route.metadata.generation;
    all(entries.into_iter().map(|entry| {
        let accepted = required(entry, "Accepted", generation, &["UnsupportedValue", "IncompatibleFilters"]);
        let resolved = required(entry, "ResolvedRefs", generation, &["InvalidKind", "UnsupportedProtocol"]);
        match entry["parentRef"]["sectionName"].as_str() {
            Some(section) => with_part(&format!("listener {section}"), all([accepted, resolved])),
            None => all([accepted, resolved]),
        }
    }))
}

fn parents<'a>(route: &'a DynamicObject, gateway: &str) -> Vec<&'a Value> {
    let is_gateway = |parent: &Value| parent["kind"].as_str().is_none_or(|kind| kind == "Gateway");
    let entries = route.data["status"]["parents"].as_array().into_iter().flatten();
    entries.filter(|entry| entry["parentRef"]["name"] == gateway && is_gateway(&entry["parentRef"])).collect()
}

/// Evaluates a `GatewayClass`: accepted by its controller at the current generation.
pub fn gateway_class(class: &DynamicObject) -> Readiness<()> {
    let permanent = ["InvalidParameters", "UnsupportedVersion", "Unsupported"];
    required(&class.data["status"], "Accepted", class.metadata.generation, &permanent)
}

/// Evaluates a `Deployment` like `kubectl rollout status`: all replicas are of the current template and
/// available.
pub fn deployment(deployment: &DynamicObject) -> Readiness<()> {
    let status = &deployment.data["status"];
    let count = |name: &str| status[name].as_i64().unwrap_or(0);
    if status["observedGeneration"].as_i64() < deployment.metadata.generation {
        return Waiting("its controller has not reconciled the last change".to_owned());
    }
    if let ConditionStatus::False(reason @ "ProgressDeadlineExceeded", message) =
        condition_status(status, "Progressing", None)
    {
        return Broken(describe("Progressing", reason, message));
    }
    let wanted = deployment.data["spec"]["replicas"].as_i64().unwrap_or(1);
    let (replicas, updated, available) =
        (count("replicas"), count("updatedReplicas"), count("availableReplicas"));
    if updated < wanted {
        // Quotas and admission report here why pod creation fails.
        if condition(status, "ReplicaFailure").is_some_and(|failure| failure["status"] == "True") {
            let why = condition(status, "ReplicaFailure").and_then(|failure| failure["message"].as_str());
            return Waiting(why.unwrap_or("its pods cannot be created").to_owned());
        }
        return Waiting(format!("{updated} of {wanted} replicas are up to date"));
    }
    if replicas > updated {
        return Waiting(format!("{} old replicas still exist", replicas - updated));
    }
    if available < updated {
        return Waiting(format!("{available} of {updated} replicas are available"));
    }
    Ready(())
}

/// Evaluates a `StatefulSet` like `kubectl rollout status`: all replicas are ready, and those above the
/// partition are of the current template. Without rolling updates a person replaces the pods.
pub fn stateful_set(set: &DynamicObject) -> Readiness<()> {
    let (spec, status) = (&set.data["spec"], &set.data["status"]);
    let count = |name: &str| status[name].as_i64().unwrap_or(0);
    if status["observedGeneration"].as_i64() < set.metadata.generation {
        return Waiting("its controller has not reconciled the last change".to_owned());
    }
    let wanted = spec["replicas"].as_i64().unwrap_or(1);
    let ready = count("readyReplicas");
    if ready < wanted {
        return Waiting(format!("{ready} of {wanted} replicas are ready"));
    }
    if spec["updateStrategy"]["type"] == "OnDelete" {
        return Ready(());
    }
    let partition = spec["updateStrategy"]["rollingUpdate"]["partition"].as_i64().unwrap_or(0);
    let (new, updated) = ((wanted - partition).max(0), count("updatedReplicas"));
    if updated < new {
        return Waiting(format!("{updated} of {new} replicas are up to date"));
    }
    Ready(())
}

/// Evaluates a `DaemonSet` like `kubectl rollout status`: a current and available pod on every node that it
/// selects.
pub fn daemon_set(set: &DynamicObject) -> Readiness<()> {
    let status = &set.data["status"];
    let count = |name: &str| status[name].as_i64().unwrap_or(0);
    if status["observedGeneration"].as_i64() < set.metadata.generation {
        return Waiting("its controller has not reconciled the last change".to_owned());
    }
    let (wanted, updated) = (count("desiredNumberScheduled"), count("updatedNumberScheduled"));
    let available = count("numberAvailable");
    if updated < wanted && set.data["spec"]["updateStrategy"]["type"] != "OnDelete" {
        return Waiting(format!("{updated} of {wanted} pods are up to date"));
    }
    if available < wanted {
        return Waiting(format!("{available} of {wanted} pods are available"));
    }
    Ready(())
}

/// Evaluates a `Job`: complete, or suspended, so that there is nothing to wait for.
/// <https://kubernetes.io/docs/concepts/workloads/controllers/job/#job-termination-and-cleanup>
pub fn job(job: &DynamicObject) -> Readiness<()> {
    let status = &job.data["status"];
    if let Some(failed) = condition(status, "Failed").filter(|failed| failed["status"] == "True") {
        let text = |key: &str| failed[key].as_str().unwrap_or_default();
        return Broken(describe("Failed", text("reason"), text("message")));
    }
    let is_suspended = job.data["spec"]["suspend"].as_bool() == Some(true);
    if is_suspended || matches!(condition_status(status, "Complete", None), ConditionStatus::True) {
        return Ready(());
    }
    let count = |name: &str| status[name].as_i64().unwrap_or(0);
    Waiting(format!("{} pods are running, {} have succeeded", count("active"), count("succeeded")))
}

/// Evaluates an object by its kind; an object of a kind without a rollout is ready.
pub fn workload(kind: &str, object: &DynamicObject) -> Readiness<()> {
    match kind {
        "Deployment" => deployment(object),
        "StatefulSet" => stateful_set(object),
        "DaemonSet" => daemon_set(object),
        "Job" => job(object),
        _ => Ready(()),
    }
}

/// Returns the time at which a workload became ready; `None` if it is not, or if its status does not tell.
pub fn workload_since(kind: &str, object: &DynamicObject) -> Option<SystemTime> {
    match kind {
        "Deployment" => deployment_since(object),
        "Job" => time(&object.data["status"]["completionTime"]),
        _ => workload(kind, object).is_ready().then(|| status_changed_at(object))?,
    }
}

/// Returns the time of the last write to the status of an object without conditions.
fn status_changed_at(object: &DynamicObject) -> Option<SystemTime> {
    let entries = object.metadata.managed_fields.iter().flatten();
    let written = entries.filter(|entry| entry.subresource.as_deref() == Some("status"));
    written.filter_map(|entry| entry.time.as_ref()).map(|time| SystemTime::from(time.0)).max()
}

/// Parses the time of a change: `lastTransitionTime` in RFC 3339.
fn time(value: &Value) -> Option<SystemTime> {
    value.as_str()?.parse::<Timestamp>().ok().map(SystemTime::from)
}

/// Returns the latest transition time of the named conditions.
fn latest<'a>(parts: impl IntoIterator<Item = &'a Value>, names: &[&str]) -> Option<SystemTime> {
    let changed = |part: &'a Value| {
        let found = names.iter().filter_map(move |name| condition(part, name));
        found.filter_map(|condition| time(&condition["lastTransitionTime"])).collect::<Vec<_>>()
    };
    parts.into_iter().flat_map(changed).max()
}

/// Returns the time at which a `Gateway` became ready; `None` if it is not.
pub fn gateway_since(gateway: &DynamicObject) -> Option<SystemTime> {
    if !self::gateway(gateway).is_ready() {
        return None;
    }
    let status = &gateway.data["status"];
    let listeners = status["listeners"].as_array().into_iter().flatten();
    latest(listeners.chain([status]), &["Accepted", "Programmed", "ResolvedRefs"])
}

/// Returns the time at which an `HTTPRoute` became ready for the gateway of this name; `None` if it is not.
pub fn route_since(route: &DynamicObject, gateway: &str) -> Option<SystemTime> {
    if !self::route(route, gateway).is_ready() {
        return None;
    }
    latest(parents(route, gateway), &["Accepted", "ResolvedRefs"])
}

/// Returns the time at which a `GatewayClass` became ready; `None` if it is not.
pub fn gateway_class_since(class: &DynamicObject) -> Option<SystemTime> {
    gateway_class(class).is_ready().then(|| latest([&class.data["status"]], &["Accepted"]))?
}

/// Returns the time at which a `Deployment` became ready; `None` if it is not.
///
/// `Available` may be true since an earlier rollout, so the last progress of this one counts too.
pub fn deployment_since(deployment: &DynamicObject) -> Option<SystemTime> {
    if !self::deployment(deployment).is_ready() {
        return None;
    }
    let status = &deployment.data["status"];
    let progressed =
        condition(status, "Progressing").and_then(|condition| time(&condition["lastUpdateTime"]));
    latest([status], &["Available"]).max(progressed)
}

/// Returns the time of the last write to an object without conditions: from its managed fields, else its
/// creation time.
pub fn changed_at(object: &DynamicObject) -> Option<SystemTime> {
    let written = object.metadata.managed_fields.iter().flatten().filter_map(|entry| entry.time.as_ref());
    let made = object.metadata.creation_timestamp.as_ref();
    written.chain(made).map(|time| SystemTime::from(time.0)).max()
}

#[cfg(test)]
#[path = "readiness_tests.rs"]
mod tests;
