//! Checks of the Secrets that the listeners name: present, equal to the vault's certificate, and kept in
//! sync.

use super::{
    Finding,
    certificate::{CERTIFICATE, newest},
    picture::Picture,
    walk::Walk,
};
use crate::{
    object_fields::{name, text},
    rotation_links::{self, Links, Reading},
    route_model::Gate,
    secret_model::synced_secrets,
    snapshot::{ClusterSnapshot, Objects},
};
use landfall_cloud::{
    arm::Role,
    environment::{CertificateRef, VaultRef},
    kubernetes::{DynamicObject, tls_secret::thumbprint},
};
use serde_json::Value;

/// The state of a Secret.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Standing {
    Missing,
    /// The object exists, but is not a TLS Secret with a certificate.
    Malformed,
    /// The Secret contains another certificate than the vault's newest.
    Behind {
        carries: String,
        newest: String,
    },
    Sound,
}

pub(super) fn judge(p: &Picture<'_>, inside: &ClusterSnapshot, walk: &mut Walk) {
    for ((namespace, secret), read) in &inside.secrets {
        let Ok(object) = read else { continue };
        let gateways = inside.gateways.as_deref().unwrap_or_default();
        let place = (namespace.clone(), secret.clone());
        let users: Vec<&str> = gateways
            .iter()
            .filter(|gateway| Gate::read(gateway).secrets().any(|secret| secret == place))
            .map(name)
            .collect();
        let way = Secret { p, inside, namespace, name: secret };
        let standing = way.standing(object.as_ref());
        if standing == Standing::Sound {
            if let Some(stuck) = way.threat() {
                walk.later(stuck);
            }
            continue;
        }
        way.tell(&standing, &users, walk);
        if !walk.explains(CERTIFICATE) {
            walk.name(way.cause(&standing));
        }
        if standing == Standing::Missing || standing == Standing::Malformed {
            users.iter().for_each(|user| walk.explain(format!("{user}:443")));
        }
        users.iter().for_each(|user| walk.explain(format!("{user}:certificate")));
    }
}

struct Secret<'a> {
    p: &'a Picture<'a>,
    inside: &'a ClusterSnapshot,
    namespace: &'a str,
    name: &'a str,
}

