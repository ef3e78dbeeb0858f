//! Accepts connections within a limit, so that clients that never speak cannot use up the descriptors of the process.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The maximum number of open connections to the services, and to all gateways together. Further ones wait in the
/// backlog of the socket. Both fit in the usual limit of 1,024 descriptors per process.
pub(crate) const CONNECTIONS_MAX: usize = 400;
/// The delay after an error, such as no free descriptor. An immediate retry would fail again and use a whole core.
const RETRY: Duration = Duration::from_millis(50);

/// The open connections of one or more sockets.
#[derive(Clone)]
pub(crate) struct Slots(Arc<Semaphore>);

/// A place among the open connections; dropping it frees the place.
pub(crate) type Slot = OwnedSemaphorePermit;

impl Slots {
    /// Creates the places for that number of connections.
    pub(crate) fn new(connections: usize) -> Self {
        Self(Arc::new(Semaphore::new(connections)))
    }

    /// Waits for a free place and a connection. Cancelling it loses no connection.
    pub(crate) async fn accept(&self, listener: &TcpListener) -> (TcpStream, Slot) {
        let slot = Arc::clone(&self.0).acquire_owned().await.expect("the semaphore is never closed");
        loop {
            match listener.accept().await {
                Ok((tcp, _)) => return (tcp, slot),
                Err(error) => {
                    tracing::warn!(%error, "a connection cannot be accepted");
                    tokio::time::sleep(RETRY).await;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    #[tokio::test]
    async fn a_connection_beyond_the_limit_waits_until_another_one_ends() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let slots = Slots::new(1);
        let address = listener.local_addr().unwrap();
        let (_first, _second) =
            (TcpStream::connect(address).await.unwrap(), TcpStream::connect(address).await.unwrap());
        let (_tcp, slot) = slots.accept(&listener).await;
        assert!(slots.accept(&listener).now_or_never().is_none(), "the limit is reached");
        drop(slot);
        let _third = slots.accept(&listener).await;
    }
}
