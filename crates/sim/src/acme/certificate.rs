//! Download of a certificate with its chain (RFC 8555 §7.4.2).

use super::call::AcmeCall;
use super::jws;
use super::problem::{Answer, Problem};
use crate::request::Reply;

/// Returns the certificate and the intermediate, without the root.
pub(super) fn show(call: &mut AcmeCall<'_>, serial: &str) -> Answer {
    let (account, signed) = jws::by_account(call)?;
    signed.must_be_post_as_get()?;
    let server = call.server();
    let certificate = server.certificates.get(serial);
    let certificate = certificate.ok_or_else(|| Problem::not_found("Certificate not found"))?;
    if certificate.account != account {
        let detail = "Account in use did not issue specified certificate";
        return Err(Problem::unauthorized(detail));
    }
    let intermediate = server.issuer.as_ref().map_or("", |issuer| issuer.intermediate_pem());
    // An empty line between two certificates, as with Let's Encrypt: clients must not split the text at lines.
    let chain = format!("{}\n{intermediate}", certificate.pem);
    Ok(Reply::bytes(200, "application/pem-certificate-chain", chain))
}
