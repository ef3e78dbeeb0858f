//! A simulated cloud inside the process: no listener, no folder, no network.
//!
//! The protocol is the same, including the headers and the bytes of the bodies. TLS and TCP are missing, and
//! with them all random effects of the operating system. On a single-threaded runtime with a paused clock,
//! the same requests produce the same request log.

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use tokio_util::sync::CancellationToken;

use crate::clock::{Clock, SimTime, Speed, Timing};
use crate::connection::ConnectionInfo;
use crate::dns_server::NameServers;
use crate::fault::Faults;
use crate::options::Options;
use crate::persistence::SimError;
use crate::request_log::{RequestLog, RequestRecord};
use crate::server::body::{Body, Cut};
use crate::server::respond;
use crate::server_state::ServerState;
use crate::state::CloudState;
use crate::tls;

/// The port in the URLs, as there is no listener.
const PORT: u16 = 443;

/// A simulated cloud without a network. Clones share the state.
#[derive(Clone)]
pub struct InProcess {
    connection: ConnectionInfo,
    server_state: Arc<ServerState>,
    stop: CancellationToken,
}

impl std::fmt::Debug for InProcess {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("InProcess").field("facts", &self.connection).finish_non_exhaustive()
    }
}

impl InProcess {
    /// Creates a new state for [`InProcess::resume`]; `begins` is its start time.
    ///
    /// # Errors
    /// [`SimError::Certificates`], [`SimError::Fault`].
    pub fn state(options: &Options, begins: SimTime) -> Result<CloudState, SimError> {
        let mut state = CloudState::new(options, options.seed.unwrap_or_else(|| fastrand::u64(..)), begins);
        state.port = PORT;
        let (authority, _) = tls::make().map_err(SimError::certificates)?;
        state.clusters.trust(&authority);
        state.arm(Faults::read(&options.faults)?);
        state.acme.ensure_issuers(begins).map_err(SimError::certificates)?;
        Ok(state)
    }

    /// Resumes a state at the time `at`. Must run within a runtime, which advances the clock.
    ///
    /// # Errors
    /// None so far: without a folder no write can fail.
    pub fn resume(mut state: CloudState, at: SimTime, speed: Speed) -> Result<Self, SimError> {
        state.clock = Clock::of_runtime(at.plus_ms(-state.clock_offset_ms));
        let timing = Timing::new(speed);
        let authority = state.clusters.trusted().to_owned();
        state.acme.ensure_issuers(at).map_err(SimError::certificates)?;
        let connection = ConnectionInfo::of(&state, &timing, &authority, NameServers::default());
        let server_state = ServerState::new(state, None, RequestLog::in_memory(), timing, authority)?;
        let (server_state, stop) = (Arc::new(server_state), CancellationToken::new());
        Ok(Self { connection, server_state, stop })
    }

    /// Returns the addresses and the sign-in data.
    pub const fn connection(&self) -> &ConnectionInfo {
        &self.connection
    }

    /// Sends a request. A slow service responds late, and a withheld response never arrives.
    ///
    /// # Errors
    /// [`Cut`] if the connection breaks instead of a response.
    pub async fn send(&self, request: Request<Bytes>) -> Result<Response<Body>, Cut> {
        let (parts, body) = request.into_parts();
        respond::answer(respond::request_of(parts, body), Arc::clone(&self.server_state), self.stop.clone())
            .await
    }

    /// Returns the request log since the resume, in order.
    pub fn request_log(&self) -> Vec<RequestRecord> {
        self.server_state.request_log()
    }

    /// Calls a function with the state.
    pub fn read<T>(&self, reader: impl FnOnce(&CloudState) -> T) -> T {
        self.server_state.read(reader)
    }

    /// Changes the state at its current time, like a user of the Azure portal.
    ///
    /// # Errors
    /// None so far, as for [`InProcess::resume`].
    pub fn change<T>(&self, change: impl FnOnce(&mut CloudState, SimTime) -> T) -> Result<T, SimError> {
        self.server_state.change(change)
    }
}
