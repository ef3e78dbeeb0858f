//! A simulated Azure inside the process, which speaks the services' own HTTPS protocols.
//!
//! It is a second reading of the public contracts and shares no type with the client that talks to it: what the
//! client misunderstands, this must refuse. [`Sim::open`] serves a world from a folder; `curl`, `az` and `kubectl`
//! may use it as well.
//!
//! * [`world`]: everything there is, as one value; nothing runs in the background.
//! * [`arm`]: Resource Manager, its table of routes and the families of resource types ([`arm::family`] tells how to
//!   add one). [`entra`]: signing in; [`graph`]: who there is. [`vault`]: the data plane of vaults. [`kubernetes`] and
//!   [`aks`]: clusters.
//! * [`clock`] and [`durations`]: how long things take, and how time bends.
//! * `traffic`: the gateways' own addresses, and what becomes of a request there. `proxy`: how names lead to both.
//! * [`fault`]: what goes wrong on purpose. [`control`]: the way into the machinery.

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
mod proxy;
pub mod request;
mod server;
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

use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub use clock::Speed;
pub use disk::SimError;
pub use in_process::InProcess;
pub use ledger::Line;
pub use options::{Facts, Options};
pub use server::{Body, Cut};
pub use traffic::serve::Doors;

use clock::{Moment, Timing};
use disk::Disk;
use fault::Faults;
use ledger::Ledger;
use shared::Shared;
use tls::Authority;
use world::World;

/// The ports a world picks from: below the range that systems give to outgoing connections.
const PORTS: std::ops::Range<u16> = 20_000..30_000;

/// A world that is being served. Dropping it stops the server at once; [`Sim::close`] lets answers end.
pub struct Sim {
    facts: Facts,
    shared: Arc<Shared>,
    stop: CancellationToken,
    server: Option<JoinHandle<()>>,
    doors: tokio::sync::watch::Receiver<Doors>,
}

impl std::fmt::Debug for Sim {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sim").field("facts", &self.facts).finish_non_exhaustive()
    }
}

impl Sim {
    /// Opens the world in a folder, or makes one, and serves it on 127.0.0.1 at the port it had before.
    ///
    /// # Errors
    /// [`SimError::Busy`] when another process serves it; otherwise when folder, port or certificates fail.
    pub async fn open(dir: &Path, options: Options) -> Result<Self, SimError> {
        let faults = Faults::read(&options.faults)?;
        let mut disk = Disk::open(dir)?;
        let authority = Arc::new(Authority::open(&disk)?);
        let path = disk.path("ledger.jsonl");
        let ledger = Ledger::open(&path).map_err(SimError::io(&path))?;
        let mut world = match disk.read()? {
            Some(world) => world,
            None => World::new(&options, options.seed.unwrap_or_else(|| fastrand::u64(..)), Moment::now()),
        };
        world.arm(faults);
        let listener = bind(world.port, world.seed).await.map_err(SimError::Port)?;
        world.port = listener.local_addr().map_err(SimError::Port)?.port();
        world.clusters.trust(authority.pem());
        let timing = Timing::new(options.speed);
        let facts = Facts::of(&world, &timing, authority.pem());
        let shared = Arc::new(Shared::new(world, Some(disk), ledger, timing, authority.pem().to_owned())?);
        let stop = CancellationToken::new();
        let (opened, doors) = tokio::sync::watch::channel(Doors::new());
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
        Ok(Self { facts, shared, stop, server, doors })
    }

    /// Returns where it is and how to sign in.
    pub const fn facts(&self) -> &Facts {
        &self.facts
    }

    /// Returns where the gateways answer that are served now, by their address and port.
    pub fn doors(&self) -> Doors {
        self.doors.borrow().clone()
    }

    /// Waits until the doors are such.
    ///
    /// # Errors
    /// When the gateways are not served at all.
    pub async fn doors_until(
        &mut self,
        are: impl FnMut(&Doors) -> bool,
    ) -> Result<Doors, tokio::sync::watch::error::RecvError> {
        self.doors.wait_for(are).await.map(|doors| doors.clone())
    }

    /// Returns the requests since it was opened, in order.
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
    /// When the world cannot be written.
    pub fn change<T>(&self, change: impl FnOnce(&mut World, Moment) -> T) -> Result<T, SimError> {
        self.shared.change(change)
    }

    /// Stops serving: answers under way end, streams are closed. The world goes on by itself on the next open.
    pub async fn close(mut self) {
        self.stop.cancel();
        if let Some(server) = self.server.take() {
            let _ = server.await;
        }
    }
}

impl Drop for Sim {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Binds the port of a world, or another one when it is taken or the world is new.
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
