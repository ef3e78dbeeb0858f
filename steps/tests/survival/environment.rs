//! One environment in one simulated cloud: its folder, its clients, and its runs, which may be cut short.

use crate::{carrier::Inside, settings, still::Still};
use landfall_cloud::{
    Arm, Credential, Endpoints, Meter, Roots, Secret, SignIn, SignInFacts, Vaults, arm::Azure,
};
use landfall_diagnose::rotation_links::RotationDiagnosis;
use landfall_engine::{
    EnvironmentKey, Event, Graph, Journal, OpenError, Outcome, Pace, Report, Run, StepError, Stop, down, up,
};
use landfall_sim::{InProcess, Options, Speed, clock::Moment, fault::Armed, world::World};
use landfall_steps::{
    Clouds, Clusters, deployment,
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
pub const BEGINNING: Moment = Moment(1_795_424_400_000);

/// The command of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    Up,
    Down,
    /// A run like `Up` that requests another certificate: the given one, else a new self-signed one.
    Rotate,
}

/// An environment and its simulated cloud.
pub struct Environment {
    pub world: InProcess,
    pub carrier: Arc<Inside>,
    pub wish: Settings,
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
fn home() -> TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { TempDir::new_in(memory) } else { TempDir::new() }.unwrap()
}

/// Returns a fresh simulated cloud, created once: all differences between clouds come later.
pub fn fresh() -> World {
    static FRESH: OnceLock<World> = OnceLock::new();
    let make = || InProcess::world(&Options { seed: Some(7), ..Options::default() }, BEGINNING).unwrap();
    FRESH.get_or_init(make).clone()
}

impl Environment {
    /// Creates an unused environment in this simulated cloud.
    pub fn new(world: World, at: Moment, speed: Speed) -> Self {
        let world = InProcess::resume(world, at, speed).unwrap();
        let home = home();
        Self {
            carrier: Inside::new(world.clone()),
            wish: settings::demo(home.path()),
            world,
            home,
            teardown: Teardown::default(),
        }
    }

    /// Restores an environment from a snapshot.
    pub fn at(still: &Still, speed: Speed) -> Self {
        let here = Self::new(still.world.as_ref().clone(), still.at, speed);
        still.lay_out(here.home.path());
        here
    }

    /// Resets to the state of a new process: no connection, and no state except its files.
    pub fn restart(&mut self) {
        self.carrier = Inside::new(self.world.clone());
    }

    /// Disarms all faults, and lets the traffic continue.
    pub fn calm(&mut self) {
        self.restart();
        self.world.change(|world, _| world.faults.armed.clear()).unwrap();
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
        self.world.change(|world, _| world.faults.armed.extend(read)).unwrap();
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
        let clouds = self.clouds();
        let mut graph = self.graph_of(&clouds, command);
        change(&mut graph);
        let (run, events) = self.open(command, &clouds).await;
        let walk = async {
            let report = match command {
                Command::Up | Command::Rotate => up(&graph, &run).await,
                Command::Down => down(&graph, &run).await,
            };
            report.unwrap()
        };
        tokio::select! {
            biased;
            () = self.carrier.stopped() => End::Cut,
            report = walk => {
                drop(run);
                End::Reported(report, heard(events).await)
            }
        }
    }

    /// Runs to a successful end, or returns the reason why not.
    pub async fn ready(&self, command: Command) -> Result<Report, String> {
        match self.run(command).await {
            End::Reported(report, _) if report.outcome == Outcome::Ready => Ok(report),
            End::Reported(report, _) => Err(format!("{command:?} failed: {}", told(&report))),
            End::Cut => Err(format!("{command:?} was cut off")),
        }
    }

    /// Returns the whole deployment.
    pub fn graph(&self, clouds: &Clouds) -> Graph {
        deployment(clouds, &self.wish, &self.teardown).0
    }

    /// Returns the deployment for a command. As in the program, an incomplete rotation continues instead of a
    /// new one.
    fn graph_of(&self, clouds: &Clouds, command: Command) -> Graph {
        let mut wish = self.wish.clone();
        if command == Command::Rotate {
            let (_, resources) = deployment(clouds, &wish, &self.teardown);
            let memory = Journal::read(&self.state()).unwrap().map(|(_, memory)| memory).unwrap_or_default();
            let unfinished = landfall_steps::unfinished(resources.records(), &memory).is_some();
            wish.certificate.renewal = (!unfinished).then_some(Renewal::Now);
        }
        deployment(clouds, &wish, &self.teardown).0
    }

    async fn open(&self, command: Command, clouds: &Clouds) -> (Run, UnboundedReceiver<Event>) {
        let (send, receive) = unbounded_channel();
        let key = EnvironmentKey {
            cloud: "sim".to_owned(),
            subscription: clouds.azure.id().to_owned(),
            environment: self.wish.environment.clone(),
        };
        let word = match command {
            Command::Up => "up",
            Command::Down => "down",
            Command::Rotate => "rotate",
        };
        let journal = loop {
            match Journal::open(&self.state(), word, &key, "0.1.0") {
                // The tasks of a cut-off run release the journal at their next poll.
                Err(OpenError::Locked { .. }) => tokio::task::yield_now().await,
                opened => break opened.unwrap(),
            }
        };
        let pace = Pace::new(self.world.facts().pace);
        (Run { journal: journal.into(), pace, stop: Stop::new(), events: send }, receive)
    }

    /// Creates the clients again, as a new process does.
    pub fn clouds(&self) -> Clouds {
        let facts = self.world.facts().clone();
        let endpoints = Endpoints {
            login: facts.login.parse().unwrap(),
            arm: facts.arm.parse().unwrap(),
            arm_audience: facts.arm_audience,
            vault_suffix: facts.vault_suffix,
            vault_audience: facts.vault_audience,
            roots: Roots::System,
            pace: facts.pace,
            carrier: Some(self.carrier.clone()),
        };
        let sign_in = SignIn::ServicePrincipal {
            tenant: facts.tenant,
            client_id: facts.client_id,
            secret: Secret::new(facts.client_secret),
        };
        let meter = Meter::new();
        let credential = Credential::new(&sign_in, &SignInFacts::default(), &endpoints, &meter).unwrap();
        let arm = Arm::new(&endpoints, &credential, &meter, "11111111-2222-4333-8444-555555555555").unwrap();
        let azure = Azure::new(arm, facts.subscription);
        Clouds {
            clusters: Clusters::new(azure.clone(), &endpoints, meter.clone()),
            vaults: Vaults::new(&endpoints, &credential, &meter).unwrap(),
            sync_diagnosis: std::sync::Arc::new(RotationDiagnosis),
            azure,
        }
    }
}

async fn heard(mut events: UnboundedReceiver<Event>) -> Vec<Event> {
    let mut heard = Vec::new();
    while let Some(event) = events.recv().await {
        heard.push(event);
    }
    heard
}

/// Formats the failures of a run, one per line.
pub fn told(report: &Report) -> String {
    let line = |(step, error): &(String, StepError)| {
        let causes = error.causes.join(": ");
        format!("{step}: {:?}: failed to {}: {causes} ({:?})", error.kind, error.message, error.residue)
    };
    report.errors.iter().map(line).collect::<Vec<_>>().join("\n  ")
}
