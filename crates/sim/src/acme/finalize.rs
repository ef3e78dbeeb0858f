//! Finalization of an order (RFC 8555 §7.4): the certificate is issued some seconds later.

use super::call::{AcmeCall, draw};
use super::csr;
use super::encoding::decode;
use super::jws;
use super::order;
use super::problem::{Answer, Problem};
use super::store::Progress;
use crate::durations;

/// Finalizes a ready order with a signing request for exactly its names.
pub(super) fn finalize(call: &mut AcmeCall<'_>, id: &str) -> Answer {
    let (account, signed) = jws::by_account(call)?;
    let payload = signed.json()?;
    let order = order::find(call, id, &account)?;
    let status = order.status(call.server(), call.now);
    if status != "ready" {
        let detail = format!("Order's status (\"{status}\") is not acceptable for finalization");
        return Err(Problem::new(403, "orderNotReady", detail));
    }
    let encoded = payload["csr"].as_str().unwrap_or_default();
    let der = decode(encoded).filter(|der| !der.is_empty());
    let der = der.ok_or_else(|| Problem::malformed("Error decoding certificate request"))?;
    let request = csr::read(&der)?;
    if request.names.len() != order.names.len() {
        return Err(Problem::unauthorized("Order includes different number of names than CSR specifies"));
    }
    if let Some(missing) = order.names.iter().find(|name| !request.names.contains(name)) {
        return Err(Problem::unauthorized(format!("CSR is missing Order domain \"{missing}\"")));
    }
    if call.server().accounts.values().any(|account| request.has_key_of(&account.key)) {
        return Err(Problem::bad_csr("certificate public key must be different than account key"));
    }
    let wait = 1.0 + f64::from(draw(call.state, "acme issuance", 40)) / 10.0;
    let due = call.timing.after(call.now, wait.min(durations::ACME_ISSUANCE_MAX));
    if let Some(order) = call.server_mut().orders.get_mut(id) {
        order.progress = Progress::Finalized { csr: encoded.to_owned(), due };
    }
    Ok(order::reply(call.state, call.ca, id, call.now, call.timing, 200))
}
