//! Output of the live status: a text screen, and a part of the status document.

use super::{style::Styler, text};
use jiff::Timestamp;
use landfall_cloud::{AddressMap, vault::StoredCertificate};
use landfall_diagnose::doctor::{self, RenewalRecord};
use landfall_diagnose::live_status::{Backend, GatewayStatus, LiveStatus, RecordStatus, RouteStatus};
use landfall_steps::expiry::days_left;
use serde_json::{Value, json};
use std::net::IpAddr;

/// The width of the name column.
const NAME: usize = 19;

/// The live status, and the context for its output.
pub struct LiveStatusView<'a> {
    /// The live status.
    pub live_status: &'a LiveStatus,
    /// The address overrides of the gateways.
    pub address_map: &'a AddressMap,
    /// The command line of landfall.
    pub program: &'a str,
    /// The time.
    pub now: Timestamp,
}

/// Returns the text below its heading.
pub fn text(shown: &LiveStatusView<'_>, style: Styler) -> String {
    let live_status = shown.live_status;
    let mut parts = vec![cluster(live_status, style)];
    let gateways =
        live_status.gateways.iter().map(|gateway| self::gateway(gateway, shown.address_map, style));
    parts.extend(section("Gateways", gateways, style));
    parts.extend(section("Routes", live_status.routes.iter().map(|one| route(one, style)), style));
    parts.extend(section("Certificate", certificate(live_status, shown.now, style), style));
    parts.extend(section("DNS", live_status.records.iter().map(|one| record(one, style)), style));
    let failed_reads = live_status.failed_reads.iter().map(|why| text::wrap("  ", why, text::COLUMNS));
    parts.extend(section("Could not read", failed_reads, style));
    if !live_status.is_healthy() {
        parts.push(format!("Something is wrong. Find the cause: {} doctor", shown.program));
    }
    parts.retain(|part| !part.is_empty());
    parts.join("\n\n")
}

fn section(title: &str, rows: impl IntoIterator<Item = String>, style: Styler) -> Option<String> {
    let rows: Vec<String> = rows.into_iter().collect();
    (!rows.is_empty()).then(|| format!("{}\n{}", style.strong(title), rows.join("\n")))
}

fn mark(well: bool, style: Styler) -> String {
    if well { style.good("✓") } else { style.bad("✗") }
}

fn cluster(live_status: &LiveStatus, style: Styler) -> String {
    let mut rows = Vec::new();
    if let Some(cluster) = &live_status.cluster {
        let (ready, all) = cluster.nodes;
        let state = match cluster.is_healthy() {
            true => cluster.power.to_lowercase(),
            false => format!("{}, {}", cluster.power.to_lowercase(), cluster.provisioning),
        };
        let value = format!("{}, {}, {state}, {ready} of {all} nodes ready", cluster.name, cluster.version);
        rows.push((cluster.is_healthy(), "cluster", value));
    }
    if let Some(control) = &live_status.control_plane {
        let those = |accepted: bool| -> Vec<String> {
            let classes = control.classes.iter().filter(|(_, actual)| *actual == accepted);
            classes.map(|(name, _)| name.clone()).collect()
        };
        let value = |names: Vec<String>, how: &str| match names.as_slice() {
            [] => String::new(),
            names => format!("{}, {how}", text::list(names)),
        };
        let (accepted, refused) = (value(those(true), "accepted"), value(those(false), "not accepted"));
        let classes = match (accepted.as_str(), refused.as_str()) {
            ("", "") => "none".to_owned(),
            (one, "") | ("", one) => one.to_owned(),
            (one, other) => format!("{one}; {other}"),
        };
        rows.push((control.classes.iter().any(|(_, accepted)| *accepted), "gateway class", classes));
        let (ready, all) = control.istiod;
        let space = if control.namespace.is_empty() { "" } else { " in " };
        let value = format!("{ready} of {all} pods ready{space}{}", control.namespace);
        rows.push((ready > 0, "istiod", value));
    }
    let row = |(well, name, value): (bool, &str, String)| {
        text::wrap(&format!(" {} {}", mark(well, style), text::pad(name, NAME)), &value, text::COLUMNS)
    };
    rows.into_iter().map(row).collect::<Vec<_>>().join("\n")
}

