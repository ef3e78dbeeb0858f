//! One environment in one simulated cloud: its folder, its clients, and its runs, which may be cut short.

use crate::{settings, snapshot::Snapshot, transport::ObservedTransport};
use landfall_cloud::{
    ArmClient, Clock, Credential, Endpoints, RequestCounter, Roots, Secret, SignIn, SignInFacts, Vaults,
    arm::SubscriptionClient,
};
use landfall_diagnose::rotation_diagnosis::RotationDiagnosis;
use landfall_engine::{
    EnvironmentKey, Event, Graph, Journal, OpenError, Outcome, Report, Run, StepError, Stop, TimeScale, down,
    up,
};
use landfall_sim::{InProcess, Options, Speed, clock::SimTime, fault::Armed, state::CloudState};
use landfall_steps::{
    Clients, Clusters, RenewalTarget, deployment,
    settings::{Renewal, Settings, Teardown},
};
use std::{
    future::Future,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};
use tempfile::TempDir;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// The initial time of every simulated cloud: 23 November 2026, nine o'clock.
pub const START_TIME: SimTime = SimTime(1_795_424_400_000);

/// The command of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    Up,
    Down,
    /// A run like `Up` that requests another certificate: the given one, else a new self-signed one.
    Rotate,
    /// A renewal, as a process without a state folder runs it.
    Renew,
}

/// An environment and its simulated cloud.
pub struct Environment {
    pub sim: InProcess,
    pub transport: Arc<ObservedTransport>,
    pub settings: Settings,
    pub home: TempDir,
    pub teardown: Teardown,
}

/// The end of a run: with a report, or cut off where the traffic stopped.
pub enum End {
    Reported(Report, Vec<Event>),
    Cut,
}

/// Runs a future on one thread, with a clock that advances only while all tasks wait.
pub fn replayable<T>(seed: u64, run: impl Future<Output = T>) -> T {
    fastrand::seed(seed);
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap()
        .block_on(run)
}

/// Creates a folder in memory if possible: a run syncs its journal to disk about fifty times.
pub fn home() -> TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { TempDir::new_in(memory) } else { TempDir::new() }.unwrap()
}

/// Returns a fresh simulated cloud, created once: all differences between clouds come later.
pub fn fresh() -> CloudState {
    static FRESH: OnceLock<CloudState> = OnceLock::new();
    let make = || InProcess::state(&Options { seed: Some(7), ..Options::default() }, START_TIME).unwrap();
    FRESH.get_or_init(make).clone()
}

impl Environment {
    /// Creates an unused environment in this simulated cloud.
    pub fn new(sim: CloudState, at: SimTime, speed: Speed) -> Self {
        let sim = InProcess::resume(sim, at, speed).unwrap();
        let home = home();
        Self {
            transport: ObservedTransport::new(sim.clone()),
            settings: settings::demo(home.path()),
            sim,
            home,
            teardown: Teardown::default(),
        }
    }

    /// Restores an environment from a snapshot.
    pub fn from_snapshot(snapshot: &Snapshot, speed: Speed) -> Self {
        let env = Self::new(snapshot.sim.as_ref().clone(), snapshot.at, speed);
        snapshot.write_files(env.home.path());
        env
    }

    /// Resets to the state of a new process: no connection, and no state except its files.
    pub fn restart(&mut self) {
        self.transport = ObservedTransport::new(self.sim.clone());
    }

    /// Disarms all faults, and lets the traffic continue.
    pub fn clear_faults(&mut self) {
        self.restart();
        self.sim.change(|sim, _| sim.faults.armed.clear()).unwrap();
    }

    /// Appends a part of an entry to the journal, like a process that crashes during a write.
    pub async fn tear_journal(&self, part: f64) {
        // A cut-off task releases the journal at its next poll.
        tokio::task::yield_now().await;
        let path = self.state().join("journal.jsonl");
        let Ok(journal) = std::fs::read_to_string(&path) else { return };
        let Some(last) = journal.lines().last().filter(|_| journal.lines().count() > 1) else { return };
        let torn: String = last.chars().take((last.chars().count() as f64 * part) as usize).collect();
        std::fs::write(&path, journal + &torn).unwrap();
    }

