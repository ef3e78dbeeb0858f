//! The change to the next part, before a store refuses further appends.
//!
//! The next part gets every line of the old one, in few appends. Only then the old one is sealed, which makes the
//! next one valid: a process that dies in between leaves a part that the next change empties.

use super::{
    lease::Lease,
    store::{RemoteStore, StoreError, StoreErrorKind},
    writer::{APPEND_BYTES_MAX, End, append_at, read_again},
};
use std::{sync::Arc, time::Duration};

/// Begins the part after `end`; returns its end. The lease is on the new part afterwards.
pub(super) async fn begin_next_part(
    store: &Arc<dyn RemoteStore>,
    lease: &Lease,
    end: End,
) -> Result<End, StoreError> {
    let store = &**store;
    let lines = read_again(store, end.part, 0).await?.unwrap_or_default();
    if lines.len() as u64 != end.bytes {
        let address = store.address(end.part);
        let message = format!("continue {address}: it has {} bytes, not {}", lines.len(), end.bytes);
        return Err(StoreError::new(StoreErrorKind::Other, message));
    }
    replace_part(store, lease, end.part, &lines).await
}

/// Begins the part after another one with these lines, and seals that one; returns the new end.
pub(super) async fn replace_part(
    store: &dyn RemoteStore,
    lease: &Lease,
    before: u32,
    lines: &[u8],
) -> Result<End, StoreError> {
    let part = before + 1;
    let exists = match store.create(part).await {
        Ok(()) => false,
        Err(error) if error.kind == StoreErrorKind::Exists => true,
        Err(error) => return Err(error),
    };
    let began = Lease::now();
    match store.acquire(part, &lease.id).await {
        // A dead process left it. The part does not count as long as this process holds the one before it.
        Err(error) if exists && error.kind == StoreErrorKind::LeaseHeld => {
            store.break_lease(part, Duration::ZERO).await?;
            store.acquire(part, &lease.id).await?;
        }
        acquired => acquired?,
    }
    if exists {
        store.clear(part, &lease.id).await?;
    }
    let mut next = End { part, bytes: 0 };
    for piece in lines.chunks(APPEND_BYTES_MAX) {
        append_at(store, lease, next, piece).await?;
        next.bytes += piece.len() as u64;
    }
    if read_again(store, part, 0).await?.as_deref() != Some(lines) {
        let message = format!("copy the lines to {}: it has other ones", store.address(part));
        return Err(StoreError::new(StoreErrorKind::Other, message));
    }
    store.seal(before, &lease.id).await?;
    lease.move_to(part, began);
    Ok(next)
}
