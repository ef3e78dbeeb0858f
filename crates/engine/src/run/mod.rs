//! The walk over the graph: `up`, `down`, and their common parts.
//!
//! One loop owns the schedule and records the ends of steps in the journal. The steps run in tasks of their
//! own and send their results back. A plan only runs checks.

mod discover;
mod down;
mod plan;
mod report;
mod retirement;
mod speculative;
mod teardown_state;
mod up;

pub use discover::{Discovery, discover};
pub use down::down;
pub use plan::{Action, Plan, Planned, plan};
pub use report::{LeftBehind, Report};
pub use up::up;

use crate::{
    activity::{StepActivity, ms},
    context::Context,
    current_step::on_behalf_of,
    error::{Kind, StepError},
    event::EventKind,
    graph::Graph,
    journal::{BlockedStep, CriticalStep, Details, Entry, JournalError, RunSummary},
    node::Node,
    os_error::is_thread_refusal,
    run_context::Run,
    schedule::Schedule,
    step_types::{Outcome, StepInfo},
    stop::StopLevel,
};
use futures::FutureExt;
use report::{CriticalPath, Span, critical_path};
use std::{
    any::Any,
    future::Future,
    panic::AssertUnwindSafe,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep_until},
};

/// The silence of a step, in real time, after which the engine emits a heartbeat for it.
const SILENCE: Duration = Duration::from_secs(5);

/// The longest time for requests in flight after the lease of the journal was lost, in real time.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(30);

/// The result of one step's turn.
struct Turn<T> {
    index: usize,
    result: Result<T, StepError>,
    span: Span,
    elapsed: Duration,
    warnings: Vec<String>,
    activity: StepActivity,
}

/// The state of a walk over the graph, in either direction.
struct Walk<'a, T> {
    graph: &'a Graph,
    run: &'a Run,
    schedule: Schedule,
    running: JoinSet<Turn<T>>,
    spans: Vec<Span>,
    report: Report,
    began: Instant,
    /// The number of requests of all turns.
    run_requests: Arc<AtomicU64>,
    /// The parts of the summary that are known before the end.
    summary: RunSummary,
    /// True if the remaining steps are deliberately left to a later run.
    deferred: bool,
}

