//! The names of the name servers.

use std::collections::BTreeMap;
use std::net::SocketAddr;

/// The number of sets of name servers.
pub(crate) const SETS: u32 = 10;

/// The top-level domains of the servers of a set, in the order of their numbers.
const TOPS: [&str; 4] = ["com", "net", "org", "info"];

/// Returns the names of the servers of a set, without a trailing dot; sets count from 1.
pub(crate) fn set(number: u32) -> impl Iterator<Item = String> {
    TOPS.iter().zip(1..).map(move |(top, n)| format!("ns{n}-{number:02}.azure-dns.{top}"))
}

/// Returns the names of all servers.
pub(super) fn names() -> impl Iterator<Item = String> {
    (1..=SETS).flat_map(set)
}

/// The addresses of name servers by host name, in lower case and without a trailing dot.
pub type NameServers = BTreeMap<String, SocketAddr>;