impl Secret<'_> {
    fn standing(&self, object: Option<&DynamicObject>) -> Standing {
        let Some(object) = object else { return Standing::Missing };
        let Some(carries) = thumbprint(object) else { return Standing::Malformed };
        match newest(self.p).filter(|_| self.is_synced()) {
            Some(newest) if newest.thumbprint_sha1_hex != carries => {
                Standing::Behind { carries, newest: newest.thumbprint_sha1_hex.clone() }
            }
            _ => Standing::Sound,
        }
    }

    /// Returns whether the driver syncs the Secret: a class names it, or it is landfall's own Secret.
    fn is_synced(&self) -> bool {
        let makes = |class: &DynamicObject| synced_secrets(class).any(|secret| secret == self.name);
        let own = &self.p.environment.tls_secret;
        let ours = (self.namespace, self.name) == (own.namespace.as_str(), own.name.as_str());
        ours || self.inside.secret_classes.as_deref().unwrap_or_default().iter().any(makes)
    }

    fn tell(&self, standing: &Standing, users: &[&str], walk: &mut Walk) {
        let secret = self.name;
        for user in users {
            walk.symptom(match standing {
                Standing::Missing => format!("gateway {user} serves no HTTPS: Secret {secret} is missing"),
                Standing::Malformed => {
                    format!("gateway {user} serves no HTTPS: Secret {secret} has no certificate")
                }
                Standing::Behind { .. } => {
                    format!("gateway {user} serves a certificate that is not the vault's newest")
                }
                Standing::Sound => continue,
            });
        }
    }

    /// Returns the cause of the Secret's state.
    fn cause(&self, standing: &Standing) -> Finding {
        let told = match standing {
            Standing::Missing => format!("Secret {}/{} does not exist", self.namespace, self.name),
            Standing::Malformed => {
                format!("Secret {}/{} is not a TLS Secret with a certificate", self.namespace, self.name)
            }
            Standing::Behind { carries, newest } => {
                format!("Secret {} contains SHA-1 {carries}, but the vault's newest is {newest}", self.name)
            }
            Standing::Sound => String::new(),
        };
        let stuck = self.is_synced().then(|| self.stuck(standing)).flatten();
        stuck.unwrap_or_else(|| self.unexplained(standing)).evidence(told)
    }

    /// Returns the failed stage of the sync from the vault.
    fn stuck(&self, standing: &Standing) -> Option<Finding> {
        let cluster = self.p.cluster.as_ref().ok()?.as_ref()?;
        if let Some(off) = rotation_links::add_on(cluster) {
            return Some(off);
        }
        let behind = matches!(standing, Standing::Behind { .. });
        if let Some(off) = rotation_links::rotation(cluster).filter(|_| behind) {
            return Some(off);
        }
        self.judged(cluster, *standing == Standing::Sound)
    }

    fn judged(&self, cluster: &Value, sound: bool) -> Option<Finding> {
        let body = self.p.vault.as_ref().ok()?.as_ref()?;
        let vault = VaultRef {
            name: text(body, "/name").to_owned(),
            uri: text(body, "/properties/vaultUri").to_owned(),
            tenant: text(body, "/properties/tenantId").to_owned(),
        };
        let held = self.held();
        let links = Links {
            cluster,
            vault: &vault,
            vault_body: Some(body),
            vaults: self.p.vaults,
            certificate: &held,
            namespace: self.namespace,
            secret: self.name,
        };
        // A vault that refuses landfall may accept the nodes: an up-to-date Secret proves that.
        let version = match (&self.p.versions, sound) {
            (Some(asked), false) => rotation_links::answer(asked, &links),
            _ => Ok(newest(self.p).cloned()),
        };
        let in_space = |read: &Objects| -> Vec<DynamicObject> {
            let all = read.as_deref().unwrap_or_default().iter();
            all.filter(|object| crate::object_fields::space(object) == self.namespace).cloned().collect()
        };
        let (classes, pods, events) = (
            in_space(&self.inside.secret_classes),
            in_space(&self.inside.pods),
            in_space(&self.inside.events),
        );
        let reading = Reading { classes: &classes, pods: &pods, events: &events, version };
        let stuck = rotation_links::judge(&reading, &links)?;
        Some(if stuck.code == "VAULT_ACCESS_MISSING" { self.with_roles(stuck) } else { stuck })
    }

    /// Returns the vault's current certificate, as far as it could be read.
    fn held(&self) -> CertificateRef {
        CertificateRef {
            name: self.p.environment.certificate_name.clone(),
            version: newest(self.p).map(|newest| newest.version.clone()).unwrap_or_default(),
        }
    }

    /// Returns the object id of the add-on's identity, and the number of its roles at the vault.
    fn roles(&self) -> Option<(&str, usize)> {
        let cluster = self.p.cluster.as_ref().ok()?.as_ref()?;
        let vault = self.p.vault.as_ref().ok()?.as_ref()?;
        if vault["properties"]["enableRbacAuthorization"] != true {
            return None;
        }
        let add_on = "/properties/addonProfiles/azureKeyvaultSecretsProvider/identity/objectId";
        let identity = Some(text(cluster, add_on)).filter(|id| !id.is_empty())?;
        let held = self.p.assignments.as_ref().ok()?.iter();
        Some((identity, held.filter(|one| one.principal.eq_ignore_ascii_case(identity)).count()))
    }

    fn with_roles(&self, stuck: Finding) -> Finding {
        let Some((identity, count)) = self.roles() else { return stuck };
        let vault = &self.p.environment.vault_name;
        stuck.evidence(format!("role assignments of the add-on's identity {identity} at {vault}: {count}"))
    }

    /// Returns the fault in the sync of an up-to-date Secret, because of which the next certificate will not
    /// arrive.
    fn threat(&self) -> Option<Finding> {
        if !self.is_synced() {
            return None;
        }
        let cluster = self.p.cluster.as_ref().ok()?.as_ref()?;
        let stuck =
            self.stuck(&Standing::Sound).or_else(|| rotation_links::rotation(cluster)).or_else(|| {
                let (_, count) = self.roles()?;
                let finding = Finding::new(
                    "VAULT_ACCESS_MISSING",
                    format!("the add-on's identity may not read {}", self.p.environment.vault_name),
                    format!(
                        "landfall up: it grants {}, which takes effect within minutes",
                        Role::SECRETS_USER.name
                    ),
                );
                (count == 0).then(|| self.with_roles(finding))
            })?;
        let told = format!("Secret {} is in sync now, but the next certificate will not reach it", self.name);
        Some(stuck.evidence(told))
    }

    fn unexplained(&self, standing: &Standing) -> Finding {
        let (namespace, secret) = (self.namespace, self.name);
        match standing {
            Standing::Missing if !self.is_synced() => Finding::new(
                "TLS_SECRET_MISSING",
                format!("a listener names Secret {secret}, which nothing creates"),
                format!(
                    "name {} in the listener's certificateRefs, as landfall up does; or create {secret}",
                    self.p.environment.tls_secret.name
                ),
            ),
            Standing::Missing => Finding::new(
                "TLS_SECRET_MISSING",
                format!("Secret {secret} is missing, though every part of its sync is correct"),
                format!(
                    "kubectl -n {namespace} rollout restart deployment tls-secret-sync: a new mount creates \
                     it at once"
                ),
            ),
            Standing::Malformed => Finding::new(
                "TLS_SECRET_MALFORMED",
                format!("Secret {secret} contains no certificate"),
                format!(
                    "kubectl -n {namespace} delete secret {secret}, then landfall up: the driver recreates it"
                ),
            ),
            Standing::Behind { .. } | Standing::Sound => Finding::new(
                "TLS_SECRET_BEHIND",
                format!("the driver has not synced the new certificate to Secret {secret} yet"),
                "wait: the driver polls every two minutes, and from version 1.6 on it may take four; \
                 landfall up waits for it",
            ),
        }
    }
}
