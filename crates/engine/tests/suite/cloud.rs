//! A simulated cloud of named resources, the steps that create them, and runs over both.

use landfall_engine::{
    Check, Context, EnvironmentKey, Event, EventKind, Graph, Handle, Journal, JournalState, Kind, Leftover,
    Poll, Report, Run, Step, StepError, Stop, TimeScale, UndoOutcome, Wait, down, up,
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
const TYPICAL_DURATION: Duration = Duration::from_secs(100);

/// The state of a resource.
#[derive(Debug, Clone, PartialEq)]
pub enum ResourceState {
    Creating,
    InSync(String),
    Failed,
    Drifted,
    NotOwned,
}

/// Resources by name, and every call for them, in order.
#[derive(Clone, Default)]
pub struct Cloud(Arc<Inner>);

#[derive(Default)]
struct Inner {
    resources: Mutex<BTreeMap<String, ResourceState>>,
    calls: watch::Sender<Vec<String>>,
}

impl Cloud {
    pub fn set(&self, name: &str, state: ResourceState) {
        self.0.resources.lock().unwrap().insert(name.into(), state);
    }

    pub fn put(&self, name: &str) {
        self.set(name, ResourceState::InSync(name.into()));
    }

    pub fn remove(&self, name: &str) -> bool {
        self.0.resources.lock().unwrap().remove(name).is_some()
    }

    pub fn get(&self, name: &str) -> Option<ResourceState> {
        self.0.resources.lock().unwrap().get(name).cloned()
    }

    pub fn names(&self) -> Vec<String> {
        self.0.resources.lock().unwrap().keys().cloned().collect()
    }

    pub fn is_empty(&self) -> bool {
        self.0.resources.lock().unwrap().is_empty()
    }

    pub fn call(&self, call: String) {
        self.0.calls.send_modify(|calls| calls.push(call));
    }

    /// Returns every call that changes something, or attaches to an operation.
    pub fn changes(&self) -> Vec<String> {
        self.0.calls.borrow().iter().filter(|call| !call.starts_with("look")).cloned().collect()
    }

    /// Returns the number of creations of a resource that began.
    pub fn creations(&self, name: &str) -> usize {
        let creating = format!("make {name} ");
        self.0.calls.borrow().iter().filter(|call| call.starts_with(&creating)).count()
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
pub enum Creating {
    AtOnce,
    /// Creates nothing.
    Fails(Leftover),
    /// Creates it, and a later request fails.
    RefusedAfter,
    Panics,
    /// Creates it, and the response never arrives.
    NoResponse,
    /// Accepts the operation with a ticket; the test completes it later.
    Slow,
    /// Like `Slow`, and the second poll completes it.
    Brief,
    /// Accepts the operation, and the response with the ticket never arrives.
    SlowNoResponse,
}

/// The behaviour of an undo.
#[derive(Clone)]
pub enum Deleting {
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
pub struct TestStep<I> {
    cloud: Cloud,
    name: String,
    creating: Creating,
    deleting: Deleting,
    parent: Option<&'static str>,
    meet_in_check: Option<Arc<Barrier>>,
    meet_in_apply: Option<Arc<Barrier>>,
    _input: PhantomData<fn() -> I>,
}

#[derive(Serialize, Deserialize)]
struct Operation {
    name: String,
}

impl<I> TestStep<I> {
    pub fn new(cloud: &Cloud, name: &str) -> Self {
        Self {
            cloud: cloud.clone(),
            name: name.into(),
            creating: Creating::AtOnce,
            deleting: Deleting::Deletes,
            parent: None,
            meet_in_check: None,
            meet_in_apply: None,
            _input: PhantomData,
        }
    }

    pub fn creating(mut self, creating: Creating) -> Self {
        self.creating = creating;
        self
    }

    pub fn deleting(mut self, deleting: Deleting) -> Self {
        self.deleting = deleting;
        self
    }

    pub fn parent(mut self, whole: &'static str) -> Self {
        self.parent = Some(whole);
        self.deleting = Deleting::WithParent;
        self
    }

    /// Lets every check wait until as many are running as the barrier requires.
    pub fn meet_in_check(mut self, barrier: &Arc<Barrier>) -> Self {
        self.meet_in_check = Some(barrier.clone());
        self
    }

    pub fn meet_in_apply(mut self, barrier: &Arc<Barrier>) -> Self {
        self.meet_in_apply = Some(barrier.clone());
        self
    }

    async fn wait(&self, cx: &Context) -> Result<String, StepError> {
        let wait = Wait::new("it to be ready", TYPICAL_DURATION, Duration::from_secs(1000));
        cx.wait_until(wait, async || {
            Ok(match self.cloud.get(&self.name) {
                Some(ResourceState::InSync(value)) => Poll::Ready(value),
                other if matches!(self.creating, Creating::Brief) => {
                    self.cloud.put(&self.name);
                    Poll::not_yet(format!("{other:?}"))
                }
                other => Poll::not_yet(format!("{other:?}")),
            })
        })
        .await
    }
}

impl<I: std::fmt::Debug + Send + Sync + 'static> Step for TestStep<I> {
    type Input = I;
    type Output = String;

    fn title(&self) -> String {
        format!("the {}", self.name)
    }

    fn planned_name(&self) -> Option<serde_json::Value> {
        Some(serde_json::json!({ "name": self.name }))
    }

    fn deadline(&self) -> Duration {
        Duration::from_secs(600)
    }

    fn typical_duration(&self) -> Duration {
        TYPICAL_DURATION
    }

    async fn check(&self, _: &Context, _: &I) -> Result<Check<String>, StepError> {
        self.cloud.call(format!("look {}", self.name));
        yield_now().await;
        if let Some(barrier) = &self.meet_in_check {
            barrier.wait().await;
        }
        Ok(match self.cloud.get(&self.name) {
            None => Check::Missing,
            Some(ResourceState::Creating) => {
                if matches!(self.creating, Creating::Brief) {
                    self.cloud.put(&self.name);
                }
                Check::InProgress
            }
            Some(ResourceState::InSync(value)) => Check::InSync(value),
            Some(ResourceState::Failed) => Check::Failed { why: "it leaks".into() },
            Some(ResourceState::Drifted) => Check::Drifted { changes: vec![] },
            Some(ResourceState::NotOwned) => Check::NotOwned { why: "it has another owner".into() },
        })
    }

    async fn apply(&self, cx: &Context, input: &I) -> Result<String, StepError> {
        if let Some(operation) = cx.ticket::<Operation>() {
            self.cloud.call(format!("attach to {}", operation.name));
            return self.wait(cx).await;
        }
        if self.cloud.get(&self.name) == Some(ResourceState::Creating) {
            self.cloud.call(format!("attach to the {} itself", self.name));
            return self.wait(cx).await;
        }
        if let Some(barrier) = &self.meet_in_apply {
            barrier.wait().await;
        }
        let call = format!("make {} with {input:?}", self.name);
        match &self.creating {
            Creating::AtOnce => {
                self.cloud.put(&self.name);
                self.cloud.call(call);
                yield_now().await;
                Ok(self.name.clone())
            }
            Creating::Fails(leftover) => {
                Err(StepError::new(Kind::Failed, format!("make {}", self.name)).leftover(*leftover))
            }
            Creating::RefusedAfter => {
                self.cloud.put(&self.name);
                cx.record_leftover(Leftover::Something);
                Err(StepError::new(Kind::Refused, format!("look at the {}", self.name))
                    .leftover(Leftover::Nothing))
            }
            Creating::Panics => panic!("out of clay"),
            Creating::NoResponse => {
                self.cloud.put(&self.name);
                self.cloud.call(call);
                pending().await
            }
            Creating::Slow | Creating::Brief => {
                self.cloud.set(&self.name, ResourceState::Creating);
                yield_now().await;
                cx.save_ticket(&Operation { name: format!("operation {}", self.name) })?;
                self.cloud.call(call);
                yield_now().await;
                self.wait(cx).await
            }
            Creating::SlowNoResponse => {
                self.cloud.set(&self.name, ResourceState::Creating);
                self.cloud.call(call);
                pending().await
            }
        }
    }

    fn parent(&self) -> Option<&'static str> {
        self.parent
    }

    async fn undo(&self, cx: &Context, output: String) -> Result<UndoOutcome, StepError> {
        match self.deleting {
            Deleting::Deletes => {
                self.cloud.call(format!("delete {output}"));
                yield_now().await;
                let there = self.cloud.remove(&self.name);
                yield_now().await;
                Ok(if there { UndoOutcome::Deleted } else { UndoOutcome::AlreadyDeleted })
            }
            Deleting::Fails => Err(StepError::new(Kind::Refused, format!("delete {output}"))),
            Deleting::Keeps => Ok(UndoOutcome::Kept { why: "somebody uses it".into() }),
            Deleting::WithParent => Ok(UndoOutcome::DeletedWithParent),
            Deleting::Begins => {
                cx.save_ticket(&Operation { name: format!("deletion of {output}") })?;
                Ok(UndoOutcome::InProgress)
            }
            Deleting::Slow => {
                cx.save_ticket(&Operation { name: format!("deletion of {output}") })?;
                self.cloud.call(format!("delete {output}"));
                pending().await
            }
        }
    }
}

/// Adds a step without input.
pub fn root(graph: &mut Graph, cloud: &Cloud, id: &'static str) -> Handle<String> {
    graph.add(id, TestStep::<()>::new(cloud, id), ())
}

/// Adds a step that depends on another one.
pub fn on(graph: &mut Graph, cloud: &Cloud, id: &'static str, below: Handle<String>) -> Handle<String> {
    graph.add(id, TestStep::<String>::new(cloud, id), below)
}

/// A folder with a journal, and runs over it. Each run opens the journal again, as a process would.
pub struct Runner {
    folder: TempDir,
    pub stop: Stop,
}

/// A run and its events.
pub struct RunResult {
    pub report: Report,
    pub events: Vec<EventKind>,
}

impl Runner {
    /// Replaces the stop request for the next runs.
    pub fn reset_stop(&mut self) {
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
        let (events, receiver) = mpsc::unbounded_channel();
        (Run { journal: self.open(), time_scale: TimeScale::REAL, stop: self.stop.clone(), events }, receiver)
    }

    pub async fn up(&self, graph: &Graph) -> RunResult {
        let (run, receiver) = self.run();
        let report = up(graph, &run).await.unwrap();
        RunResult { report, events: received_events(receiver) }
    }

    pub async fn down(&self, graph: &Graph) -> RunResult {
        let (run, receiver) = self.run();
        let report = down(graph, &run).await.unwrap();
        RunResult { report, events: received_events(receiver) }
    }

    /// Runs `up` until a call arrives, and crashes there: nothing more is written.
    pub async fn up_killed_at(&self, graph: &Graph, cloud: &Cloud, call: &str) {
        let (run, _receiver) = self.run();
        tokio::select! {
            biased;
            _ = up(graph, &run) => panic!("it ended before {call}"),
            () = cloud.reached(call) => {}
        }
        drop_run(run).await;
    }

    /// Runs `down` until a call arrives, and crashes there.
    pub async fn down_killed_at(&self, graph: &Graph, cloud: &Cloud, call: &str) {
        let (run, _receiver) = self.run();
        tokio::select! {
            biased;
            _ = down(graph, &run) => panic!("it ended before {call}"),
            () = cloud.reached(call) => {}
        }
        drop_run(run).await;
    }

    pub fn journal_state(&self) -> JournalState {
        Journal::read(self.path()).unwrap().unwrap().1
    }
}

/// Waits until no task of a crashed run holds the journal: the runtime drops them one after the other.
pub async fn drop_run(run: Run) {
    let journal = Arc::downgrade(&run.journal);
    drop(run);
    while journal.strong_count() > 0 {
        yield_now().await;
    }
}

fn received_events(mut receiver: mpsc::UnboundedReceiver<Event>) -> Vec<EventKind> {
    let mut received_events = Vec::new();
    while let Ok(event) = receiver.try_recv() {
        received_events.push(event.what);
    }
    received_events
}

/// Returns the steps of the events that a pattern selects.
pub fn steps(events: &[EventKind], pick: impl Fn(&EventKind) -> Option<&'static str>) -> Vec<&'static str> {
    events.iter().filter_map(pick).collect()
}
