//! Poll loop for a condition: with a timeout, with heartbeats, and interruptible by a stop.

use crate::{
    context::Context,
    error::{Kind, Residue, StepError},
    event::Progress,
    rhythm,
    stop::Level,
};
use std::{
    future::Future,
    pin::pin,
    time::{Duration, SystemTime},
};
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

/// The interval of heartbeats, in real time.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// The time that a poll in flight may take after the timeout, in cloud time.
const LAST_LOOK: Duration = Duration::from_secs(60);
/// The minimum poll interval in real time, at any speed of the cloud.
const LOOK_FLOOR: Duration = Duration::from_millis(5);

/// The awaited condition and its durations, in cloud time.
#[derive(Debug, Clone, Copy)]
pub struct Wait {
    /// The condition; fits after "wait for": "the grant to take effect".
    pub what: &'static str,
    /// The typical duration.
    pub usual: Duration,
    /// The timeout.
    pub at_most: Duration,
}

impl Wait {
    /// Returns the wait for `what`, with the typical duration `usual` and the timeout `at_most`.
    pub fn new(what: &'static str, usual: Duration, at_most: Duration) -> Self {
        Self { what, usual, at_most }
    }
}

/// The result of one poll.
#[derive(Debug, Clone, PartialEq)]
pub enum Look<T> {
    /// The condition holds.
    There(T),
    /// The condition does not hold yet.
    NotYet {
        /// The current state, in the cloud's word: "Creating".
        state: String,
        /// The minimum delay before the next poll, from the cloud, in real time.
        not_before: Option<Duration>,
    },
}

impl<T> Look<T> {
    /// Returns "not yet", with the next poll after the regular interval.
    pub fn not_yet(state: impl Into<String>) -> Self {
        Self::NotYet { state: state.into(), not_before: None }
    }

    /// Returns "not yet", with the cloud's minimum delay before the next poll, if any, in real time.
    pub fn not_before(state: impl Into<String>, not_before: Option<Duration>) -> Self {
        Self::NotYet { state: state.into(), not_before }
    }
}

/// The last state that a self-paced future has observed, for the display of its wait.
#[derive(Debug)]
pub struct Seen(watch::Sender<String>);

impl Default for Seen {
    fn default() -> Self {
        Self::new()
    }
}

impl Seen {
    /// Returns an empty state.
    pub fn new() -> Self {
        Self(watch::Sender::new(String::new()))
    }

    /// Sets the current state. Observers are notified if it changed.
    pub fn set(&self, state: impl Into<String>) {
        let state = state.into();
        self.0.send_if_modified(|seen| {
            let changed = *seen != state;
            *seen = state;
            changed
        });
    }

    /// Returns the last state; empty if there was none.
    pub fn get(&self) -> String {
        self.0.borrow().clone()
    }
}

impl Context {
    /// Polls until the condition holds.
    ///
    /// The first poll is immediate. Later ones are sparse while the typical end is far, and every second of
    /// cloud time around it. When it is overdue, they back off to ten seconds. They never start before a
    /// `not_before`. A note reports the state at least once a second of real time, and whenever the state
    /// changes.
    ///
    /// `look` is called as `async || { … }`. It may borrow from its environment but not mutate it: a closure
    /// that lends its own state to its future cannot be part of a spawned task's future. Put state that
    /// changes between polls behind a lock.
    ///
    /// # Errors
    ///
    /// Returns the error of `look`. Returns [`Kind::TimedOut`] with the condition and the last state when
    /// `at_most` passes; a last poll at that time gets a minute to end. Returns [`Kind::Interrupted`] after
    /// the poll in flight if a stop is requested.
    pub async fn wait_until<T, F>(&self, wait: Wait, mut look: impl FnMut() -> F) -> Result<T, StepError>
    where
        F: Future<Output = Result<Look<T>, StepError>>,
    {
        let mut vigil = Vigil::begin(self, wait, self.pace().patience(wait.at_most));
        loop {
            vigil.unless_stopped()?;
            match vigil.beating(look()).await?? {
                Look::There(found) => return Ok(found),
                Look::NotYet { state, .. } if self.only_looks() => {
                    return Err(self.is_on_its_way(wait.what, &state));
                }
                Look::NotYet { state, not_before } => {
                    vigil.see(state);
                    vigil.pause(not_before).await?;
                }
            }
        }
    }

