//! One environment over one world: its folder, its clients, and runs of it that may be cut short.

use crate::{carrier::Inside, settings, still::Still};
use landfall_cloud::{
    Arm, Credential, Endpoints, Meter, Roots, Secret, SignIn, SignInFacts, Vaults, arm::Azure,
};
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

/// The instant at which every world begins: 23 November 2026, nine o'clock.
pub const BEGINNING: Moment = Moment(1_795_424_400_000);

/// What a run is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    Up,
    Down,
    /// A walk like `Up`, with the wish for another certificate: the one that is given, else a new one of our own.
    Rotate,
}

/// An environment and the world it is in.
pub struct Environment {
    pub world: InProcess,
    pub carrier: Arc<Inside>,
    pub wish: Settings,
    pub home: TempDir,
    pub teardown: Teardown,
}

/// How a run ended: with a report, or cut off where the traffic stopped.
pub enum End {
    Reported(Report, Vec<Event>),
    Cut,
}

/// A runtime of one thread whose clock moves only while everybody waits.
pub fn replayable<T>(seed: u64, run: impl Future<Output = T>) -> T {
    fastrand::seed(seed);
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap()
        .block_on(run)
}

/// A folder in memory where there is one: a run writes its journal through to the disk some fifty times.
fn home() -> TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { TempDir::new_in(memory) } else { TempDir::new() }.unwrap()
}

/// A fresh world, made once: all that differs between worlds comes later.
pub fn fresh() -> World {
    static FRESH: OnceLock<World> = OnceLock::new();
    let make = || InProcess::world(&Options { seed: Some(7), ..Options::default() }, BEGINNING).unwrap();
    FRESH.get_or_init(make).clone()
}

impl Environment {
    /// An environment that nobody has begun with, in this world.
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

    /// An environment as it stood at an instant.
    pub fn at(still: &Still, speed: Speed) -> Self {
        let here = Self::new(still.world.as_ref().clone(), still.at, speed);
        still.lay_out(here.home.path());
        here
    }

    /// What a new process has: no connection, and no memory but its files.
    pub fn restart(&mut self) {
        self.carrier = Inside::new(self.world.clone());
    }

    /// Disarms whatever is still to go wrong, and lets the traffic flow.
    pub fn calm(&mut self) {
        self.restart();
        self.world.change(|world, _| world.faults.armed.clear()).unwrap();
    }

    /// Leaves part of an entry at the end of the journal, as a process does that dies while it writes.
    pub async fn tear_journal(&self, part: f64) {
        // Whoever was cut off lets go when next polled.
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

    /// Runs to the end, or to where the traffic stops: as when the process dies, nothing is tidied up.
    pub async fn run(&self, command: Command) -> End {
        self.run_with(command, |_| {}).await
    }

    /// The same, over a graph that is changed first.
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

    /// Runs to a good end, or says why it did not come to one.
    pub async fn ready(&self, command: Command) -> Result<Report, String> {
        match self.run(command).await {
            End::Reported(report, _) if report.outcome == Outcome::Ready => Ok(report),
            End::Reported(report, _) => Err(format!("{command:?} failed: {}", told(&report))),
            End::Cut => Err(format!("{command:?} was cut off")),
        }
    }

    /// The whole deployment.
    pub fn graph(&self, clouds: &Clouds) -> Graph {
        deployment(clouds, &self.wish, &self.teardown).0
    }

    /// The same for a command. As in the program, a rotation that is not over is gone on with in place of another one.
    fn graph_of(&self, clouds: &Clouds, command: Command) -> Graph {
        let mut wish = self.wish.clone();
        if command == Command::Rotate {
            let (graph, handles) = deployment(clouds, &wish, &self.teardown);
            let memory = Journal::read(&self.state()).unwrap().map(|(_, memory)| memory).unwrap_or_default();
            let unfinished = landfall_steps::unfinished(&graph, &handles, &memory).is_some();
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
                // The tasks of a run that was cut off let go of the journal when they are next polled.
                Err(OpenError::Locked { .. }) => tokio::task::yield_now().await,
                opened => break opened.unwrap(),
            }
        };
        let pace = Pace::new(self.world.facts().pace);
        (Run { journal: journal.into(), pace, stop: Stop::new(), events: send }, receive)
    }

    /// Makes the clients anew, as a new process does.
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

/// The failures of a run, a line each.
pub fn told(report: &Report) -> String {
    let line = |(step, error): &(String, StepError)| {
        let causes = error.causes.join(": ");
        format!("{step}: {:?}: failed to {}: {causes} ({:?})", error.kind, error.message, error.residue)
    };
    report.errors.iter().map(line).collect::<Vec<_>>().join("\n  ")
}
