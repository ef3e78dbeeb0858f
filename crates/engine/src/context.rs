//! What the engine lends a step while it runs.

use crate::{
    error::{Kind, Residue, StepError},
    event::{Event, Progress, What},
    guard::Act,
    journal::{Entry, Past},
    pace::Pace,
    remembered::Remembered,
    run::{Looking, Run},
    stop::Stop,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use std::{
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, SystemTime},
};
use tokio::{sync::mpsc, time::Instant};

/// What a step is at from its entry in the journal on.
const MAKING: &str = "creating it";

/// The step's window on the run: its memory, its voice, and the only ways to wait.
pub struct Context {
    step: &'static str,
    /// What its turn is for. A ticket left by making is no use to undoing, nor the other way round.
    act: Act,
    remembered: Remembered,
    pace: Pace,
    pub(crate) stop: Stop,
    /// Silent while a look runs ahead of the step's turn.
    events: Option<mpsc::UnboundedSender<Event>>,
    moments: Arc<Mutex<Moments>>,
}

/// What is remembered of a step's turn, for the report and for a deadline that passes.
struct Moments {
    began: Instant,
    /// When it was last heard of.
    spoke: Instant,
    /// What it is at between its waits, for a person.
    doing: &'static str,
    /// When the ticket that was taken up had been kept; consumed by the next wait.
    attached: Option<SystemTime>,
    acting: Option<Instant>,
    ended: Option<SystemTime>,
    last_seen: Option<String>,
    /// What a failure from here on has left behind at the least.
    left: Residue,
    /// In a walk that only looks: what was noted, and what is on its way.
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

    /// For looking, within this turn, for what a step has made.
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

    /// For a walk that only looks: nothing is written, no wait goes beyond its first look, and what
    /// a step notes is collected.
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

    /// Tells whether this walk only looks: what is not there yet is then said and not waited for.
    pub(crate) fn only_looks(&self) -> bool {
        self.remembered.is_only_read()
    }

    /// Takes down what a look found to be on its way, in a walk that only looks.
    pub(crate) fn is_on_its_way(&self, what: &str, state: &str) -> StepError {
        let words = if state.is_empty() { format!("waiting for {what}") } else { state.to_owned() };
        self.moments().on_its_way = Some(words);
        StepError::new(Kind::TimedOut, format!("find {what}")).cause("it does not exist yet")
    }

    /// Takes what [`Context::is_on_its_way`] took down, and what was noted.
    pub(crate) fn take_told(&self) -> (Option<String>, Vec<String>) {
        let mut moments = self.moments();
        (moments.on_its_way.take(), std::mem::take(&mut moments.notes))
    }

    /// The same without a voice, for a look ahead of the step's turn.
    pub(crate) fn silent(step: &'static str, run: &Run) -> Self {
        Self { events: None, ..Self::new(step, Act::Make, run) }
    }

    /// Returns the pace of the cloud.
    pub fn pace(&self) -> Pace {
        self.pace
    }

    /// Returns the ticket that an earlier attempt of this step left, if it left one of this type.
    ///
    /// The next wait then counts its progress from when the ticket was kept.
    pub fn ticket<T: DeserializeOwned>(&self) -> Option<T> {
        let past = self.past();
        if past.ticket_undoes != (self.act == Act::Undo) {
            return None;
        }
        let ticket = serde_json::from_value(past.ticket?).ok()?;
        self.moments().attached = past.ticket_at.as_deref().and_then(moment);
        Some(ticket)
    }

    /// Keeps a ticket: how to ask after work the cloud has taken. It is on disk when this returns.
    ///
    /// # Errors
    ///
    /// When the journal cannot be written, which also ends the run; pass it on.
    pub fn keep<T: Serialize>(&self, ticket: &T) -> Result<(), StepError> {
        let ticket = serde_json::to_value(ticket).map_err(|error| {
            StepError::new(Kind::Bug, format!("write the ticket of {} as JSON", self.step)).caused_by(&error)
        })?;
        self.write_ticket(ticket)
    }

    /// Forgets the ticket: the cloud no longer knows it.
    ///
    /// # Errors
    ///
    /// When the journal cannot be written, which also ends the run; pass it on.
    pub fn drop_ticket(&self) -> Result<(), StepError> {
        self.moments().attached = None;
        self.write_ticket(Value::Null)
    }

