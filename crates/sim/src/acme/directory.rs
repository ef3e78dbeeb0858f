//! The directory (RFC 8555 §7.1.1) and the root certificate.

use serde_json::{Map, Value, json};

use super::ca::CAA_IDENTITY;
use super::call::AcmeCall;
use super::profile::PROFILES;
use super::settings::RenewalInformation;
use crate::request::Reply;

/// Returns the directory. It has a random member, since clients must ignore those that they do not know.
pub(super) fn show(call: &AcmeCall<'_>) -> Reply {
    let settings = &call.server().settings;
    let profiles: Map<String, Value> =
        PROFILES.iter().map(|profile| (profile.name.to_owned(), json!(profile.text))).collect();
    let mut meta = json!({
        "caaIdentities": [CAA_IDENTITY], "profiles": profiles, "termsOfService": terms(call),
        "website": format!("{}/", call.origin()),
    });
    if settings.binding_required {
        meta["externalAccountRequired"] = json!(true);
    }
    let mut directory = Map::new();
    directory.insert(
        call.base(),
        json!("https://community.letsencrypt.org/t/adding-random-entries-to-the-directory/33417"),
    );
    for (name, path) in [
        ("keyChange", "key-change"),
        ("newAccount", "new-account"),
        ("newNonce", "new-nonce"),
        ("newOrder", "new-order"),
        ("revokeCert", "revoke-cert"),
    ] {
        directory.insert(name.to_owned(), json!(call.url(path)));
    }
    if settings.renewal != RenewalInformation::None {
        directory.insert("renewalInfo".to_owned(), json!(call.url("renewal-info")));
    }
    directory.insert("meta".to_owned(), meta);
    Reply::json(200, &directory)
}

/// Returns the URL of the terms of service.
pub(super) fn terms(call: &AcmeCall<'_>) -> String {
    format!("{}/terms", call.origin())
}

/// Returns the root certificate.
pub(super) fn root(call: &mut AcmeCall<'_>) -> Reply {
    let (now, ca) = (call.now, call.ca);
    match call.state.acme.ensure_issuers(now) {
        Ok(()) => {
            call.state.touch();
            Reply::bytes(200, "application/x-pem-file", call.state.acme.root_pem(ca).to_owned())
        }
        Err(_) => Reply::empty(500),
    }
}
