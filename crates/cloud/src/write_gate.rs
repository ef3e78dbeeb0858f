//! The permission that every request needs that changes something.
//!
//! A run records what it does in a journal that other machines share. A process that no longer holds that journal
//! must not change anything, and no request may leave before its record is durable. The check is here, below every
//! client, so that no step can forget it.

use futures::future::BoxFuture;
use std::{error::Error, fmt, sync::Arc};

/// Decides whether a request that changes something may leave now.
pub trait WriteGate: fmt::Debug + Send + Sync {
    /// Waits until the request may leave.
    ///
    /// # Errors
    /// Fails if it may not: this process must not change anything any more.
    fn pass(&self) -> BoxFuture<'_, Result<(), Box<dyn Error + Send + Sync>>>;
}

/// A request that the gate stopped. It never left.
#[derive(Debug)]
pub(crate) struct WriteStopped(Box<dyn Error + Send + Sync>);

impl fmt::Display for WriteStopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the request was not sent: its record in the journal is not certain")
    }
}

impl Error for WriteStopped {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.0)
    }
}

/// Waits at the gate, if there is one and the request changes something.
pub(crate) async fn pass(gate: Option<&Arc<dyn WriteGate>>, method: &str) -> Result<(), WriteStopped> {
    match gate {
        Some(gate) if crate::error::is_write(method) => gate.pass().await.map_err(WriteStopped),
        _ => Ok(()),
    }
}
