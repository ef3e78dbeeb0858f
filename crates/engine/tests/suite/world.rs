//! A simulated cloud of named resources, the steps that create them, and runs over both.

use landfall_engine::{
    Check, Context, EnvironmentKey, Event, Graph, Handle, Journal, Kind, Look, Memory, Pace, Report, Residue,
    Run, Step, StepError, Stop, Undone, Wait, What, down, up,
};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    future::pending,
    marker::PhantomData,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};
use tempfile::TempDir;
use tokio::{
    sync::{Barrier, mpsc, watch},
    task::yield_now,
};

/// The typical duration of every resource.
const USUAL: Duration = Duration::from_secs(100);

/// The state of a resource.
#[derive(Debug, Clone, PartialEq)]
pub enum Standing {
    Making,
    Ready(String),
    Broken,
    Differs,
    Foreign,
}

/// Resources by name, and every call for them, in order.
#[derive(Clone, Default)]
pub struct World(Arc<Inner>);

#[derive(Default)]
struct Inner {
    things: Mutex<BTreeMap<String, Standing>>,
    calls: watch::Sender<Vec<String>>,
}

impl World {
    pub fn set(&self, name: &str, standing: Standing) {
        self.0.things.lock().unwrap().insert(name.into(), standing);
    }

    pub fn put(&self, name: &str) {
        self.set(name, Standing::Ready(name.into()));
    }

    pub fn remove(&self, name: &str) -> bool {
        self.0.things.lock().unwrap().remove(name).is_some()
    }

    pub fn get(&self, name: &str) -> Option<Standing> {
        self.0.things.lock().unwrap().get(name).cloned()
    }

    pub fn names(&self) -> Vec<String> {
        self.0.things.lock().unwrap().keys().cloned().collect()
    }

    pub fn is_empty(&self) -> bool {
        self.0.things.lock().unwrap().is_empty()
    }

    pub fn call(&self, call: String) {
        self.0.calls.send_modify(|calls| calls.push(call));
    }

    /// Returns every call that changes something, or attaches to an operation.
    pub fn changes(&self) -> Vec<String> {
        self.0.calls.borrow().iter().filter(|call| !call.starts_with("look")).cloned().collect()
    }

    /// Returns the number of creations of a resource that began.
    pub fn made(&self, name: &str) -> usize {
        let making = format!("make {name} ");
        self.0.calls.borrow().iter().filter(|call| call.starts_with(&making)).count()
    }

    pub fn count(&self, call: &str) -> usize {
        self.0.calls.borrow().iter().filter(|c| *c == call).count()
    }

    /// Waits until a call arrives.
    pub async fn reached(&self, call: &str) {
        let mut calls = self.0.calls.subscribe();
        calls.wait_for(|calls| calls.iter().any(|c| c == call)).await.unwrap();
    }
}

/// The behaviour of an apply.
#[derive(Clone)]
pub enum Making {
    AtOnce,
    /// Creates nothing.
    Fails(Residue),
    /// Creates it, and a later request fails.
    RefusedAfter,
    Panics,
    /// Creates it, and the response never arrives.
    Unanswered,
    /// Accepts the operation with a ticket; the test completes it later.
    Slow,
    /// Like `Slow`, and the second poll completes it.
    Brief,
    /// Accepts the operation, and the response with the ticket never arrives.
    SlowUnanswered,
}

/// The behaviour of an undo.
#[derive(Clone)]
pub enum Unmaking {
    Deletes,
    Fails,
    Keeps,
    WithParent,
    /// Accepts the deletion with a ticket, which continues without a wait.
    Begins,
    /// Accepts the deletion with a ticket, and never completes it.
    Slow,
}

/// A step for one resource, with any input.
pub struct Thing<I> {
    world: World,
    name: String,
    making: Making,
    unmaking: Unmaking,
    part_of: Option<&'static str>,
    meet_looking: Option<Arc<Barrier>>,
    meet_making: Option<Arc<Barrier>>,
    _input: PhantomData<fn() -> I>,
}

#[derive(Serialize, Deserialize)]
struct Operation {
    name: String,
}

impl<I> Thing<I> {
    pub fn new(world: &World, name: &str) -> Self {
        Self {
            world: world.clone(),
            name: name.into(),
            making: Making::AtOnce,
            unmaking: Unmaking::Deletes,
            part_of: None,
            meet_looking: None,
            meet_making: None,
            _input: PhantomData,
        }
    }

