//! A simulated Azure inside the process, which implements the HTTPS protocols of the services.
//!
//! It is a second implementation of the public contracts and shares no type with the client that uses it: it
//! must refuse what the client misunderstands. [`Sim::open`] serves a simulated cloud from a folder; `curl`,
//! `az` and `kubectl` can use it as well.
//!
//! * [`state`]: the whole state as one value; nothing runs in the background.
//! * [`arm`]: Resource Manager, its route table and the resource providers ([`arm::provider`] explains how to
//!   add one). [`entra`]: sign-in; [`graph`]: the directory. [`vault`]: the data plane of vaults. [`blob`]: that of
//!   storage accounts.
//!   [`kubernetes`] and [`aks`]: clusters.
//! * [`acme`]: certificate authorities. [`dns_server`]: the name servers of the DNS zones.
//! * [`clock`] and [`durations`]: durations and time scaling.
//! * `processes`: the container runtime of images that programs of this machine stand for.
//! * `traffic`: the data plane of the gateways. `proxy`: a forward proxy for all hostnames.
//! * [`fault`]: fault injection. [`admin_api`]: the admin API. `page`: the web page for it.
//! * [`registration`]: discovery of a running simulated cloud by other processes.

pub mod acme;
pub mod admin_api;
pub mod aks;
pub mod arm;
pub mod blob;
pub mod clock;
mod cloud;
mod connection;
pub mod delays;
pub mod dns_server;
pub mod durations;
pub mod entra;
pub mod fault;
mod field;
pub mod graph;
mod in_process;
mod key_pair;
pub mod kubernetes;
mod migration;
mod names;
pub mod options;
mod page;
pub mod persistence;
mod processes;
mod proxy;
pub mod registration;
pub mod registry;
pub mod request;
pub mod request_log;
mod server;
mod server_state;
pub mod state;
#[cfg(test)]
mod test_cloud;
#[cfg(test)]
mod tests;
pub mod tls;
mod traffic;
pub mod vault;

use std::io;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use arm::dns::zones::is_zone_name;
pub use clock::Speed;
pub use connection::ConnectionInfo;
pub use dns_server::NameServers;
pub use in_process::InProcess;
pub use options::Options;
pub use persistence::SimError;
pub use registration::{Holder, RegistrationOptions, ServerRegistration};
pub use request_log::RequestRecord;
pub use server::body::{Body, Cut};
pub use traffic::addresses::Listeners;

use acme::CaName;
use arm::clusters::container_runtime;
use clock::{SimTime, Timing};
use dns_server::sockets::Sockets;
use fault::Faults;
use persistence::Persistence;
use request_log::RequestLog;
use server::connection::ServerContext;
use server_state::ServerState;
use state::CloudState;
use tls::Authority;

/// The port range of the server, below the usual range of ephemeral ports.
const PORTS: std::ops::Range<u16> = 20_000..30_000;

/// The maximum time for the gateways' sockets to open.
pub const LISTENERS_TIMEOUT: Duration = Duration::from_secs(5);

/// A running simulated cloud. Dropping it stops the server at once; [`Sim::close`] completes the current
/// responses.
pub struct Sim {
    connection: ConnectionInfo,
    server_state: Arc<ServerState>,
    stop: CancellationToken,
    server: Option<JoinHandle<()>>,
    /// The tasks of the name servers.
    name_servers: TaskTracker,
    listeners: tokio::sync::watch::Receiver<Listeners>,
    registration: Option<ServerRegistration>,
    /// The container runtime, and what stops it; `None` if it knows no image.
    containers: Option<(JoinHandle<()>, CancellationToken)>,
}

impl std::fmt::Debug for Sim {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sim").field("facts", &self.connection).finish_non_exhaustive()
    }
}

