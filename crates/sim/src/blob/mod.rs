//! The blob service of storage accounts: `https://{account}.blob.…` (Blob service REST API).
//!
//! Containers, and append blobs with leases, metadata and seals. The order of the checks is that of the service:
//! version, token, right, container, lease, and only then the position of an append. A lease lasts in real time, as
//! the pause of a process does that it guards against.

mod append;
mod error;
pub(crate) mod fault_hooks;
mod lease;
mod lease_api;
mod list;
mod properties;
mod route;
pub(crate) mod serve;
pub(crate) mod store;

pub(crate) use error::BlobError;

use crate::clock::SimTime;
use crate::request::Request;
use crate::state::CloudState;

/// The audience of tokens for all accounts of all clouds; a token may also be for one account.
pub(crate) const AUDIENCE: &str = "https://storage.azure.com";

/// A request to an account, with its context.
struct BlobCall<'a> {
    account: &'a str,
    request: &'a Request,
    now: SimTime,
}

/// Draws an ETag, without quotes: `0x8DC58C1A7F3B2E4`.
fn new_etag(state: &mut CloudState) -> String {
    format!("0x{}", &state.hex("blob-etag")[..15].to_ascii_uppercase())
}

#[cfg(test)]
mod tests;
