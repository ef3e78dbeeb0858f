//! Poll loop for a condition: with a timeout, with heartbeats, and interruptible by a stop.

use crate::{
    context::Context,
    error::{Kind, Leftover, StepError},
    event::Progress,
    poll_interval,
    stop::StopLevel,
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
const LAST_POLL: Duration = Duration::from_secs(60);
/// The minimum poll interval in real time, at any speed of the cloud.
const POLL_INTERVAL_MIN: Duration = Duration::from_millis(5);

/// The awaited condition and its durations, in cloud time.
#[derive(Debug, Clone, Copy)]
pub struct Wait {
    /// The condition; fits after "wait for": "the grant to take effect".
    pub what: &'static str,
    /// The typical duration.
    pub typical_duration: Duration,
    /// The timeout.
    pub timeout: Duration,
}

impl Wait {
    /// Returns the wait for `what`, with the typical duration `usual` and the timeout `timeout`.
    pub fn new(what: &'static str, typical_duration: Duration, timeout: Duration) -> Self {
        Self { what, typical_duration, timeout }
    }
}

/// The result of one poll.
#[derive(Debug, Clone, PartialEq)]
pub enum Poll<T> {
    /// The condition holds.
    Ready(T),
    /// The condition does not hold yet.
    NotYet {
        /// The current state, in the cloud's word: "Creating".
        state: String,
        /// The minimum delay before the next poll, from the cloud, in real time.
        not_before: Option<Duration>,
    },
}

impl<T> Poll<T> {
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
pub struct StatusCell(watch::Sender<String>);

impl Default for StatusCell {
    fn default() -> Self {
        Self::new()
    }
}

impl StatusCell {
    /// Returns an empty state.
    pub fn new() -> Self {
        Self(watch::Sender::new(String::new()))
    }

    /// Sets the current state. Observers are notified if it changed.
    pub fn set(&self, state: impl Into<String>) {
        let state = state.into();
        self.0.send_if_modified(|status| {
            let changed = *status != state;
            *status = state;
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
    /// `timeout` passes; a last poll at that time gets a minute to end. Returns [`Kind::Interrupted`] after
    /// the poll in flight if a stop is requested.
    pub async fn wait_until<T, F>(&self, wait: Wait, mut poll: impl FnMut() -> F) -> Result<T, StepError>
    where
        F: Future<Output = Result<Poll<T>, StepError>>,
    {
        let mut poll_loop = PollLoop::begin(self, wait, self.time_scale().poll_timeout(wait.timeout));
        loop {
            poll_loop.check_not_stopped()?;
            match poll_loop.with_heartbeats(poll()).await?? {
                Poll::Ready(found) => return Ok(found),
                Poll::NotYet { state, .. } if self.is_read_only() => {
                    return Err(self.record_in_progress(wait.what, &state));
                }
                Poll::NotYet { state, not_before } => {
                    poll_loop.set_state(state);
                    poll_loop.pause(not_before).await?;
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
    pub async fn wait_for<T>(
        &self,
        wait: Wait,
        status: &StatusCell,
        future: impl Future<Output = Result<T, StepError>>,
    ) -> Result<T, StepError> {
        if self.is_read_only() {
            return Err(self.record_in_progress(wait.what, &status.get()));
        }
        let mut poll_loop = PollLoop::begin(self, wait, self.time_scale().deadline(wait.timeout));
        let mut states = status.0.subscribe();
        states.mark_changed();
        let mut future = pin!(future);
        loop {
            tokio::select! {
                biased;
                ended = &mut future => return ended,
                () = self.stop.requested(StopLevel::Graceful) => return Err(poll_loop.interrupted()),
                changed = states.changed() => {
                    changed.expect("the sender is borrowed for as long as we wait");
                    let state = states.borrow_and_update().clone();
                    poll_loop.set_state(state);
                }
                () = sleep_until(poll_loop.deadline) => return Err(poll_loop.timed_out()),
                () = sleep_until(poll_loop.next_heartbeat) => poll_loop.heartbeat(),
            }
        }
    }
}

impl Drop for PollLoop<'_> {
    fn drop(&mut self) {
        self.cx.waited(self.wait.what, self.began);
    }
}

/// One running wait.
struct PollLoop<'a> {
    cx: &'a Context,
    wait: Wait,
    began: Instant,
    /// The time that the operation had run before this wait began, in cloud time.
    head_start: Duration,
    deadline: Instant,
    state: String,
    next_heartbeat: Instant,
}

impl<'a> PollLoop<'a> {
    fn begin(cx: &'a Context, wait: Wait, timeout: Duration) -> Self {
        let began = Instant::now();
        // Only the wall clock measures time between two processes. It is rounded to whole seconds, so that
        // two identical runs poll at the same times.
        let since = |saved_at: SystemTime| {
            let since = SystemTime::now().duration_since(saved_at).unwrap_or_default();
            Duration::from_secs(since.as_secs())
        };
        let head_start =
            cx.take_attached().map_or(Duration::ZERO, |saved_at| cx.time_scale().cloud(since(saved_at)));
        let deadline = began + timeout;
        Self {
            cx,
            wait,
            began,
            head_start,
            deadline,
            state: String::new(),
            next_heartbeat: began + HEARTBEAT,
        }
    }

    fn so_far(&self) -> Duration {
        self.head_start + self.cx.time_scale().cloud(self.began.elapsed())
    }

    /// Records the state of the last poll, and reports it if it is new.
    fn set_state(&mut self, state: String) {
        if state != self.state {
            self.state = state;
            self.heartbeat();
        }
    }

    fn heartbeat(&mut self) {
        self.next_heartbeat = Instant::now() + HEARTBEAT;
        let Wait { what, typical_duration, .. } = self.wait;
        let so_far = self.so_far();
        let state = if self.state.is_empty() { format!("waiting for {what}") } else { self.state.clone() };
        let text = if typical_duration.is_zero() {
            format!("{state}, {} s", so_far.as_secs())
        } else {
            format!("{state}, {} s of about {} s", so_far.as_secs(), typical_duration.as_secs().max(1))
        };
        self.cx.heartbeat(&state, text, Progress { so_far, typical_duration });
    }

    /// Waits for a poll to end, with heartbeats meanwhile. A poll in flight at the timeout is not cancelled
    /// at once: its response may be the only information about the request.
    async fn with_heartbeats<T>(&mut self, poll: impl Future<Output = T>) -> Result<T, StepError> {
        let mut poll = pin!(poll);
        let end = self.deadline + self.cx.time_scale().deadline(LAST_POLL);
        loop {
            tokio::select! {
                biased;
                found = &mut poll => return Ok(found),
                () = sleep_until(end) => return Err(self.timed_out()),
                () = sleep_until(self.next_heartbeat) => self.heartbeat(),
            }
        }
    }

    /// Waits until the next poll is due.
    async fn pause(&mut self, not_before: Option<Duration>) -> Result<(), StepError> {
        let now = Instant::now();
        if now >= self.deadline {
            return Err(self.timed_out());
        }
        let pause = self
            .cx
            .time_scale()
            .real(poll_interval::pause(self.so_far(), self.wait.typical_duration))
            .max(POLL_INTERVAL_MIN);
        self.cx.record_wait();
        let earliest = not_before.and_then(|wait| now.checked_add(wait)).unwrap_or(now);
        let next = earliest.max(now + pause).min(self.deadline);
        loop {
            tokio::select! {
                biased;
                () = self.cx.stop.requested(StopLevel::Graceful) => return Err(self.interrupted()),
                () = sleep_until(next) => break,
                () = sleep_until(self.next_heartbeat) => self.heartbeat(),
            }
        }
        // The timeout precedes the cloud's minimum delay, so there is no last poll.
        if earliest > next { Err(self.timed_out()) } else { Ok(()) }
    }

    fn check_not_stopped(&self) -> Result<(), StepError> {
        if self.cx.stop.level() >= StopLevel::Graceful { Err(self.interrupted()) } else { Ok(()) }
    }

    fn interrupted(&self) -> StepError {
        StepError::new(Kind::Interrupted, format!("wait for {}", self.wait.what)).cause("interrupted")
    }

    fn timed_out(&self) -> StepError {
        let after = self.cx.time_scale().cloud(self.began.elapsed()).as_secs();
        let status = if self.state.is_empty() { "no state known" } else { &self.state };
        StepError::new(Kind::TimedOut, format!("wait for {}: {status} after {after} s", self.wait.what))
            .hint("run the same command again to resume the wait")
            .leftover(Leftover::Unknown)
    }
}
