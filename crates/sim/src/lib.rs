//! A simulated Azure inside the process, which implements the HTTPS protocols of the services.
//!
//! It is a second implementation of the public contracts and shares no type with the client that uses it: it
//! must refuse what the client misunderstands. [`Sim::open`] serves a simulated cloud from a folder; `curl`,
//! `az` and `kubectl` can use it as well.
//!
//! * [`world`]: the whole state as one value; nothing runs in the background.
//! * [`arm`]: Resource Manager, its route table and the resource families ([`arm::family`] explains how to
//!   add one). [`entra`]: sign-in; [`graph`]: the directory. [`vault`]: the data plane of vaults.
//!   [`kubernetes`] and [`aks`]: clusters.
//! * [`clock`] and [`durations`]: durations and time scaling.
//! * `traffic`: the data plane of the gateways. `proxy`: a forward proxy for all hostnames.
//! * [`fault`]: fault injection. [`control`]: the admin API. `page`: the web page for it.
//! * [`serving`]: discovery of a running simulated cloud by other processes.

pub mod aks;
pub mod arm;
pub mod clock;
pub mod control;
pub mod disk;
pub mod durations;
pub mod entra;
pub mod fault;
pub mod graph;
mod in_process;
pub mod kubernetes;
pub mod ledger;
pub mod options;
mod page;
mod proxy;
pub mod request;
mod server;
pub mod serving;
mod shared;
#[cfg(test)]
mod test_cloud;
pub mod tls;
mod traffic;
pub mod vault;
pub mod world;

use std::io;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub use clock::Speed;
pub use disk::SimError;
pub use in_process::InProcess;
pub use ledger::Line;
pub use options::{Facts, Options};
pub use server::{Body, Cut};
pub use serving::{Holder, Served, Serving};
pub use traffic::serve::Doors;

use clock::{Moment, Timing};
use disk::Disk;
use fault::Faults;
use ledger::Ledger;
use shared::Shared;
use tls::Authority;
use world::World;

/// The port range of the server, below the usual range of ephemeral ports.
const PORTS: std::ops::Range<u16> = 20_000..30_000;

/// The maximum time for the gateways' sockets to open.
pub const DOORS_MAX: Duration = Duration::from_secs(5);

/// A running simulated cloud. Dropping it stops the server at once; [`Sim::close`] completes the current
/// responses.
pub struct Sim {
    facts: Facts,
    shared: Arc<Shared>,
    stop: CancellationToken,
    server: Option<JoinHandle<()>>,
    doors: tokio::sync::watch::Receiver<Doors>,
    serving: Option<Serving>,
}

impl std::fmt::Debug for Sim {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sim").field("facts", &self.facts).finish_non_exhaustive()
    }
}

impl Sim {
    /// Opens or creates the simulated cloud in a folder, and serves it on 127.0.0.1 at its previous port.
    ///
    /// # Errors
    /// [`SimError::Busy`] if another process serves it; other variants if folder, port or certificates fail.
    pub async fn open(dir: &Path, options: Options) -> Result<Self, SimError> {
        let faults = Faults::read(&options.faults)?;
        let mut disk = Disk::open(dir)?;
        let holder = Holder::this(&options.by);
        disk.sign(&holder)?;
        let authority = Arc::new(Authority::open(&disk)?);
        let path = disk.path("ledger.jsonl");
        let ledger = Ledger::open(&path).map_err(SimError::io(&path))?;
        let mut world = match disk.read()? {
            Some(world) => world,
            None => World::new(&options, options.seed.unwrap_or_else(|| fastrand::u64(..)), Moment::now()),
        };
        world.arm(faults);
        let listener = match options.port {
            Some(port) => TcpListener::bind((Ipv4Addr::LOCALHOST, port))
                .await
                .map_err(|source| SimError::PortTaken { port, source })?,
            None => bind(world.port, world.seed).await.map_err(SimError::Port)?,
        };
        world.port = listener.local_addr().map_err(SimError::Port)?.port();
        world.clusters.trust(authority.pem());
        world.clusters.lead_to(options.kubeconfig);
        let timing = Timing::new(options.speed);
        let facts = Facts::of(&world, &timing, authority.pem());
        let (opened, doors) = tokio::sync::watch::channel(Doors::new());
        let serving = options.served.map(|served| Serving::new(dir, holder, &facts, &served));
        if let Some(serving) = &serving {
            disk.replace(serving::SECRET, facts.client_secret.as_bytes())?;
            let text = serde_json::to_vec(serving).expect("plain values serialise");
            disk.replace(serving::FILE, &text)?;
        }
        let shared = Shared::new(world, Some(disk), ledger, timing, authority.pem().to_owned())?;
        let shared = Arc::new(shared.known_as(doors.clone(), serving.clone()));
        let stop = CancellationToken::new();
        let front = server::Front::new(
            authority.server_config()?,
            facts.port,
            Arc::clone(&shared),
            doors.clone(),
            stop.clone(),
        );
        let server = Some(tokio::spawn(server::serve(listener, front)));
        if options.traffic {
            tokio::spawn(traffic::serve::serve(Arc::clone(&shared), opened, stop.clone()));
        }
        Ok(Self { facts, shared, stop, server, doors, serving })
    }

