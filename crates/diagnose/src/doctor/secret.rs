//! Checks of the Secrets that the listeners name: present, equal to the vault's certificate, and kept in
//! sync.

use super::{
    Finding,
    certificate::{CERTIFICATE, newest},
    rules::Findings,
    snapshot::{ManagedIdentity, Snapshot},
};
use crate::{
    object_fields::{name, text},
    rotation_diagnosis::{
        self, RotationContext, SyncData,
        identity::{ClassIdentity, Presented, describe, missing, not_trusted},
    },
    route_model::Gateway,
    secret_provider_class::{is_running, mounted_classes, synced_secrets},
    snapshot::{ClusterSnapshot, Objects},
};
use landfall_cloud::{
    arm::{Role, identity::AUDIENCE},
    environment_description::{CertificateRef, VaultRef},
    kubernetes::{DynamicObject, tls_secret::thumbprint},
};
use serde_json::Value;

/// The state of a Secret.
#[derive(Debug, Clone, PartialEq, Eq)]
enum SecretState {
    Missing,
    /// The object exists, but is not a TLS Secret with a certificate.
    Malformed,
    /// The Secret contains another certificate than the vault's newest.
    Outdated {
        actual: String,
        newest: String,
    },
    InSync,
}

pub(super) fn evaluate(snapshot: &Snapshot<'_>, cluster_objects: &ClusterSnapshot, findings: &mut Findings) {
    for ((namespace, secret), read) in &cluster_objects.secrets {
        let Ok(object) = read else { continue };
        let gateways = cluster_objects.gateways.as_deref().unwrap_or_default();
        let place = (namespace.clone(), secret.clone());
        let users: Vec<&str> = gateways
            .iter()
            .filter(|gateway| Gateway::read(gateway).secrets().any(|secret| secret == place))
            .map(name)
            .collect();
        let secret_check = Secret { snapshot, cluster_objects, namespace, name: secret };
        let state = secret_check.state(object.as_ref());
        if state == SecretState::InSync {
            if let Some(failed_stage) = secret_check.latent_fault() {
                findings.report_latent(failed_stage);
            }
            continue;
        }
        secret_check.report_symptoms(&state, &users, findings);
        if !findings.is_explained(CERTIFICATE) {
            findings.report(secret_check.cause(&state));
        }
        if state == SecretState::Missing || state == SecretState::Malformed {
            users.iter().for_each(|user| findings.mark_explained(format!("{user}:443")));
        }
        users.iter().for_each(|user| findings.mark_explained(format!("{user}:certificate")));
    }
}

struct Secret<'a> {
    snapshot: &'a Snapshot<'a>,
    cluster_objects: &'a ClusterSnapshot,
    namespace: &'a str,
    name: &'a str,
}

