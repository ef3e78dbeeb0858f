//! Verification from outside: requests as a client sends them, by address, with the right name in TLS and
//! `Host`.
//!
//! The requests are derived from the Gateways and HTTPRoutes that the settings select (`expectations`), not from
//! those in the cluster. A deleted rule therefore fails its check. The gateways' addresses, the vault's
//! certificate, the Secret and the records are read live. To add a check: a [`CheckId`], a file with its
//! `check`, and a line in `Verification::one`.
//!
//! A failed check is repeated until [`VerifyTimeouts::retry_timeout`] has passed, because a change reaches the gateways
//! with a delay. Every request has the timeout [`VerifyTimeouts::request_phase`]. Both are real time, because the network is
//! not time-scaled.

mod backend_signature;
pub mod binomial;
mod canary;
mod context;
mod expectations;
mod outcome;
mod reachability;
mod read_error;
mod records;
mod request_checks;
mod rule_requests;
mod secret;
mod served_certificate;

pub use outcome::{CheckId, CheckReport, State};
pub use read_error::{ReadError, ReadFailure};

use crate::{
    http_probe::{Client, Limits},
    object_fields::space,
    peer_certificate::Trust,
    route_model::{self, Gateway, Route},
    secret_provider_class::synced_secrets,
};
use backend_signature::Workloads;
use context::CheckContext;
use expectations::{Expectations, Set};
use landfall_cloud::{
    AddressMap, Clients, ReadyCluster, Roots,
    certificate::Leaf,
    environment_description::{CertificateRef, Environment, PublishedRecords, VaultRef},
    vault::StoredCertificate,
};
use outcome::CheckOutcome;
use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};
use tokio::time::{Instant, MissedTickBehavior};

/// The interval of the progress reports on pending checks.
const HEARTBEAT: Duration = Duration::from_secs(2);
/// The maximum number of open connections.
const CONNECTIONS_MAX: usize = 16;
/// The pause between two rounds.
const PAUSE: Duration = Duration::from_millis(500);

/// Timeouts, in real time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VerifyTimeouts {
    /// The timeout of each phase of a request: connection, handshake, response.
    pub request_phase: Duration,
    /// The time after the start during which a failed check is repeated.
    pub retry_timeout: Duration,
}

impl Default for VerifyTimeouts {
    fn default() -> Self {
        Self { request_phase: Duration::from_secs(5), retry_timeout: Duration::from_secs(15) }
    }
}

/// The checks of one environment, and their input.
pub struct Verification<'a> {
    clients: &'a Clients,
    timeouts: VerifyTimeouts,
    cluster: ReadyCluster,
    vault: VaultRef,
    held: CertificateRef,
    published: Option<PublishedRecords>,
    roots: Option<Roots>,
    only: Option<CheckId>,
    gateways: Vec<Gateway>,
    workloads: Workloads,
    synced_secrets: BTreeSet<(String, String)>,
    expectations: Expectations,
    hosts: Vec<Vec<String>>,
    nonce: String,
}

/// The result of a verification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Every check, in the order of [`CheckId::ALL`].
    pub checks: Vec<CheckReport>,
    /// The duration, in real time.
    pub took: Duration,
}

