//! The sockets of the gateways' listeners.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};

/// The real socket of each listener, by address and port of the gateway.
pub type Listeners = BTreeMap<(Ipv4Addr, u16), SocketAddr>;
