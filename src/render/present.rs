//! Output of the live status: a text screen, and a part of the status document.

use super::{paint::Paint, words};
use jiff::Timestamp;
use landfall_cloud::Ways;
use landfall_diagnose::present::{Backend, Named, Present, Programmed, Routed};
use landfall_steps::expiry::days_left;
use serde_json::{Value, json};
use std::net::IpAddr;

const COLUMNS: usize = 80;
/// The width of the name column.
const NAME: usize = 19;

/// The live status, and the context for its output.
pub struct Shown<'a> {
    /// The live status.
    pub present: &'a Present,
    /// The address overrides of the gateways.
    pub ways: &'a Ways,
    /// The command line of landfall.
    pub program: &'a str,
    /// The time.
    pub now: Timestamp,
}

/// Returns the text below its heading.
pub fn text(shown: &Shown<'_>, paint: Paint) -> String {
    let present = shown.present;
    let mut parts = vec![cluster(present, paint)];
    let gateways = present.gateways.iter().map(|gateway| self::gateway(gateway, shown.ways, paint));
    parts.extend(section("Gateways", gateways, paint));
    parts.extend(section("Routes", present.routes.iter().map(|one| route(one, paint)), paint));
    parts.extend(section("Certificate", certificate(present, shown.now, paint), paint));
    parts.extend(section("DNS", present.records.iter().map(|one| record(one, paint)), paint));
    let unseen = present.unseen.iter().map(|why| words::wrap("  ", why, COLUMNS));
    parts.extend(section("Could not read", unseen, paint));
    if !present.is_well() {
        parts.push(format!("Something is wrong. Find the cause: {} doctor", shown.program));
    }
    parts.retain(|part| !part.is_empty());
    parts.join("\n\n")
}

fn section(title: &str, rows: impl IntoIterator<Item = String>, paint: Paint) -> Option<String> {
    let rows: Vec<String> = rows.into_iter().collect();
    (!rows.is_empty()).then(|| format!("{}\n{}", paint.strong(title), rows.join("\n")))
}

fn mark(well: bool, paint: Paint) -> String {
    if well { paint.good("✓") } else { paint.bad("✗") }
}

fn cluster(present: &Present, paint: Paint) -> String {
    let mut rows = Vec::new();
    if let Some(cluster) = &present.cluster {
        let (ready, all) = cluster.nodes;
        let state = match cluster.is_well() {
            true => cluster.power.to_lowercase(),
            false => format!("{}, {}", cluster.power.to_lowercase(), cluster.provisioning),
        };
        let said = format!("{}, {}, {state}, {ready} of {all} nodes ready", cluster.name, cluster.version);
        rows.push((cluster.is_well(), "cluster", said));
    }
    if let Some(control) = &present.control_plane {
        let those = |accepted: bool| -> Vec<String> {
            let classes = control.classes.iter().filter(|(_, is)| *is == accepted);
            classes.map(|(name, _)| name.clone()).collect()
        };
        let said = |names: Vec<String>, how: &str| match names.as_slice() {
            [] => String::new(),
            names => format!("{}, {how}", words::list(names)),
        };
        let (accepted, refused) = (said(those(true), "accepted"), said(those(false), "not accepted"));
        let classes = match (accepted.as_str(), refused.as_str()) {
            ("", "") => "none".to_owned(),
            (one, "") | ("", one) => one.to_owned(),
            (one, other) => format!("{one}; {other}"),
        };
        rows.push((control.classes.iter().any(|(_, accepted)| *accepted), "gateway class", classes));
        let (ready, all) = control.istiod;
        let space = if control.namespace.is_empty() { "" } else { " in " };
        let said = format!("{ready} of {all} pods ready{space}{}", control.namespace);
        rows.push((ready > 0, "istiod", said));
    }
    let row = |(well, name, said): (bool, &str, String)| {
        words::wrap(&format!(" {} {}", mark(well, paint), words::pad(name, NAME)), &said, COLUMNS)
    };
    rows.into_iter().map(row).collect::<Vec<_>>().join("\n")
}

