//! The firewall of a vault: the networks from which its data plane is reachable.
//!
//! Source: "Configure networking security for Azure Key Vault". No client here is one of the trusted services
//! that `bypass` admits; the driver on a node is not one.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use crate::arm::vaults::Vault;
use crate::entra::Caller;

use super::error::VaultError;

/// The origin of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ClientLocation {
    /// A client on this machine.
    Local,
    /// A node of a cluster, which any subnet rule admits. The simulated cloud does not distinguish subnets.
    Node,
}

const LOCAL_ADDRESS: &str = "127.0.0.1";
const NODE_ADDRESS: &str = "20.0.0.10";

/// Checks a request against the firewall.
///
/// # Errors
/// 403 with the inner code `ForbiddenByFirewall`, or `ForbiddenByConnection` if public access is disabled.
pub(super) fn decide(vault: &Vault, caller: &Caller, from: ClientLocation) -> Result<(), VaultError> {
    let (access, rules) = (vault.public_access(), vault.network_rules());
    if !access {
        let message = "Public network access is disabled and request is not from a trusted service nor via an approved \
                       private link.";
        return Err(VaultError::inner(403, "Forbidden", "ForbiddenByConnection", message));
    }
    let listed = |key: &str| rules[key].as_array().map(Vec::as_slice).unwrap_or_default();
    let admitted = match from {
        _ if rules["defaultAction"] != "Deny" => true,
        ClientLocation::Local => {
            listed("ipRules").iter().filter_map(|rule| rule["value"].as_str()).any(covers_local)
        }
        ClientLocation::Node => !listed("virtualNetworkRules").is_empty(),
    };
    if admitted {
        return Ok(());
    }
    let address = if from == ClientLocation::Local { LOCAL_ADDRESS } else { NODE_ADDRESS };
    let (name, location, app) = (vault.name(), vault.location(), &caller.app_id);
    let message = format!(
        "Client address is not authorized and caller is not a trusted service.\r\nClient address: {address}\r\nCaller: \
         appid={app};oid={}\r\nVault: {name};location={location}",
        caller.object_id
    );
    Err(VaultError::inner(403, "Forbidden", "ForbiddenByFirewall", message))
}

/// Returns whether a rule, an address or a range in CIDR notation, covers this machine.
fn covers_local(value: &str) -> bool {
    let local = Ipv4Addr::LOCALHOST;
    value.parse::<Ipv4Net>().is_ok_and(|range| range.contains(&local)) || value.parse() == Ok(local)
}
