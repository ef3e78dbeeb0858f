//! What becomes of a request that reaches a gateway: which route takes it, what changes on the way, where it goes.
//!
//! [`table`], [`filter`] and [`split`] are functions of the routes and the request; [`view`] reads them off a world,
//! [`serve`] opens the doors, and [`proxy`] takes one request through. The core conformance cases of the Gateway API for
//! matching, precedence, weights, redirects, rewrites and header changes stand beside the code, by their names there.

mod backend;
pub(crate) mod filter;
pub(crate) mod host;
pub(crate) mod names;
mod proxy;
pub(crate) mod serve;
pub(crate) mod spec;
pub(crate) mod split;
pub(crate) mod table;
pub(crate) mod view;

/// Returns the ports of addresses at which a world's gateways are to answer.
pub(crate) fn places(world: &crate::world::World) -> Vec<(std::net::Ipv4Addr, u16)> {
    view::View::of(world).doors.into_keys().collect()
}
