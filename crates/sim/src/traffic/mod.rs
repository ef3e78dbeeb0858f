//! The data plane of the gateways: route matching, filters, and forwarding to backends.
//!
//! [`table`], [`filter`] and [`split`] are functions of the routes and the request. [`view`] derives them
//! from the state, [`listeners`] opens the listeners, and [`proxy`] handles one request. The Gateway API's core
//! conformance cases for matching, precedence, weights, redirects, rewrites and header changes are next to
//! the code, with their original names.

pub(crate) mod addresses;
mod backend;
pub(crate) mod claimed_hosts;
pub(crate) mod filter;
pub(crate) mod host;
pub(crate) mod kept_certificate;
pub(crate) mod listeners;
mod proxy;
pub(crate) mod request_target;
pub(crate) mod spec;
pub(crate) mod split;
pub(crate) mod table;
#[cfg(test)]
mod tests;
pub(crate) mod view;

/// Returns the addresses and ports on which the gateways must listen.
pub(crate) fn listen_addresses(state: &crate::state::CloudState) -> Vec<(std::net::Ipv4Addr, u16)> {
    view::View::of(state).gateway_ports.into_keys().collect()
}
