//! Nonces (RFC 8555 §6.5): each is valid once.

use super::call::AcmeCall;
use super::encoding::encode;
use super::problem::Problem;
use crate::request::Reply;

/// The number of unused nonces that a server remembers; older ones become invalid.
const NONCES_MAX: usize = 500;

/// Draws a nonce.
pub(super) fn draw(call: &mut AcmeCall<'_>) -> String {
    let drawn = call.state.hex("acme nonce");
    let nonce = encode(drawn.as_bytes());
    let nonces = &mut call.server_mut().nonces;
    nonces.push_back(nonce.clone());
    if nonces.len() > NONCES_MAX {
        nonces.pop_front();
    }
    // A nonce is state, even after a GET.
    call.state.touch();
    nonce
}

/// Answers a request for a nonce: 200 for HEAD, 204 for GET.
pub(super) fn new_nonce(call: &AcmeCall<'_>) -> Reply {
    Reply::empty(if call.request.method == http::Method::HEAD { 200 } else { 204 })
}

/// Checks a nonce and makes it invalid. A share of the valid ones is refused, as Pebble does, so that every client
/// repeats such requests.
///
/// # Errors
/// `badNonce`.
pub(super) fn spend(call: &mut AcmeCall<'_>, nonce: Option<&str>) -> Result<(), Problem> {
    let bad = |detail: String| Err(Problem::new(400, "badNonce", detail));
    let Some(nonce) = nonce.filter(|nonce| !nonce.is_empty()) else {
        return bad("JWS has no anti-replay nonce".to_owned());
    };
    let server = call.server_mut();
    let known = server.nonces.iter().position(|known| known == nonce);
    let known = known.and_then(|at| server.nonces.remove(at)).is_some();
    let refused = server.settings.bad_nonce_percent;
    if known && (refused == 0 || call.draw_percent("acme bad nonce") >= refused) {
        return Ok(());
    }
    bad(format!("JWS has an invalid anti-replay nonce: \"{nonce}\""))
}
