//! The state that all connections share, and the sequence around each request: apply due changes, handle,
//! write the state, write the request log, and only then send the response.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::watch;

use crate::clock::{Moment, Timing};
use crate::control::{self, Machinery};
use crate::disk::{Disk, SimError};
use crate::entra;
use crate::ledger::{Ledger, Line};
use crate::request::{Reply, Request, Streaming};
use crate::serving::Serving;
use crate::traffic::serve::Doors;
use crate::world::World;

/// The data behind the lock.
struct Inner {
    world: World,
    /// The folder; `None` without persistence.
    disk: Option<Disk>,
    ledger: Ledger,
}

impl Inner {
    fn write(&mut self) -> Result<(), SimError> {
        self.disk.as_mut().map_or(Ok(()), |disk| disk.write(&self.world))
    }
}

/// A simulated cloud that is being served.
pub struct Shared {
    inner: Mutex<Inner>,
    timing: Timing,
    machinery: Machinery,
    changed: watch::Sender<()>,
    asked: watch::Sender<u64>,
}

/// The result of one poll of a streaming reply.
pub struct Poll {
    /// The new chunks.
    pub chunks: Vec<Bytes>,
    /// True if the stream has ended.
    pub done: bool,
    /// The latest time of the next poll.
    pub again: Moment,
    /// The time of this poll.
    pub now: Moment,
}

impl Shared {
    /// Prepares a state for serving.
    ///
    /// # Errors
    /// The state cannot be written.
    pub fn new(
        world: World,
        disk: Option<Disk>,
        ledger: Ledger,
        timing: Timing,
        ca_pem: String,
    ) -> Result<Self, SimError> {
        let mut inner = Inner { world, disk, ledger };
        let now = inner.world.now();
        inner.world.settle(now, &timing);
        inner.write()?;
        let machinery = Machinery::alone(ca_pem);
        let (changed, asked) = (watch::channel(()).0, watch::channel(0).0);
        Ok(Self { inner: Mutex::new(inner), timing, machinery, changed, asked })
    }

    /// Returns the same state, whose admin API also reports the gateways' sockets and the registration.
    #[must_use]
    pub fn known_as(mut self, doors: watch::Receiver<Doors>, serving: Option<Serving>) -> Self {
        self.machinery = Machinery { doors, serving, ..self.machinery };
        self
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A panic in a handler ends only its own connection; the others continue.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the scaling of durations.
    pub const fn timing(&self) -> &Timing {
        &self.timing
    }

    /// Returns a receiver that is notified of every change of the state.
    pub fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// Returns a receiver that is notified of every answered request, by its number.
    pub fn requests(&self) -> watch::Receiver<u64> {
        self.asked.subscribe()
    }

    /// Calls a function with the state, read-only.
    pub fn read<T>(&self, look: impl FnOnce(&World) -> T) -> T {
        look(&self.lock().world)
    }

    /// Changes the state; applies all due changes before and after.
    ///
    /// # Errors
    /// The state cannot be written.
    pub fn change<T>(&self, change: impl FnOnce(&mut World, Moment) -> T) -> Result<T, SimError> {
        let mut inner = self.lock();
        let inner = &mut *inner;
        let now = inner.world.now();
        inner.world.settle(now, &self.timing);
        let changed = change(&mut inner.world, now);
        inner.world.settle(now, &self.timing);
        self.keep(inner)?;
        Ok(changed)
    }

    /// Returns the request log since the start.
    pub fn ledger(&self) -> Vec<Line> {
        self.lock().ledger.lines().to_vec()
    }

    /// Returns the lines of the request log since the start with a higher number.
    pub fn ledger_after(&self, number: u64) -> Vec<Line> {
        self.lock().ledger.after(number).to_vec()
    }

    /// Answers a request. The operating system has the state and the request log when this returns.
    ///
    /// # Errors
    /// The state or the request log cannot be written: then the response must not be sent.
    pub fn answer(&self, request: Request) -> Result<Reply, SimError> {
        let mut inner = self.lock();
        let inner = &mut *inner;
        let now = inner.world.now();
        let settled = inner.world.settle(now, &self.timing);
        if control::is_control(&request) {
            let looks = matches!(request.method, http::Method::GET | http::Method::HEAD);
            let asked = control::Asked { request: &request, now, timing: &self.timing };
            let reply = self.machinery.serve(&mut inner.world, &inner.ledger, &asked);
            // The page polls every second; such reads do not notify the watchers of changes.
            if settled || !looks {
                self.keep(inner)?;
            }
            return Ok(reply);
        }
        let request = Request { number: inner.ledger.next_number(), ..request };
        let reply = inner.world.handle(&request, now, &self.timing);
        // At instant speed, the effects of a request may be due at once.
        let chained = inner.world.settle(now, &self.timing);
        let may_have_written = !matches!(request.method, http::Method::GET | http::Method::HEAD);
        let touched = inner.world.take_touched();
        if settled || chained || touched || may_have_written {
            self.keep(inner)?;
        }
        let by = entra::signer(&inner.world, &request).unwrap_or_default();
        let line = Line::of(&request, &reply, by, now);
        inner.ledger.append(line).map_err(SimError::io(Path::new("ledger.jsonl")))?;
        self.asked.send_replace(request.number);
        Ok(reply)
    }

    fn keep(&self, inner: &mut Inner) -> Result<(), SimError> {
        inner.write()?;
        self.changed.send_replace(());
        Ok(())
    }

    /// Polls a streaming reply.
    ///
    /// # Errors
    /// Changes were due, and the state cannot be written.
    pub fn poll(&self, stream: &mut dyn Streaming) -> Result<Poll, SimError> {
        let mut inner = self.lock();
        let now = inner.world.now();
        if inner.world.settle(now, &self.timing) {
            self.keep(&mut inner)?;
        }
        let (chunks, done) = stream.poll(&inner.world, now);
        let again = inner.world.next_due().unwrap_or(stream.deadline()).min(stream.deadline());
        Ok(Poll { chunks, done, again, now })
    }
}
