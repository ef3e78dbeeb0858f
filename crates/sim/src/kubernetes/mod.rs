//! The Kubernetes API of a simulated cluster.

pub mod store;

use crate::clock::Moment;
use crate::request::{Reply, Request};
use store::Store;

/// Answers a request whose path is below the cluster's prefix.
pub fn serve(_store: &mut Store, _request: &Request, _user: &str, _now: Moment) -> Reply {
    Reply::empty(404)
}
