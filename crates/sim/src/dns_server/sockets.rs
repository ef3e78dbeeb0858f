//! The sockets of the name servers. Messages, connections and waits are bounded.

use std::io;
use std::net::{Ipv4Addr, TcpListener as StdTcpListener, UdpSocket as StdUdpSocket};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::server_names::{NameServers, names};
use crate::server_state::ServerState;

/// The port range of the name servers, below that of the HTTPS servers.
const PORTS: std::ops::Range<u16> = 10_000..15_000;
/// The number of ports that one simulated cloud prefers.
const BLOCK: u16 = 50;
/// The maximum size of a question in bytes.
const QUERY_MAX: usize = 4096;
/// The maximum number of TCP connections to all name servers.
const CONNECTIONS_MAX: usize = 64;
/// The maximum number of questions on one connection.
const QUERIES_MAX: usize = 100;
/// The timeout of a TCP connection without a question (RFC 7766 §6.2.3 recommends a few seconds).
const IDLE_MAX: Duration = Duration::from_secs(5);

/// The bound sockets of all name servers; by default of none.
#[derive(Default)]
pub(crate) struct Sockets {
    bound: Vec<(String, StdUdpSocket, StdTcpListener)>,
}

impl Sockets {
    /// Binds a port for every name server. The same seed prefers the same ports.
    ///
    /// # Errors
    /// No port is free.
    pub(crate) fn bind(seed: u64) -> io::Result<Self> {
        let blocks = u64::from((PORTS.end - PORTS.start) / BLOCK);
        let block = u16::try_from(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) % blocks).unwrap_or(0);
        let mut bound = Vec::new();
        for (name, nth) in names().zip(0..) {
            let (udp, tcp) = bind(PORTS.start + block * BLOCK + nth)?;
            bound.push((name, udp, tcp));
        }
        Ok(Self { bound })
    }

    /// Returns the addresses.
    pub(crate) fn addresses(&self) -> NameServers {
        let address =
            |(name, udp, _): &(String, StdUdpSocket, _)| Some((name.clone(), udp.local_addr().ok()?));
        self.bound.iter().filter_map(address).collect()
    }

    /// Serves the name servers until `stop` is cancelled. Must be called within a runtime. Returns the tasks that hold
    /// the sockets.
    ///
    /// # Errors
    /// The runtime does not accept a socket.
    pub(crate) fn serve(
        self,
        server_state: &Arc<ServerState>,
        stop: &CancellationToken,
    ) -> io::Result<TaskTracker> {
        let tasks = TaskTracker::new();
        let connections = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        for (name, udp, tcp) in self.bound {
            let server = Server { name: Arc::from(name), server_state: Arc::clone(server_state) };
            let (udp, tcp) = (UdpSocket::from_std(udp)?, TcpListener::from_std(tcp)?);
            let token = stop.clone();
            let datagrams = server.clone();
            tasks.spawn(async move { token.run_until_cancelled(datagrams.datagrams(udp)).await });
            let (token, connections) = (stop.clone(), Arc::clone(&connections));
            tasks.spawn(async move {
                token.clone().run_until_cancelled(server.connections(tcp, connections, token)).await
            });
        }
        tasks.close();
        Ok(tasks)
    }
}

/// Binds one port for both protocols: the preferred one or any other.
fn bind(preferred: u16) -> io::Result<(StdUdpSocket, StdTcpListener)> {
    let both = |port: u16| -> io::Result<_> {
        let tcp = StdTcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
        let udp = StdUdpSocket::bind((Ipv4Addr::LOCALHOST, tcp.local_addr()?.port()))?;
        tcp.set_nonblocking(true)?;
        udp.set_nonblocking(true)?;
        Ok((udp, tcp))
    };
    let mut last = match both(preferred) {
        Ok(bound) => return Ok(bound),
        Err(error) => error,
    };
    for _ in 0..16 {
        match both(0) {
            Ok(bound) => return Ok(bound),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// One name server.
#[derive(Clone)]
struct Server {
    name: Arc<str>,
    server_state: Arc<ServerState>,
}

impl Server {
    async fn datagrams(self, socket: UdpSocket) {
        let mut query = [0; QUERY_MAX];
        loop {
            // An error is that of an earlier response whose client is gone.
            let Ok((length, client)) = socket.recv_from(&mut query).await else { continue };
            if let Some(response) = self.server_state.respond_dns(&self.name, &query[..length]) {
                let _ = socket.send_to(&response.udp(), client).await;
            }
        }
    }

    async fn connections(self, listener: TcpListener, connections: Arc<Semaphore>, stop: CancellationToken) {
        loop {
            let Ok((stream, _)) = listener.accept().await else { continue };
            // A connection beyond the maximum is closed at once.
            let Ok(permit) = Arc::clone(&connections).try_acquire_owned() else { continue };
            let (server, stop) = (self.clone(), stop.clone());
            tokio::spawn(async move {
                let _ = stop.run_until_cancelled(server.connection(stream)).await;
                drop(permit);
            });
        }
    }

    async fn connection(self, mut stream: TcpStream) -> Option<()> {
        for _ in 0..QUERIES_MAX {
            let length = timeout(IDLE_MAX, stream.read_u16()).await.ok()?.ok()?;
            let mut query = vec![0; usize::from(length).min(QUERY_MAX)];
            if usize::from(length) > QUERY_MAX {
                return None;
            }
            timeout(IDLE_MAX, stream.read_exact(&mut query)).await.ok()?.ok()?;
            let response = self.server_state.respond_dns(&self.name, &query)?.tcp();
            let mut framed = u16::try_from(response.len()).ok()?.to_be_bytes().to_vec();
            framed.extend(response);
            timeout(IDLE_MAX, stream.write_all(&framed)).await.ok()?.ok()?;
        }
        None
    }
}
