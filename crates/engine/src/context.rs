//! The interface that the engine gives a running step.

use crate::{
    error::{Kind, Residue, StepError},
    event::{Event, Progress, What},
    handle::RecordOf,
    journal::{Entry, Past},
    pace::Pace,
    remembered::Remembered,
    run_context::{Looking, Run},
    step_types::Act,
    stop::Stop,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use std::{
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, SystemTime},
};
use tokio::{sync::mpsc, time::Instant};

/// The activity of a step from its journal entry on.
const MAKING: &str = "creating it";

/// The step's access to the run: journal state, events, and the only functions that wait.
pub struct Context {
    step: &'static str,
    /// The purpose of the turn. A ticket of a creation is useless for an undo, and vice versa.
    act: Act,
    remembered: Remembered,
    pace: Pace,
    pub(crate) stop: Stop,
    /// `None` while a speculative check runs before the step's turn.
    events: Option<mpsc::UnboundedSender<Event>>,
    moments: Arc<Mutex<Moments>>,
}

/// The recorded times and facts of a step's turn, for the report and for an exceeded deadline.
struct Moments {
    began: Instant,
    /// The time of the last event.
    spoke: Instant,
    /// The activity between waits, for a person.
    doing: &'static str,
    /// The time at which the resumed ticket was saved; the next wait consumes it.
    attached: Option<SystemTime>,
    acting: Option<Instant>,
    ended: Option<SystemTime>,
    last_seen: Option<String>,
    /// The minimum leftover of a failure from here on.
    left: Residue,
    /// In a read-only walk: the notes, and the operation in progress.
    notes: Vec<String>,
    on_its_way: Option<String>,
}

impl Moments {
    fn begin(act: Act) -> Self {
        let now = Instant::now();
        let doing = if act == Act::Undo { "deleting it" } else { "checking" };
        Self {
            began: now,
            spoke: now,
            doing,
            attached: None,
            acting: None,
            ended: None,
            last_seen: None,
            left: Residue::Nothing,
            notes: Vec::new(),
            on_its_way: None,
        }
    }
}

impl Context {
    pub(crate) fn new(step: &'static str, act: Act, run: &Run) -> Self {
        Self {
            step,
            act,
            remembered: Remembered::Journal(run.journal.clone()),
            pace: run.pace,
            stop: run.stop.clone(),
            events: Some(run.events.clone()),
            moments: Arc::new(Mutex::new(Moments::begin(act))),
        }
    }

    /// Creates the context for a search, within this turn, for what a step created.
    pub(crate) fn finding(&self, step: &'static str) -> Self {
        Self {
            step,
            act: Act::Make,
            remembered: self.remembered.clone(),
            pace: self.pace,
            stop: self.stop.clone(),
            events: self.events.clone(),
            moments: self.moments.clone(),
        }
    }

    /// Creates the context of a read-only walk: writes nothing, ends every wait after its first poll, and
    /// collects the notes of a step.
    pub(crate) fn looking(step: &'static str, looking: &Looking) -> Self {
        Self {
            step,
            act: Act::Look,
            remembered: Remembered::Only(looking.memory.clone()),
            pace: looking.pace,
            stop: looking.stop.clone(),
            events: None,
            moments: Arc::new(Mutex::new(Moments::begin(Act::Look))),
        }
    }

    /// Returns whether this walk is read-only: a missing resource is then reported and not waited for.
    pub(crate) fn only_looks(&self) -> bool {
        self.remembered.is_only_read()
    }

    /// Records an operation that a check found in progress, in a read-only walk.
    pub(crate) fn is_on_its_way(&self, what: &str, state: &str) -> StepError {
        let words = if state.is_empty() { format!("waiting for {what}") } else { state.to_owned() };
        self.moments().on_its_way = Some(words);
        StepError::new(Kind::TimedOut, format!("find {what}")).cause("it does not exist yet")
    }

    /// Returns and clears the records of [`Context::is_on_its_way`], and the notes.
    pub(crate) fn take_told(&self) -> (Option<String>, Vec<String>) {
        let mut moments = self.moments();
        (moments.on_its_way.take(), std::mem::take(&mut moments.notes))
    }

