//! `POST /certificates/{name}/create`: the vault creates a key and a self-signed certificate. Until it
//! completes, the certificate has a pending operation.
//!
//! Source: "Create Certificate" and `CertificateOperation` of the data plane, api-version 7.4 and later. The
//! simulated cloud refuses certificates that another authority signs (issuer `Unknown`, or a public CA).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::certificate::{Certificate, Version};
use super::own_signed::{self, OwnSigned};
use super::policy::Reading;
use super::refusal::Refusal;
use super::{Asked, deleted, shelf};
use crate::clock::Moment;
use crate::durations;
use crate::request::Reply;
use crate::world::World;

/// A certificate operation; it stays readable after its end.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Pending {
    /// The certificate name in its original case.
    name: String,
    /// The completion time.
    pub(crate) done: Moment,
    request_id: String,
    /// The certificate signing request, DER in base64.
    csr: String,
    /// The version that the operation adds at its end; `None` afterwards.
    version: Option<Version>,
    policy: Value,
}

impl Pending {
    /// Returns whether the operation is in progress.
    pub(crate) const fn is_running(&self) -> bool {
        self.version.is_some()
    }

    /// Completes the operation; returns the name, the created version and its policy.
    pub(crate) fn end(&mut self) -> Option<(String, Version, Value)> {
        self.version.take().map(|version| (self.name.clone(), version, self.policy.clone()))
    }

    /// Returns the `CertificateOperation`.
    fn body(&self, uri: &str) -> Value {
        let mut body = json!({
            "id": format!("{uri}certificates/{}/pending", self.name),
            "issuer": {"name": "Self"},
            "csr": self.csr,
            "cancellation_requested": false,
            "request_id": self.request_id,
        });
        if self.is_running() {
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
pub(super) fn create(world: &mut World, asked: &Asked<'_>, name: &str) -> Result<Reply, Refusal> {
    let body: Value = asked.request.json().map_err(|error| Refusal::parameter(error.to_string()))?;
    free(world, asked, name)?;
    let wished = &body["policy"];
    issuer(wished)?;
    let OwnSigned { material, csr } = own_signed::make(wished, asked.now)?;
    let reading = Reading::of(material.leaf()).expect("the vault makes keys of the kinds it keeps");
    let uri = world.vault_uri(asked.vault);
    let id = format!("{uri}certificates/{name}/policy");
    let mut policy = reading.policy(&id, &material.content_type, Some(wished), asked.now.unix_seconds());
    policy["issuer"] = json!({"name": "Self"});
    let enabled = body["attributes"]["enabled"].as_bool().unwrap_or(true);
    let tags = body.get("tags").filter(|tags| tags.is_object()).cloned();
    let done = asked.timing.after(asked.now, durations::CERTIFICATE_CREATE);
    let version = Version::new(world.hex("certificate-version"), material, enabled, tags, done);
    let pending = Pending {
        name: name.to_owned(),
        done,
        request_id: world.hex("certificate-request"),
        csr: STANDARD.encode(csr),
        version,
        policy,
    };
    let answer = pending.body(&uri);
    let vault =
        world.vaults.reachable_mut(asked.vault, asked.now).expect("the request is for a vault that is there");
    vault.certificates.pending.insert(name.to_ascii_lowercase(), pending);
    let version = asked.request.query("api-version").unwrap_or_default();
    let location = format!("{uri}certificates/{name}/pending?api-version={version}");
    Ok(Reply::json(202, &answer).with_header("location", &location).with_header("retry-after", "10"))
}

/// Checks that a certificate of that name can be written now.
///
/// # Errors
/// 409 while a deleted certificate reserves the name, or another creation is in progress.
pub(super) fn free(world: &World, asked: &Asked<'_>, name: &str) -> Result<(), Refusal> {
    let vault = shelf::vault(world, asked);
    deleted::free(vault, name, asked.now)?;
    if !vault.certificates.pending.get(&name.to_ascii_lowercase()).is_some_and(Pending::is_running) {
        return Ok(());
    }
    let message = "A new key vault certificate can not be created or imported while a pending key vault certificate's status \
                   is inProgress.";
    Err(Refusal::new(409, "Conflict", message))
}

fn issuer(policy: &Value) -> Result<(), Refusal> {
    match policy["issuer"]["name"].as_str() {
        Some("Self") => Ok(()),
        None => Err(Refusal::parameter("Property policy.issuer.name has invalid value.")),
        Some(other) => {
            let message =
                format!("Issuer {other}: in this cloud certificates sign themselves (issuer Self).");
            Err(Refusal::new(501, "NotImplemented", message))
        }
    }
}

/// Returns the operation.
pub(super) fn get(world: &World, asked: &Asked<'_>, name: &str) -> Result<Reply, Refusal> {
    let found = shelf::vault(world, asked).certificates.pending.get(&name.to_ascii_lowercase());
    let found = found.ok_or_else(|| not_found(name))?;
    Ok(Reply::json(200, &found.body(&world.vault_uri(asked.vault))))
}

/// Deletes the operation, which cancels a creation in progress.
pub(super) fn forget(world: &mut World, asked: &Asked<'_>, name: &str) -> Result<Reply, Refusal> {
    let uri = world.vault_uri(asked.vault);
    let vault =
        world.vaults.reachable_mut(asked.vault, asked.now).expect("the request is for a vault that is there");
    let removed = vault.certificates.pending.remove(&name.to_ascii_lowercase());
    Ok(Reply::json(200, &removed.ok_or_else(|| not_found(name))?.body(&uri)))
}

fn not_found(name: &str) -> Refusal {
    Refusal::new(404, "PendingCertificateNotFound", format!("Pending certificate not found: {name}"))
}

/// Adds the versions that are complete by `due`.
pub(super) fn settle(certificates: &mut super::certificate::Certificates, due: Moment) {
    for (key, pending) in &mut certificates.pending {
        if pending.done > due {
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