impl<'a, T: Send + 'static> Walk<'a, T> {
    /// Starts a walk over these steps of the graph; `steps` are those that displays show.
    fn begin(graph: &'a Graph, run: &'a Run, schedule: Schedule, steps: Vec<StepInfo>) -> Self {
        let environment = run.journal.environment().environment.clone();
        run.emit(EventKind::Opened { environment, steps });
        let spans = vec![Span::None; graph.nodes.len()];
        let (running, report, began) = (JoinSet::new(), Report::new(), Instant::now());
        let (run_requests, summary) = (Arc::default(), RunSummary::default());
        Self { graph, run, schedule, running, spans, report, began, run_requests, summary, deferred: false }
    }

    /// Returns the steps whose turn it is; none after a stop request.
    fn take_ready(&mut self) -> Vec<usize> {
        if self.run.stop.level() >= StopLevel::Graceful { Vec::new() } else { self.schedule.take_ready() }
    }

    /// Waits for the next step to end; `None` if none is running, or an immediate stop cut all of them off.
    ///
    /// When the lease of the journal ends, the run stops gracefully.
    async fn next(&mut self) -> Option<Turn<T>> {
        let journal = self.run.journal.clone();
        let mut lease_ended = pin!(journal.lease_ended());
        let mut watched = self.run.stop.level() < StopLevel::Graceful;
        loop {
            tokio::select! {
                biased;
                () = &mut lease_ended, if watched => {
                    watched = false;
                    self.run.stop.graceful();
                    continue;
                }
                () = self.run.stop.requested(StopLevel::Now) => {
                    // This cuts every step off at its await point; a write in progress still completes.
                    self.running.shutdown().await;
                    for index in self.schedule.running() {
                        self.interrupted(index);
                    }
                    return None;
                }
                ended = self.running.join_next() => match ended? {
                    Ok(turn) => return Some(turn),
                    // A step's own panic is caught around the step, so this one is the engine's.
                    Err(error) => std::panic::resume_unwind(error.into_panic()),
                },
            }
        }
    }

    /// Lets the requests in flight end after another process has taken over the journal.
    async fn drain(&mut self, error: &JournalError) {
        if !error.lease_lost {
            return;
        }
        self.run.stop.graceful();
        let ended = async { while self.running.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(DRAIN_TIMEOUT, ended).await;
    }

    fn interrupted(&mut self, index: usize) {
        let step = self.graph.nodes[index].id();
        self.schedule.stop(index);
        self.summary.interrupted.push(step.to_owned());
        self.run.emit(EventKind::Interrupted { step });
    }

    /// Records a failed step, and returns the steps that this blocks.
    fn failed(
        &mut self,
        index: usize,
        error: StepError,
        elapsed: Duration,
        activity: StepActivity,
    ) -> Result<Vec<usize>, JournalError> {
        if error.kind == Kind::Interrupted {
            self.interrupted(index);
            return Ok(Vec::new());
        }
        let step = self.graph.nodes[index].id();
        let entry = Entry::Failed { step: step.into(), error: error.clone() };
        let entry = entry.with(Details::of_turn(activity));
        self.run.record(entry, EventKind::Failed { step, error: error.clone(), elapsed })?;
        self.report.failed(step, error);
        Ok(self.schedule.fail(index))
    }

    /// Records that the resource of a switched-off step could not be deleted. It blocks no step.
    fn not_retired(&mut self, index: usize, error: StepError, elapsed: Duration) -> Result<(), JournalError> {
        let step = self.graph.nodes[index].id();
        if error.kind == Kind::Interrupted {
            self.run.emit(EventKind::Interrupted { step });
            return Ok(());
        }
        let entry = Entry::Failed { step: step.into(), error: error.clone() };
        self.run.record(entry, EventKind::Failed { step, error: error.clone(), elapsed })?;
        self.report.failed(step, error);
        Ok(())
    }

    fn warned(&mut self, index: usize, warnings: Vec<String>) {
        let step = self.graph.nodes[index].id();
        self.report.warnings.extend(warnings.into_iter().map(|warning| (step.to_owned(), warning)));
    }

    fn blocked(&mut self, index: usize, by: usize) {
        let (step, by) = (self.graph.nodes[index].id(), self.graph.nodes[by].id().to_owned());
        self.report.blocked += 1;
        self.summary.blocked.push(BlockedStep { step: step.to_owned(), by: by.clone() });
        self.run.emit(EventKind::Blocked { step, by });
    }

    /// Records the end of the run. Every entry is durable when this returns.
    async fn close(mut self) -> Result<Report, JournalError> {
        let stopped = self.run.stop.level() >= StopLevel::Graceful;
        let completed_as_planned = self.deferred && self.report.failed == 0 && !stopped;
        let is_complete = self.schedule.complete() && self.report.failed == 0;
        let outcome = if is_complete || completed_as_planned {
            Outcome::Ready
        } else if self.report.failed == 0 || stopped {
            Outcome::Interrupted
        } else {
            Outcome::Failed
        };
        let path = critical_path(self.schedule.needs(), self.schedule.order(), &self.spans);
        self.report.outcome = outcome;
        self.report.elapsed = self.began.elapsed();
        self.report.critical_path = path.duration;
        let details = Details::of_run(self.summarize(&path));
        self.run.record(Entry::Closed { outcome }.with(details), EventKind::Closed { outcome })?;
        self.run.journal.flushed().await?;
        Ok(self.report)
    }

    /// Returns the summary for the journal.
    fn summarize(&mut self, path: &CriticalPath) -> RunSummary {
        let critical_step = |&(index, cloud): &(usize, Duration)| CriticalStep {
            step: self.graph.nodes[index].id().to_owned(),
            cloud_ms: ms(cloud),
        };
        RunSummary {
            elapsed_ms: ms(self.report.elapsed),
            critical_path_ms: ms(path.duration),
            critical_path: path.steps.iter().map(critical_step).collect(),
            requests: self.run_requests.load(Ordering::Relaxed),
            ..std::mem::take(&mut self.summary)
        }
    }
}

/// Bounds one step's turn by its deadline, emits heartbeats, and converts a panic of the step into its
/// failure.
async fn with_deadline<T>(
    node: &dyn Node,
    cx: &Context,
    action: impl Future<Output = Result<T, StepError>>,
) -> Result<T, StepError> {
    let deadline = node.deadline();
    let end = Instant::now() + cx.time_scale().deadline(deadline);
    let action = on_behalf_of(node.id(), action);
    let mut action = pin!(AssertUnwindSafe(action).catch_unwind());
    loop {
        tokio::select! {
            biased;
            ended = &mut action => return match ended {
                Ok(result) => result,
                Err(panic) => Err(crashed(&node.title(), panic_message(panic.as_ref()))),
            },
            () = sleep_until(end) => return Err(cx.deadline_exceeded(&node.title(), deadline)),
            () = sleep_until(cx.last_event() + SILENCE) => {
                // The step may have emitted an event during this sleep: a wait emits its own.
                if cx.last_event().elapsed() >= SILENCE {
                    cx.idle_heartbeat(node.typical_duration());
                }
            }
        }
    }
}

/// Returns the error of a step that panicked. A refused thread is not a bug of the step.
fn crashed(title: &str, panic: &str) -> StepError {
    let failed = |kind| StepError::new(kind, format!("complete {title}"));
    match is_thread_refusal(panic) {
        true => failed(Kind::Failed).cause(panic).hint(
            "raise the limit of threads and processes of this user or container (ulimit -u, the pids limit), \
             then run again",
        ),
        false => failed(Kind::Bug).cause(format!("the step crashed: {panic}")),
    }
}

fn panic_message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a message")
}