fn gateway(gateway: &Programmed, ways: &Ways, paint: Paint) -> String {
    let told = gateway.trouble.as_deref().unwrap_or("programmed");
    let addresses =
        if gateway.addresses.is_empty() { "no address".into() } else { gateway.addresses.join(", ") };
    let mut lines = vec![
        format!(" {} {}{addresses}", mark(gateway.is_well(), paint), words::pad(&gateway.name, NAME)),
        detail("class", &format!("{}, {told}", gateway.class)),
    ];
    let listener = |(name, port, routes): &(String, String, i64)| {
        format!("{name} {port}, {}", words::count(usize::try_from(*routes).unwrap_or(0), "route"))
    };
    lines.extend(
        gateway
            .listeners
            .iter()
            .enumerate()
            .map(|(at, listener_of)| detail(if at == 0 { "listeners" } else { "" }, &listener(listener_of))),
    );
    for (port, socket) in detours(gateway, ways) {
        lines.push(detail("", &format!("port {port} is served at {socket}")));
    }
    let made = &gateway.made;
    lines.push(match &made.deployment {
        Some((name, ready, wanted)) => detail("Deployment", &format!("{name}, {ready} of {wanted} ready")),
        None => detail("Deployment", "none"),
    });
    if let Some((_, kind, ports)) = &made.service {
        let ports: Vec<String> = ports.iter().map(ToString::to_string).collect();
        lines.push(detail("Service", &format!("{kind}, ports {}", words::list(&ports))));
    }
    if let Some(scale) = &made.autoscaler {
        lines.push(detail("HPA", &format!("{} to {} replicas, {} now", scale.least, scale.most, scale.now)));
    }
    if let Some(budget) = &made.budget {
        let said = format!("{} must be available, {} may be evicted now", budget.at_least, budget.may_go);
        lines.push(detail("PDB", &said));
    }
    lines.join("\n")
}

fn detours(gateway: &Programmed, ways: &Ways) -> Vec<(u16, std::net::SocketAddr)> {
    let addresses = gateway.addresses.iter().filter_map(|address| address.parse::<IpAddr>().ok());
    let both = addresses.flat_map(|address| [80, 443].map(|port| (address, port)));
    both.filter_map(|(address, port)| Some((port, ways.detour(address, port)?))).collect()
}

/// Returns a detail line of the resource above.
fn detail(name: &str, said: &str) -> String {
    words::wrap(&format!("     {}", words::pad(name, NAME - 2)), said, COLUMNS).trim_end().to_owned()
}

fn route(route: &Routed, paint: Paint) -> String {
    let hosts = if route.hosts.is_empty() { "any host".to_owned() } else { route.hosts.join(", ") };
    let mut lines =
        vec![format!(" {} {}{hosts}", mark(route.is_well(), paint), words::pad(&route.name, NAME))];
    for parent in &route.parents {
        let trouble = parent.trouble.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
        lines.push(detail("on", &format!("{}{trouble}", parent.name)));
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
        Some(pods) => format!("{} ready", words::count(pods, "pod")),
    };
    format!("{}:{}, {share}{behind}", backend.name, backend.port)
}

fn certificate(present: &Present, now: Timestamp, paint: Paint) -> Vec<String> {
    let until = |at: Timestamp| format!("until {}, {} days", at.strftime("%Y-%m-%d"), days_left(at, now));
    let mut rows = Vec::new();
    let held = present.certificate.as_ref();
    if let Some(held) = held {
        rows.push(format!(
            " {} {}version {}",
            mark(held.not_after > now, paint),
            words::pad("in the vault", NAME),
            held.version
        ));
        rows.push(detail("SHA-1", &held.thumbprint_sha1_hex.to_uppercase()));
        rows.push(detail("valid", &until(held.not_after)));
        rows.push(detail("names", &held.names.join(", ")));
    }
    rows.push(match &present.secret {
        Some(secret) if held.is_some_and(|held| held.thumbprint_sha1_hex == secret.thumbprint) => {
            format!(" {} {}the same", mark(true, paint), words::pad("in the Secret", NAME))
        }
        Some(secret) => format!(
            " {} {}a different one, SHA-1 {}\n{}",
            mark(false, paint),
            words::pad("in the Secret", NAME),
            secret.thumbprint.to_uppercase(),
            detail("valid", &until(secret.not_after)),
        ),
        None => format!(" {} {}none", mark(false, paint), words::pad("in the Secret", NAME)),
    });
    rows
}

