//! `POST /certificates/{name}/create`: the vault makes a key and a certificate that signs itself. It takes a moment, and
//! until then there is a pending operation in the certificate's place.
//!
//! Source: "Create Certificate" and `CertificateOperation` of the data plane, api-version 7.4 and later. What somebody else
//! would have to sign (issuer `Unknown`, or a public authority) is not part of this cloud, and said so.

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

/// A creation that was asked for; it stays to be read after its end.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Pending {
    /// The certificate's name as it was written.
    name: String,
    /// When it is done.
    pub(crate) done: Moment,
    request_id: String,
    /// DER, in base64.
    csr: String,
    /// What becomes a version then; nothing afterwards.
    version: Option<Version>,
    policy: Value,
}

impl Pending {
    /// Whether it is yet to end.
    pub(crate) const fn is_running(&self) -> bool {
        self.version.is_some()
    }

    /// Ends: the version that was made, with what is to become its policy.
    pub(crate) fn end(&mut self) -> Option<(String, Version, Value)> {
        self.version.take().map(|version| (self.name.clone(), version, self.policy.clone()))
    }

    /// The `CertificateOperation`.
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

/// Begins to create: 202 with the pending operation.
///
/// # Errors
/// 400 for a policy the vault does not take, 409 while the name is held.
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

/// Whether a certificate of that name can be written now.
///
/// # Errors
/// 409 while a deleted one holds the name, or another creation runs.
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

/// Reads the operation.
pub(super) fn get(world: &World, asked: &Asked<'_>, name: &str) -> Result<Reply, Refusal> {
    let found = shelf::vault(world, asked).certificates.pending.get(&name.to_ascii_lowercase());
    let found = found.ok_or_else(|| not_found(name))?;
    Ok(Reply::json(200, &found.body(&world.vault_uri(asked.vault))))
}

/// Deletes the operation, and with it a creation that still runs.
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

/// Puts the versions in place that are done by `due`.
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