    /// Arms faults, each by its text.
    pub fn arm(&self, faults: &[&str]) {
        let read: Vec<Armed> = faults.iter().map(|text| Armed::read(text).unwrap()).collect();
        self.sim.change(|sim, _| sim.faults.armed.extend(read)).unwrap();
    }

    pub fn state(&self) -> PathBuf {
        self.home.path().join("state")
    }

    /// Runs to the end, or until the traffic stops: then nothing is cleaned up, as in a crash.
    pub async fn run(&self, command: Command) -> End {
        self.run_with(command, |_| {}).await
    }

    /// Like `run`, with a changed graph.
    pub async fn run_with(&self, command: Command, change: impl FnOnce(&mut Graph)) -> End {
        if command == Command::Renew {
            return self.renew().await;
        }
        let clients = self.clients();
        let mut graph = self.graph_of(&clients, command);
        change(&mut graph);
        let (run, events) = self.open(command, &clients).await;
        let walk = async {
            let report = match command {
                Command::Up | Command::Rotate | Command::Renew => up(&graph, &run).await,
                Command::Down => down(&graph, &run).await,
            };
            report.unwrap()
        };
        tokio::select! {
            biased;
            () = self.transport.stopped() => End::Cut,
            report = walk => {
                drop(run);
                End::Reported(report, received_events(events).await)
            }
        }
    }

    /// Renews the certificate as a process without a state folder does. Without a renewal that is due, the report is empty.
    async fn renew(&self) -> End {
        let clients = self.clients();
        let folder = home();
        let (run, events) = self.open_in(&folder.path().join("renew"), "renew", &clients).await;
        let attempt = async {
            let target =
                RenewalTarget::find(&clients, &self.settings).await.map_err(|error| format!("{error:?}"))?;
            let state = target.state(&clients).await;
            if !state.is_due || state.not_before.is_some() {
                return Ok(None);
            }
            let report = up(&target.graph(&clients, state.has_cluster), &run).await.unwrap();
            if report.outcome == Outcome::Failed {
                let recorded = target.record_failure(&clients, &report.errors[0].1, None).await;
                recorded.map_err(|error| format!("{error:?}"))?;
            }
            Ok::<_, String>(Some(report))
        };
        tokio::select! {
            biased;
            () = self.transport.stopped() => End::Cut,
            report = attempt => {
                let report = report.unwrap_or_else(|why| panic!("{why}"));
                let report = match report {
                    Some(report) => report,
                    None => up(&Graph::default(), &run).await.unwrap(),
                };
                drop(run);
                End::Reported(report, received_events(events).await)
            }
        }
    }

    /// Runs to a successful end, or returns the reason why not.
    pub async fn run_to_success(&self, command: Command) -> Result<Report, String> {
        match self.run(command).await {
            End::Reported(report, _) if report.outcome == Outcome::Ready => Ok(report),
            End::Reported(report, _) => Err(format!("{command:?} failed: {}", report_text(&report))),
            End::Cut => Err(format!("{command:?} was cut off")),
        }
    }

    /// Returns the whole deployment.
    pub fn graph(&self, clients: &Clients) -> Graph {
        deployment(clients, &self.settings, &self.teardown).0
    }

    /// Returns the deployment for a command. As in the program, an incomplete rotation continues instead of a
    /// new one.
    fn graph_of(&self, clients: &Clients, command: Command) -> Graph {
        let mut settings = self.settings.clone();
        if command == Command::Rotate {
            let (_, resources) = deployment(clients, &settings, &self.teardown);
            let memory = Journal::read(&self.state()).unwrap().map(|(_, memory)| memory).unwrap_or_default();
            let unfinished = landfall_steps::unfinished_rotation(resources.records(), &memory).is_some();
            settings.certificate.renewal = (!unfinished).then_some(Renewal::Now);
        }
        deployment(clients, &settings, &self.teardown).0
    }