fn record(record: &Named, paint: Paint) -> String {
    let well = record.is == [record.wanted.clone()];
    let said = match record.is.as_slice() {
        [] => format!("no record, expected {}", record.wanted),
        _ if well => record.wanted.clone(),
        other => format!("{}, expected {}", other.join(", "), record.wanted),
    };
    format!(" {} {}  A  {said}", mark(well, paint), record.host)
}

/// Returns the content of `live` in the JSON document.
pub fn document(shown: &Shown<'_>) -> Value {
    let present = shown.present;
    let cluster = present.cluster.as_ref().map(|cluster| {
        json!({
            "name": cluster.name, "provisioning": cluster.provisioning, "power": cluster.power,
            "version": cluster.version, "nodes": { "ready": cluster.nodes.0, "all": cluster.nodes.1 },
        })
    });
    let control = present.control_plane.as_ref().map(|control| {
        let class = |(name, accepted): &(String, bool)| json!({ "name": name, "accepted": accepted });
        json!({
            "classes": control.classes.iter().map(class).collect::<Vec<_>>(),
            "istiod": { "ready": control.istiod.0, "all": control.istiod.1 },
        })
    });
    let record = |one: &Named| json!({ "name": one.host, "wanted": one.wanted, "is": one.is });
    json!({
        "well": present.is_well(),
        "cluster": cluster,
        "control_plane": control,
        "gateways": present.gateways.iter().map(|one| gateway_document(one, shown.ways)).collect::<Vec<_>>(),
        "routes": present.routes.iter().map(route_document).collect::<Vec<_>>(),
        "certificate": present.certificate.as_ref().map(|held| json!({
            "thumbprint": held.thumbprint_sha1_hex, "version": held.version, "not_after": held.not_after.to_string(),
            "expires_in_days": days_left(held.not_after, shown.now), "names": held.names,
        })),
        "secret": present.secret.as_ref().map(|secret| json!({
            "thumbprint": secret.thumbprint, "not_after": secret.not_after.to_string(), "names": secret.names,
        })),
        "records": present.records.iter().map(record).collect::<Vec<_>>(),
        "unseen": present.unseen,
    })
}

fn gateway_document(gateway: &Programmed, ways: &Ways) -> Value {
    let made = &gateway.made;
    let listener = |(name, port, routes): &(String, String, i64)| json!({ "name": name, "port": port, "attached_routes": routes });
    let sockets = detours(gateway, ways);
    let sockets = sockets.into_iter().map(|(port, socket)| (port.to_string(), json!(socket.to_string())));
    json!({
        "name": gateway.name, "class": gateway.class, "addresses": gateway.addresses,
        "ready": gateway.is_well(), "trouble": gateway.trouble,
        "listeners": gateway.listeners.iter().map(listener).collect::<Vec<_>>(),
        "sockets": sockets.collect::<serde_json::Map<_, _>>(),
        "deployment": made.deployment.as_ref().map(|(name, ready, wanted)| {
            json!({ "name": name, "ready": ready, "wanted": wanted })
        }),
        "service": made.service.as_ref().map(|(name, kind, ports)| {
            json!({ "name": name, "type": kind, "ports": ports })
        }),
        "hpa": made.autoscaler.map(|one| json!({ "min": one.least, "max": one.most, "now": one.now })),
        "pdb": made.budget.map(|one| json!({ "min_available": one.at_least, "may_go": one.may_go })),
    })
}

fn route_document(route: &Routed) -> Value {
    let backend = |one: &Backend| {
        json!({
            "name": one.name, "port": one.port, "ready_pods": one.ready,
            "weight": one.share.map(|(weight, _)| weight),
        })
    };
    let parents =
        route.parents.iter().map(|parent| json!({ "name": parent.name, "trouble": parent.trouble }));
    json!({
        "name": route.name, "hosts": route.hosts, "redirects": route.redirects, "ready": route.is_well(),
        "parents": parents.collect::<Vec<_>>(),
        "backends": route.backends.iter().map(backend).collect::<Vec<_>>(),
    })
}