fn gateway(gateway: &GatewayStatus, address_map: &AddressMap, style: Styler) -> String {
    let condition = gateway.problem.as_deref().unwrap_or("programmed");
    let addresses =
        if gateway.addresses.is_empty() { "no address".into() } else { gateway.addresses.join(", ") };
    let mut lines = vec![
        format!(" {} {}{addresses}", mark(gateway.is_healthy(), style), text::pad(&gateway.name, NAME)),
        detail("class", &format!("{}, {condition}", gateway.class)),
    ];
    let listener = |(name, port, routes): &(String, String, i64)| {
        format!("{name} {port}, {}", text::count(usize::try_from(*routes).unwrap_or(0), "route"))
    };
    lines.extend(
        gateway
            .listeners
            .iter()
            .enumerate()
            .map(|(at, listener_of)| detail(if at == 0 { "listeners" } else { "" }, &listener(listener_of))),
    );
    for (port, socket) in detours(gateway, address_map) {
        lines.push(detail("", &format!("port {port} is served at {socket}")));
    }
    let created = &gateway.created;
    lines.push(match &created.deployment {
        Some((name, ready, wanted)) => detail("Deployment", &format!("{name}, {ready} of {wanted} ready")),
        None => detail("Deployment", "none"),
    });
    if let Some((_, kind, ports)) = &created.service {
        let ports: Vec<String> = ports.iter().map(ToString::to_string).collect();
        lines.push(detail("Service", &format!("{kind}, ports {}", text::list(&ports))));
    }
    if let Some(scale) = &created.autoscaler {
        lines.push(detail("HPA", &format!("{} to {} replicas, {} now", scale.least, scale.most, scale.now)));
    }
    if let Some(budget) = &created.budget {
        let value =
            format!("{} must be available, {} may be evicted now", budget.min_available, budget.evictable);
        lines.push(detail("PDB", &value));
    }
    lines.join("\n")
}

fn detours(gateway: &GatewayStatus, address_map: &AddressMap) -> Vec<(u16, std::net::SocketAddr)> {
    let addresses = gateway.addresses.iter().filter_map(|address| address.parse::<IpAddr>().ok());
    let both = addresses.flat_map(|address| [80, 443].map(|port| (address, port)));
    both.filter_map(|(address, port)| Some((port, address_map.override_for(address, port)?))).collect()
}

/// Returns a detail line of the resource above.
fn detail(name: &str, value: &str) -> String {
    text::wrap(&format!("     {}", text::pad(name, NAME - 2)), value, text::COLUMNS).trim_end().to_owned()
}

fn route(route: &RouteStatus, style: Styler) -> String {
    let hosts = if route.hosts.is_empty() { "any host".to_owned() } else { route.hosts.join(", ") };
    let mut lines =
        vec![format!(" {} {}{hosts}", mark(route.is_healthy(), style), text::pad(&route.name, NAME))];
    for parent in &route.parents {
        let problem = parent.problem.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
        lines.push(detail("on", &format!("{}{problem}", parent.name)));
    }
    if route.redirects {
        lines.push(detail("to", "another URL, by redirect"));
    }
    let backends = route.backends.iter().enumerate();
    lines.extend(backends.map(|(at, backend)| detail(if at == 0 { "to" } else { "" }, &leads(backend))));
    lines.join("\n")
}

fn leads(backend: &Backend) -> String {
    let share = match backend.share {
        Some((weight, sum)) if sum > 0 => format!("{:.0} %, ", weight as f64 * 100.0 / sum as f64),
        _ => String::new(),
    };
    let behind = match backend.ready {
        None => "no such Service".to_owned(),
        Some(0) => "no pod is ready".to_owned(),
        Some(pods) => format!("{} ready", text::count(pods, "pod")),
    };
    format!("{}:{}, {share}{behind}", backend.name, backend.port)
}

fn certificate(live_status: &LiveStatus, now: Timestamp, style: Styler) -> Vec<String> {
    let until = |at: Timestamp| format!("until {}, {} days", at.strftime("%Y-%m-%d"), days_left(at, now));
    let mut rows = Vec::new();
    let held = live_status.certificate.as_ref();
    if let Some(held) = held {
        rows.push(format!(
            " {} {}version {}",
            mark(held.not_after > now, style),
            text::pad("in the vault", NAME),
            held.version
        ));
        rows.push(detail("SHA-1", &held.thumbprint_sha1_hex.to_uppercase()));
        rows.push(detail("valid", &until(held.not_after)));
        rows.push(detail("names", &held.names.join(", ")));
        rows.extend(renewal(held, now));
    }
    rows.push(match &live_status.secret {
        Some(secret) if held.is_some_and(|held| held.thumbprint_sha1_hex == secret.thumbprint) => {
            format!(" {} {}the same", mark(true, style), text::pad("in the Secret", NAME))
        }
        Some(secret) => format!(
            " {} {}a different one, SHA-1 {}\n{}",
            mark(false, style),
            text::pad("in the Secret", NAME),
            secret.thumbprint.to_uppercase(),
            detail("valid", &until(secret.not_after)),
        ),
        None => format!(" {} {}none", mark(false, style), text::pad("in the Secret", NAME)),
    });
    rows
}

/// Returns the rows about the renewal of a certificate by ACME.
fn renewal(held: &StoredCertificate, now: Timestamp) -> Vec<String> {
    let Some(record) = RenewalRecord::of(&held.tags) else { return Vec::new() };
    let last = held.not_before.strftime("%Y-%m-%d");
    let left = doctor::days_left(held, now);
    let mut rows =
        vec![detail("renewal", &format!("by landfall renew, from {}; last {last}; {left}", record.server))];
    if record.failures > 0 {
        let next = record.not_before.map(|at| at.strftime("; next attempt %Y-%m-%d %H:%M UTC").to_string());
        let failures = text::count(record.failures, "failure");
        let error = record.error.map(|error| format!(": {error}")).unwrap_or_default();
        rows.push(detail("", &format!("{failures}{}{error}", next.unwrap_or_default())));
    }
    rows
}

