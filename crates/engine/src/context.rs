//! The interface that the engine gives a running step.

use crate::{
    activity::{ActivityRecorder, StepActivity},
    error::{Kind, Leftover, StepError},
    event::{Event, EventKind, Progress},
    handle::RecordOf,
    journal::{Entry, StepState},
    run_context::{PlanContext, Run},
    step_record_store::History,
    step_types::{Override, StepAction},
    stop::Stop,
    time_scale::TimeScale,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use std::{
    future::Future,
    sync::{Arc, Mutex, MutexGuard, atomic::AtomicU64},
    time::{Duration, SystemTime},
};
use tokio::{sync::mpsc, time::Instant};

/// The activity of a step from its journal entry on.
const CREATING: &str = "creating it";

/// The step's access to the run: journal state, events, and the only functions that wait.
pub struct Context {
    step: &'static str,
    /// The purpose of the turn. A ticket of a creation is useless for an undo, and vice versa.
    action: StepAction,
    history: History,
    time_scale: TimeScale,
    pub(crate) stop: Stop,
    /// True if this resource alone is deleted, and its parents stay.
    retired: bool,
    /// `None` while a speculative check runs before the step's turn.
    events: Option<mpsc::UnboundedSender<Event>>,
    timings: Arc<Mutex<StepTimings>>,
    activity: ActivityRecorder,
}

/// The recorded times and facts of a step's turn, for the report and for an exceeded deadline.
struct StepTimings {
    began: Instant,
    /// The time of the last event.
    last_event: Instant,
    /// The activity between waits, for a person.
    activity: &'static str,
    /// The time at which the resumed ticket was saved; the next wait consumes it.
    attached: Option<SystemTime>,
    acting: Option<Instant>,
    /// True if the cloud has let this turn wait.
    has_waited: bool,
    ended: Option<SystemTime>,
    last_state: Option<String>,
    /// The minimum leftover of a failure from here on.
    leftover: Leftover,
    /// In a read-only walk: the notes, and the operation in progress.
    notes: Vec<String>,
    in_progress: Option<String>,
    /// The warnings of this turn.
    warnings: Vec<String>,
    /// The overrides of the output; `None` if this turn did not examine them.
    overrides: Option<Vec<Override>>,
}

impl StepTimings {
    fn begin(action: StepAction) -> Self {
        let now = Instant::now();
        let activity = if action == StepAction::Undo { "deleting it" } else { "checking" };
        Self {
            began: now,
            last_event: now,
            activity,
            attached: None,
            acting: None,
            has_waited: false,
            ended: None,
            last_state: None,
            leftover: Leftover::Nothing,
            notes: Vec::new(),
            in_progress: None,
            warnings: Vec::new(),
            overrides: None,
        }
    }
}

impl Context {
    /// Creates the context of a turn; `run_requests` counts the requests of the whole run.
    pub(crate) fn new(
        step: &'static str,
        action: StepAction,
        run: &Run,
        run_requests: &Arc<AtomicU64>,
    ) -> Self {
        Self {
            step,
            action,
            history: History::Journal(run.journal.clone()),
            time_scale: run.time_scale,
            stop: run.stop.clone(),
            retired: false,
            events: Some(run.events.clone()),
            timings: Arc::new(Mutex::new(StepTimings::begin(action))),
            activity: ActivityRecorder::begin(run_requests),
        }
    }

    /// Creates the context of the deletion of a resource that is no longer wanted, while everything else stays.
    pub(crate) fn of_retirement(step: &'static str, run: &Run, run_requests: &Arc<AtomicU64>) -> Self {
        Self { retired: true, ..Self::new(step, StepAction::Undo, run, run_requests) }
    }

    /// Creates the context for a search, within this turn, for what a step created.
    pub(crate) fn for_search(&self, step: &'static str) -> Self {
        Self {
            step,
            action: StepAction::Apply,
            history: self.history.clone(),
            time_scale: self.time_scale,
            stop: self.stop.clone(),
            retired: self.retired,
            events: self.events.clone(),
            timings: self.timings.clone(),
            activity: self.activity.clone(),
        }
    }

    /// Creates the context of a read-only walk: writes nothing, ends every wait after its first poll, and
    /// collects the notes of a step.
    pub(crate) fn read_only(step: &'static str, plan_context: &PlanContext) -> Self {
        Self {
            step,
            action: StepAction::Check,
            history: History::ReadOnly(plan_context.journal_state.clone()),
            time_scale: plan_context.time_scale,
            stop: plan_context.stop.clone(),
            retired: false,
            events: None,
            timings: Arc::new(Mutex::new(StepTimings::begin(StepAction::Check))),
            activity: ActivityRecorder::begin(&Arc::default()),
        }
    }

    /// Returns whether this walk is read-only: a missing resource is then reported and not waited for.
    pub(crate) fn is_read_only(&self) -> bool {
        self.history.is_read_only()
    }

    /// Records an operation that a check found in progress, in a read-only walk.
    pub(crate) fn record_in_progress(&self, what: &str, state: &str) -> StepError {
        let description = if state.is_empty() { format!("waiting for {what}") } else { state.to_owned() };
        self.timings().in_progress = Some(description);
        StepError::new(Kind::TimedOut, format!("find {what}")).cause("it does not exist yet")
    }

    /// Returns and clears the records of [`Context::record_in_progress`], and the notes.
    pub(crate) fn take_notes(&self) -> (Option<String>, Vec<String>) {
        let mut timings = self.timings();
        (timings.in_progress.take(), std::mem::take(&mut timings.notes))
    }

    /// Like [`Context::new`], but emits no events; for a speculative check before the step's turn.
    pub(crate) fn silent(step: &'static str, run: &Run, run_requests: &Arc<AtomicU64>) -> Self {
        Self { events: None, ..Self::new(step, StepAction::Apply, run, run_requests) }
    }

    /// Runs a future whose requests and retries count as this turn's.
    pub(crate) fn counted<F: Future>(&self, future: F) -> impl Future<Output = F::Output> + use<F> {
        self.activity.scope(future)
    }

    /// Returns the activity of this turn so far.
    pub(crate) fn activity(&self) -> StepActivity {
        self.activity.so_far()
    }

    /// Adds the activity of a speculative check, whose result this turn uses.
    pub(crate) fn add_activity(&self, other: &StepActivity) {
        self.activity.add(other);
    }

    /// Records a wait that ends now.
    pub(crate) fn waited(&self, what: &str, began: Instant) {
        self.activity.waited(what, began);
    }

    /// Returns the time scale of the cloud.
    pub fn time_scale(&self) -> TimeScale {
        self.time_scale
    }

    /// Returns the ticket that an earlier attempt of this step left, if it has this type.
    ///
    /// The next wait then counts its progress from the time at which the ticket was saved.
    pub fn ticket<T: DeserializeOwned>(&self) -> Option<T> {
        let step_state = self.step_state();
        if step_state.ticket_undoes != (self.action == StepAction::Undo) {
            return None;
        }
        let ticket = serde_json::from_value(step_state.ticket?).ok()?;
        self.timings().attached = step_state.ticket_at.as_deref().and_then(parse_timestamp);
        Some(ticket)
    }

    /// Saves a ticket, with which a later run polls work that the cloud accepted.
    ///
    /// It is durable before the next request that changes something; see [`Journal::permit`]. Before another act,
    /// such as the write of a file, call [`Context::flushed`].
    ///
    /// [`Journal::permit`]: crate::Journal::permit
    ///
    /// # Errors
    ///
    /// Fails if the journal cannot be written, which also ends the run; pass the error on.
    pub fn save_ticket<T: Serialize>(&self, ticket: &T) -> Result<(), StepError> {
        let ticket = serde_json::to_value(ticket).map_err(|error| {
            StepError::new(Kind::Bug, format!("convert the saved progress of step {} to JSON", self.step))
                .caused_by(&error)
        })?;
        self.write_ticket(ticket)
    }

    /// Waits until everything that this step has saved is durable.
    ///
    /// # Errors
    ///
    /// Fails if the journal cannot be written, which also ends the run; pass the error on.
    pub async fn flushed(&self) -> Result<(), StepError> {
        self.history.flushed().await
    }

    /// Deletes the ticket: the cloud no longer knows it.
    ///
    /// # Errors
    ///
    /// Fails if the journal cannot be written, which also ends the run; pass the error on.
    pub fn drop_ticket(&self) -> Result<(), StepError> {
        self.timings().attached = None;
        self.write_ticket(Value::Null)
    }

    /// Returns whether this step created its resource, in this run or an earlier one.
    pub fn owned(&self) -> bool {
        self.step_state().owned
    }

    /// Returns whether this undo deletes the resource alone, while the environment stays; see
    /// [`Graph::retire_after`](crate::Graph::retire_after). Its parents are not deleted, so it must not rely on them.
    pub fn retired(&self) -> bool {
        self.retired
    }

    /// Returns whether a person adopted what this step found; see [`StepState::adopted`].
    pub fn adopted(&self) -> bool {
        self.step_state().adopted
    }

    /// Returns the last recorded output of this step; `None` if there is none, or it no longer parses.
    pub fn last_output<T: DeserializeOwned>(&self) -> Option<T> {
        self.step_state().read_output()
    }

    /// Returns the recorded output of another step; for an undo without inputs.
    pub fn output_of<T: DeserializeOwned>(&self, step: RecordOf<T>) -> Option<T> {
        self.past_of(step.id()).read_output()
    }

    /// Returns whether landfall created the resource of another step.
    pub fn owns<T>(&self, step: RecordOf<T>) -> bool {
        self.past_of(step.id()).owned
    }

    /// Returns the recorded state of any step, for code that examines all of them. To read a particular one,
    /// use [`Context::output_of`].
    pub fn past_of(&self, step: &str) -> StepState {
        self.history.step_state(step)
    }

    /// Records that a write of this turn has been accepted ([`Leftover::Something`]), or may have been
    /// ([`Leftover::Unknown`]). No later failure of the turn can then report that nothing was left behind.
    ///
    /// Without this, a refused read after the write would revoke the ownership of its resource.
    pub fn record_leftover(&self, leftover: Leftover) {
        let mut timings = self.timings();
        timings.leftover = timings.leftover.and(leftover);
    }

    /// Adds the known leftover of the turn to an error.
    pub(crate) fn with_leftover(&self, error: StepError) -> StepError {
        let leftover = error.leftover.and(self.timings().leftover);
        error.leftover(leftover)
    }

    /// Emits a note that displays may drop.
    pub fn note(&self, text: impl Into<String>) {
        self.emit(EventKind::Note { step: self.step, text: text.into(), progress: None });
    }

    /// Emits a note that the report of the run repeats at its end. A repeated warning counts once.
    pub fn warn(&self, text: impl Into<String>) {
        let text = text.into();
        if self.timings().warnings.contains(&text) {
            return;
        }
        self.timings().warnings.push(text.clone());
        self.note(text);
    }

    /// Returns and clears the warnings of this turn.
    pub(crate) fn take_warnings(&self) -> Vec<String> {
        std::mem::take(&mut self.timings().warnings)
    }

    /// Sets the overrides that the journal records with the output of this turn. Without this call the recorded
    /// ones stay.
    pub fn set_overrides(&self, overrides: Vec<Override>) {
        self.timings().overrides = Some(overrides);
    }

    /// Returns the overrides that belong to the output of this turn: those that it has set, else the recorded ones.
    pub fn overrides(&self) -> Vec<Override> {
        let examined = self.timings().overrides.clone();
        examined.unwrap_or_else(|| self.step_state().overrides())
    }

    /// Reports that a request was refused for now and is retried after `wait` of real time.
    pub fn retrying(&self, because: &str, wait: Duration) {
        self.activity.count_retry(because);
        self.emit(EventKind::Retrying { step: self.step, because: because.into(), wait });
    }

    /// Records when the awaited state was reached, by the cloud's own clock. The latest call counts.
    ///
    /// The report uses it to measure the ideal run: the time from here to its detection is landfall's.
    pub fn ended_at(&self, at: SystemTime) {
        self.timings().ended = Some(at);
    }

    pub(crate) fn step_state(&self) -> StepState {
        self.history.step_state(self.step)
    }

    pub(crate) fn emit(&self, what: EventKind) {
        if let EventKind::Note { text, progress: None, .. } = &what
            && self.is_read_only()
        {
            self.timings().notes.push(text.clone());
        }
        self.send(what);
    }

    /// Sends an event that is not part of a poll result.
    fn send(&self, what: EventKind) {
        self.timings().last_event = Instant::now();
        if let Some(events) = &self.events {
            // A display that has ended does not stop the run.
            let _ = events.send(Event { at: SystemTime::now(), what });
        }
    }

    pub(crate) fn heartbeat(&self, state: &str, text: String, progress: Progress) {
        self.timings().last_state = Some(state.to_owned());
        self.emit(EventKind::Note { step: self.step, text, progress: Some(progress) });
    }

    /// Returns the time of the step's last event.
    pub(crate) fn last_event(&self) -> Instant {
        self.timings().last_event
    }

    /// Emits a heartbeat if the step has been silent.
    pub(crate) fn idle_heartbeat(&self, typical_duration: Duration) {
        let (activity, began, acting) = {
            let timings = self.timings();
            (timings.activity, timings.began, timings.acting)
        };
        let so_far = self.time_scale.cloud(acting.unwrap_or(began).elapsed());
        let text = match activity == CREATING && !typical_duration.is_zero() {
            true => {
                format!("{activity}, {} s of about {} s", so_far.as_secs(), typical_duration.as_secs().max(1))
            }
            false => format!("{activity}, {} s", so_far.as_secs()),
        };
        self.send(EventKind::Note { step: self.step, text, progress: None });
    }

    /// Records that the step is about to change something and under which names, then emits the event. The record is
    /// durable when this returns.
    pub(crate) async fn start(
        &self,
        title: String,
        creating: bool,
        planned_name: Option<Value>,
    ) -> Result<(), StepError> {
        let attempt = self.step_state().attempts + 1;
        self.write(Entry::Started { step: self.step.into(), attempt, creating, planned_name })?;
        self.history.flushed().await?;
        // A wait of the check, such as that for a role assignment, is the cloud's time too.
        if !self.timings().has_waited {
            self.begin_acting();
        }
        self.timings().activity = CREATING;
        self.emit(EventKind::Started { step: self.step, title, creating, attempt });
        Ok(())
    }

    /// Records that the cloud lets this turn wait.
    pub(crate) fn record_wait(&self) {
        self.timings().has_waited = true;
    }

    pub(crate) fn begin_acting(&self) {
        self.timings().acting = Some(Instant::now());
    }

    /// Returns the time that the cloud took: from the start of the change, or of a check that had to wait, to the
    /// reported end, or to now if no end was reported.
    pub(crate) fn cloud_duration(&self) -> Duration {
        let timings = self.timings();
        let Some(acting) = timings.acting else { return Duration::ZERO };
        let whole = acting.elapsed();
        let Some(ended) = timings.ended else { return whole };
        // The comparison uses two clocks, so a skew can only be bounded, not removed.
        let since = SystemTime::now().duration_since(ended).unwrap_or_default();
        whole.saturating_sub(since)
    }

    pub(crate) fn take_attached(&self) -> Option<SystemTime> {
        self.timings().attached.take()
    }

    /// Returns the error for an exceeded deadline of the whole turn.
    pub(crate) fn deadline_exceeded(&self, title: &str, deadline: Duration) -> StepError {
        let what = if self.action == StepAction::Undo { "delete" } else { "finish" };
        let what = format!("{what} {title} within {} s", deadline.as_secs());
        let error =
            StepError::new(Kind::TimedOut, what).hint("run the same command again to resume").leftover(
                if self.step_state().ticket.is_some() { Leftover::Something } else { Leftover::Unknown },
            );
        let timings = self.timings();
        match &timings.last_state {
            Some(state) => error.cause(format!("last seen: {state}")),
            None => error.cause(format!("it was {}, and no state was reported", timings.activity)),
        }
    }

    fn write_ticket(&self, ticket: Value) -> Result<(), StepError> {
        self.write(Entry::Ticket { step: self.step.into(), ticket, undoes: self.action == StepAction::Undo })
    }

    fn write(&self, entry: Entry) -> Result<(), StepError> {
        // The journal stays broken after a failed write. So the run ends at its next entry at the latest,
        // whatever the step does with this error.
        self.history.append(entry)
    }

    fn timings(&self) -> MutexGuard<'_, StepTimings> {
        self.timings.lock().expect("nothing panics while it is held")
    }
}

/// Parses a timestamp of the journal.
fn parse_timestamp(text: &str) -> Option<SystemTime> {
    text.parse::<jiff::Timestamp>().ok().map(SystemTime::from)
}
