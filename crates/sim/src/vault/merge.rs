//! `POST /certificates/{name}/pending/merge`: the certificate that another authority signed completes an operation.
//!
//! Source: "Merge Certificate" of the data plane, api-version 7.4 and later.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::certificate::{Certificate, Version};
use super::create::not_found;
use super::error::VaultError;
use super::material::{Der, Material, PEM, Unreadable};
use super::{VaultCall, certificate_store};
use crate::request::Reply;
use crate::state::CloudState;

/// Completes an operation whose issuer is `Unknown` with the certificate of another authority: 201 with the bundle.
///
/// # Errors
/// 400 if the certificate is not of the key of the operation, 404 if no operation waits for a merge.
pub(super) fn merge(state: &mut CloudState, call: &VaultCall<'_>, name: &str) -> Result<Reply, VaultError> {
    let body: Value = call.request.json().map_err(|error| VaultError::parameter(error.to_string()))?;
    let invalid =
        || VaultError::parameter("Property x5c has invalid value X5C must has at least one valid item");
    let listed = body["x5c"].as_array().filter(|listed| !listed.is_empty()).ok_or_else(invalid)?;
    let decoded = listed.iter().map(|one| STANDARD.decode(one.as_str()?).ok());
    let certificates = decoded.collect::<Option<Vec<_>>>().ok_or_else(invalid)?;
    let uri = state.vault_uri(call.vault);
    let key = name.to_ascii_lowercase();
    let vault =
        state.vaults.reachable_mut(call.vault, call.now).expect("the request is for a vault that is there");
    let running = vault.certificates.pending.get_mut(&key).filter(|one| one.is_running());
    let pending = running.ok_or_else(|| not_found(name))?;
    if !pending.waits_for_merge() {
        let message = format!(
            "Merge is forbidden on pending object created with issuer : {} while it is in progess.",
            pending.issuer()
        );
        return Err(VaultError::new(403, "Forbidden", message));
    }
    let version = pending.version.as_ref().expect("a running operation has a version");
    let merged = version.material.signed_by_another(certificates, pending.keep_order);
    let material = merged.map_err(|unreadable| match unreadable {
        Unreadable::NoLeaf => VaultError::parameter(
            "The public key of the end-entity certificate in the specified X.509 certificate content does not match the \
             public part of the specified private key. Please check if certificate is valid",
        ),
        other => VaultError::parameter(other.to_string()),
    })?;
    let enabled = body["attributes"]["enabled"].as_bool().unwrap_or(version.enabled);
    let tags = body.get("tags").filter(|tags| tags.is_object()).cloned().or_else(|| version.tags.clone());
    let mut version =
        Version::new(version.id.clone(), material, enabled, tags, call.now).ok_or_else(invalid)?;
    version.keep_order = pending.keep_order;
    pending.version = Some(version);
    pending.done = call.now;
    if let Some((name, version, policy)) = pending.end() {
        let entry = vault.certificates.live.entry(key);
        let certificate =
            entry.or_insert_with(|| Certificate { name, versions: Vec::new(), policy: Value::Null });
        certificate.versions.push(version);
        certificate.policy = policy;
    }
    let bundle = certificate_store::read(vault, &uri, "certificates", name, None)?;
    Ok(Reply::json(201, &bundle))
}

impl Material {
    /// Returns the same key with certificates that another authority issued for it, DER.
    ///
    /// Unless the order is kept, a PFX has the leaf last and a PEM file has it first, as users report
    /// (Azure/notation-azure-kv#136).
    ///
    /// # Errors
    /// [`Unreadable`] if none of them belongs to the key.
    pub(crate) fn signed_by_another(
        &self,
        certificates: Vec<Vec<u8>>,
        keep_order: bool,
    ) -> Result<Material, Unreadable> {
        let certificates = certificates.into_iter().map(Der).collect();
        let mut material = Self::assemble(self.key.clone(), certificates, &self.content_type, keep_order)?;
        if !keep_order && self.content_type != PEM {
            material.reverse();
        }
        material.secret = match self.content_type == PEM {
            true => material.pem(),
            false => material.passwordless_pfx()?,
        };
        Ok(material)
    }

    /// Returns the key and the certificates as PEM.
    fn pem(&self) -> String {
        let block = |label: &str, der: &Der| {
            let text = STANDARD.encode(&der.0);
            let lines =
                text.as_bytes().chunks(64).map(String::from_utf8_lossy).collect::<Vec<_>>().join("\n");
            format!("-----BEGIN {label}-----\n{lines}\n-----END {label}-----\n")
        };
        let certificates = self.certificates.iter().map(|one| block("CERTIFICATE", one));
        std::iter::once(block("PRIVATE KEY", &self.key)).chain(certificates).collect()
    }
}
