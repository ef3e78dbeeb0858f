//! Fault injection: an enum of faults, and a table with the place, the effect and the expected client
//! reaction of each.
//!
//! A fault is armed by a text, `name[@METHOD path-part][#n][*times]`. For example,
//! `throttled@PUT virtualNetworks*2` refuses the next two writes of virtual networks. `reset-after#3` (or
//! `reset-after:3`) breaks the third matching request. Without a place the fault matches as its table row
//! says, and with an empty one (`slow@#3`) any request. Without a number it is injected once, into the first
//! matching request.
//!
//! A fault that stands for an action of another client changes the state through the ordinary functions, just
//! before the request is handled. Everything after that follows the ordinary rules. If a fault has no effect
//! on a request (a cluster cannot be busy before it exists), the request passes and the fault stays armed.
//!
//! To add one: a variant in `variants.rs`, and a row with its injection in the file of its topic.

mod acme;
pub(crate) mod armed;
mod blobs;
mod busy;
mod catalog;
mod cluster;
mod delay;
mod dns;
#[cfg(test)]
mod fixture;
mod identities;
mod inject;
mod kubernetes;
mod operations;
mod parse;
mod providers;
mod quota_and_policy;
mod replication;
mod roles;
mod row;
mod transport;
mod unreadable;
mod variants;
mod vaults;

pub use armed::{Armed, Faults};
pub use catalog::{markdown, names, table};
pub use parse::UnknownFault;
pub use row::{Kind, Row};
pub use variants::Fault;

pub(crate) use inject::inject;
pub(crate) use row::RequestContext;
