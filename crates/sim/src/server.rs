//! The server: TLS, HTTP/1.1 and HTTP/2 with its own accept loop, for a controlled shutdown.
//!
//! A connection that does not begin with a TLS handshake is HTTP/1.1 to the forward proxy, see
//! [`crate::proxy`].

pub(crate) mod accept;
pub(crate) mod body;
mod chunks;
pub(crate) mod connection;
pub(crate) mod respond;

use std::sync::Arc;

use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use self::accept::{CONNECTIONS_MAX, Slots};
use self::connection::{HANDSHAKE_MAX, ServerContext};
use crate::proxy;

/// The first byte of every TLS handshake (RFC 8446 §5.1, content type `handshake`); no HTTP method begins
/// with it.
const HANDSHAKE: u8 = 0x16;

/// Serves connections until the shutdown, then waits for them to end.
pub(crate) async fn serve(listener: TcpListener, context: ServerContext) {
    let context = Arc::new(context);
    let slots = Slots::new(CONNECTIONS_MAX);
    loop {
        let (tcp, slot) = tokio::select! {
            accepted = slots.accept(&listener) => accepted,
            () = context.stop.cancelled() => break,
        };
        let dispatched = dispatch(Arc::clone(&context), tcp);
        context.connections.spawn(async move {
            dispatched.await;
            drop(slot);
        });
    }
    context.connections.close();
    context.connections.wait().await;
}

/// Serves a connection: the cloud after a TLS handshake, otherwise the forward proxy.
async fn dispatch(context: Arc<ServerContext>, tcp: TcpStream) {
    let _ = tcp.set_nodelay(true);
    let mut first = [0];
    let peeked = tokio::select! {
        peeked = timeout(HANDSHAKE_MAX, tcp.peek(&mut first)) => peeked,
        () = context.stop.cancelled() => return,
    };
    match peeked {
        Ok(Ok(1)) if first[0] == HANDSHAKE => context.encrypted(tcp).await,
        Ok(Ok(1)) => proxy::serve(tcp, context).await,
        _ => {}
    }
}