    /// Returns the addresses and the sign-in data.
    pub const fn facts(&self) -> &Facts {
        &self.facts
    }

    /// Returns the registration for other processes, if there is one.
    pub const fn serving(&self) -> Option<&Serving> {
        self.serving.as_ref()
    }

    /// Returns a receiver that is notified when gateway sockets open or close.
    pub fn watch_doors(&self) -> tokio::sync::watch::Receiver<Doors> {
        self.doors.clone()
    }

    /// Returns a receiver that is notified of every answered request, by its number.
    pub fn watch_requests(&self) -> tokio::sync::watch::Receiver<u64> {
        self.shared.requests()
    }

    /// Returns the open sockets of the gateways, by their address and port.
    pub fn doors(&self) -> Doors {
        self.doors.borrow().clone()
    }

    /// Waits until every gateway with an address has an open socket, at most for [`DOORS_MAX`]; sockets that
    /// cannot be opened are missing. Without [`Options::traffic`] there are no sockets, and this returns at
    /// once.
    pub async fn doors_open(&self) -> Doors {
        let wanted = self.shared.read(traffic::places);
        let mut doors = self.doors.clone();
        let all = doors.wait_for(|open| wanted.iter().all(|place| open.contains_key(place)));
        let _ = tokio::time::timeout(DOORS_MAX, all).await;
        self.doors()
    }

    /// Waits until the sockets match a condition.
    ///
    /// # Errors
    /// The gateways are not served at all.
    pub async fn doors_until(
        &mut self,
        are: impl FnMut(&Doors) -> bool,
    ) -> Result<Doors, tokio::sync::watch::error::RecvError> {
        self.doors.wait_for(are).await.map(|doors| doors.clone())
    }

    /// Returns the request log since the start, in order.
    pub fn ledger(&self) -> Vec<Line> {
        self.shared.ledger()
    }

    /// Returns the lines of the request log since the start with a higher number, in order.
    pub fn ledger_after(&self, number: u64) -> Vec<Line> {
        self.shared.ledger_after(number)
    }

    /// Calls a function with the state.
    pub fn read<T>(&self, look: impl FnOnce(&World) -> T) -> T {
        self.shared.read(look)
    }

    /// Changes the state at its current time, like a user of the Azure portal.
    ///
    /// # Errors
    /// The state cannot be written.
    pub fn change<T>(&self, change: impl FnOnce(&mut World, Moment) -> T) -> Result<T, SimError> {
        self.shared.change(change)
    }

    /// Stops the server: current responses complete, streams are closed. The next open continues from the
    /// stored state.
    pub async fn close(mut self) {
        // No process may find a server that is about to stop: without a registration it waits for the lock.
        self.withdraw();
        self.stop.cancel();
        if let Some(server) = self.server.take() {
            let _ = server.await;
        }
    }
}

impl Sim {
    fn withdraw(&mut self) {
        if let Some(serving) = self.serving.take() {
            serving::withdraw(&serving.folder);
        }
    }
}

impl Drop for Sim {
    fn drop(&mut self) {
        self.withdraw();
        self.stop.cancel();
    }
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