impl Verdict {
    /// Returns whether every applicable check passes.
    #[must_use]
    pub fn passes(&self) -> bool {
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
    pub fn new(clients: &'a Clients, environment: &Environment, timeouts: VerifyTimeouts) -> Option<Self> {
        let cluster = environment.cluster.clone()?;
        let vault = environment.vault.clone()?;
        let held = environment.certificate.clone()?;
        let (gateways, routes): (Vec<Gateway>, Vec<Route>) = route_model::read(&environment.gateways);
        let workloads = Workloads::read(&environment.apps);
        let synced_secrets = secrets_with_certificate(environment, &held);
        let nonce = uuid::Uuid::new_v4().simple().to_string()[..12].to_owned();
        let set = Set {
            gateways: &gateways,
            routes: &routes,
            workloads: &workloads,
            synced_secrets: &synced_secrets,
            nonce: &nonce,
        };
        let expectations = set.expectations();
        let hosts = gateways.iter().map(|gateway| set.known_hosts(gateway)).collect();
        let published = environment.published.clone();
        Some(Self {
            clients,
            timeouts,
            cluster,
            vault,
            held,
            published,
            roots: environment.certificate_roots.clone(),
            only: None,
            gateways,
            workloads,
            synced_secrets,
            expectations,
            hosts,
            nonce,
        })
    }

    /// Returns the verification with a single check; the others are reported as not applicable.
    #[must_use]
    pub fn only(self, check: CheckId) -> Self {
        Self { only: Some(check), ..self }
    }

    /// Runs all checks, and repeats the failed ones until they pass or [`VerifyTimeouts::retry_timeout`] has passed.
    /// `ways` returns the address overrides; `tell` regularly receives the pending checks and the elapsed
    /// time.
    ///
    /// # Errors
    /// Returns an error if the cluster, the vault or the gateways' addresses cannot be read at all.
    pub async fn run(
        &self,
        address_map: impl AsyncFn() -> AddressMap,
        report_progress: &dyn Fn(&[CheckId], Duration),
    ) -> Result<Verdict, ReadError> {
        let began = Instant::now();
        let pending = RefCell::new(BTreeSet::from(CheckId::ALL));
        let mut heartbeats = tokio::time::interval_at(began + HEARTBEAT, HEARTBEAT);
        heartbeats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut rounds = std::pin::pin!(self.rounds(&address_map, began, &pending));
        let found = loop {
            tokio::select! {
                biased;
                found = &mut rounds => break found?,
                _ = heartbeats.tick() => {
                    let pending: Vec<CheckId> = pending.borrow().iter().copied().collect();
                    report_progress(&pending, began.elapsed());
                }
            }
        };
        Ok(Verdict { checks: outcome::evaluate(found), took: began.elapsed() })
    }

    async fn rounds(
        &self,
        address_map: &impl AsyncFn() -> AddressMap,
        began: Instant,
        pending: &RefCell<BTreeSet<CheckId>>,
    ) -> Result<BTreeMap<CheckId, CheckOutcome>, ReadError> {
        let session = self.clients.clusters.open(&self.cluster).await;
        let session =
            session.map_err(|error| ReadError::api(format!("open cluster {}", self.cluster.name), error))?;
        let limits = Limits {
            timeout: self.timeouts.request_phase,
            connections: CONNECTIONS_MAX,
            user_agent: "landfall-verify",
        };
        let mut found = BTreeMap::new();
        let mut trust: Option<Arc<Trust>> = None;
        loop {
            let (stored, addresses) =
                futures::try_join!(self.stored(), context::addresses(&session, &self.gateways))?;
            let leaf =
                Leaf::from_der(&stored.cer).map_err(|error| self.failed(ReadFailure::Unreadable(error)))?;
            // Loading the system's root certificates is slow, so it happens once per certificate.
            let trusted = trust.take().filter(|trust| trust.is_pinned_to(&stored.cer));
            let trusted = trusted.unwrap_or_else(|| {
                Arc::new(Trust::new(&stored.cer, leaf, self.roots.as_ref(), self.clients.clock()))
            });
            let context = CheckContext {
                client: Client::new(address_map().await, Some(trusted.clone()), limits),
                trust: trusted.clone(),
                session: &session,
                gateways: &self.gateways,
                expectations: &self.expectations,
                workloads: &self.workloads,
                stored: &stored,
                addresses,
            };
            let request_checks: Vec<CheckId> = pending.borrow().iter().copied().collect();
            let context = &context;
            let runs = request_checks.into_iter().map(|check| async move {
                let one = self.run_check(context, check).await;
                if !matches!(one, CheckOutcome::Failed(_)) {
                    pending.borrow_mut().remove(&check);
                }
                (check, one)
            });
            found.extend(futures::future::join_all(runs).await);
            if pending.borrow().is_empty() || began.elapsed() + PAUSE >= self.timeouts.retry_timeout {
                return Ok(found);
            }
            trust = Some(trusted);
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn run_check(&self, context: &CheckContext<'_>, check: CheckId) -> CheckOutcome {
        if self.only.is_some_and(|only| only != check) {
            return CheckOutcome::NotApplicable("not requested".to_owned());
        }
        match check {
            CheckId::Gateways => reachability::check(context).await,
            CheckId::TlsSecret => secret::check(context.session, &self.gateways, &self.synced_secrets).await,
            CheckId::Certificate => served_certificate::check(context).await,
            CheckId::Canary => canary::check(context).await,
            CheckId::Dns => {
                records::check(context, &self.clients.azure, self.published.as_ref(), &self.hosts).await
            }
            CheckId::CatchAll
            | CheckId::AnyPath
            | CheckId::Redirect
            | CheckId::HeaderRouting
            | CheckId::PathRouting => request_checks::check(context, check, &self.nonce).await,
        }
    }

    async fn stored(&self) -> Result<StoredCertificate, ReadError> {
        let request_checks =
            async { self.clients.vaults.at(&self.vault.uri)?.certificate(&self.held.name).await };
        let stored = request_checks.await.map_err(|error| self.failed(ReadFailure::Api(Box::new(error))))?;
        stored.ok_or_else(|| self.failed(ReadFailure::CertificateMissing))
    }

    fn failed(&self, why: ReadFailure) -> ReadError {
        let what = format!("read certificate {} in {}", self.held.name, self.vault.name);
        ReadError { what, why }
    }
}

/// Returns the Secrets that contain the vault's certificate: those of a class that references it.
fn secrets_with_certificate(environment: &Environment, held: &CertificateRef) -> BTreeSet<(String, String)> {
    let classes = environment.tls.iter().map(|manifest| &manifest.object).filter(|object| {
        let objects = object.data["spec"]["parameters"]["objects"].as_str().unwrap_or_default();
        objects.contains(&held.name)
    });
    let secrets = classes.flat_map(|class| {
        synced_secrets(class).map(|secret| (space(class).to_owned(), secret.to_owned())).collect::<Vec<_>>()
    });
    secrets.collect()
}
