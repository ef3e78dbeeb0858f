//! A simulated cloud inside the process: no listener, no folder, no network.
//!
//! The protocol is the same, including the headers and the bytes of the bodies. TLS and TCP are missing, and
//! with them all random effects of the operating system. On a single-threaded runtime with a paused clock,
//! the same requests produce the same request log.

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

/// The port in the URLs, as there is no listener.
const PORT: u16 = 443;

/// A simulated cloud without a network. Clones share the state.
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
    /// Creates a new state for [`InProcess::resume`]; `begins` is its start time.
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

    /// Resumes a state at the time `at`. Must run within a runtime, which advances the clock.
    ///
    /// # Errors
    /// None so far: without a folder no write can fail.
    pub fn resume(mut world: World, at: Moment, speed: Speed) -> Result<Self, SimError> {
        world.clock = Clock::of_runtime(at.plus_ms(-world.ahead_ms));
        let timing = Timing::new(speed);
        let authority = world.clusters.trusted().to_owned();
        let facts = Facts::of(&world, &timing, &authority);
        let shared = Shared::new(world, None, Ledger::unkept(), timing, authority)?;
        Ok(Self { facts, shared: Arc::new(shared), stop: CancellationToken::new() })
    }

    /// Returns the addresses and the sign-in data.
    pub const fn facts(&self) -> &Facts {
        &self.facts
    }

    /// Sends a request. A slow service responds late, and a withheld response never arrives.
    ///
    /// # Errors
    /// [`Cut`] if the connection breaks instead of a response.
    pub async fn ask(&self, request: Request<Bytes>) -> Result<Response<Body>, Cut> {
        let (parts, body) = request.into_parts();
        server::answer(server::request_of(parts, body), Arc::clone(&self.shared), self.stop.clone()).await
    }

    /// Returns the request log since the resume, in order.
    pub fn ledger(&self) -> Vec<Line> {
        self.shared.ledger()
    }

    /// Calls a function with the state.
    pub fn read<T>(&self, look: impl FnOnce(&World) -> T) -> T {
        self.shared.read(look)
    }

    /// Changes the state at its current time, like a user of the Azure portal.
    ///
    /// # Errors
    /// None so far, as for [`InProcess::resume`].
    pub fn change<T>(&self, change: impl FnOnce(&mut World, Moment) -> T) -> Result<T, SimError> {
        self.shared.change(change)
    }
}
