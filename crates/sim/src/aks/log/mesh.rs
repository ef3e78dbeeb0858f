//! The logs of istiod and of gateway proxies.

use serde_json::Value;

use super::{LogLine, Writer, parse_time};
use crate::aks::gateway_api::CONTROLLER;
use crate::aks::object::{label, list, name, namespace, number, text};
use crate::clock::SimTime;

const CLASSES: &str = "gatewayclasses.gateway.networking.k8s.io";
const GATEWAYS: &str = "gateways.gateway.networking.k8s.io";
const ROUTES: &str = "httproutes.gateway.networking.k8s.io";
const GATEWAY_NAME: &str = "gateway.networking.k8s.io/gateway-name";

/// Returns the log of one istiod replica: the leader logs its status writes, each replica the proxies
/// connected to it.
pub(super) fn control_plane(writer: &Writer<'_>) -> Vec<LogLine> {
    let started = format!("control plane starts, image {}", writer.image);
    let mut lines = vec![writer.line(writer.since, "info", "model", &started)];
    let mut replicas: Vec<&Value> = writer.store.list("pods", Some(namespace(writer.pod)));
    replicas.retain(|pod| label(pod, "app") == label(writer.pod, "app"));
    let place = replicas.iter().position(|pod| name(pod) == name(writer.pod)).unwrap_or(0);
    if place == 0 {
        let leader_text = "elected leader: writes the status of classes, gateways and routes";
        lines.push(writer.line(writer.since, "info", "leader", leader_text));
        lines.extend(condition_lines(writer));
    }
    let proxies = writer.store.list("pods", None).into_iter();
    let proxies = proxies.filter(|pod| !label(pod, GATEWAY_NAME).is_empty());
    // The Service assigns each proxy to one of the replicas.
    for (_, proxy) in proxies.enumerate().filter(|(index, _)| index % replicas.len().max(1) == place) {
        if let Some(at) = writer.is_ready_since(proxy) {
            let entry = format!("proxy {}.{} has its configuration", name(proxy), namespace(proxy));
            lines.push(writer.line(at, "info", "ads", &entry));
        }
    }
    lines
}

/// Returns the leader's log of the conditions it wrote to classes, gateways and routes.
fn condition_lines(writer: &Writer<'_>) -> Vec<LogLine> {
    let mut lines = Vec::new();
    for class in writer.store.list(CLASSES, None) {
        let about = format!("gatewayclass {}", name(class));
        lines.extend(conditions(writer, &about, list(class, "/status/conditions")));
    }
    for gateway in managed_gateways(writer) {
        let about = format!("gateway {}/{}", namespace(gateway), name(gateway));
        lines.extend(conditions(writer, &about, list(gateway, "/status/conditions")));
        for listener in list(gateway, "/status/listeners") {
            let about = format!("{about}, listener {}", text(listener, "/name"));
            lines.extend(conditions(writer, &about, list(listener, "/conditions")));
        }
    }
    for route in writer.store.list(ROUTES, None) {
        for parent in
            list(route, "/status/parents").iter().filter(|parent| parent["controllerName"] == CONTROLLER)
        {
            let about = format!(
                "httproute {}/{} at {}",
                namespace(route),
                name(route),
                text(parent, "/parentRef/name")
            );
            lines.extend(conditions(writer, &about, list(parent, "/conditions")));
        }
    }
    lines
}

/// Returns the gateways whose class belongs to this control plane.
fn managed_gateways<'s>(writer: &Writer<'s>) -> impl Iterator<Item = &'s Value> {
    let store = writer.store;
    let is_managed = move |gateway: &&Value| {
        let class = store.get(CLASSES, "", text(gateway, "/spec/gatewayClassName"));
        class.is_some_and(|class| text(class, "/spec/controllerName") == CONTROLLER)
    };
    store.list(GATEWAYS, None).into_iter().filter(is_managed)
}

fn conditions(writer: &Writer<'_>, about: &str, conditions: &[Value]) -> Vec<LogLine> {
    let mut lines = Vec::new();
    for line in conditions {
        let (kind, status) = (text(line, "/type"), text(line, "/status"));
        // A condition that no controller has written yet has no time of its own.
        let Some(at) = parse_time(text(line, "/lastTransitionTime")).filter(|at| at.0 > 0) else { continue };
        let good = if kind == "Conflicted" { "False" } else { "True" };
        let level = if status == good { "info" } else { "warn" };
        let (reason, message) = (text(line, "/reason"), text(line, "/message"));
        lines.push(writer.line(
            at,
            level,
            "gateway",
            &format!("{about}: {kind} is {status} ({reason}): {message}"),
        ));
    }
    lines
}

/// Returns the log of one gateway proxy: its listeners and its readiness.
pub(super) fn proxy(writer: &Writer<'_>) -> Vec<LogLine> {
    let gateway_name = label(writer.pod, GATEWAY_NAME);
    let started =
        format!("proxy of gateway {}/{gateway_name} starts, image {}", namespace(writer.pod), writer.image);
    let mut lines = vec![writer.line(writer.since, "info", "proxy", &started)];
    if let Some(gateway) = writer.store.get(GATEWAYS, namespace(writer.pod), gateway_name) {
        lines.extend(listeners(writer, gateway));
    }
    if let Some(at) = writer.is_ready_since(writer.pod) {
        lines.push(writer.line(at, "info", "proxy", "ready: answers /healthz/ready on port 15021"));
    }
    lines
}

fn listeners(writer: &Writer<'_>, gateway: &Value) -> Vec<LogLine> {
    let mut lines = Vec::new();
    for listener in list(gateway, "/status/listeners") {
        let own = text(listener, "/name");
        let since = list(listener, "/conditions")
            .iter()
            .find(|line| line["type"] == "Programmed" && line["status"] == "True")
            .and_then(|line| parse_time(text(line, "/lastTransitionTime")));
        let Some(at) = since else { continue };
        let spec = list(gateway, "/spec/listeners").iter().find(|spec| text(spec, "/name") == own);
        let Some(port) = spec.and_then(|spec| number(spec, "/port")) else { continue };
        let entry = format!("listener {own} is served on port {port}");
        lines.push(writer.line(at, "info", "lds", &entry));
        for secret in spec.map_or(&[][..], |spec| list(spec, "/tls/certificateRefs")) {
            let entry = format!("listener {own} has the certificate of secret {}", text(secret, "/name"));
            lines.push(writer.line(at, "info", "sds", &entry));
        }
    }
    lines.extend(routes(writer, gateway));
    lines
}

fn routes(writer: &Writer<'_>, gateway: &Value) -> Vec<LogLine> {
    let mut lines = Vec::new();
    for route in writer.store.list(ROUTES, None) {
        let accepted = list(route, "/status/parents").iter().find_map(|parent| {
            let place = text(parent, "/parentRef/namespace");
            let place = if place.is_empty() { namespace(route) } else { place };
            let is_managed = place == namespace(gateway) && text(parent, "/parentRef/name") == name(gateway);
            let entry = list(parent, "/conditions").iter().find(|line| line["type"] == "Accepted")?;
            (is_managed && entry["status"] == "True")
                .then(|| parse_time(text(entry, "/lastTransitionTime")))?
        });
        let Some(at): Option<SimTime> = accepted else { continue };
        let entry = format!("httproute {}/{} is served", namespace(route), name(route));
        lines.push(writer.line(at, "info", "rds", &entry));
    }
    lines
}
