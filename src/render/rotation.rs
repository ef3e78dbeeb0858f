//! Output of a completed rotation: the old certificate, the new one, and the steps between them.

use super::{
    expiry,
    style::Styler,
    summary::{self, Summary, label},
    text,
};
use jiff::Timestamp;
use landfall_engine::Report;
use landfall_steps::{Rotation, tls_secret::SECRET};
use serde_json::{Value, json};

/// The context for the output of a rotation.
pub struct RotationView<'a> {
    /// The environment.
    pub facts: &'a Summary,
    /// The report of the run.
    pub report: &'a Report,
    /// The number of requests.
    pub requests: u64,
    /// True if a PFX was given.
    pub given: bool,
    /// The command line of landfall.
    pub program: &'a str,
    /// The time.
    pub now: Timestamp,
}

/// Returns the text after a rotation.
pub fn text(rotation: &Rotation, shown: &RotationView<'_>, style: Styler) -> String {
    let word = if rotation.was.is_some() { "Rotated" } else { "Nothing to rotate, ready" };
    let mut parts = vec![summary::headline(word, shown.report, shown.requests, false, style)];
    if rotation.was.is_none() && shown.given {
        let why = "The newest version in the vault is already the certificate of this PFX. Another import \
                   would create a second version of it.";
        parts.push(text::wrap("", why, text::COLUMNS));
    }
    parts.push(rows(rotation, shown.facts));
    parts.extend(expiry::warning(shown.facts.certificate.as_ref(), shown.program, shown.now, style));
    parts.push(format!("Status: {} status", shown.program));
    parts.join("\n\n")
}

fn rows(rotation: &Rotation, facts: &Summary) -> String {
    let Rotation { was, is, synced_after } = rotation;
    let rest = label("", false);
    let kind = if is.self_signed { "self-signed, " } else { "" };
    let names = format!("{kind}{}", text::list(&is.names));
    let mut rows = vec![text::wrap(&label("certificate", true), &names, text::COLUMNS)];
    if let Some(was) = was {
        rows.push(format!("{}SHA-1 {}", label("was", true), was.thumbprint.to_uppercase()));
        rows.push(format!("{rest}valid until {}", was.not_after.strftime("%Y-%m-%d")));
    }
    let first = if was.is_some() { label("is", true) } else { rest.clone() };
    rows.push(format!("{first}SHA-1 {}", is.thumbprint.to_uppercase()));
    rows.push(format!("{rest}valid until {}", is.not_after.strftime("%Y-%m-%d")));
    rows.push(format!("{rest}version {}", is.version));
    let after = synced_after.map(|after| format!(", {} after the import", text::duration(after)));
    rows.push(format!("{}{SECRET} has it{}", label("Secret", true), after.unwrap_or_default()));
    let gateways: Vec<String> = facts.gateways.iter().map(|gateway| gateway.name.clone()).collect();
    if !gateways.is_empty() {
        let all = format!("every listener of {} is programmed", text::list(&gateways));
        rows.push(text::wrap(&label("gateways", true), &all, text::COLUMNS));
    }
    rows.join("\n")
}

/// Returns the value of `rotation` in the last JSON line; `replaced` is null if there was nothing to rotate.
pub fn document(rotation: &Rotation) -> Value {
    let Rotation { was, is, synced_after } = rotation;
    json!({
        "replaced": was.as_ref().map(|was| json!({
            "thumbprint": was.thumbprint, "not_after": was.not_after.to_string(),
        })),
        "thumbprint": is.thumbprint,
        "not_after": is.not_after.to_string(),
        "version": is.version,
        "secret_id": is.secret_id,
        "carried_after_ms": synced_after.map(|after| u64::try_from(after.as_millis()).unwrap_or(u64::MAX)),
    })
}