    /// Waits for a future that polls by itself, such as a watch, with the same timeout, heartbeat and
    /// interruption. `seen` contains the last state.
    ///
    /// # Errors
    ///
    /// Like [`Context::wait_until`]; the future is dropped at once.
    pub async fn attend<T>(
        &self,
        wait: Wait,
        seen: &Seen,
        future: impl Future<Output = Result<T, StepError>>,
    ) -> Result<T, StepError> {
        if self.only_looks() {
            return Err(self.is_on_its_way(wait.what, &seen.get()));
        }
        let mut vigil = Vigil::begin(self, wait, self.pace().bound(wait.at_most));
        let mut states = seen.0.subscribe();
        states.mark_changed();
        let mut future = pin!(future);
        loop {
            tokio::select! {
                biased;
                ended = &mut future => return ended,
                () = self.stop.asked(Level::Gently) => return Err(vigil.interrupted()),
                changed = states.changed() => {
                    changed.expect("the sender is borrowed for as long as we wait");
                    let state = states.borrow_and_update().clone();
                    vigil.see(state);
                }
                () = sleep_until(vigil.bound) => return Err(vigil.timed_out()),
                () = sleep_until(vigil.next_beat) => vigil.beat(),
            }
        }
    }
}

/// One running wait.
struct Vigil<'a> {
    cx: &'a Context,
    wait: Wait,
    began: Instant,
    /// The time that the operation had run before this wait began, in cloud time.
    head_start: Duration,
    bound: Instant,
    state: String,
    next_beat: Instant,
}

impl<'a> Vigil<'a> {
    fn begin(cx: &'a Context, wait: Wait, at_most: Duration) -> Self {
        let began = Instant::now();
        // Only the wall clock measures time between two processes. It is rounded to whole seconds, so that
        // two identical runs poll at the same times.
        let since = |kept: SystemTime| {
            let since = SystemTime::now().duration_since(kept).unwrap_or_default();
            Duration::from_secs(since.as_secs())
        };
        let head_start = cx.take_attached().map_or(Duration::ZERO, |kept| cx.pace().cloud(since(kept)));
        let bound = began + at_most;
        Self { cx, wait, began, head_start, bound, state: String::new(), next_beat: began + HEARTBEAT }
    }

    fn so_far(&self) -> Duration {
        self.head_start + self.cx.pace().cloud(self.began.elapsed())
    }

    /// Records the state of the last poll, and reports it if it is new.
    fn see(&mut self, state: String) {
        if state != self.state {
            self.state = state;
            self.beat();
        }
    }

    fn beat(&mut self) {
        self.next_beat = Instant::now() + HEARTBEAT;
        let Wait { what, usual, .. } = self.wait;
        let so_far = self.so_far();
        let state = if self.state.is_empty() { format!("waiting for {what}") } else { self.state.clone() };
        let text = if usual.is_zero() {
            format!("{state}, {} s", so_far.as_secs())
        } else {
            format!("{state}, {} s of about {} s", so_far.as_secs(), usual.as_secs().max(1))
        };
        self.cx.beat(&state, text, Progress { so_far, usual });
    }

    /// Waits for a poll to end, with heartbeats meanwhile. A poll in flight at the timeout is not cancelled
    /// at once: its response may be the only information about the request.
    async fn beating<T>(&mut self, look: impl Future<Output = T>) -> Result<T, StepError> {
        let mut look = pin!(look);
        let end = self.bound + self.cx.pace().bound(LAST_LOOK);
        loop {
            tokio::select! {
                biased;
                found = &mut look => return Ok(found),
                () = sleep_until(end) => return Err(self.timed_out()),
                () = sleep_until(self.next_beat) => self.beat(),
            }
        }
    }

    /// Waits until the next poll is due.
    async fn pause(&mut self, not_before: Option<Duration>) -> Result<(), StepError> {
        let now = Instant::now();
        if now >= self.bound {
            return Err(self.timed_out());
        }
        let pause = self.cx.pace().real(rhythm::pause(self.so_far(), self.wait.usual)).max(LOOK_FLOOR);
        let earliest = not_before.and_then(|wait| now.checked_add(wait)).unwrap_or(now);
        let next = earliest.max(now + pause).min(self.bound);
        loop {
            tokio::select! {
                biased;
                () = self.cx.stop.asked(Level::Gently) => return Err(self.interrupted()),
                () = sleep_until(next) => break,
                () = sleep_until(self.next_beat) => self.beat(),
            }
        }
        // The timeout precedes the cloud's minimum delay, so there is no last poll.
        if earliest > next { Err(self.timed_out()) } else { Ok(()) }
    }

    fn unless_stopped(&self) -> Result<(), StepError> {
        if self.cx.stop.level() >= Level::Gently { Err(self.interrupted()) } else { Ok(()) }
    }

    fn interrupted(&self) -> StepError {
        StepError::new(Kind::Interrupted, format!("wait for {}", self.wait.what)).cause("interrupted")
    }

    fn timed_out(&self) -> StepError {
        let after = self.cx.pace().cloud(self.began.elapsed()).as_secs();
        let seen = if self.state.is_empty() { "no state known" } else { &self.state };
        StepError::new(Kind::TimedOut, format!("wait for {}: {seen} after {after} s", self.wait.what))
            .hint("run the same command again to resume the wait")
            .residue(Residue::Unknown)
    }
}
