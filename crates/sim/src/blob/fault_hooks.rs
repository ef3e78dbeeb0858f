//! Actions of other clients on the lease of a blob, for faults.

use http::Method;

use crate::clock::SimTime;
use crate::request::Request;
use crate::state::{CloudState, DOMAIN, uuid_from};

use super::lease::Lease;

/// Returns the account of a request to the blob service.
fn account_of(request: &Request) -> Option<String> {
    let host = request.host.strip_suffix(DOMAIN)?.strip_suffix('.')?;
    host.strip_suffix(".blob").map(str::to_owned)
}

/// Returns whether a request appends to a blob.
pub(crate) fn is_append(request: &Request) -> bool {
    account_of(request).is_some()
        && request.method == Method::PUT
        && request.query("comp") == Some("appendblock")
}

/// Acts on the lease of the blob that an append is for; returns whether there was one.
fn with_lease(state: &mut CloudState, request: &Request, act: impl FnOnce(&mut Lease) -> bool) -> bool {
    let segments = request.segments();
    let (Some(account), Some((container, blob))) = (account_of(request), segments.split_first()) else {
        return false;
    };
    if !is_append(request) {
        return false;
    }
    let blob = state.storage.blob_mut(&account, container, &blob.join("/"));
    blob.is_some_and(|blob| act(&mut blob.lease))
}

/// Breaks the lease without a period.
pub(crate) fn break_lease(state: &mut CloudState, request: &Request, now: SimTime) -> bool {
    with_lease(state, request, |lease| lease.force_break(now))
}

/// Lets the lease expire.
pub(crate) fn expire_lease(state: &mut CloudState, request: &Request, now: SimTime) -> bool {
    with_lease(state, request, |lease| lease.force_expiry(now))
}

/// Lets the lease expire, and another client acquires it.
pub(crate) fn take_lease(state: &mut CloudState, request: &Request, now: SimTime) -> bool {
    let other = uuid_from(state.seed, "other-holder", request.number);
    with_lease(state, request, |lease| lease.force_takeover(&other, now))
}