    async fn open(&self, command: Command, clients: &Clients) -> (Run, UnboundedReceiver<Event>) {
        let command = match command {
            Command::Up => "up",
            Command::Down => "down",
            Command::Rotate => "rotate",
            Command::Renew => "renew",
        };
        self.open_in(&self.state(), command, clients).await
    }

    /// Opens the journal of a folder.
    pub async fn open_in(
        &self,
        folder: &Path,
        command: &str,
        clients: &Clients,
    ) -> (Run, UnboundedReceiver<Event>) {
        let (send, receive) = unbounded_channel();
        let key = EnvironmentKey {
            cloud: "sim".to_owned(),
            subscription: clients.azure.id().to_owned(),
            environment: self.settings.environment.clone(),
        };
        let journal = loop {
            match Journal::open(folder, command, &key, "0.1.0") {
                // The tasks of a cut-off run release the journal at their next poll.
                Err(OpenError::Locked { .. }) => tokio::task::yield_now().await,
                opened => break opened.unwrap(),
            }
        };
        let time_scale = TimeScale::new(self.sim.connection().time_scale);
        (Run { journal: journal.into(), time_scale, stop: Stop::new(), events: send }, receive)
    }

    /// Returns the clock of the cloud.
    pub fn clock(&self) -> Clock {
        let sim = self.sim.clone();
        Clock::reading(move || sim.read(CloudState::now).timestamp())
    }

    /// Creates the clients again, as a new process does.
    pub fn clients(&self) -> Clients {
        self.connect().3
    }

    /// Creates the clients again, and returns what they are made from.
    pub fn connect(&self) -> (Endpoints, Credential, RequestCounter, Clients) {
        let facts = self.sim.connection().clone();
        let endpoints = Endpoints {
            login: facts.login.parse().unwrap(),
            arm: facts.arm.parse().unwrap(),
            arm_audience: facts.arm_audience,
            vault_suffix: facts.vault_suffix,
            vault_audience: facts.vault_audience,
            roots: Roots::System,
            time_scale: facts.time_scale,
            transport: Some(self.transport.clone()),
            acme_directory: facts.acme_directory.parse().unwrap(),
            acme_staging: facts.acme_staging.parse().unwrap(),
            acme_roots: Roots::Only(facts.acme_roots),
            // Nothing answers at this address: the clock is paused, and real name servers keep real time.
            name_servers: [("none.localhost".to_owned(), ([127, 0, 0, 1], 9).into())].into(),
            clock: self.clock(),
            connections: Default::default(),
        };
        let sign_in = SignIn::ServicePrincipal {
            tenant: facts.tenant,
            client_id: facts.client_id,
            secret: Secret::new(facts.client_secret),
        };
        let request_counter = RequestCounter::new();
        let credential =
            Credential::new(&sign_in, &SignInFacts::default(), &endpoints, &request_counter).unwrap();
        let arm =
            ArmClient::new(&endpoints, &credential, &request_counter, "11111111-2222-4333-8444-555555555555")
                .unwrap();
        let azure = SubscriptionClient::new(arm, facts.subscription);
        let clients = Clients {
            clusters: Clusters::new(azure.clone(), &endpoints, request_counter.clone()),
            vaults: Vaults::new(&endpoints, &credential, &request_counter).unwrap(),
            acme: landfall_cloud::acme::Acme::new(&endpoints, &request_counter),
            sync_diagnosis: std::sync::Arc::new(RotationDiagnosis),
            azure,
        };
        (endpoints, credential, request_counter, clients)
    }
}

async fn received_events(mut events: UnboundedReceiver<Event>) -> Vec<Event> {
    let mut received_events = Vec::new();
    while let Some(event) = events.recv().await {
        received_events.push(event);
    }
    received_events
}

/// Formats the failures of a run, one per line.
pub fn report_text(report: &Report) -> String {
    let line = |(step, error): &(String, StepError)| {
        let causes = error.causes.join(": ");
        format!("{step}: {:?}: failed to {}: {causes} ({:?})", error.kind, error.message, error.leftover)
    };
    report.errors.iter().map(line).collect::<Vec<_>>().join("\n  ")
}
