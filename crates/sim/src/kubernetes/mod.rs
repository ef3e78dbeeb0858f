//! The Kubernetes API of a simulated cluster.

pub mod store;
pub mod watch;

use crate::clock::Moment;
use crate::request::{Reply, Request};
use store::Store;
use watch::Watch;

/// Answers a request whose path is below the cluster's prefix; a watch goes on after the reply's body.
pub fn serve(_store: &mut Store, _request: &Request, _user: &str, _now: Moment) -> (Reply, Option<Watch>) {
    (Reply::empty(404), None)
}
