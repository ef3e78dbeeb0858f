//! `POST /certificates/{name}/import`: a PFX or PEM file becomes a new version, also if nothing changed.

use serde_json::Value;

use super::certificate::{Certificate, Version};
use super::material::{Material, PEM, PKCS12};
use super::policy::Reading;
use super::refusal::Refusal;
use super::{Asked, create, shelf};
use crate::durations;
use crate::request::Reply;
use crate::world::World;

/// Imports a certificate.
///
/// # Errors
/// 400 `BadParameter` with the service's message, 409 while a deleted certificate reserves the name.
pub(super) fn import(world: &mut World, asked: &Asked<'_>, name: &str) -> Result<Reply, Refusal> {
    let body: Value = asked.request.json().map_err(|_| {
        Refusal::parameter("Property value has invalid value. The request body is not valid JSON.")
    })?;
    create::free(world, asked, name)?;
    let material = material(&body)?;
    let reading = Reading::of(material.leaf()).ok_or_else(|| {
        Refusal::parameter(
            "The specified X.509 certificate has a key that is not supported. Use RSA or an EC key.",
        )
    })?;
    if reading.not_after <= asked.now.unix_seconds() {
        return Err(Refusal::parameter(format!(
            "The specified X.509 certificate has expired. Certificate name: {name}."
        )));
    }
    let uri = world.vault_uri(asked.vault);
    let policy_id = format!("{uri}certificates/{name}/policy");
    let policy =
        reading.policy(&policy_id, &material.content_type, body.get("policy"), asked.now.unix_seconds());
    let enabled = body["attributes"]["enabled"].as_bool().unwrap_or(true);
    let tags = body.get("tags").filter(|tags| tags.is_object()).cloned();
    let id = world.hex("certificate-version");
    let mut version =
        Version::new(id, material, enabled, tags, asked.now).expect("its leaf has just been read");
    version.keep_order = keeps_order(&body);
    let vault =
        world.vaults.reachable_mut(asked.vault, asked.now).expect("the request is for a vault that is there");
    let key = name.to_ascii_lowercase();
    let certificate = vault.certificates.live.entry(key).or_insert_with(|| Certificate {
        name: name.to_owned(),
        versions: Vec::new(),
        policy: Value::Null,
    });
    certificate.versions.push(version);
    certificate.policy = policy;
    let bundle = shelf::read(vault, &uri, "certificates", name, None)?;
    Ok(Reply::json(200, &bundle).with_latency(durations::CERTIFICATE_IMPORT))
}

fn keeps_order(body: &Value) -> bool {
    body["preserveCertOrder"] == true
}

fn material(body: &Value) -> Result<Material, Refusal> {
    let value = match &body["value"] {
        Value::String(value) if !value.is_empty() => value,
        _ => return Err(Refusal::parameter("Required parameter 'value' is missing or empty.")),
    };
    let password = body["pwd"].as_str().unwrap_or_default();
    let material = Material::read(value, password, keeps_order(body))
        .map_err(|unreadable| Refusal::parameter(unreadable.to_string()))?;
    match body["policy"]["secret_props"]["contentType"].as_str() {
        None => Ok(material),
        Some(wished) if wished == material.content_type => Ok(material),
        Some(wished) if wished == PKCS12 || wished == PEM => Err(Refusal::parameter(format!(
            "The specified X.509 certificate content is not of the content type {wished} of the policy."
        ))),
        Some(_) => Err(Refusal::parameter("Property policy.secret_props.contentType has invalid value.")),
    }
}
