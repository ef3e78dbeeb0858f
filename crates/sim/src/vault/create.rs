//! `POST /certificates/{name}/create`: the vault creates a key and a self-signed certificate. Until it
//! completes, the certificate has a pending operation.
//!
//! Source: "Create Certificate" and `CertificateOperation` of the data plane, api-version 7.4 and later. The
//! simulated cloud refuses public authorities; a certificate with the issuer `Unknown` waits for its merge.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::certificate::{Certificate, Version};
use super::error::VaultError;
use super::policy::CertificateInfo;
use super::self_signed::{self, SelfSigned};
use super::{VaultCall, certificate_store, deleted};
use crate::arm::operation::with_retry_after;
use crate::arm::unavailable;
use crate::clock::SimTime;
use crate::durations;
use crate::request::Reply;
use crate::state::CloudState;

/// The issuer of a certificate that another authority signs.
const UNKNOWN: &str = "Unknown";

/// A certificate operation; it stays readable after its end.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct PendingCertificate {
    /// The certificate name in its original case.
    name: String,
    /// The completion time.
    pub(crate) done: SimTime,
    request_id: String,
    /// The certificate signing request, DER in base64.
    csr: String,
    /// The version that the operation adds at its end; `None` afterwards.
    pub(super) version: Option<Version>,
    policy: Value,
    /// True if a merge keeps the order of its chain.
    #[serde(default)]
    pub(super) keep_order: bool,
}

impl PendingCertificate {
    /// Returns whether the operation is in progress.
    pub(crate) const fn is_running(&self) -> bool {
        self.version.is_some()
    }

    /// Returns whether a certificate of another authority completes it, by a merge.
    pub(super) fn waits_for_merge(&self) -> bool {
        self.policy["issuer"]["name"] == UNKNOWN
    }

    /// Returns the name of the issuer.
    pub(super) fn issuer(&self) -> &str {
        self.policy["issuer"]["name"].as_str().unwrap_or_default()
    }

    /// Returns the instant at which it completes by itself.
    pub(crate) fn due(&self) -> Option<SimTime> {
        (self.is_running() && !self.waits_for_merge()).then_some(self.done)
    }

    /// Completes the operation; returns the name, the created version and its policy.
    pub(crate) fn end(&mut self) -> Option<(String, Version, Value)> {
        self.version.take().map(|version| (self.name.clone(), version, self.policy.clone()))
    }

    /// Returns the `CertificateOperation`.
    fn body(&self, uri: &str) -> Value {
        let mut body = json!({
            "id": format!("{uri}certificates/{}/pending", self.name),
            "issuer": self.policy["issuer"],
            "csr": self.csr,
            "cancellation_requested": false,
            "request_id": self.request_id,
        });
        if self.is_running() && self.waits_for_merge() {
            body["status"] = json!("inProgress");
            body["status_details"] =
                json!("Pending certificate created. Please Perform Merge to complete the request.");
        } else if self.is_running() {
            body["status"] = json!("inProgress");
            body["status_details"] = json!(
                "Pending certificate created. Certificate request is in progress. This may take some time based on the \
                 issuer provider. Please check again later."
            );
        } else {
            body["status"] = json!("completed");
            body["target"] = json!(format!("{uri}certificates/{}", self.name));
        }
        body
    }
}

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
    let vault = certificate_store::vault(state, call);
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
    let found = certificate_store::vault(state, call).certificates.pending.get(&name.to_ascii_lowercase());
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

/// Adds the versions that are complete by `due`.
pub(super) fn advance_to(certificates: &mut super::certificate::Certificates, due: SimTime) {
    for (key, pending) in &mut certificates.pending {
        if pending.due().is_none_or(|done| done > due) {
            continue;
        }
        let Some((name, version, policy)) = pending.end() else { continue };
        let entry = certificates.live.entry(key.clone());
        let certificate =
            entry.or_insert_with(|| Certificate { name, versions: Vec::new(), policy: Value::Null });
        certificate.versions.push(version);
        certificate.policy = policy;
    }
}
