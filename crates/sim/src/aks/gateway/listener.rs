//! Listeners: their routes, and the validation of their certificate.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::{GROUP, grant};
use crate::aks::condition::Condition;
use crate::aks::object::{list, namespace, number, selects, text};
use crate::aks::reconcile_context::ReconcileContext;
use crate::key_pair;

const NO_ERRORS: &str = "No errors found";

/// A parsed listener.
pub(super) struct EvaluatedListener {
    pub name: String,
    pub port: i64,
    /// The hostname; empty for all names.
    pub hostname: String,
    /// The allowed kinds of routes, as group and kind.
    pub kinds: Vec<(String, String)>,
    pub new_conditions: Vec<Condition>,
    namespaces: Value,
    gateway_namespace: String,
}

impl EvaluatedListener {
    /// Returns the supported kinds in the format of the status.
    pub fn supported_kinds(&self) -> Vec<Value> {
        self.kinds.iter().map(|(group, kind)| json!({"group": group, "kind": kind})).collect()
    }

    /// Returns whether routes of that namespace may attach.
    pub fn allows_namespace(&self, cx: &ReconcileContext<'_>, route_namespace: &str) -> bool {
        match text(&self.namespaces, "/from") {
            "All" => true,
            "None" => false,
            "Selector" => cx
                .store
                .get("namespaces", "", route_namespace)
                .is_some_and(|object| selects(&self.namespaces["selector"], object)),
            _ => route_namespace == self.gateway_namespace,
        }
    }
}

