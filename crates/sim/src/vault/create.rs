//! `POST /certificates/{name}/create`: the vault creates a key and a self-signed certificate. Until it
//! completes, the certificate has a pending operation.
//!
//! Source: "Create Certificate" and `CertificateOperation` of the data plane, api-version 7.4 and later. The
//! simulated cloud refuses public authorities; a certificate with the issuer `Unknown` waits for its merge.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::certificate::Version;
use super::error::VaultError;
use super::policy::CertificateInfo;
use super::self_signed::{self, SelfSigned};
use super::store::{PendingCertificate, UNKNOWN};
use super::{VaultCall, deleted, vault};
use crate::arm::unavailable;
use crate::durations;
use crate::request::{Reply, with_retry_after};
use crate::state::CloudState;

/// Starts a creation: 202 with the pending operation.
///
/// # Errors
/// 400 for an unsupported policy, 409 while the name is reserved.
pub(super) fn create(state: &mut CloudState, call: &VaultCall<'_>, name: &str) -> Result<Reply, VaultError> {
    let body: Value = call.request.json().map_err(|error| VaultError::parameter(error.to_string()))?;
    free(state, call, name)?;
    let desired = &body["policy"];
    let issuer = issuer(desired)?;
    let SelfSigned { material, csr } = self_signed::make(desired, call.now)?;
    let certificate_info =
        CertificateInfo::of(material.leaf()).expect("the vault makes keys of the kinds it keeps");
    let uri = state.vault_uri(call.vault);
    let id = format!("{uri}certificates/{name}/policy");
    let mut policy =
        certificate_info.policy(&id, &material.content_type, Some(desired), call.now.unix_seconds());
    policy["issuer"] = json!({"name": issuer});
    if desired["x509_props"]["sans"].is_object() {
        policy["x509_props"]["sans"] = desired["x509_props"]["sans"].clone();
    }
    let enabled = body["attributes"]["enabled"].as_bool().unwrap_or(true);
    let tags = body.get("tags").filter(|tags| tags.is_object()).cloned();
    let done = call.timing.after(call.now, durations::CERTIFICATE_CREATE);
    let version = Version::new(state.hex("certificate-version"), material, enabled, tags, done);
    let pending = PendingCertificate {
        name: name.to_owned(),
        done,
        request_id: state.hex("certificate-request"),
        csr: STANDARD.encode(csr),
        version,
        policy,
        keep_order: body["preserveCertOrder"] == true,
    };
    let answer = pending.body(&uri);
    let vault =
        state.vaults.reachable_mut(call.vault, call.now).expect("the request is for a vault that is there");
    vault.certificates.pending.insert(name.to_ascii_lowercase(), pending);
    let version = call.request.query("api-version").unwrap_or_default();
    let request_id = answer["request_id"].as_str().unwrap_or_default();
    let location = format!("{uri}certificates/{name}/pending?api-version={version}&request_id={request_id}");
    let reply = Reply::json(202, &answer).with_header("location", &location);
    Ok(with_retry_after(reply, call.timing, Some(durations::CERTIFICATE_RETRY_AFTER)))
}

/// Checks that a certificate of that name can be written now.
///
/// # Errors
/// 409 while a deleted certificate reserves the name, or another creation is in progress.
pub(super) fn free(state: &CloudState, call: &VaultCall<'_>, name: &str) -> Result<(), VaultError> {
    let vault = vault(state, call);
    deleted::free(vault, name, call.now)?;
    if !vault.certificates.pending.get(&name.to_ascii_lowercase()).is_some_and(PendingCertificate::is_running)
    {
        return Ok(());
    }
    let message = "A new key vault certificate can not be created or imported while a pending key vault certificate's status \
                   is inProgress.";
    Err(VaultError::new(409, "Forbidden", message))
}

fn issuer(policy: &Value) -> Result<&str, VaultError> {
    match policy["issuer"]["name"].as_str() {
        Some(issuer @ ("Self" | UNKNOWN)) => Ok(issuer),
        None => Err(VaultError::parameter("Property policy.issuer.name has invalid value.")),
        Some(other) => {
            let message = unavailable(&format!("Issuer {other} (only Self, and Unknown for a merge)"));
            Err(VaultError::new(501, "NotImplemented", message))
        }
    }
}

/// Returns the operation; a `request_id` in the query must be that of the operation.
pub(super) fn get(state: &CloudState, call: &VaultCall<'_>, name: &str) -> Result<Reply, VaultError> {
    let found = vault(state, call).certificates.pending.get(&name.to_ascii_lowercase());
    let asked = call.request.query("request_id");
    let found = found.filter(|found| asked.is_none_or(|id| id.eq_ignore_ascii_case(&found.request_id)));
    let found = found.ok_or_else(|| not_found(name))?;
    Ok(Reply::json(200, &found.body(&state.vault_uri(call.vault))))
}

/// Deletes the operation, which cancels a creation in progress.
pub(super) fn forget(state: &mut CloudState, call: &VaultCall<'_>, name: &str) -> Result<Reply, VaultError> {
    let uri = state.vault_uri(call.vault);
    let vault =
        state.vaults.reachable_mut(call.vault, call.now).expect("the request is for a vault that is there");
    let removed = vault.certificates.pending.remove(&name.to_ascii_lowercase());
    Ok(Reply::json(200, &removed.ok_or_else(|| not_found(name))?.body(&uri)))
}

pub(super) fn not_found(name: &str) -> VaultError {
    VaultError::new(404, "PendingCertificateNotFound", format!("Pending certificate not found: {name}"))
}
