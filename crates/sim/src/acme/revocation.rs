//! Revocation (RFC 8555 §7.6), by the account or by the key of the certificate.

use serde_json::Value;

use super::call::AcmeCall;
use super::encoding::decode;
use super::jws::{self, KeyForm};
use super::problem::{Answer, Problem};
use super::renewal::hex;
use crate::request::Reply;

/// The reasons that a subscriber may give (Boulder).
const REASONS: [u64; 4] = [0, 1, 4, 5];

/// Revokes a certificate.
pub(super) fn revoke(call: &mut AcmeCall<'_>) -> Answer {
    let signed = jws::verify(call, KeyForm::Any)?;
    let payload = signed.json()?;
    let unreadable = || Problem::malformed("Unable to parse certificate DER");
    let der = decode(payload["certificate"].as_str().unwrap_or_default()).ok_or_else(unreadable)?;
    let (_, certificate) = x509_parser::parse_x509_certificate(&der).map_err(|_| unreadable())?;
    let reason = match &payload["reason"] {
        Value::Null => 0,
        reason => reason.as_u64().unwrap_or(u64::MAX),
    };
    if !REASONS.contains(&reason) {
        let detail = format!("unsupported revocation reason code provided: {}", payload["reason"]);
        return Err(Problem::new(400, "badRevocationReason", detail));
    }
    let serial = hex(certificate.raw_serial());
    let now = call.now;
    let bits = certificate.public_key().subject_public_key.data.as_ref();
    let by_own_key = signed.account.is_none() && signed.key.public_bits() == bits;
    let server = call.server_mut();
    let issued =
        server.certificates.get_mut(&serial).ok_or_else(|| Problem::not_found("No such certificate"))?;
    if !by_own_key && signed.account.as_ref() != Some(&issued.account) {
        return Err(Problem::unauthorized(
            "The key ID specified in the request does not authorize the revocation",
        ));
    }
    if issued.revoked.is_some() {
        return Err(Problem::new(400, "alreadyRevoked", "Certificate already revoked"));
    }
    issued.revoked = Some(now);
    Ok(Reply::empty(200))
}
