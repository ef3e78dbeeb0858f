//! A world that answers in the process: no listener, no folder, no network.
//!
//! The protocol is the same down to the headers and the bytes of the bodies; what is missing is TLS and TCP, and with
//! them everything that the operating system decides by chance. On a runtime with one thread and a paused clock, the
//! same requests give the same ledger.

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use tokio_util::sync::CancellationToken;

use crate::Speed;
use crate::clock::{Clock, Moment, Timing};
use crate::disk::SimError;
use crate::fault::Faults;
use crate::ledger::{Ledger, Line};
use crate::options::{Facts, Options};
use crate::server::{self, Body, Cut};
use crate::shared::Shared;
use crate::tls;
use crate::world::World;

/// The port in the names of a world that has no listener.
const PORT: u16 = 443;

/// A world without a network. Clones are the same world.
#[derive(Clone)]
pub struct InProcess {
    facts: Facts,
    shared: Arc<Shared>,
    stop: CancellationToken,
}

impl std::fmt::Debug for InProcess {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("InProcess").field("facts", &self.facts).finish_non_exhaustive()
    }
}

impl InProcess {
    /// Makes a new world that [`InProcess::resume`] can take up; `begins` is its first instant.
    ///
    /// # Errors
    /// [`SimError::Certificates`], [`SimError::Fault`].
    pub fn world(options: &Options, begins: Moment) -> Result<World, SimError> {
        let mut world = World::new(options, options.seed.unwrap_or_else(|| fastrand::u64(..)), begins);
        world.port = PORT;
        let (authority, _) = tls::make().map_err(SimError::certificates)?;
        world.clusters.trust(&authority);
        world.arm(Faults::read(&options.faults)?);
        Ok(world)
    }

    /// Takes up a world at the instant at which its clock stands. Within a runtime, since that moves the clock on.
    ///
    /// # Errors
    /// None so far; a world that nobody keeps has no disk to fail.
    pub fn resume(mut world: World, at: Moment, speed: Speed) -> Result<Self, SimError> {
        world.clock = Clock::of_runtime(at.plus_ms(-world.ahead_ms));
        let timing = Timing::new(speed);
        let authority = world.clusters.trusted().to_owned();
        let facts = Facts::of(&world, &timing, &authority);
        let shared = Shared::new(world, None, Ledger::unkept(), timing, authority)?;
        Ok(Self { facts, shared: Arc::new(shared), stop: CancellationToken::new() })
    }

    /// Returns where it is and how to sign in.
    pub const fn facts(&self) -> &Facts {
        &self.facts
    }

    /// Answers one request as the services do: late when they are slow, never when an answer is withheld.
    ///
    /// # Errors
    /// [`Cut`] when the connection breaks in place of an answer.
    pub async fn ask(&self, request: Request<Bytes>) -> Result<Response<Body>, Cut> {
        let (parts, body) = request.into_parts();
        server::answer(server::request_of(parts, body), Arc::clone(&self.shared), self.stop.clone()).await
    }

    /// Returns the requests since it was taken up, in order.
    pub fn ledger(&self) -> Vec<Line> {
        self.shared.ledger()
    }

    /// Reads from the world.
    pub fn read<T>(&self, look: impl FnOnce(&World) -> T) -> T {
        self.shared.read(look)
    }

    /// Changes the world at its own now, as a person at a console of the cloud would.
    ///
    /// # Errors
    /// None so far, as for [`InProcess::resume`].
    pub fn change<T>(&self, change: impl FnOnce(&mut World, Moment) -> T) -> Result<T, SimError> {
        self.shared.change(change)
    }
}