/// An invalid reference: the reason and the message of `ResolvedRefs`.
type ReferenceError = (&'static str, String);

/// Parses the listeners of a gateway.
pub(super) fn read(cx: &ReconcileContext<'_>, gateway: &Value) -> Vec<EvaluatedListener> {
    let all = list(gateway, "/spec/listeners");
    all.iter()
        .map(|listener| {
            let (kinds, unknown) = kinds(listener);
            EvaluatedListener {
                name: text(listener, "/name").to_owned(),
                port: number(listener, "/port").unwrap_or(0),
                hostname: text(listener, "/hostname").to_owned(),
                kinds,
                new_conditions: evaluate(cx, gateway, listener, all, unknown),
                namespaces: listener.pointer("/allowedRoutes/namespaces").cloned().unwrap_or(Value::Null),
                gateway_namespace: namespace(gateway).to_owned(),
            }
        })
        .collect()
}

fn evaluate(
    cx: &ReconcileContext<'_>,
    gateway: &Value,
    listener: &Value,
    all: &[Value],
    unknown: Option<String>,
) -> Vec<Condition> {
    let protocol = text(listener, "/protocol");
    let port = number(listener, "/port");
    let others: BTreeSet<&str> = all
        .iter()
        .filter(|other| number(other, "/port") == port)
        .map(|other| text(other, "/protocol"))
        .collect();
    let mut accepted = Condition::yes("Accepted", "Accepted", NO_ERRORS);
    let mut conflicted = Condition::no("Conflicted", "NoConflicts", NO_ERRORS);
    let mut programmed = Condition::yes("Programmed", "Programmed", NO_ERRORS);
    let mut resolved = Condition::yes("ResolvedRefs", "ResolvedRefs", NO_ERRORS);
    if !matches!(protocol, "HTTP" | "HTTPS" | "TLS" | "TCP") {
        let why = format!("protocol \"{protocol}\" is unsupported");
        accepted = Condition::no("Accepted", "UnsupportedProtocol", why.clone());
        programmed = Condition::no("Programmed", "Invalid", why);
    } else if others.len() > 1 {
        let why = format!("port {} is used with several protocols", port.unwrap_or(0));
        conflicted = Condition::yes("Conflicted", "ProtocolConflict", why.clone());
        programmed = Condition::no("Programmed", "Invalid", why);
    }
    if let Some(why) = unknown {
        resolved = Condition::no("ResolvedRefs", "InvalidRouteKinds", why);
    }
    if let Err((reason, why)) = certificate(cx, gateway, listener) {
        programmed = Condition::no("Programmed", "Invalid", "Bad TLS configuration");
        resolved = Condition::no("ResolvedRefs", reason, why);
    }
    vec![accepted, conflicted, programmed, resolved]
}

/// Returns the allowed kinds of a listener, and an error message for unsupported kinds.
fn kinds(listener: &Value) -> (Vec<(String, String)>, Option<String>) {
    let supported: &[&str] = match text(listener, "/protocol") {
        "HTTP" | "HTTPS" => &["HTTPRoute", "GRPCRoute"],
        "TLS" if text(listener, "/tls/mode") == "Passthrough" => &["TLSRoute"],
        "TLS" | "TCP" => &["TCPRoute"],
        _ => &[],
    };
    let named = list(listener, "/allowedRoutes/kinds");
    if named.is_empty() {
        return (supported.iter().map(|kind| (GROUP.to_owned(), (*kind).to_owned())).collect(), None);
    }
    let mut kinds = Vec::new();
    let mut unknown = None;
    for kind in named {
        let group = kind.get("group").and_then(Value::as_str).unwrap_or(GROUP);
        let kind = text(kind, "/kind");
        if group == GROUP && supported.contains(&kind) {
            kinds.push((group.to_owned(), kind.to_owned()));
        } else {
            unknown = Some(format!("route kind {group}/{kind} is not supported"));
        }
    }
    (kinds, unknown)
}

fn certificate(cx: &ReconcileContext<'_>, gateway: &Value, listener: &Value) -> Result<(), ReferenceError> {
    const INVALID: &str = "InvalidCertificateRef";
    let terminates = matches!(text(listener, "/protocol"), "HTTPS" | "TLS")
        && text(listener, "/tls/mode") != "Passthrough";
    if !terminates {
        return Ok(());
    }
    let [reference] = list(listener, "/tls/certificateRefs") else {
        return Err((INVALID, "exactly 1 certificateRefs should be present for TLS termination".into()));
    };
    let kind = reference.get("kind").and_then(Value::as_str).unwrap_or("Secret");
    let (group, secret_name) = (text(reference, "/group"), text(reference, "/name"));
    let named = text(reference, "/namespace");
    let invalid = |why: String| {
        (INVALID, format!("invalid certificate reference {group}/{kind}/{secret_name}.{named}, {why}"))
    };
    if !group.is_empty() || kind != "Secret" {
        return Err(invalid("only secret is allowed".into()));
    }
    let place = if named.is_empty() { namespace(gateway) } else { named };
    let secret = cx
        .store
        .get("secrets", place, secret_name)
        .ok_or_else(|| invalid(format!("secret {place}/{secret_name} not found")))?;
    check_pair(secret).map_err(invalid)?;
    if !grant::allows(cx, "Gateway", namespace(gateway), "Secret", place, secret_name) {
        return Err((
            "RefNotPermitted",
            format!(
                "certificateRef {secret_name}/{place} not accessible to a Gateway in namespace \"{}\" (missing a ReferenceGrant?)",
                namespace(gateway)
            ),
        ));
    }
    Ok(())
}

/// Checks that a Secret contains a certificate and a key that belong together.
fn check_pair(secret: &Value) -> Result<(), String> {
    let part = |key: &str| {
        let text = secret.get("data")?.get(key)?.as_str()?;
        STANDARD.decode(text).ok().filter(|bytes| !bytes.is_empty())
    };
    let pair = [("tls.crt", "tls.key"), ("cert", "key")]
        .iter()
        .find_map(|(certificate, key)| Some((part(certificate)?, part(key)?)));
    let Some((certificate, key)) = pair else {
        let mut found: Vec<&str> = secret["data"]
            .as_object()
            .map(|data| data.keys().map(String::as_str).collect())
            .unwrap_or_default();
        found.sort_unstable();
        return Err(format!(
            "found secret, but didn't have expected keys (cert and key) or (tls.crt and tls.key); found: {}",
            found.join(", ")
        ));
    };
    let loaded = key_pair::load(&certificate, &key).map(|_| ());
    loaded.map_err(|error| format!("the certificate is malformed: {error}"))
}
