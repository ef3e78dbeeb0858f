//! Renewal information and `replaces` (RFC 9773).

use serde_json::json;

use super::call::AcmeCall;
use super::encoding::decode;
use super::encoding::seconds;
use super::problem::{Answer, Problem};
use super::settings::RenewalInformation;
use super::store::{Issued, Progress};
use crate::clock::SimTime;
use crate::request::Reply;

/// The `Retry-After` of renewal information in seconds. It is in real time, like the window.
const RETRY_AFTER: &str = "21600";
/// The lifetime in milliseconds below which a certificate is renewed after its half: 10 days.
const SHORT_MS: i64 = 10 * 86_400_000;

/// Returns the renewal window of a certificate, without authentication.
pub(super) fn show(call: &AcmeCall<'_>, id: &str) -> Answer {
    let server = call.server();
    if server.settings.renewal == RenewalInformation::None {
        return Err(Problem::not_found("Page not found"));
    }
    let (_, certificate) = find(call, id)?;
    let (start, end) = suggested(call, certificate);
    let mut body = json!({ "suggestedWindow": { "start": seconds(start), "end": seconds(end) } });
    if server.settings.renewal == RenewalInformation::Incident {
        body["explanationURL"] = json!(format!("{}/incident", call.origin()));
    }
    Ok(Reply::json(200, &body).with_header("retry-after", RETRY_AFTER))
}

/// Returns the window that the CA suggests.
fn suggested(call: &AcmeCall<'_>, certificate: &Issued) -> (SimTime, SimTime) {
    let (start, end) = window(certificate);
    match call.server().settings.renewal {
        _ if certificate.revoked.is_some() => past(call.now),
        RenewalInformation::Incident => past(call.now),
        RenewalInformation::Invalid => (start, start),
        RenewalInformation::Usual | RenewalInformation::None => (start, end),
    }
}

/// Returns the usual window: two thirds of the lifetime, or its half below 10 days, plus and minus 1 %.
fn window(certificate: &Issued) -> (SimTime, SimTime) {
    let lifetime = certificate.not_after.0 - certificate.not_before.0;
    let middle = match lifetime < SHORT_MS {
        true => certificate.not_before.plus_ms(lifetime / 2),
        false => certificate.not_before.plus_ms(lifetime / 3 * 2),
    };
    (middle.plus_ms(-lifetime / 100), middle.plus_ms(lifetime / 100))
}

/// Returns a window in the past.
fn past(now: SimTime) -> (SimTime, SimTime) {
    (now.plus_ms(-2 * 3_600_000), now.plus_ms(-3_600_000))
}

/// Returns the serial number in an identifier, hexadecimal.
pub(super) fn serial_of(id: &str) -> Option<String> {
    let (_, serial) = id.split_once('.')?;
    Some(hex(&decode(serial)?))
}

/// Returns bytes in hexadecimal, without leading zero bytes.
pub(super) fn hex(bytes: &[u8]) -> String {
    let bytes = bytes.iter().skip_while(|byte| **byte == 0);
    bytes.map(|byte| format!("{byte:02x}")).collect()
}

fn find<'a>(call: &'a AcmeCall<'_>, id: &str) -> Result<(String, &'a Issued), Problem> {
    let parts = id.split_once('.').and_then(|(key, serial)| Some((decode(key)?, decode(serial)?)));
    let Some((key_identifier, serial)) = parts else {
        return Err(Problem::malformed("Invalid path: not an ARI certificate identifier"));
    };
    let server = call.server();
    if server.issuer.as_ref().and_then(|issuer| issuer.key_identifier()) != Some(key_identifier) {
        return Err(Problem::not_found(
            "path contained an Authority Key Identifier that did not match a known issuer",
        ));
    }
    let serial = hex(&serial);
    let certificate = server.certificates.get(&serial);
    certificate
        .map(|certificate| (serial.clone(), certificate))
        .ok_or_else(|| Problem::not_found("Certificate not found"))
}

/// Checks the `replaces` of a new order. Returns whether the order is made inside the renewal window, which exempts it
/// from all limits.
///
/// # Errors
/// The refusals of Boulder.
pub(super) fn check_replaces(
    call: &AcmeCall<'_>,
    id: &str,
    account: &str,
    names: &[String],
) -> Result<bool, Problem> {
    let server = call.server();
    if server.settings.renewal == RenewalInformation::None {
        return Ok(false);
    }
    let prefixed = |problem: Problem| problem.prefixed("Could not validate ARI 'replaces' field :: ");
    let (serial, certificate) = find(call, id).map_err(prefixed)?;
    if certificate.account != account {
        return Err(prefixed(Problem::unauthorized(
            "requester account did not request the certificate being replaced by this order",
        )));
    }
    if !names.iter().any(|name| certificate.names.contains(name)) {
        return Err(prefixed(Problem::malformed(
            "identifiers in this order do not match any identifiers in the certificate being replaced",
        )));
    }
    let is_live = |order: &String| {
        server.orders.get(order).is_some_and(|order| {
            matches!(order.progress, Progress::Issued(_))
                || (order.expires > call.now && order.status(server, call.now) != "invalid")
        })
    };
    if certificate.replaced_by.as_ref().is_some_and(is_live) {
        let detail = format!(
            "cannot indicate an order replaces certificate with serial \"{serial}\", which already has a replacement \
             order"
        );
        return Err(prefixed(Problem::new(409, "alreadyReplaced", detail)));
    }
    let (start, end) = suggested(call, certificate);
    Ok(start <= call.now && call.now < end)
}
