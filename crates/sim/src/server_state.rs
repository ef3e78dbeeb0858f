//! The state that all connections share, and the sequence around each request: apply due changes, handle,
//! write the state, write the request log, and only then send the response.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::watch;

use crate::acme;
use crate::acme::resolver::{AskNameServer, OverSockets};
use crate::admin_api::{self, AdminApi};
use crate::clock::{SimTime, Timing};
use crate::dns_server::message::Message;
use crate::dns_server::{self, NameServers};
use crate::entra;
use crate::persistence::{Persistence, SimError};
use crate::registration::ServerRegistration;
use crate::request::{Reply, Request, Streaming};
use crate::request_log::{RequestLog, RequestRecord};
use crate::state::CloudState;
use crate::traffic::addresses::Listeners;

/// The data behind the lock.
struct Locked {
    state: CloudState,
    /// The folder; `None` without persistence.
    persistence: Option<Persistence>,
    request_log: RequestLog,
}

impl Locked {
    fn write(&mut self) -> Result<(), SimError> {
        self.persistence.as_mut().map_or(Ok(()), |persistence| persistence.write(&mut self.state))
    }
}

/// A simulated cloud that is being served.
pub struct ServerState {
    inner: Mutex<Locked>,
    timing: Timing,
    admin_api: AdminApi,
    /// The sockets of the name servers; `None` if there are none.
    name_servers: Option<NameServers>,
    changed: watch::Sender<()>,
    answered_requests: watch::Sender<u64>,
}

/// The result of one poll of a streaming reply.
pub struct StreamPoll {
    /// The new chunks.
    pub chunks: Vec<Bytes>,
    /// True if the stream has ended.
    pub done: bool,
    /// The latest time of the next poll.
    pub next_poll: SimTime,
    /// The time of this poll.
    pub now: SimTime,
}

impl ServerState {
    /// Prepares a state for serving.
    ///
    /// # Errors
    /// The state cannot be written.
    pub fn new(
        state: CloudState,
        persistence: Option<Persistence>,
        request_log: RequestLog,
        timing: Timing,
        ca_pem: String,
    ) -> Result<Self, SimError> {
        let mut inner = Locked { state, persistence, request_log };
        let now = inner.state.now();
        inner.state.advance_to(now, &timing);
        inner.write()?;
        let admin_api = AdminApi::in_process(ca_pem);
        let (changed, answered_requests) = (watch::channel(()).0, watch::channel(0).0);
        let inner = Mutex::new(inner);
        Ok(Self { inner, timing, admin_api, name_servers: None, changed, answered_requests })
    }

    /// Returns the same state, whose admin API also reports the gateways' sockets and the registration.
    #[must_use]
    pub fn with_registration(
        mut self,
        listeners: watch::Receiver<Listeners>,
        registration: Option<ServerRegistration>,
    ) -> Self {
        self.admin_api = AdminApi { listeners, registration, ..self.admin_api };
        self
    }

    /// Writes the complete state, for readers of the state file.
    ///
    /// # Errors
    /// The state cannot be written.
    pub fn write_whole(&self) -> Result<(), SimError> {
        let inner = &mut *self.lock();
        inner.persistence.as_mut().map_or(Ok(()), |persistence| persistence.write_whole(&mut inner.state))
    }

    /// Returns the same state, whose CAs ask the name servers over these sockets.
    #[must_use]
    pub(crate) fn with_name_servers(mut self, name_servers: NameServers) -> Self {
        self.admin_api.name_servers.clone_from(&name_servers);
        Self { name_servers: Some(name_servers), ..self }
    }