fn record(record: &RecordStatus, style: Styler) -> String {
    let well = record.actual == [record.wanted.clone()];
    let value = match record.actual.as_slice() {
        [] => format!("no record, expected {}", record.wanted),
        _ if well => record.wanted.clone(),
        other => format!("{}, expected {}", other.join(", "), record.wanted),
    };
    format!(" {} {}  A  {value}", mark(well, style), record.host)
}

/// Returns the content of `live` in the JSON document.
pub fn document(shown: &LiveStatusView<'_>) -> Value {
    let live_status = shown.live_status;
    let cluster = live_status.cluster.as_ref().map(|cluster| {
        json!({
            "name": cluster.name, "provisioning": cluster.provisioning, "power": cluster.power,
            "version": cluster.version, "nodes": { "ready": cluster.nodes.0, "all": cluster.nodes.1 },
        })
    });
    let control = live_status.control_plane.as_ref().map(|control| {
        let class = |(name, accepted): &(String, bool)| json!({ "name": name, "accepted": accepted });
        json!({
            "classes": control.classes.iter().map(class).collect::<Vec<_>>(),
            "istiod": { "ready": control.istiod.0, "all": control.istiod.1 },
        })
    });
    let record = |one: &RecordStatus| json!({ "name": one.host, "wanted": one.wanted, "is": one.actual });
    json!({
        "well": live_status.is_healthy(),
        "cluster": cluster,
        "control_plane": control,
        "gateways": live_status.gateways.iter().map(|one| gateway_document(one, shown.address_map)).collect::<Vec<_>>(),
        "routes": live_status.routes.iter().map(route_document).collect::<Vec<_>>(),
        "certificate": live_status.certificate.as_ref().map(|held| certificate_document(held, shown.now)),
        "secret": live_status.secret.as_ref().map(|secret| json!({
            "thumbprint": secret.thumbprint, "not_after": secret.not_after.to_string(), "names": secret.names,
        })),
        "records": live_status.records.iter().map(record).collect::<Vec<_>>(),
        "unseen": live_status.failed_reads,
    })
}

fn certificate_document(held: &StoredCertificate, now: Timestamp) -> Value {
    let mut document = json!({
        "thumbprint": held.thumbprint_sha1_hex, "version": held.version, "not_after": held.not_after.to_string(),
        "expires_in_days": days_left(held.not_after, now), "names": held.names,
    });
    if let Some(record) = RenewalRecord::of(&held.tags) {
        document["renewal"] = json!({
            "server": record.server, "last": held.not_before.to_string(), "failures": record.failures,
            "not_before": record.not_before.map(|at| at.to_string()), "error": record.error,
        });
    }
    document
}

fn gateway_document(gateway: &GatewayStatus, address_map: &AddressMap) -> Value {
    let created = &gateway.created;
    let listener = |(name, port, routes): &(String, String, i64)| json!({ "name": name, "port": port, "attached_routes": routes });
    let sockets = detours(gateway, address_map);
    let sockets = sockets.into_iter().map(|(port, socket)| (port.to_string(), json!(socket.to_string())));
    json!({
        "name": gateway.name, "class": gateway.class, "addresses": gateway.addresses,
        "ready": gateway.is_healthy(), "trouble": gateway.problem,
        "listeners": gateway.listeners.iter().map(listener).collect::<Vec<_>>(),
        "sockets": sockets.collect::<serde_json::Map<_, _>>(),
        "deployment": created.deployment.as_ref().map(|(name, ready, wanted)| {
            json!({ "name": name, "ready": ready, "wanted": wanted })
        }),
        "service": created.service.as_ref().map(|(name, kind, ports)| {
            json!({ "name": name, "type": kind, "ports": ports })
        }),
        "hpa": created.autoscaler.map(|one| json!({ "min": one.least, "max": one.most, "now": one.now })),
        "pdb": created.budget.map(|one| json!({ "min_available": one.min_available, "may_go": one.evictable })),
    })
}

fn route_document(route: &RouteStatus) -> Value {
    let backend = |one: &Backend| {
        json!({
            "name": one.name, "port": one.port, "ready_pods": one.ready,
            "weight": one.share.map(|(weight, _)| weight),
        })
    };
    let parents =
        route.parents.iter().map(|parent| json!({ "name": parent.name, "trouble": parent.problem }));
    json!({
        "name": route.name, "hosts": route.hosts, "redirects": route.redirects, "ready": route.is_healthy(),
        "parents": parents.collect::<Vec<_>>(),
        "backends": route.backends.iter().map(backend).collect::<Vec<_>>(),
    })
}