impl Secret<'_> {
    fn state(&self, object: Option<&DynamicObject>) -> SecretState {
        let Some(object) = object else { return SecretState::Missing };
        let Some(actual) = thumbprint(object) else { return SecretState::Malformed };
        match newest(self.snapshot).filter(|_| self.is_synced()) {
            Some(newest) if newest.thumbprint_sha1_hex != actual => {
                SecretState::Outdated { actual, newest: newest.thumbprint_sha1_hex.clone() }
            }
            _ => SecretState::InSync,
        }
    }

    /// Returns whether the driver syncs the Secret: a class names it, or it is landfall's own Secret.
    fn is_synced(&self) -> bool {
        let syncs = |class: &DynamicObject| synced_secrets(class).any(|secret| secret == self.name);
        let own = &self.snapshot.environment.tls_secret;
        let owned = (self.namespace, self.name) == (own.namespace.as_str(), own.name.as_str());
        owned || self.cluster_objects.secret_classes.as_deref().unwrap_or_default().iter().any(syncs)
    }

    fn report_symptoms(&self, state: &SecretState, users: &[&str], findings: &mut Findings) {
        let secret = self.name;
        for user in users {
            findings.add_symptom(match state {
                SecretState::Missing => format!("gateway {user} serves no HTTPS: Secret {secret} is missing"),
                SecretState::Malformed => {
                    format!("gateway {user} serves no HTTPS: Secret {secret} has no certificate")
                }
                SecretState::Outdated { .. } => {
                    format!("gateway {user} serves a certificate that is not the vault's newest")
                }
                SecretState::InSync => continue,
            });
        }
    }

    /// Returns the cause of the Secret's state.
    fn cause(&self, state: &SecretState) -> Finding {
        let description = match state {
            SecretState::Missing => format!("Secret {}/{} does not exist", self.namespace, self.name),
            SecretState::Malformed => {
                format!("Secret {}/{} is not a TLS Secret with a certificate", self.namespace, self.name)
            }
            SecretState::Outdated { actual, newest } => {
                format!("Secret {} contains SHA-1 {actual}, but the vault's newest is {newest}", self.name)
            }
            SecretState::InSync => String::new(),
        };
        let failed_stage = self.is_synced().then(|| self.failed_stage(state)).flatten();
        failed_stage.unwrap_or_else(|| self.default_finding(state)).evidence(description)
    }

    /// Returns the failed stage of the sync from the vault.
    fn failed_stage(&self, state: &SecretState) -> Option<Finding> {
        let cluster = self.snapshot.cluster.as_ref().ok()?.as_ref()?;
        if let Some(off) = rotation_diagnosis::add_on(cluster) {
            return Some(off);
        }
        let outdated = matches!(state, SecretState::Outdated { .. });
        if let Some(off) = rotation_diagnosis::rotation(cluster).filter(|_| outdated) {
            return Some(off);
        }
        self.evaluate_stages(cluster, *state == SecretState::InSync)
    }

    fn evaluate_stages(&self, cluster: &Value, in_sync: bool) -> Option<Finding> {
        let body = self.snapshot.vault.as_ref().ok()?.as_ref()?;
        let vault = VaultRef {
            name: text(body, "/name").to_owned(),
            uri: text(body, "/properties/vaultUri").to_owned(),
            tenant: text(body, "/properties/tenantId").to_owned(),
        };
        let held = self.held();
        let context = RotationContext {
            cluster,
            vault: &vault,
            vault_body: Some(body),
            vaults: self.snapshot.vaults,
            certificate: &held,
            namespace: self.namespace,
            secret: self.name,
        };
        // A vault that refuses landfall may accept the nodes: an up-to-date Secret proves that.
        let version = match (&self.snapshot.versions, in_sync) {
            (Some(response), false) => rotation_diagnosis::evaluate_versions(response, &context),
            _ => Ok(newest(self.snapshot).cloned()),
        };
        let in_space = |read: &Objects| -> Vec<DynamicObject> {
            let all = read.as_deref().unwrap_or_default().iter();
            all.filter(|object| crate::object_fields::space(object) == self.namespace).cloned().collect()
        };
        let (classes, pods, events) = (
            in_space(&self.cluster_objects.secret_classes),
            in_space(&self.cluster_objects.pods),
            in_space(&self.cluster_objects.events),
        );
        let sync_data = SyncData { classes: &classes, pods: &pods, events: &events, version };
        let failed_stage = rotation_diagnosis::evaluate(&sync_data, &context)?;
        Some(match failed_stage.code {
            "VAULT_ACCESS_MISSING" => self.with_roles(failed_stage),
            "FEDERATED_CREDENTIAL_MISSING" => self.with_credentials(failed_stage),
            _ => failed_stage,
        })
    }

    /// Returns the class that syncs the Secret.
    fn class(&self) -> Option<&DynamicObject> {
        let classes = self.cluster_objects.secret_classes.as_deref().ok()?;
        classes.iter().find(|class| {
            crate::object_fields::space(class) == self.namespace
                && synced_secrets(class).any(|secret| secret == self.name)
        })
    }

    /// Returns the identity of the sync workload, if the class selects it.
    fn identity(&self) -> Option<&ManagedIdentity> {
        let identity = self.snapshot.identity.as_ref().ok()?.as_ref()?;
        match ClassIdentity::of(self.class()?) {
            ClassIdentity::Workload(client_id) if client_id.eq_ignore_ascii_case(&identity.client_id) => {
                Some(identity)
            }
            _ => None,
        }
    }

    /// Returns the claims of the tokens of the running pods that mount the class.
    fn presented(&self) -> Vec<Presented> {
        let cluster = self.snapshot.cluster.as_ref().ok().and_then(Option::as_ref);
        let issuer = cluster.map_or("", |cluster| text(cluster, "/properties/oidcIssuerProfile/issuerURL"));
        let class = self.class().map(name).unwrap_or_default();
        let pods = self.cluster_objects.pods.as_deref().unwrap_or_default().iter().filter(|pod| {
            crate::object_fields::space(pod) == self.namespace
                && is_running(pod)
                && mounted_classes(pod).any(|mounted| mounted == class)
        });
        let presented = |pod: &DynamicObject| {
            let account = match text(&pod.data, "/spec/serviceAccountName") {
                "" => "default",
                account => account,
            };
            Presented {
                issuer: issuer.to_owned(),
                subject: format!("system:serviceaccount:{}:{account}", self.namespace),
                audience: AUDIENCE.to_owned(),
            }
        };
        pods.map(presented).collect()
    }

    /// Returns the fault of the sync workload's identity: it is gone, or it trusts no pod of the workload.
    fn identity_fault(&self) -> Option<Finding> {
        let ClassIdentity::Workload(client_id) = ClassIdentity::of(self.class()?) else { return None };
        let wanted = self.snapshot.environment.identity_name.as_ref()?;
        let Ok(found) = &self.snapshot.identity else { return None };
        let Some(identity) = found else {
            let finding = missing(&format!("the managed identity {wanted}"));
            return Some(finding.evidence(format!("parameters.clientID of the class is {client_id}")));
        };
        // A class with another identity is one that the user chose.
        if !client_id.eq_ignore_ascii_case(&identity.client_id) {
            return None;
        }
        let is_trusted = |presented: &Presented| {
            identity.credentials.iter().any(|one| one.trusts(&presented.issuer, &presented.subject))
        };
        let presented = self.presented();
        let refused = presented.iter().find(|presented| !is_trusted(presented))?;
        let finding = not_trusted(&format!("the managed identity {}", identity.name));
        Some(self.with_credentials(finding.evidence(refused.describe())))
    }

    fn with_credentials(&self, finding: Finding) -> Finding {
        let Some(identity) = self.identity() else { return finding };
        match identity.credentials.as_slice() {
            [] => finding.evidence(format!("the managed identity {} has no credential", identity.name)),
            all => all.iter().fold(finding, |finding, one| finding.evidence(describe(one))),
        }
    }

    /// Returns the vault's current certificate, as far as it could be read.
    fn held(&self) -> CertificateRef {
        CertificateRef {
            name: self.snapshot.environment.certificate_name.clone(),
            version: newest(self.snapshot).map(|newest| newest.version.clone()).unwrap_or_default(),
        }
    }

    /// Returns the identity that reads the vault for display, its object id, and the number of its roles there.
    fn roles(&self) -> Option<(String, &str, usize)> {
        let cluster = self.snapshot.cluster.as_ref().ok()?.as_ref()?;
        let vault = self.snapshot.vault.as_ref().ok()?.as_ref()?;
        if vault["properties"]["enableRbacAuthorization"] != true {
            return None;
        }
        let add_on = "/properties/addonProfiles/azureKeyvaultSecretsProvider/identity/objectId";
        let (noun, identity) = match (ClassIdentity::of(self.class()?), self.identity()) {
            (ClassIdentity::Node, _) => ("the add-on's identity".to_owned(), text(cluster, add_on)),
            (_, Some(identity)) => {
                (format!("the managed identity {}", identity.name), identity.object_id.as_str())
            }
            (ClassIdentity::Workload(_), None) => return None,
        };
        if identity.is_empty() {
            return None;
        }
        let held = self.snapshot.assignments.as_ref().ok()?.iter();
        Some((noun, identity, held.filter(|one| one.principal.eq_ignore_ascii_case(identity)).count()))
    }

    fn with_roles(&self, failed_stage: Finding) -> Finding {
        let Some((noun, identity, count)) = self.roles() else { return failed_stage };
        let vault = &self.snapshot.environment.vault_name;
        failed_stage.evidence(format!("role assignments of {noun} ({identity}) at {vault}: {count}"))
    }

    /// Returns the fault in the sync of an up-to-date Secret, because of which the next certificate will not
    /// arrive.
    fn latent_fault(&self) -> Option<Finding> {
        if !self.is_synced() {
            return None;
        }
        let cluster = self.snapshot.cluster.as_ref().ok()?.as_ref()?;
        let failed_stage = self
            .failed_stage(&SecretState::InSync)
            .or_else(|| rotation_diagnosis::rotation(cluster))
            .or_else(|| self.identity_fault())
            .or_else(|| {
                let (noun, _, count) = self.roles()?;
                let finding = Finding::new(
                    "VAULT_ACCESS_MISSING",
                    format!("{noun} may not read {}", self.snapshot.environment.vault_name),
                    format!(
                        "landfall up: it grants {}, which takes effect within minutes",
                        Role::SECRETS_USER.name
                    ),
                );
                (count == 0).then(|| self.with_roles(finding))
            })?;
        let description =
            format!("Secret {} is in sync now, but the next certificate will not reach it", self.name);
        Some(failed_stage.evidence(description))
    }

    fn default_finding(&self, state: &SecretState) -> Finding {
        let (namespace, secret) = (self.namespace, self.name);
        match state {
            SecretState::Missing if !self.is_synced() => Finding::new(
                "TLS_SECRET_MISSING",
                format!("a listener names Secret {secret}, which nothing creates"),
                format!(
                    "name {} in the listener's certificateRefs, as landfall up does; or create {secret}",
                    self.snapshot.environment.tls_secret.name
                ),
            ),
            SecretState::Missing => Finding::new(
                "TLS_SECRET_MISSING",
                format!("Secret {secret} is missing, though every part of its sync is correct"),
                format!(
                    "kubectl -n {namespace} rollout restart deployment tls-secret-sync: a new mount creates \
                     it at once"
                ),
            ),
            SecretState::Malformed => Finding::new(
                "TLS_SECRET_MALFORMED",
                format!("Secret {secret} contains no certificate"),
                format!(
                    "kubectl -n {namespace} delete secret {secret}, then landfall up: the driver recreates it"
                ),
            ),
            SecretState::Outdated { .. } | SecretState::InSync => Finding::new(
                "TLS_SECRET_BEHIND",
                format!("the driver has not synced the new certificate to Secret {secret} yet"),
                "wait: the driver polls every two minutes, and from version 1.6 on it may take four; \
                 landfall up waits for it",
            ),
        }
    }
}
