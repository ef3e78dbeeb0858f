//! Allocation of cluster IPs and node ports for Services by the API server.

use serde::{Deserialize, Serialize};

/// The first node port of the default range.
const NODE_PORT_FIRST: u16 = 30_000;
/// The size of the default node port range.
const NODE_PORTS: u32 = 2_768;
/// The two highest octets of the service range, 10.0.0.0/16 as AKS sets it by default.
const SERVICE_RANGE: [u8; 2] = [10, 0];

/// The numbers of addresses and ports allocated so far.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(super) struct Addresses {
    services: u32,
    ports: u32,
}

impl Addresses {
    /// Returns the next cluster IP. The addresses are spread over the range, like those of a real allocator.
    /// The first 16 are reserved for well-known services.
    pub fn next_service(&mut self) -> String {
        self.services += 1;
        let host = 16 + (self.services.wrapping_mul(25_173)) % (65_520 - 16);
        let [third, fourth] = u16::try_from(host).unwrap_or(u16::MAX).to_be_bytes();
        format!("{}.{}.{third}.{fourth}", SERVICE_RANGE[0], SERVICE_RANGE[1])
    }

    /// Returns the next node port.
    pub fn next_node_port(&mut self) -> u16 {
        self.ports += 1;
        NODE_PORT_FIRST + u16::try_from(self.ports.wrapping_mul(787) % NODE_PORTS).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn addresses_and_ports_do_not_repeat_soon() {
        let mut addresses = Addresses::default();
        let services: BTreeSet<String> = (0..2_000).map(|_| addresses.next_service()).collect();
        let ports: BTreeSet<u16> = (0..2_000).map(|_| addresses.next_node_port()).collect();
        assert_eq!((services.len(), ports.len()), (2_000, 2_000));
    }
}
