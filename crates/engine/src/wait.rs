//! Waiting for a condition: bounded, shown while it lasts, and given up when the run is to end.

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

/// Between two signs of life, in real time.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// How long a look may go on that is in flight when the bound passes, in cloud time.
const LAST_LOOK: Duration = Duration::from_secs(60);
/// Between two looks, in real time, however fast the cloud is.
const LOOK_FLOOR: Duration = Duration::from_millis(5);

/// What is waited for, and how long. Durations are in cloud time.
#[derive(Debug, Clone, Copy)]
pub struct Wait {
    /// Fits after "wait for": "the grant to take effect".
    pub what: &'static str,
    /// How long it usually takes.
    pub usual: Duration,
    /// How long it may take before it counts as failed.
    pub at_most: Duration,
}

impl Wait {
    /// Returns the wait for `what`, which usually takes `usual` and may take `at_most`.
    pub fn new(what: &'static str, usual: Duration, at_most: Duration) -> Self {
        Self { what, usual, at_most }
    }
}

/// What one look of a wait found.
#[derive(Debug, Clone, PartialEq)]
pub enum Look<T> {
    /// What was waited for.
    There(T),
    /// Not there yet.
    NotYet {
        /// What there is instead, in the cloud's word: "Creating".
        state: String,
        /// The cloud asks not to be asked again before this, in real time.
        not_before: Option<Duration>,
    },
}

impl<T> Look<T> {
    /// Not there yet; look again when the rhythm says so.
    pub fn not_yet(state: impl Into<String>) -> Self {
        Self::NotYet { state: state.into(), not_before: None }
    }

    /// Not there yet, and the cloud may have said when to ask again, in real time.
    pub fn not_before(state: impl Into<String>, not_before: Option<Duration>) -> Self {
        Self::NotYet { state: state.into(), not_before }
    }
}

/// The last state that a future of its own pace has seen, for those who watch it wait.
#[derive(Debug)]
pub struct Seen(watch::Sender<String>);

impl Default for Seen {
    fn default() -> Self {
        Self::new()
    }
}

impl Seen {
    /// Returns one that has seen nothing yet.
    pub fn new() -> Self {
        Self(watch::Sender::new(String::new()))
    }

    /// Says what there is now. Those who show the wait hear of it when it changed.
    pub fn set(&self, state: impl Into<String>) {
        let state = state.into();
        self.0.send_if_modified(|seen| {
            let changed = *seen != state;
            *seen = state;
            changed
        });
    }

    /// Returns what was seen last; empty when nothing was.
    pub fn get(&self) -> String {
        self.0.borrow().clone()
    }
}

impl Context {
    /// Looks again and again until it is there.
    ///
    /// The first look is at once; later ones are sparse while the usual end is far, every second of
    /// cloud time around it, and back off to ten when it is overdue, and never come before a
    /// `not_before`. At least once a second of real time, and whenever the state changes, a note
    /// says how it stands.
    ///
    /// `look` is called as `async || { … }`. It may borrow what is around it but not change it: a
    /// closure that lends its own state to its future cannot stand in a future that tasks may own.
    /// Put what must change from look to look behind a lock.
    ///
    /// # Errors
    ///
    /// What `look` gives; [`Kind::TimedOut`], naming what was waited for and the last state, when
    /// `at_most` passes (after a last look at that very moment, which is given a minute to end); [`Kind::Interrupted`] when the run
    /// is asked to end, after the look in flight.
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

    /// Keeps a future that waits by itself, such as a watch, within the same bound, shows it with
    /// the same heartbeat and gives it up for the same reasons. `seen` carries the last state.
    ///
    /// # Errors
    ///
    /// As [`Context::wait_until`]; the future is dropped where it stands.
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

/// One wait as it goes.
struct Vigil<'a> {
    cx: &'a Context,
    wait: Wait,
    began: Instant,
    /// How long the cloud had been at it when we began, in cloud time.
    head_start: Duration,
    bound: Instant,
    state: String,
    next_beat: Instant,
}

impl<'a> Vigil<'a> {
    fn begin(cx: &'a Context, wait: Wait, at_most: Duration) -> Self {
        let began = Instant::now();
        // Between two processes only the wall clock passes. Whole seconds of it, so that two runs
        // alike look at the same moments.
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

    /// Takes in the state of the last look and says so when it is a new one.
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

    /// Lets a look end, with signs of life meanwhile. One in flight when the bound passes is not
    /// cut off at once: it may be a request whose answer is all there is to know of it.
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

    /// Waits for the moment of the next look.
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
        // The bound came before the cloud wants to be asked again: no last look then.
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
        let seen = if self.state.is_empty() { "nothing seen" } else { &self.state };
        StepError::new(Kind::TimedOut, format!("wait for {}: {seen} after {after} s", self.wait.what))
            .hint("run the same command again: it goes on waiting")
            .residue(Residue::Unknown)
    }
}
