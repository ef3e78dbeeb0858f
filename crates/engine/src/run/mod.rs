//! The walk over the graph: bringing up, taking down, and what both share.
//!
//! One loop owns the schedule and the journal's ends of steps; the steps run in tasks of their own
//! and send back how they ended. A plan looks and does nothing else.

mod ahead;
mod discover;
mod down;
mod fate;
mod plan;
mod report;
mod up;

pub use discover::{Discovery, discover};
pub use down::down;
pub use plan::{Action, Looking, Plan, Planned, plan};
pub use report::{LeftBehind, Outcome, Report};
pub use up::up;

use crate::{
    context::Context,
    error::{Kind, StepError},
    event::{Event, What},
    graph::Graph,
    journal::{Entry, Journal, JournalError},
    node::Node,
    pace::Pace,
    schedule::Schedule,
    stop::{Level, Stop},
};
use futures::FutureExt;
use report::{Span, critical_path};
use std::{
    any::Any,
    future::Future,
    panic::AssertUnwindSafe,
    pin::pin,
    sync::Arc,
    time::{Duration, SystemTime},
};
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{Instant, sleep_until},
};

/// A step that has not been heard of for so long, in real time, is spoken for.
const SILENCE: Duration = Duration::from_secs(5);

/// What a run needs besides the graph.
#[derive(Debug, Clone)]
pub struct Run {
    /// Where it is remembered.
    pub journal: Arc<Journal>,
    /// How fast the cloud is.
    pub pace: Pace,
    /// How it can be asked to end.
    pub stop: Stop,
    /// Where it tells what happens. Unbounded, because nothing recorded may be dropped.
    pub events: mpsc::UnboundedSender<Event>,
}

impl Run {
    fn tell(&self, what: What) {
        // A display that went away is no reason to stop the work.
        let _ = self.events.send(Event { at: SystemTime::now(), what });
    }

    /// Writes an entry, and tells of it once it is on disk.
    fn record(&self, entry: Entry, what: What) -> Result<(), JournalError> {
        self.journal.append(entry)?;
        self.tell(what);
        Ok(())
    }
}

/// How one step's turn ended.
struct Turn<T> {
    index: usize,
    result: Result<T, StepError>,
    span: Span,
    elapsed: Duration,
}

/// What a walk over the graph holds, whichever way it goes.
struct Walk<'a, T> {
    graph: &'a Graph,
    run: &'a Run,
    schedule: Schedule,
    running: JoinSet<Turn<T>>,
    spans: Vec<Span>,
    report: Report,
    began: Instant,
    /// What is not done is left to a later run, on purpose.
    put_off: bool,
}

impl<'a, T: Send + 'static> Walk<'a, T> {
    fn begin(graph: &'a Graph, run: &'a Run, schedule: Schedule) -> Self {
        let environment = run.journal.environment().environment.clone();
        run.tell(What::Opened { environment, steps: graph.steps() });
        let spans = vec![Span::None; graph.nodes.len()];
        let (running, report, began) = (JoinSet::new(), Report::new(), Instant::now());
        Self { graph, run, schedule, running, spans, report, began, put_off: false }
    }

    /// The steps whose turn it is; none once the run was asked to end.
    fn take_ready(&mut self) -> Vec<usize> {
        if self.run.stop.level() >= Level::Gently { Vec::new() } else { self.schedule.take_ready() }
    }

    /// Waits for the next step to end; `None` when none is running, or all were cut off because the
    /// run is to end at once.
    async fn next(&mut self) -> Option<Turn<T>> {
        tokio::select! {
            biased;
            () = self.run.stop.asked(Level::Now) => {
                // Cuts every step off where it awaits; what is being written is written whole.
                self.running.shutdown().await;
                for index in self.schedule.running() {
                    self.interrupted(index);
                }
                None
            }
            ended = self.running.join_next() => match ended? {
                Ok(turn) => Some(turn),
                // A step's own panic is caught around the step, so this one is ours.
                Err(error) => std::panic::resume_unwind(error.into_panic()),
            },
        }
    }

    fn interrupted(&mut self, index: usize) {
        self.schedule.stop(index);
        self.run.tell(What::Interrupted { step: self.graph.nodes[index].id() });
    }

    /// Records a step that did not reach its end, and returns the steps this blocks.
    fn failed(
        &mut self,
        index: usize,
        error: StepError,
        elapsed: Duration,
    ) -> Result<Vec<usize>, JournalError> {
        if error.kind == Kind::Interrupted {
            self.interrupted(index);
            return Ok(Vec::new());
        }
        let step = self.graph.nodes[index].id();
        let entry = Entry::Failed { step: step.into(), error: error.clone() };
        self.run.record(entry, What::Failed { step, error: error.clone(), elapsed })?;
        self.report.failed(step, error);
        Ok(self.schedule.fail(index))
    }

    fn blocked(&mut self, index: usize, by: usize) {
        let (step, by) = (self.graph.nodes[index].id(), self.graph.nodes[by].id().to_owned());
        self.report.blocked += 1;
        self.run.tell(What::Blocked { step, by });
    }

    /// Records the end of the run.
    fn close(mut self) -> Result<Report, JournalError> {
        let stopped = self.run.stop.level() >= Level::Gently;
        let as_meant = self.put_off && self.report.failed == 0 && !stopped;
        let outcome = if self.schedule.complete() || as_meant {
            Outcome::Ready
        } else if self.report.failed == 0 || stopped {
            Outcome::Interrupted
        } else {
            Outcome::Failed
        };
        self.run.record(Entry::Closed { outcome }, What::Closed { outcome })?;
        self.report.outcome = outcome;
        self.report.elapsed = self.began.elapsed();
        self.report.critical_path = critical_path(self.schedule.needs(), self.schedule.order(), &self.spans);
        Ok(self.report)
    }
}

/// Keeps one step's turn within its deadline, shows that it lasts, and turns a panic of the step into a failure of it.
async fn bounded<T>(
    node: &dyn Node,
    cx: &Context,
    act: impl Future<Output = Result<T, StepError>>,
) -> Result<T, StepError> {
    let deadline = node.deadline();
    let end = Instant::now() + cx.pace().bound(deadline);
    let mut act = pin!(AssertUnwindSafe(act).catch_unwind());
    loop {
        tokio::select! {
            biased;
            ended = &mut act => return match ended {
                Ok(result) => result,
                Err(panic) => Err(StepError::new(Kind::Bug, format!("complete {}", node.title()))
                    .cause(format!("the step panicked: {}", words_of(panic.as_ref())))),
            },
            () = sleep_until(end) => return Err(cx.past_deadline(&node.title(), deadline)),
            () = sleep_until(cx.spoke() + SILENCE) => {
                // The step may have spoken since this sleep began: a wait has its own words.
                if cx.spoke().elapsed() >= SILENCE {
                    cx.still_at_it(node.usual());
                }
            }
        }
    }
}

fn words_of(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a message")
}