    pub fn making(mut self, making: Making) -> Self {
        self.making = making;
        self
    }

    pub fn unmaking(mut self, unmaking: Unmaking) -> Self {
        self.unmaking = unmaking;
        self
    }

    pub fn part_of(mut self, whole: &'static str) -> Self {
        self.part_of = Some(whole);
        self.unmaking = Unmaking::WithParent;
        self
    }

    /// Lets every check wait until as many are running as the barrier requires.
    pub fn meet_looking(mut self, barrier: &Arc<Barrier>) -> Self {
        self.meet_looking = Some(barrier.clone());
        self
    }

    pub fn meet_making(mut self, barrier: &Arc<Barrier>) -> Self {
        self.meet_making = Some(barrier.clone());
        self
    }

    async fn wait(&self, cx: &Context) -> Result<String, StepError> {
        let wait = Wait::new("it to be ready", USUAL, Duration::from_secs(1000));
        cx.wait_until(wait, async || {
            Ok(match self.world.get(&self.name) {
                Some(Standing::Ready(value)) => Look::There(value),
                other if matches!(self.making, Making::Brief) => {
                    self.world.put(&self.name);
                    Look::not_yet(format!("{other:?}"))
                }
                other => Look::not_yet(format!("{other:?}")),
            })
        })
        .await
    }
}

impl<I: std::fmt::Debug + Send + Sync + 'static> Step for Thing<I> {
    type Input = I;
    type Output = String;

    fn title(&self) -> String {
        format!("the {}", self.name)
    }

    fn named(&self) -> Option<serde_json::Value> {
        Some(serde_json::json!({ "name": self.name }))
    }

    fn deadline(&self) -> Duration {
        Duration::from_secs(600)
    }

    fn usual(&self) -> Duration {
        USUAL
    }

    async fn check(&self, _: &Context, _: &I) -> Result<Check<String>, StepError> {
        self.world.call(format!("look {}", self.name));
        yield_now().await;
        if let Some(barrier) = &self.meet_looking {
            barrier.wait().await;
        }
        Ok(match self.world.get(&self.name) {
            None => Check::Missing,
            Some(Standing::Making) => {
                if matches!(self.making, Making::Brief) {
                    self.world.put(&self.name);
                }
                Check::Underway
            }
            Some(Standing::Ready(value)) => Check::Ready(value),
            Some(Standing::Broken) => Check::Broken { why: "it leaks".into() },
            Some(Standing::Differs) => Check::Differs { changes: vec![] },
            Some(Standing::Foreign) => Check::Foreign { why: "it has another owner".into() },
        })
    }

    async fn apply(&self, cx: &Context, input: &I) -> Result<String, StepError> {
        if let Some(operation) = cx.ticket::<Operation>() {
            self.world.call(format!("attach to {}", operation.name));
            return self.wait(cx).await;
        }
        if self.world.get(&self.name) == Some(Standing::Making) {
            self.world.call(format!("attach to the {} itself", self.name));
            return self.wait(cx).await;
        }
        if let Some(barrier) = &self.meet_making {
            barrier.wait().await;
        }
        let call = format!("make {} with {input:?}", self.name);
        match &self.making {
            Making::AtOnce => {
                self.world.put(&self.name);
                self.world.call(call);
                yield_now().await;
                Ok(self.name.clone())
            }
            Making::Fails(residue) => {
                Err(StepError::new(Kind::Failed, format!("make {}", self.name)).residue(*residue))
            }
            Making::RefusedAfter => {
                self.world.put(&self.name);
                cx.leaves(Residue::Something);
                Err(StepError::new(Kind::Refused, format!("look at the {}", self.name))
                    .residue(Residue::Nothing))
            }
            Making::Panics => panic!("out of clay"),
            Making::Unanswered => {
                self.world.put(&self.name);
                self.world.call(call);
                pending().await
            }
            Making::Slow | Making::Brief => {
                self.world.set(&self.name, Standing::Making);
                yield_now().await;
                cx.keep(&Operation { name: format!("operation {}", self.name) })?;
                self.world.call(call);
                yield_now().await;
                self.wait(cx).await
            }
            Making::SlowUnanswered => {
                self.world.set(&self.name, Standing::Making);
                self.world.call(call);
                pending().await
            }
        }
    }

    fn part_of(&self) -> Option<&'static str> {
        self.part_of
    }

    async fn undo(&self, cx: &Context, output: String) -> Result<Undone, StepError> {
        match self.unmaking {
            Unmaking::Deletes => {
                self.world.call(format!("delete {output}"));
                yield_now().await;
                let there = self.world.remove(&self.name);
                yield_now().await;
                Ok(if there { Undone::Deleted } else { Undone::AlreadyGone })
            }
            Unmaking::Fails => Err(StepError::new(Kind::Refused, format!("delete {output}"))),
            Unmaking::Keeps => Ok(Undone::Kept { why: "somebody uses it".into() }),
            Unmaking::WithParent => Ok(Undone::GoesWithParent),
            Unmaking::Begins => {
                cx.keep(&Operation { name: format!("deletion of {output}") })?;
                Ok(Undone::Underway)
            }
            Unmaking::Slow => {
                cx.keep(&Operation { name: format!("deletion of {output}") })?;
                self.world.call(format!("delete {output}"));
                pending().await
            }
        }
    }
}

