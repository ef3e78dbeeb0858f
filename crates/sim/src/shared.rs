//! The one world that all connections share, and the order of things around each request:
//! settle what is due, answer, write the world, write the ledger, and only then let the answer go.

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

/// What is behind the lock.
struct Inner {
    world: World,
    /// None for a world that nobody keeps.
    disk: Option<Disk>,
    ledger: Ledger,
}

impl Inner {
    fn write(&mut self) -> Result<(), SimError> {
        self.disk.as_mut().map_or(Ok(()), |disk| disk.write(&self.world))
    }
}

/// A world that is being served.
pub struct Shared {
    inner: Mutex<Inner>,
    timing: Timing,
    machinery: Machinery,
    changed: watch::Sender<()>,
    asked: watch::Sender<u64>,
}

/// What a streaming reply has to say at one look, and when to look again.
pub struct Poll {
    /// New chunks.
    pub chunks: Vec<Bytes>,
    /// Whether that was all.
    pub done: bool,
    /// When to look again at the latest.
    pub again: Moment,
    /// The world's now of this look.
    pub now: Moment,
}

impl Shared {
    /// Takes a world to be served.
    ///
    /// # Errors
    /// When it cannot be written.
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

    /// Returns the same world, whose machinery knows where the gateways answer and for whom it is served.
    #[must_use]
    pub fn known_as(mut self, doors: watch::Receiver<Doors>, serving: Option<Serving>) -> Self {
        self.machinery = Machinery { doors, serving, ..self.machinery };
        self
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A handler that panicked is a bug to be seen in its own connection; the others go on.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How durations bend.
    pub const fn timing(&self) -> &Timing {
        &self.timing
    }

    /// Returns a receiver that hears of every change of the world.
    pub fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// Returns a receiver that hears of every request that was answered, by its number.
    pub fn requests(&self) -> watch::Receiver<u64> {
        self.asked.subscribe()
    }

    /// Reads from the world without changing it.
    pub fn read<T>(&self, look: impl FnOnce(&World) -> T) -> T {
        look(&self.lock().world)
    }

    /// Changes the world, with everything due settled before and after.
    ///
    /// # Errors
    /// When the world cannot be written.
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

    /// Returns the ledger since the world was opened.
    pub fn ledger(&self) -> Vec<Line> {
        self.lock().ledger.lines().to_vec()
    }

    /// Returns the lines of the ledger since the world was opened that have a higher number.
    pub fn ledger_after(&self, number: u64) -> Vec<Line> {
        self.lock().ledger.after(number).to_vec()
    }

    /// Answers one request; the world and the ledger are with the operating system when this returns.
    ///
    /// # Errors
    /// When the world or the ledger cannot be written: then the answer must not go out.
    pub fn answer(&self, request: Request) -> Result<Reply, SimError> {
        let mut inner = self.lock();
        let inner = &mut *inner;
        let now = inner.world.now();
        let settled = inner.world.settle(now, &self.timing);
        if control::is_control(&request) {
            let looks = matches!(request.method, http::Method::GET | http::Method::HEAD);
            let asked = control::Asked { request: &request, now, timing: &self.timing };
            let reply = self.machinery.serve(&mut inner.world, &inner.ledger, &asked);
            // The page asks every second; whoever watches the cluster need not hear of that.
            if settled || !looks {
                self.keep(inner)?;
            }
            return Ok(reply);
        }
        let request = Request { number: inner.ledger.next_number(), ..request };
        let reply = inner.world.handle(&request, now, &self.timing);
        // What a request set going may be due at once when everything is instant.
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

    /// Looks for what a streaming reply has to say.
    ///
    /// # Errors
    /// When the world had changes due and cannot be written.
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
