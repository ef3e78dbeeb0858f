//! Change of an account key (RFC 8555 §7.3.5).

use serde_json::{Value, json};

use super::call::AcmeCall;
use super::jwk::Jwk;
use super::jws;
use super::problem::{Answer, Problem};
use crate::request::Reply;

/// Replaces the key of an account. The inner signature is of the new key, the outer of the old one.
pub(super) fn change(call: &mut AcmeCall<'_>) -> Answer {
    let (account, signed) = jws::by_account(call)?;
    let inner = jws::inner(&signed.json()?)?;
    let new_key = Jwk::read(&inner.header["jwk"])?;
    if inner.header["alg"] != new_key.algorithm()
        || !new_key.verifies(inner.signed.as_bytes(), &inner.signature)
    {
        return Err(Problem::malformed("Inner JWS does not verify with embedded JWK"));
    }
    if inner.header["url"] != json!(call.url("key-change")) {
        return Err(Problem::malformed("Outer JWS 'url' value does not match inner JWS 'url' value"));
    }
    let payload: Value = serde_json::from_slice(&inner.payload)
        .map_err(|_| Problem::malformed("Inner JWS payload did not parse as JSON key rollover object"))?;
    let url = call.url(&format!("account/{account}"));
    if payload["account"] != json!(url) {
        return Err(Problem::malformed(
            "Inner key rollover request specified Account does not match outer JWS Key ID",
        ));
    }
    if Jwk::read(&payload["oldKey"])? != signed.key {
        return Err(Problem::malformed(
            "Inner JWS does not contain old key field matching current account key",
        ));
    }
    let server = call.server_mut();
    let owner = server.accounts.iter().find(|(_, other)| other.key == new_key).map(|(id, _)| id.clone());
    if let Some(owner) = owner {
        let detail = "New key is already in use for a different account";
        let location = call.url(&format!("account/{owner}"));
        return Ok(Problem::new(409, "conflict", detail)
            .reply(call.timing)
            .with_header("location", &location));
    }
    if let Some(account) = server.accounts.get_mut(&account) {
        account.key = new_key;
    }
    Ok(Reply::empty(200).with_header("location", &url))
}
