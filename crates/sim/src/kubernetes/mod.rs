//! The Kubernetes API of a simulated cluster.

mod address;
mod admission;
pub mod definition;
pub mod fields;
mod lifecycle;
pub mod ownership;
pub mod schema;
pub mod selector;
pub mod status;
pub mod store;
#[cfg(test)]
mod store_tests;
pub mod watch;
mod write;

pub use definition::Definition;
pub use lifecycle::Propagation;
pub use store::Store;

/// Answers a request whose path is below the cluster's prefix; a watch goes on after the reply's body.
pub fn serve(
    _store: &mut Store,
    _request: &crate::request::Request,
    _user: &str,
    _now: crate::clock::Moment,
) -> (crate::request::Reply, Option<watch::Watch>) {
    (crate::request::Reply::empty(404), None)
}