    fn lock(&self) -> MutexGuard<'_, Locked> {
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
        self.answered_requests.subscribe()
    }

    /// Calls a function with the state, read-only.
    pub fn read<T>(&self, reader: impl FnOnce(&CloudState) -> T) -> T {
        reader(&self.lock().state)
    }

    /// Changes the state; applies all due changes before and after.
    ///
    /// # Errors
    /// The state cannot be written.
    pub fn change<T>(&self, change: impl FnOnce(&mut CloudState, SimTime) -> T) -> Result<T, SimError> {
        let mut inner = self.lock();
        let inner = &mut *inner;
        let now = inner.state.now();
        inner.state.advance_to(now, &self.timing);
        let changed = change(&mut inner.state, now);
        inner.state.advance_to(now, &self.timing);
        self.save(inner)?;
        Ok(changed)
    }

    /// Applies all due changes, and calls a function with the state, read-only. Returns its result, the time of the next
    /// change without a request, and the current time.
    ///
    /// # Errors
    /// The state cannot be written.
    pub(crate) fn advance<T>(
        &self,
        reader: impl FnOnce(&CloudState) -> T,
    ) -> Result<(T, Option<SimTime>, SimTime), SimError> {
        let inner = &mut *self.lock();
        let now = inner.state.now();
        if inner.state.advance_to(now, &self.timing) {
            self.save(inner)?;
        }
        Ok((reader(&inner.state), inner.state.next_due(), now))
    }

    /// Wakes the receivers of changes, for a change outside of the state.
    pub(crate) fn notify(&self) {
        self.changed.send_replace(());
    }

    /// Answers a DNS message to a name server.
    pub(crate) fn respond_dns(&self, server: &str, query: &[u8]) -> Option<dns_server::Response> {
        self.read(|state| dns_server::respond(state, server, query, state.now()))
    }

    /// Completes the validations and issuances of the simulated CAs that are due.
    ///
    /// They ask name servers, so they happen here, before the next request and without the lock.
    ///
    /// # Errors
    /// The state cannot be written.
    pub(crate) async fn complete_acme_work(&self) -> Result<(), SimError> {
        // The end of one piece can make no other one due: that takes a request.
        let due = self.read(|state| acme::due_work(state, state.now()));
        if due.is_empty() {
            return Ok(());
        }
        let outcomes = match &self.name_servers {
            Some(name_servers) => acme::perform(&OverSockets(name_servers), due).await,
            None => acme::perform(self, due).await,
        };
        self.change(|state, _| acme::complete(state, outcomes, &self.timing))
    }

    /// Returns the request log since the start.
    pub fn request_log(&self) -> Vec<RequestRecord> {
        self.lock().request_log.lines().to_vec()
    }

    /// Returns the lines of the request log since the start with a higher number.
    pub fn request_log_after(&self, number: u64) -> Vec<RequestRecord> {
        self.lock().request_log.after(number).to_vec()
    }

    /// Answers a request. The operating system has the state and the request log when this returns.
    ///
    /// # Errors
    /// The state or the request log cannot be written: then the response must not be sent.
    pub fn answer(&self, request: Request) -> Result<Reply, SimError> {
        let mut inner = self.lock();
        let inner = &mut *inner;
        let now = inner.state.now();
        let advanced = inner.state.advance_to(now, &self.timing);
        if admin_api::is_admin(&request) {
            let is_read = matches!(request.method, http::Method::GET | http::Method::HEAD);
            let answered_requests = admin_api::AdminCall { request: &request, now, timing: &self.timing };
            let reply = self.admin_api.serve(&mut inner.state, &inner.request_log, &answered_requests);
            // The page polls every second; such reads do not notify the watchers of changes.
            if advanced || !is_read {
                self.save(inner)?;
            }
            return Ok(reply);
        }
        let request = Request { number: inner.request_log.next_number(), ..request };
        let reply = inner.state.handle(&request, now, &self.timing);
        // At instant speed, the effects of a request may be due at once.
        let chained = inner.state.advance_to(now, &self.timing);
        let may_have_written = !matches!(request.method, http::Method::GET | http::Method::HEAD);
        let touched = inner.state.take_touched();
        if advanced || chained || touched || may_have_written {
            self.save(inner)?;
        }
        let by = entra::signer(&inner.state, &request).unwrap_or_default();
        let line = RequestRecord::of(&request, &reply, by, now);
        inner.request_log.append(line).map_err(SimError::io(Path::new("ledger.jsonl")))?;
        self.answered_requests.send_replace(request.number);
        Ok(reply)
    }

    fn save(&self, inner: &mut Locked) -> Result<(), SimError> {
        inner.write()?;
        self.changed.send_replace(());
        Ok(())
    }

    /// Polls a streaming reply.
    ///
    /// # Errors
    /// Changes were due, and the state cannot be written.
    pub fn poll(&self, stream: &mut dyn Streaming) -> Result<StreamPoll, SimError> {
        let mut inner = self.lock();
        let now = inner.state.now();
        if inner.state.advance_to(now, &self.timing) {
            self.save(&mut inner)?;
        }
        let (chunks, done) = stream.poll(&inner.state, now);
        let next_poll = inner.state.next_due().unwrap_or(stream.deadline()).min(stream.deadline());
        Ok(StreamPoll { chunks, done, next_poll, now })
    }
}

/// Without sockets: the bytes are the same, only the network is missing.
impl AskNameServer for ServerState {
    async fn ask(&self, server: &str, query: &Message) -> Option<Message> {
        Message::decode(&self.respond_dns(server, &query.encode())?.tcp())
    }
}
