//! Verification from outside: requests as a client sends them, by address, with the right name in TLS and
//! `Host`.
//!
//! The requests are derived from the Gateways and HTTPRoutes that the settings select (`promise`), not from
//! those in the cluster. A deleted rule therefore fails its check. The gateways' addresses, the vault's
//! certificate, the Secret and the records are read live. To add a check: a [`CheckId`], a file with its
//! `check`, and a line in `Verification::one`.
//!
//! A failed check is repeated until [`Bounds::patience`] has passed, because a change reaches the gateways
//! with a delay. Every request has the timeout [`Bounds::answer`]. Both are real time, because the network is
//! not time-scaled.

mod asked;
pub mod binomial;
mod canary;
mod finding;
mod here;
mod precedence;
mod promise;
mod reachable;
mod read_error;
mod records;
mod scene;
mod secret;
mod served;
mod workload;

pub use finding::{CheckId, Checked, State};
pub use read_error::{ReadError, ReadFailure};

use crate::{
    http_probe::{Client, Limits},
    object_fields::space,
    peer_certificate::Trust,
    route_model::{self, Gate, Route},
    secret_model::synced_secrets,
};
use finding::Finding;
use landfall_cloud::{
    Clouds, ReadyCluster, Ways,
    certificate::Leaf,
    environment::{CertificateRef, Environment, PublishedRecords, VaultRef},
    vault::Stored,
};
use promise::{Promises, Set};
use scene::Scene;
use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};
use tokio::time::{Instant, MissedTickBehavior};
use workload::Workloads;

/// The interval of the progress reports on pending checks.
const HEARTBEAT: Duration = Duration::from_secs(2);
/// The maximum number of open connections.
const CONNECTIONS_MAX: usize = 16;
/// The pause between two rounds.
const PAUSE: Duration = Duration::from_millis(500);

/// Timeouts, in real time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// The timeout of each phase of a request: connection, handshake, response.
    pub answer: Duration,
    /// The time after the start during which a failed check is repeated.
    pub patience: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { answer: Duration::from_secs(5), patience: Duration::from_secs(15) }
    }
}

/// The checks of one environment, and their input.
pub struct Verification<'a> {
    clouds: &'a Clouds,
    bounds: Bounds,
    cluster: ReadyCluster,
    vault: VaultRef,
    held: CertificateRef,
    published: Option<PublishedRecords>,
    gates: Vec<Gate>,
    workloads: Workloads,
    fed: BTreeSet<(String, String)>,
    promises: Promises,
    hosts: Vec<Vec<String>>,
    nonce: String,
}

/// The result of a verification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Every check, in the order of [`CheckId::ALL`].
    pub checks: Vec<Checked>,
    /// The duration, in real time.
    pub took: Duration,
}

impl Verdict {
    /// Returns whether every applicable check passes.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.checks.iter().all(|one| matches!(one.state, State::Ok | State::Skipped))
    }

    /// Returns the failed checks, without the blocked ones.
    pub fn failed(&self) -> impl Iterator<Item = CheckId> {
        self.checks.iter().filter(|one| one.state == State::Failed).map(|one| one.check)
    }
}

impl<'a> Verification<'a> {
    /// Derives the requests; `None` if the environment has no cluster or no certificate yet.
    #[must_use]
    pub fn new(clouds: &'a Clouds, environment: &Environment, bounds: Bounds) -> Option<Self> {
        let cluster = environment.cluster.clone()?;
        let vault = environment.vault.clone()?;
        let held = environment.certificate.clone()?;
        let (gates, routes): (Vec<Gate>, Vec<Route>) = route_model::read(&environment.gateways);
        let workloads = Workloads::read(&environment.apps);
        let fed = fed(environment, &held);
        let nonce = uuid::Uuid::new_v4().simple().to_string()[..12].to_owned();
        let set = Set { gates: &gates, routes: &routes, workloads: &workloads, fed: &fed, nonce: &nonce };
        let promises = set.promises();
        let hosts = gates.iter().map(|gate| set.known_hosts(gate)).collect();
        let published = environment.published.clone();
        Some(Self {
            clouds,
            bounds,
            cluster,
            vault,
            held,
            published,
            gates,
            workloads,
            fed,
            promises,
            hosts,
            nonce,
        })
    }

