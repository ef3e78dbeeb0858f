//! Accounts (RFC 8555 §7.3) and external account bindings (§7.3.4).

use aws_lc_rs::hmac;
use serde_json::{Value, json};

use super::call::AcmeCall;
use super::directory;
use super::encoding::decode;
use super::jwk::Jwk;
use super::jws::{self, KeyForm};
use super::limits::Limit;
use super::problem::{Answer, Problem, add_link};
use super::store::Account;
use crate::request::Reply;

/// The maximum number of contacts.
const CONTACTS_MAX: usize = 10;

/// Creates an account, or finds the one with the key of the request: 201 or 200.
pub(super) fn create(call: &mut AcmeCall<'_>) -> Answer {
    let signed = jws::verify(call, KeyForm::Embedded)?;
    let payload = signed.json()?;
    let known = call.server().accounts.iter().find(|(_, account)| account.key == signed.key);
    if let Some((id, account)) = known {
        if account.status != "valid" {
            let detail = format!("Account is not valid, has status \"{}\"", account.status);
            return Err(Problem::unauthorized(detail));
        }
        return Ok(reply(call, &id.clone(), 200));
    }
    if payload["onlyReturnExisting"] == true {
        let detail = "No account exists with the provided key";
        return Err(Problem::new(400, "accountDoesNotExist", detail));
    }
    if payload["termsOfServiceAgreed"] != true {
        return Err(Problem::malformed("must agree to terms of service"));
    }
    let contact = contacts(&payload)?;
    let id = call.id("account");
    let binding = bind(call, &payload["externalAccountBinding"], &signed.key, &id)?;
    call.spend(Limit::NewAccounts, "127.0.0.1")?;
    let account =
        Account { key: signed.key, contact, status: "valid".to_owned(), created: call.now, binding };
    call.server_mut().accounts.insert(id.clone(), account);
    Ok(reply(call, &id, 201))
}

/// Reads, updates or deactivates an account.
pub(super) fn update(call: &mut AcmeCall<'_>, id: &str) -> Answer {
    let (account, signed) = jws::by_account(call)?;
    if account != id {
        return Err(Problem::unauthorized("Request signing key did not match account key"));
    }
    if !signed.is_post_as_get() {
        let payload = signed.json()?;
        let contact = payload.get("contact").map(|_| contacts(&payload)).transpose()?;
        let deactivated = match payload["status"].as_str() {
            None | Some("valid") => false,
            Some("deactivated") => true,
            Some(_) => return Err(Problem::malformed("Invalid value provided for status field")),
        };
        let Some(account) = call.server_mut().accounts.get_mut(id) else {
            return Err(Problem::not_found("Account not found"));
        };
        if let Some(contact) = contact {
            account.contact = contact;
        }
        if deactivated {
            account.status = "deactivated".to_owned();
        }
    }
    Ok(reply(call, id, 200))
}

fn reply(call: &AcmeCall<'_>, id: &str, status: u16) -> Reply {
    let Some(account) = call.server().accounts.get(id) else { return Reply::empty(404) };
    let mut body = json!({
        "status": account.status,
        "contact": account.contact,
        "key": account.key.value(),
        "termsOfServiceAgreed": true,
        "createdAt": account.created.rfc3339(),
    });
    if let Some(binding) = &account.binding {
        body["externalAccountBinding"] = binding.clone();
    }
    let reply = Reply::json(status, &body).with_header("location", &call.url(&format!("account/{id}")));
    add_link(reply, &directory::terms(call), "terms-of-service")
}

/// Reads the contacts; they are optional.
fn contacts(payload: &Value) -> Result<Vec<String>, Problem> {
    let unreadable = || Problem::malformed("Error unmarshaling JSON");
    let listed = match &payload["contact"] {
        Value::Null => return Ok(Vec::new()),
        Value::Array(listed) => listed,
        _ => return Err(unreadable()),
    };
    if listed.len() > CONTACTS_MAX {
        let detail = format!("too many contacts provided: {} > {CONTACTS_MAX}", listed.len());
        return Err(Problem::malformed(detail));
    }
    let contact = |one: &Value| {
        let text = one.as_str().ok_or_else(unreadable)?;
        let Some(mail) = text.strip_prefix("mailto:") else {
            return Err(Problem::new(
                400,
                "unsupportedContact",
                "only contact scheme 'mailto:' is supported",
            ));
        };
        let is_mail = mail.split_once('@').is_some_and(|(user, host)| {
            !user.is_empty() && host.contains('.') && !mail.contains([',', '?', ' '])
        });
        match is_mail {
            true => Ok(text.to_owned()),
            false => Err(Problem::new(400, "invalidContact", "unable to parse email address")),
        }
    };
    listed.iter().map(contact).collect()
}

/// Checks an external account binding and records its use. A server that needs none ignores it.
fn bind(call: &mut AcmeCall<'_>, binding: &Value, key: &Jwk, id: &str) -> Result<Option<Value>, Problem> {
    if !call.server().settings.binding_required {
        return Ok(None);
    }
    if binding.is_null() {
        let detail = "This server requires an external account binding";
        return Err(Problem::new(403, "externalAccountRequired", detail));
    }
    let inner = jws::inner(binding)?;
    if inner.header["alg"] != "HS256" {
        return Err(Problem::new(400, "badSignatureAlgorithm", "external account binding must use HS256"));
    }
    if inner.header["url"] != json!(call.url("new-account")) {
        return Err(Problem::malformed("external account binding JWS header parameter 'url' incorrect"));
    }
    let own: Option<Value> = serde_json::from_slice(&inner.payload).ok();
    if own.and_then(|own| Jwk::read(&own).ok()).as_ref() != Some(key) {
        return Err(Problem::malformed("external account binding payload is not the account key"));
    }
    let kid = inner.header["kid"].as_str().unwrap_or_default().to_owned();
    let server = call.server_mut();
    let secret = server.settings.bindings.get(&kid).and_then(|secret| decode(secret.trim_end_matches('=')));
    let Some(secret) = secret else {
        return Err(Problem::unauthorized(format!("the external account \"{kid}\" is unknown")));
    };
    let secret = hmac::Key::new(hmac::HMAC_SHA256, &secret);
    if hmac::verify(&secret, inner.signed.as_bytes(), &inner.signature).is_err() {
        return Err(Problem::unauthorized("external account binding JWS verification error"));
    }
    if server.bound.contains_key(&kid) {
        return Err(Problem::unauthorized(format!("the external account \"{kid}\" is already bound")));
    }
    server.bound.insert(kid, id.to_owned());
    Ok(Some(binding.clone()))
}
