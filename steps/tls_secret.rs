//! The TLS Secret: a SecretProviderClass and a workload that holds it open, until the Secret in
//! the cluster carries the vault's certificate.

use crate::{
    apps::await_deployments,
    certificate::HeldCertificate,
    clouds::{Clouds, Clusters, Opened},
    cluster_ready::ReadyCluster,
    doing::Doing,
    key_vault::Vault,
    manifests::{Manifests, TlsNames},
    objects::{self, Applied},
    settings::Settings,
    watching::{self, Watched},
};
use landfall_cloud::{
    certificate::Leaf,
    kubernetes::{DynamicObject, Kind, Selection, manifest::Manifest, readiness},
};
use landfall_engine::{Check, Context, Seen, Step, StepError, Undone, Wait};
use std::time::{Duration, SystemTime};

/// The Secret that the gateways' listeners name.
pub const SECRET: &str = "gateway-tls-secret";
const NAMESPACE: &str = "default";

/// Brings the Secret about.
pub struct TlsSecret {
    clusters: Clusters,
    manifests: Manifests,
    /// More than the leaf was handed to us, so the chain must reach the gateway too.
    chain_given: bool,
}

impl TlsSecret {
    /// Returns the step for these settings.
    #[must_use]
    pub fn new(c: &Clouds, s: &Settings) -> Self {
        Self {
            clusters: c.clusters.clone(),
            manifests: Manifests::new(s),
            chain_given: s.certificate.given.as_ref().is_some_and(|given| given.leaf().chain_length > 1),
        }
    }

    async fn open(&self, cluster: &ReadyCluster) -> Result<Opened, StepError> {
        self.clusters.open(cluster).await.doing(format!("open cluster {}", cluster.name))
    }

    fn wanted(&self, (cluster, held, vault, ()): &<Self as Step>::Input) -> Vec<Manifest> {
        self.manifests.tls(&TlsNames {
            identity: &cluster.secrets,
            vault: &vault.name,
            tenant: &vault.tenant,
            certificate: &held.name,
            // One that somebody else issued may have a chain even when nobody handed it to us.
            with_chain: self.chain_given || !held.self_signed,
        })
    }
}

impl Step for TlsSecret {
    type Input = (ReadyCluster, HeldCertificate, Vault, ());
    type Output = Applied;

    fn title(&self) -> String {
        format!("Secret {SECRET}")
    }

    fn deadline(&self) -> Duration {
        Duration::from_secs(1200)
    }

    fn usual(&self) -> Duration {
        Duration::from_secs(75)
    }

    async fn check(&self, cx: &Context, input: &Self::Input) -> Result<Check<Applied>, StepError> {
        let opened = self.open(&input.0).await?;
        let wanted = self.wanted(input);
        let (standing, secret) = futures::join!(objects::look(&opened.api, &wanted), async {
            opened.api.get(&Kind::SECRET, Some(NAMESPACE), SECRET).await
        },);
        let secret = secret.doing(format!("look at Secret {SECRET}"))?;
        let live = match standing?.check() {
            Ok(live) => live,
            Err(Check::Differs { changes }) => return Ok(Check::Differs { changes }),
            Err(_) => return Ok(Check::Missing),
        };
        if !secret.as_ref().is_some_and(|secret| carries(secret, &input.1.thumbprint)) {
            return Ok(Check::Underway);
        }
        Ok(Check::Ready(objects::references(cx, &opened, cx.output("tls-secret"), &live).await?))
    }

    async fn apply(&self, cx: &Context, input: &Self::Input) -> Result<Applied, StepError> {
        let opened = self.open(&input.0).await?;
        let wanted = self.wanted(input);
        let applied = objects::apply(cx, &opened, cx.output("tls-secret"), &wanted).await?;
        let secret = await_secret(cx, &opened, &input.1.thumbprint).await?;
        let workload = await_deployments(cx, &opened, &wanted).await?;
        cx.ended_at(workload.map_or(secret, |workload| workload.max(secret)));
        Ok(applied)
    }

    async fn recover(&self, cx: &Context, input: &Self::Input) -> Result<Option<Applied>, StepError> {
        objects::recover(cx, &self.clusters, &input.0, &self.wanted(input)).await
    }

    fn part_of(&self) -> Option<&'static str> {
        Some("cluster-ready")
    }

    async fn undo(&self, cx: &Context, applied: Applied) -> Result<Undone, StepError> {
        objects::undo(cx, &self.clusters, &applied).await
    }
}

/// Watches the Secret, and the events that say why it does not come.
async fn await_secret(cx: &Context, opened: &Opened, thumbprint: &str) -> Result<SystemTime, StepError> {
    let wait =
        Wait::new("the Secret to carry the certificate", Duration::from_secs(70), Duration::from_secs(900));
    let seen = Seen::new();
    seen.set("waiting for the driver to mount the certificate");
    let space = Some(NAMESPACE);
    let secrets = Watched { kind: &Kind::SECRET, space, selection: Selection::Name(SECRET) };
    let events = Watched { kind: &Kind::EVENT, space, selection: Selection::All };
    let secret = watching::until(&opened.api, secrets, &seen, "watch Secret gateway-tls-secret", |all| {
        all.iter()
            .find(|secret| carries(secret, thumbprint))
            .map(|secret| readiness::changed_at(secret).unwrap_or_else(SystemTime::now))
    });
    let reasons = watching::until(&opened.api, events, &seen, "watch the events", |events| {
        if let Some(reason) = events.iter().filter_map(mount_failure).max() {
            seen.set(reason.1);
        }
        None::<SystemTime>
    });
    let first = async {
        let ended = futures::future::select(Box::pin(secret), Box::pin(reasons)).await;
        match ended {
            futures::future::Either::Left((secret, _)) => secret,
            futures::future::Either::Right((reasons, _)) => reasons,
        }
    };
    cx.attend(wait, &seen, first).await.map_err(|error| {
        error.hint(
            "the driver tells why in the events of the tls-secret-sync pods; a role may need minutes more",
        )
    })
}

/// The latest reason why the certificate could not be mounted, in a person's words.
fn mount_failure(event: &DynamicObject) -> Option<(String, String)> {
    let reason = event.data["reason"].as_str()?;
    if !matches!(reason, "FailedMount" | "FailedToCreateSecret") {
        return None;
    }
    let at = event.data["lastTimestamp"].as_str().unwrap_or_default().to_owned();
    let message = event.data["message"].as_str().unwrap_or_default();
    let words = if message.contains("403") {
        "the add-on's identity may not read the vault yet".to_owned()
    } else {
        let last = message.rsplit("err: ").next().unwrap_or(message);
        last.lines().next().unwrap_or_default().chars().take(120).collect()
    };
    Some((at, words))
}

/// Tells whether a Secret is a TLS Secret whose leaf has this thumbprint.
fn carries(secret: &DynamicObject, thumbprint: &str) -> bool {
    if secret.data["type"].as_str() != Some("kubernetes.io/tls") {
        return false;
    }
    let leaf = secret.data["data"]["tls.crt"].as_str().and_then(leaf);
    leaf.is_some_and(|leaf| leaf.thumbprint_sha1.eq_ignore_ascii_case(thumbprint))
}

fn leaf(encoded: &str) -> Option<Leaf> {
    use base64::Engine;
    let pem = base64::engine::general_purpose::STANDARD.decode(encoded).ok()?;
    Leaf::from_pem(&pem).ok()
}