impl Sim {
    /// Opens or creates the simulated cloud in a folder, and serves it on 127.0.0.1 at its previous port.
    ///
    /// # Errors
    /// [`SimError::Busy`] if another process serves it; other variants if folder, port or certificates fail.
    pub async fn open(dir: &Path, options: Options) -> Result<Self, SimError> {
        let faults = Faults::read(&options.faults)?;
        let mut persistence = Persistence::open(dir)?;
        let holder = Holder::this(&options.by);
        persistence.write_holder(&holder)?;
        let authority = Arc::new(Authority::open(&persistence)?);
        let path = persistence.path("ledger.jsonl");
        let request_log = RequestLog::open(&path).map_err(SimError::io(&path))?;
        let mut state = match persistence.read()? {
            Some(state) => state,
            None => {
                CloudState::new(&options, options.seed.unwrap_or_else(|| fastrand::u64(..)), SimTime::now())
            }
        };
        state.arm(faults);
        let now = state.now();
        for zone in &options.zones {
            arm::dns::zones::add_zone(&mut state, zone, now);
        }
        let listener = match options.port {
            Some(port) => TcpListener::bind((Ipv4Addr::LOCALHOST, port))
                .await
                .map_err(|source| SimError::PortTaken { port, source })?,
            None => bind(state.port, state.seed).await.map_err(SimError::Port)?,
        };
        state.port = listener.local_addr().map_err(SimError::Port)?.port();
        state.clusters.trust(authority.pem());
        state.clusters.set_external_kubeconfig(options.kubeconfig);
        let now = state.now();
        state.acme.ensure_issuers(now).map_err(SimError::certificates)?;
        let timing = Timing::new(options.speed);
        let host = processes::Host {
            programs: options.images,
            folder: absolute(&persistence.path("pods")),
            authority: absolute(&persistence.path("ca.pem")),
        };
        host.prepare()?;
        container_runtime::begin(&mut state, host.runtime(), &timing, now);
        let sockets = match options.name_servers || state.dns.has_zones() {
            true => Sockets::bind(state.seed).map_err(SimError::Port)?,
            false => Sockets::default(),
        };
        let mut connection = ConnectionInfo::of(&state, &timing, authority.pem(), sockets.addresses());
        connection.images.clone_from(&host.programs);
        let (opened, listeners) = tokio::sync::watch::channel(Listeners::new());
        for (name, ca) in [("acme-root.pem", CaName::Production), ("acme-staging-root.pem", CaName::Staging)]
        {
            persistence.replace(name, state.acme.root_pem(ca).as_bytes())?;
        }
        let registration = options
            .registration
            .map(|registration| ServerRegistration::new(dir, holder, &connection, &registration));
        if let Some(registration) = &registration {
            persistence.replace(registration::SECRET, connection.client_secret.as_bytes())?;
            persistence.replace(registration::PASSWORD, connection.user_password.as_bytes())?;
            let header = format!("{}: {}\n", admin_api::KEY_HEADER, connection.admin_key);
            persistence.replace(registration::HEADER, header.as_bytes())?;
            let text = serde_json::to_vec(registration).expect("plain values serialise");
            persistence.replace(registration::FILE, &text)?;
        }
        let server_state =
            ServerState::new(state, Some(persistence), request_log, timing, authority.pem().to_owned())?;
        let server_state = server_state.with_name_servers(sockets.addresses());
        let server_state = Arc::new(server_state.with_registration(listeners.clone(), registration.clone()));
        let stop = CancellationToken::new();
        let name_servers = sockets.serve(&server_state, &stop).map_err(SimError::Port)?;
        let context = ServerContext::new(
            authority.server_config()?,
            connection.port,
            Arc::clone(&server_state),
            listeners.clone(),
            stop.clone(),
        );
        let server = Some(tokio::spawn(server::serve(listener, context)));
        let containers = (!host.programs.is_empty()).then(|| {
            let (server_state, stop) = (Arc::clone(&server_state), CancellationToken::new());
            let runtime = processes::serve(server_state, host, stop.clone());
            let task = tokio::spawn(async move {
                if let Err(error) = runtime.await {
                    tracing::error!(%error, "the state cannot be saved; its containers end");
                }
            });
            (task, stop)
        });
        if options.traffic {
            tokio::spawn(traffic::listeners::serve(Arc::clone(&server_state), opened, stop.clone()));
        }
        Ok(Self { connection, server_state, stop, server, name_servers, listeners, registration, containers })
    }

    /// Returns the addresses and the sign-in data.
    pub const fn connection(&self) -> &ConnectionInfo {
        &self.connection
    }