    /// Runs all checks, and repeats the failed ones until they pass or [`Bounds::patience`] has passed.
    /// `ways` returns the address overrides; `tell` regularly receives the pending checks and the elapsed
    /// time.
    ///
    /// # Errors
    /// Returns an error if the cluster, the vault or the gateways' addresses cannot be read at all.
    pub async fn run(
        &self,
        ways: impl AsyncFn() -> Ways,
        tell: &dyn Fn(&[CheckId], Duration),
    ) -> Result<Verdict, ReadError> {
        let began = Instant::now();
        let pending = RefCell::new(BTreeSet::from(CheckId::ALL));
        let mut beats = tokio::time::interval_at(began + HEARTBEAT, HEARTBEAT);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut rounds = std::pin::pin!(self.rounds(&ways, began, &pending));
        let found = loop {
            tokio::select! {
                biased;
                found = &mut rounds => break found?,
                _ = beats.tick() => {
                    let pending: Vec<CheckId> = pending.borrow().iter().copied().collect();
                    tell(&pending, began.elapsed());
                }
            }
        };
        Ok(Verdict { checks: finding::judge(found), took: began.elapsed() })
    }

    async fn rounds(
        &self,
        ways: &impl AsyncFn() -> Ways,
        began: Instant,
        pending: &RefCell<BTreeSet<CheckId>>,
    ) -> Result<BTreeMap<CheckId, Finding>, ReadError> {
        let opened = self.clouds.clusters.open(&self.cluster).await;
        let opened =
            opened.map_err(|error| ReadError::api(format!("open cluster {}", self.cluster.name), error))?;
        let limits = Limits {
            timeout: self.bounds.answer,
            connections: CONNECTIONS_MAX,
            user_agent: "landfall-verify",
        };
        let mut found = BTreeMap::new();
        let mut trust: Option<Arc<Trust>> = None;
        loop {
            let (stored, addresses) =
                futures::try_join!(self.stored(), scene::addresses(&opened, &self.gates))?;
            let leaf =
                Leaf::from_der(&stored.cer).map_err(|error| self.failed(ReadFailure::Unreadable(error)))?;
            // Loading the system's root certificates is slow, so it happens once per certificate.
            let trusted = trust.take().filter(|trust| trust.is_in(&stored.cer));
            let trusted = trusted.unwrap_or_else(|| Arc::new(Trust::new(&stored.cer, leaf)));
            let scene = Scene {
                client: Client::new(ways().await, Some(trusted.clone()), limits),
                trust: trusted.clone(),
                opened: &opened,
                gates: &self.gates,
                promises: &self.promises,
                workloads: &self.workloads,
                stored: &stored,
                addresses,
            };
            let asked: Vec<CheckId> = pending.borrow().iter().copied().collect();
            let scene = &scene;
            let looks = asked.into_iter().map(|check| async move {
                let one = self.one(scene, check).await;
                if !matches!(one, Finding::Broken(_)) {
                    pending.borrow_mut().remove(&check);
                }
                (check, one)
            });
            found.extend(futures::future::join_all(looks).await);
            if pending.borrow().is_empty() || began.elapsed() + PAUSE >= self.bounds.patience {
                return Ok(found);
            }
            trust = Some(trusted);
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn one(&self, scene: &Scene<'_>, check: CheckId) -> Finding {
        match check {
            CheckId::Gateways => reachable::check(scene).await,
            CheckId::TlsSecret => secret::check(scene.opened, &self.gates, &self.fed).await,
            CheckId::Certificate => served::check(scene).await,
            CheckId::Canary => canary::check(scene).await,
            CheckId::Dns => {
                records::check(scene, &self.clouds.azure, self.published.as_ref(), &self.hosts).await
            }
            CheckId::CatchAll
            | CheckId::AnyPath
            | CheckId::Redirect
            | CheckId::HeaderRouting
            | CheckId::PathRouting => asked::check(scene, check, &self.nonce).await,
        }
    }

    async fn stored(&self) -> Result<Stored, ReadError> {
        let asked = async { self.clouds.vaults.at(&self.vault.uri)?.certificate(&self.held.name).await };
        let stored = asked.await.map_err(|error| self.failed(ReadFailure::Api(Box::new(error))))?;
        stored.ok_or_else(|| self.failed(ReadFailure::CertificateMissing))
    }

    fn failed(&self, why: ReadFailure) -> ReadError {
        let what = format!("read certificate {} in {}", self.held.name, self.vault.name);
        ReadError { what, why }
    }
}

/// Returns the Secrets that contain the vault's certificate: those of a class that references it.
fn fed(environment: &Environment, held: &CertificateRef) -> BTreeSet<(String, String)> {
    let classes = environment.tls.iter().map(|manifest| &manifest.object).filter(|object| {
        let objects = object.data["spec"]["parameters"]["objects"].as_str().unwrap_or_default();
        objects.contains(&held.name)
    });
    let made = classes.flat_map(|class| {
        synced_secrets(class).map(|secret| (space(class).to_owned(), secret.to_owned())).collect::<Vec<_>>()
    });
    made.collect()
}