    /// Like [`Context::new`], but emits no events; for a speculative check before the step's turn.
    pub(crate) fn silent(step: &'static str, run: &Run) -> Self {
        Self { events: None, ..Self::new(step, Act::Make, run) }
    }

    /// Returns the time scale of the cloud.
    pub fn pace(&self) -> Pace {
        self.pace
    }

    /// Returns the ticket that an earlier attempt of this step left, if it has this type.
    ///
    /// The next wait then counts its progress from the time at which the ticket was saved.
    pub fn ticket<T: DeserializeOwned>(&self) -> Option<T> {
        let past = self.past();
        if past.ticket_undoes != (self.act == Act::Undo) {
            return None;
        }
        let ticket = serde_json::from_value(past.ticket?).ok()?;
        self.moments().attached = past.ticket_at.as_deref().and_then(moment);
        Some(ticket)
    }

    /// Saves a ticket, with which a later run polls work that the cloud accepted. It is on disk when this
    /// returns.
    ///
    /// # Errors
    ///
    /// Fails if the journal cannot be written, which also ends the run; pass the error on.
    pub fn keep<T: Serialize>(&self, ticket: &T) -> Result<(), StepError> {
        let ticket = serde_json::to_value(ticket).map_err(|error| {
            StepError::new(Kind::Bug, format!("write the ticket of {} as JSON", self.step)).caused_by(&error)
        })?;
        self.write_ticket(ticket)
    }

    /// Deletes the ticket: the cloud no longer knows it.
    ///
    /// # Errors
    ///
    /// Fails if the journal cannot be written, which also ends the run; pass the error on.
    pub fn drop_ticket(&self) -> Result<(), StepError> {
        self.moments().attached = None;
        self.write_ticket(Value::Null)
    }

    /// Returns whether this step created its resource, in this run or an earlier one.
    pub fn ours(&self) -> bool {
        self.past().ours
    }

    /// Returns whether a person adopted what this step found; see [`Past::adopted`].
    pub fn adopted(&self) -> bool {
        self.past().adopted
    }

    /// Returns the last recorded output of this step; `None` if there is none, or it no longer parses.
    pub fn last_output<T: DeserializeOwned>(&self) -> Option<T> {
        self.past().read_output()
    }

    /// Returns the recorded output of another step; for an undo without inputs.
    pub fn output_of<T: DeserializeOwned>(&self, step: RecordOf<T>) -> Option<T> {
        self.past_of(step.id()).read_output()
    }

    /// Returns whether landfall created the resource of another step.
    pub fn owns<T>(&self, step: RecordOf<T>) -> bool {
        self.past_of(step.id()).ours
    }

    /// Returns the recorded state of any step, for code that examines all of them. To read a particular one,
    /// use [`Context::output_of`].
    pub fn past_of(&self, step: &str) -> Past {
        self.remembered.past(step)
    }

    /// Records that a write of this turn has been accepted ([`Residue::Something`]), or may have been
    /// ([`Residue::Unknown`]). No later failure of the turn can then report that nothing was left behind.
    ///
    /// Without this, a refused read after the write would revoke the ownership of its resource.
    pub fn leaves(&self, residue: Residue) {
        let mut moments = self.moments();
        moments.left = moments.left.and(residue);
    }

    /// Adds the known leftover of the turn to an error.
    pub(crate) fn with_what_is_left(&self, error: StepError) -> StepError {
        let residue = error.residue.and(self.moments().left);
        error.residue(residue)
    }

    /// Emits a note that displays may drop.
    pub fn note(&self, text: impl Into<String>) {
        self.tell(What::Note { step: self.step, text: text.into(), progress: None });
    }

    /// Reports that a request was refused for now and is retried after `wait` of real time.
    pub fn retrying(&self, because: &str, wait: Duration) {
        self.tell(What::Retrying { step: self.step, because: because.into(), wait });
    }

    /// Records when the awaited state was reached, by the cloud's own clock. The latest call counts.
    ///
    /// The report uses it to measure the ideal run: the time from here to its detection is landfall's.
    pub fn ended_at(&self, at: SystemTime) {
        self.moments().ended = Some(at);
    }

    pub(crate) fn past(&self) -> Past {
        self.remembered.past(self.step)
    }