    /// Tells whether this step made its thing, in this run or an earlier one.
    pub fn ours(&self) -> bool {
        self.past().ours
    }

    /// Tells whether another step made its thing.
    pub fn is_ours(&self, step: &str) -> bool {
        self.remembered.past(step).ours
    }

    /// Tells whether somebody said that what this step found is ours as well; see [`Past::adopted`].
    pub fn adopted(&self) -> bool {
        self.past().adopted
    }

    /// Tells the same of another step.
    pub fn is_adopted(&self, step: &str) -> bool {
        self.remembered.past(step).adopted
    }

    /// Returns what another step gave, as the journal remembers it; for undoing, when inputs are not at hand.
    pub fn output<T: DeserializeOwned>(&self, step: &str) -> Option<T> {
        serde_json::from_value(self.remembered.past(step).output?).ok()
    }

    /// Returns the ticket that another step's attempt left, if it left one of this type to make its thing.
    pub fn ticket_of<T: DeserializeOwned>(&self, step: &str) -> Option<T> {
        let past = self.remembered.past(step);
        serde_json::from_value(past.ticket.filter(|_| !past.ticket_undoes)?).ok()
    }

    /// Says that a write of this turn has been accepted ([`Residue::Something`]), or may have been
    /// ([`Residue::Unknown`]): no later failure of the turn can say that nothing was left behind.
    ///
    /// Without this, a look that is refused after the write would take back that its thing is ours.
    pub fn leaves(&self, residue: Residue) {
        let mut moments = self.moments();
        moments.left = moments.left.and(residue);
    }

    /// An error of this turn, with what the turn is known to have left behind.
    pub(crate) fn with_what_is_left(&self, error: StepError) -> StepError {
        let residue = error.residue.and(self.moments().left);
        error.residue(residue)
    }

    /// Says a sentence that displays may drop.
    pub fn note(&self, text: impl Into<String>) {
        self.tell(What::Note { step: self.step, text: text.into(), progress: None });
    }

    /// Says that a request was refused for now and goes out again after `wait` of real time.
    pub fn retrying(&self, because: &str, wait: Duration) {
        self.tell(What::Retrying { step: self.step, because: because.into(), wait });
    }

    /// Says when, by the cloud's own clock, the awaited thing came to be. The latest call counts.
    ///
    /// The report measures the ideal run with it: what lies between this and our noticing is ours.
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

    /// Sends an event that is no part of what a look found.
    fn send(&self, what: What) {
        self.moments().spoke = Instant::now();
        if let Some(events) = &self.events {
            // A display that went away is no reason to stop the work.
            let _ = events.send(Event { at: SystemTime::now(), what });
        }
    }

    pub(crate) fn beat(&self, state: &str, text: String, progress: Progress) {
        self.moments().last_seen = Some(state.to_owned());
        self.tell(What::Note { step: self.step, text, progress: Some(progress) });
    }

    /// When the step was last heard of.
    pub(crate) fn spoke(&self) -> Instant {
        self.moments().spoke
    }

    /// Says that the step is still at it, when it has not said so itself.
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

    /// Writes that the step is about to change something and under which names, then says so.
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

    /// How long the cloud took: from the beginning of the act to the end the step was told of, or
    /// to now when it was told of none.
    pub(crate) fn acted(&self) -> Duration {
        let moments = self.moments();
        let Some(acting) = moments.acting else { return Duration::ZERO };
        let whole = acting.elapsed();
        let Some(ended) = moments.ended else { return whole };
        // The cloud's clock is compared with ours, so a skew can only be bounded, not removed.
        let since = SystemTime::now().duration_since(ended).unwrap_or_default();
        whole.saturating_sub(since)
    }

    pub(crate) fn take_attached(&self) -> Option<SystemTime> {
        self.moments().attached.take()
    }

    /// The error for a deadline that passed around the whole turn.
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
        // The journal stays broken after a failed write, so the run ends at its next entry at the
        // latest, whatever the step makes of this error.
        self.remembered.append(entry)
    }

    fn moments(&self) -> MutexGuard<'_, Moments> {
        self.moments.lock().expect("nothing panics while it is held")
    }
}

/// Reads a time stamp of the journal.
fn moment(text: &str) -> Option<SystemTime> {
    text.parse::<jiff::Timestamp>().ok().map(SystemTime::from)
}
