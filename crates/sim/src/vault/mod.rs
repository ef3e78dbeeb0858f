//! The data plane of key vaults: `https://{vault}.vault.…`.
//!
//! The order of the checks is that of the service and matters to clients: name, token, api-version, firewall,
//! right, object. So a request without a token gets a challenge before its body is read. A caller without the
//! right does not learn if an object exists.

pub(crate) mod access;
pub(crate) mod certificate;
mod certificate_store;
mod create;
mod deleted;
pub(crate) mod error;
pub(crate) mod fault_hooks;
mod firewall;
mod import;
pub(crate) mod material;
mod merge;
pub(crate) mod node_reader;
mod page;
mod plain_secret;
mod policy;
mod route;
mod self_signed;
pub(crate) mod serve;
pub(crate) mod store;

use crate::arm::vaults::Vault;
use crate::clock::{SimTime, Timing};
use crate::request::Request;
use crate::state::CloudState;

/// A request to a vault that has passed the checks.
struct VaultCall<'a> {
    /// The lower-case name of the vault.
    vault: &'a str,
    request: &'a Request,
    now: SimTime,
    timing: &'a Timing,
}

/// Returns the vault of the request, whose existence is already checked.
fn vault<'a>(state: &'a CloudState, call: &VaultCall<'_>) -> &'a Vault {
    state.vaults.reachable(call.vault, call.now).expect("a request is served for a vault that is there")
}

#[cfg(test)]
mod issuer_tests;
#[cfg(test)]
mod tests;