    pub(crate) fn tell(&self, what: What) {
        if let What::Note { text, progress: None, .. } = &what
            && self.only_looks()
        {
            self.moments().notes.push(text.clone());
        }
        self.send(what);
    }

    /// Sends an event that is not part of a poll result.
    fn send(&self, what: What) {
        self.moments().spoke = Instant::now();
        if let Some(events) = &self.events {
            // A display that has ended does not stop the run.
            let _ = events.send(Event { at: SystemTime::now(), what });
        }
    }

    pub(crate) fn beat(&self, state: &str, text: String, progress: Progress) {
        self.moments().last_seen = Some(state.to_owned());
        self.tell(What::Note { step: self.step, text, progress: Some(progress) });
    }

    /// Returns the time of the step's last event.
    pub(crate) fn spoke(&self) -> Instant {
        self.moments().spoke
    }

    /// Emits a heartbeat if the step has been silent.
    pub(crate) fn still_at_it(&self, usual: Duration) {
        let (doing, began, acting) = {
            let moments = self.moments();
            (moments.doing, moments.began, moments.acting)
        };
        let so_far = self.pace.cloud(acting.unwrap_or(began).elapsed());
        let text = match doing == MAKING && !usual.is_zero() {
            true => format!("{doing}, {} s of about {} s", so_far.as_secs(), usual.as_secs().max(1)),
            false => format!("{doing}, {} s", so_far.as_secs()),
        };
        self.send(What::Note { step: self.step, text, progress: None });
    }

    /// Records that the step is about to change something and under which names, then emits the event.
    pub(crate) fn start(&self, title: String, making: bool, named: Option<Value>) -> Result<(), StepError> {
        let attempt = self.past().attempts + 1;
        self.write(Entry::Started { step: self.step.into(), attempt, making, named })?;
        self.begin_acting();
        self.moments().doing = MAKING;
        self.tell(What::Started { step: self.step, title, making, attempt });
        Ok(())
    }

    pub(crate) fn begin_acting(&self) {
        self.moments().acting = Some(Instant::now());
    }

    /// Returns the time that the cloud took: from the start of the change to the reported end, or to now if
    /// no end was reported.
    pub(crate) fn acted(&self) -> Duration {
        let moments = self.moments();
        let Some(acting) = moments.acting else { return Duration::ZERO };
        let whole = acting.elapsed();
        let Some(ended) = moments.ended else { return whole };
        // The comparison uses two clocks, so a skew can only be bounded, not removed.
        let since = SystemTime::now().duration_since(ended).unwrap_or_default();
        whole.saturating_sub(since)
    }

    pub(crate) fn take_attached(&self) -> Option<SystemTime> {
        self.moments().attached.take()
    }

    /// Returns the error for an exceeded deadline of the whole turn.
    pub(crate) fn past_deadline(&self, title: &str, deadline: Duration) -> StepError {
        let what = if self.act == Act::Undo { "delete" } else { "finish" };
        let what = format!("{what} {title} within {} s", deadline.as_secs());
        let error = StepError::new(Kind::TimedOut, what)
            .hint("run the same command again to resume")
            .residue(if self.past().ticket.is_some() { Residue::Something } else { Residue::Unknown });
        let moments = self.moments();
        match &moments.last_seen {
            Some(state) => error.cause(format!("last seen: {state}")),
            None => error.cause(format!("it was {}, and no state was reported", moments.doing)),
        }
    }

    fn write_ticket(&self, ticket: Value) -> Result<(), StepError> {
        self.write(Entry::Ticket { step: self.step.into(), ticket, undoes: self.act == Act::Undo })
    }

    fn write(&self, entry: Entry) -> Result<(), StepError> {
        // The journal stays broken after a failed write. So the run ends at its next entry at the latest,
        // whatever the step does with this error.
        self.remembered.append(entry)
    }

    fn moments(&self) -> MutexGuard<'_, Moments> {
        self.moments.lock().expect("nothing panics while it is held")
    }
}

/// Parses a timestamp of the journal.
fn moment(text: &str) -> Option<SystemTime> {
    text.parse::<jiff::Timestamp>().ok().map(SystemTime::from)
}