    /// Returns the registration for other processes, if there is one.
    pub const fn registration(&self) -> Option<&ServerRegistration> {
        self.registration.as_ref()
    }

    /// Returns a receiver that is notified when gateway sockets open or close.
    pub fn watch_listeners(&self) -> tokio::sync::watch::Receiver<Listeners> {
        self.listeners.clone()
    }

    /// Returns a receiver that is notified of every answered request, by its number.
    pub fn watch_requests(&self) -> tokio::sync::watch::Receiver<u64> {
        self.server_state.requests()
    }

    /// Returns the open sockets of the gateways, by their address and port.
    pub fn listeners(&self) -> Listeners {
        self.listeners.borrow().clone()
    }

    /// Waits until every gateway with an address has an open socket, at most for [`LISTENERS_TIMEOUT`]; sockets that
    /// cannot be opened are missing. Without [`Options::traffic`] there are no sockets, and this returns at
    /// once.
    pub async fn wait_for_listeners(&self) -> Listeners {
        let wanted = self.server_state.read(traffic::listen_addresses);
        let mut listeners = self.listeners.clone();
        let all = listeners.wait_for(|open| wanted.iter().all(|place| open.contains_key(place)));
        let _ = tokio::time::timeout(LISTENERS_TIMEOUT, all).await;
        self.listeners()
    }

    /// Waits until the sockets match a condition.
    ///
    /// # Errors
    /// The gateways are not served at all.
    pub async fn wait_for_listeners_until(
        &mut self,
        are: impl FnMut(&Listeners) -> bool,
    ) -> Result<Listeners, tokio::sync::watch::error::RecvError> {
        self.listeners.wait_for(are).await.map(|listeners| listeners.clone())
    }

    /// Returns the request log since the start, in order.
    pub fn request_log(&self) -> Vec<RequestRecord> {
        self.server_state.request_log()
    }

    /// Returns the lines of the request log since the start with a higher number, in order.
    pub fn request_log_after(&self, number: u64) -> Vec<RequestRecord> {
        self.server_state.request_log_after(number)
    }

    /// Calls a function with the state.
    pub fn read<T>(&self, reader: impl FnOnce(&CloudState) -> T) -> T {
        self.server_state.read(reader)
    }

    /// Changes the state at its current time, like a user of the Azure portal.
    ///
    /// # Errors
    /// The state cannot be written.
    pub fn change<T>(&self, change: impl FnOnce(&mut CloudState, SimTime) -> T) -> Result<T, SimError> {
        self.server_state.change(change)
    }

    /// Stops the server: current responses complete, streams are closed. The next open continues from the
    /// stored state.
    pub async fn close(mut self) {
        // No process may find a server that is about to stop: without a registration it waits for the lock.
        self.withdraw();
        // Containers are clients of the server, so they end first.
        if let Some((runtime, stop)) = &mut self.containers {
            stop.cancel();
            let _ = runtime.await;
        }
        self.stop.cancel();
        if let Some(server) = self.server.take() {
            let _ = server.await;
        }
        self.name_servers.wait().await;
        if let Err(error) = self.server_state.write_whole() {
            tracing::warn!(%error, "the complete state cannot be written; the changes stay beside it");
        }
    }
}

impl Sim {
    fn withdraw(&mut self) {
        if let Some(registration) = self.registration.take() {
            registration::withdraw(&registration.folder);
        }
    }
}

impl Drop for Sim {
    fn drop(&mut self) {
        self.withdraw();
        self.stop.cancel();
        if let Some((runtime, _)) = &self.containers {
            runtime.abort();
        }
    }
}

/// Returns the absolute form of a path: containers begin in folders of their own.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// Binds the previous port, or another one if that is taken or the state is new.
async fn bind(port: u16, seed: u64) -> io::Result<TcpListener> {
    if port != 0
        && let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await
    {
        return Ok(listener);
    }
    let count = PORTS.end - PORTS.start;
    let first = u16::try_from(seed % u64::from(count)).unwrap_or(0);
    let mut last = io::Error::from(io::ErrorKind::AddrInUse);
    for step in 0..count {
        let port = PORTS.start + (first + step) % count;
        match TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await {
            Ok(listener) => return Ok(listener),
            Err(error) => last = error,
        }
    }
    Err(last)
}
