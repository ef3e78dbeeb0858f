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

use crate::clock::{SimTime, Timing};
use crate::request::Request;

/// Returns the api-versions of the data plane, newest last.
#[cfg(test)]
pub(crate) const fn accepted_versions() -> &'static [&'static str] {
    crate::arm::versions::VAULT_CONTENTS
}

/// Returns the `value` of an import with a new certificate that fits a policy.
#[cfg(test)]
pub(crate) fn certificate_of(policy: &serde_json::Value, now: SimTime) -> String {
    self_signed::make(policy, now).expect("a policy of the tests").material.secret
}

/// A request to a vault that has passed the checks.
struct VaultCall<'a> {
    /// The lower-case name of the vault.
    vault: &'a str,
    request: &'a Request,
    now: SimTime,
    timing: &'a Timing,
}

#[cfg(test)]
mod issuer_tests;
#[cfg(test)]
mod tests;
