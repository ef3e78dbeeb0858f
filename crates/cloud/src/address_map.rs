//! Address overrides of load balancers.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

/// Address overrides of load balancers. By default each address is used as it is. A cloud on a machine that
/// reserves the low ports for itself maps addresses to other sockets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AddressMap {
    overrides: BTreeMap<(IpAddr, u16), SocketAddr>,
}

impl AddressMap {
    /// Creates the overrides from pairs of address with port, and socket; identical pairs are no overrides.
    pub fn new(all: impl IntoIterator<Item = ((IpAddr, u16), SocketAddr)>) -> Self {
        let overrides =
            all.into_iter().filter(|(place, socket)| SocketAddr::from(*place) != *socket).collect();
        Self { overrides }
    }

    /// Returns the socket for a port of an address.
    pub fn socket(&self, address: IpAddr, port: u16) -> SocketAddr {
        self.overrides.get(&(address, port)).copied().unwrap_or(SocketAddr::new(address, port))
    }

    /// Returns the socket if it differs from the address and port.
    pub fn override_for(&self, address: IpAddr, port: u16) -> Option<SocketAddr> {
        self.overrides.get(&(address, port)).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_used_unless_it_has_an_override() {
        let address: IpAddr = "127.0.0.11".parse().unwrap();
        let high: SocketAddr = "127.0.0.11:30421".parse().unwrap();
        let itself: SocketAddr = "127.0.0.11:443".parse().unwrap();
        let address_map = AddressMap::new([((address, 80), high), ((address, 443), itself)]);
        assert_eq!((address_map.socket(address, 80), address_map.socket(address, 443)), (high, itself));
        assert_eq!(
            (address_map.override_for(address, 80), address_map.override_for(address, 443)),
            (Some(high), None)
        );
        assert_eq!(AddressMap::default().socket(address, 443), itself);
    }
}
