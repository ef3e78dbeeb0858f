//! `POST /certificates/{name}/import`: a PFX or PEM file becomes a new version, also if nothing changed.

use serde_json::Value;

use super::certificate::{Certificate, Version};
use super::error::VaultError;
use super::material::{Material, PEM, PKCS12};
use super::policy::CertificateInfo;
use super::{VaultCall, certificate_store, create};
use crate::durations;
use crate::request::Reply;
use crate::state::CloudState;

/// Imports a certificate.
///
/// # Errors
/// 400 `BadParameter` with the service's message, 409 while a deleted certificate reserves the name.
pub(super) fn import(state: &mut CloudState, call: &VaultCall<'_>, name: &str) -> Result<Reply, VaultError> {
    let body: Value = call.request.json().map_err(|_| {
        VaultError::parameter("Property value has invalid value. The request body is not valid JSON.")
    })?;
    create::free(state, call, name)?;
    let material = material(&body)?;
    let certificate_info = CertificateInfo::of(material.leaf()).ok_or_else(|| {
        VaultError::parameter(
            "The specified X.509 certificate has a key that is not supported. Use RSA or an EC key.",
        )
    })?;
    if certificate_info.not_after <= call.now.unix_seconds() {
        return Err(VaultError::parameter(format!(
            "The specified X.509 certificate has expired. Certificate name: {name}."
        )));
    }
    let uri = state.vault_uri(call.vault);
    let policy_id = format!("{uri}certificates/{name}/policy");
    let mut policy = certificate_info.policy(
        &policy_id,
        &material.content_type,
        body.get("policy"),
        call.now.unix_seconds(),
    );
    CertificateInfo::all_names(&mut policy);
    let enabled = body["attributes"]["enabled"].as_bool().unwrap_or(true);
    let tags = body.get("tags").filter(|tags| tags.is_object()).cloned();
    let id = state.hex("certificate-version");
    let mut version =
        Version::new(id, material, enabled, tags, call.now).expect("its leaf has just been read");
    version.keep_order = keeps_order(&body);
    let vault =
        state.vaults.reachable_mut(call.vault, call.now).expect("the request is for a vault that is there");
    let key = name.to_ascii_lowercase();
    let certificate = vault.certificates.live.entry(key).or_insert_with(|| Certificate {
        name: name.to_owned(),
        versions: Vec::new(),
        policy: Value::Null,
    });
    certificate.versions.push(version);
    certificate.policy = policy;
    let bundle = certificate_store::read(vault, &uri, "certificates", name, None)?;
    Ok(Reply::json(200, &bundle).with_latency(durations::CERTIFICATE_IMPORT))
}

fn keeps_order(body: &Value) -> bool {
    body["preserveCertOrder"] == true
}

fn material(body: &Value) -> Result<Material, VaultError> {
    let value = match &body["value"] {
        Value::String(value) if !value.is_empty() => value,
        _ => return Err(VaultError::parameter("Required parameter 'value' is missing or empty.")),
    };
    let password = body["pwd"].as_str().unwrap_or_default();
    let material = Material::read(value, password, keeps_order(body))
        .map_err(|unreadable| VaultError::parameter(unreadable.to_string()))?;
    match body["policy"]["secret_props"]["contentType"].as_str() {
        None => Ok(material),
        Some(desired) if desired == material.content_type => Ok(material),
        Some(desired) if desired == PKCS12 || desired == PEM => Err(VaultError::parameter(format!(
            "The specified X.509 certificate content is not of the content type {desired} of the policy."
        ))),
        Some(_) => Err(VaultError::parameter("Property policy.secret_props.contentType has invalid value.")),
    }
}
