//! The data plane of key vaults.

use crate::clock::{Moment, Timing};
use crate::request::{Reply, Request};
use crate::world::World;

/// Answers a request to the host `{vault}.vault.landfall.localhost`.
pub fn serve(_world: &mut World, vault: &str, _request: &Request, _now: Moment, _timing: &Timing) -> Reply {
    Reply::text(404, format!("no vault is called {vault}\n"))
}
