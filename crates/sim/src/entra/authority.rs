//! The sign-in authority.

use crate::clock::Moment;
use crate::request::{Reply, Request};
use crate::world::World;

/// Answers a request to the sign-in authority.
pub fn serve(_world: &mut World, _request: &Request, _now: Moment) -> Reply {
    Reply::empty(404)
}