/// Adds a step without input.
pub fn root(graph: &mut Graph, world: &World, id: &'static str) -> Handle<String> {
    graph.add(id, Thing::<()>::new(world, id), ())
}

/// Adds a step that depends on another one.
pub fn on(graph: &mut Graph, world: &World, id: &'static str, below: Handle<String>) -> Handle<String> {
    graph.add(id, Thing::<String>::new(world, id), below)
}

/// A folder with a journal, and runs over it. Each run opens the journal again, as a process would.
pub struct Desk {
    folder: TempDir,
    pub stop: Stop,
}

/// A run and its events.
pub struct Told {
    pub report: Report,
    pub events: Vec<What>,
}

impl Desk {
    /// Replaces the stop request for the next runs.
    pub fn stop_anew(&mut self) {
        self.stop = Stop::new();
    }

    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), stop: Stop::new() }
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn open(&self) -> Arc<Journal> {
        let key = EnvironmentKey {
            cloud: "toy".into(),
            subscription: "none".into(),
            environment: "default".into(),
        };
        Arc::new(Journal::open(self.path(), "up", &key, "0.1.0").unwrap())
    }

    pub fn run(&self) -> (Run, mpsc::UnboundedReceiver<Event>) {
        let (events, heard) = mpsc::unbounded_channel();
        (Run { journal: self.open(), pace: Pace::REAL, stop: self.stop.clone(), events }, heard)
    }

    pub async fn up(&self, graph: &Graph) -> Told {
        let (run, heard) = self.run();
        let report = up(graph, &run).await.unwrap();
        Told { report, events: whats(heard) }
    }

    pub async fn down(&self, graph: &Graph) -> Told {
        let (run, heard) = self.run();
        let report = down(graph, &run).await.unwrap();
        Told { report, events: whats(heard) }
    }

    /// Runs `up` until a call arrives, and crashes there: nothing more is written.
    pub async fn up_killed_at(&self, graph: &Graph, world: &World, call: &str) {
        let (run, _heard) = self.run();
        tokio::select! {
            biased;
            _ = up(graph, &run) => panic!("it ended before {call}"),
            () = world.reached(call) => {}
        }
        die(run).await;
    }

    /// Runs `down` until a call arrives, and crashes there.
    pub async fn down_killed_at(&self, graph: &Graph, world: &World, call: &str) {
        let (run, _heard) = self.run();
        tokio::select! {
            biased;
            _ = down(graph, &run) => panic!("it ended before {call}"),
            () = world.reached(call) => {}
        }
        die(run).await;
    }

    pub fn memory(&self) -> Memory {
        Journal::read(self.path()).unwrap().unwrap().1
    }
}

/// Waits until no task of a crashed run holds the journal: the runtime drops them one after the other.
pub async fn die(run: Run) {
    let journal = Arc::downgrade(&run.journal);
    drop(run);
    while journal.strong_count() > 0 {
        yield_now().await;
    }
}

fn whats(mut heard: mpsc::UnboundedReceiver<Event>) -> Vec<What> {
    let mut whats = Vec::new();
    while let Ok(event) = heard.try_recv() {
        whats.push(event.what);
    }
    whats
}

/// Returns the steps of the events that a pattern selects.
pub fn steps(events: &[What], pick: impl Fn(&What) -> Option<&'static str>) -> Vec<&'static str> {
    events.iter().filter_map(pick).collect()
}
