//! Acceptance of a damaged journal in a store.
//!
//! The readable lines are sealed again in the next part, and then the damaged part is sealed by the store, which makes
//! the next one valid. So the damaged bytes stay where they are, and a process that dies in between changes nothing.

use super::{
    open::{Acquired, Located, acquire, locate, parse, released},
    rollover::replace_part,
    store::{PartContent, RemoteStore},
    transfer,
};
use crate::journal::{
    Accepted, JOURNAL, Journal, OpenError, Salvaged,
    file::{self, Readable},
    length_record::KnownLength,
    lock, salvage,
};
use std::path::{Path, PathBuf};

/// A journal that has damage, and what can be read of it.
struct DamagedPart {
    readable: Readable,
    damage: OpenError,
}

/// Returns the damage of a part, with what can be read; `None` if it is sound or empty.
fn damaged(address: &str, content: &PartContent) -> Result<Option<DamagedPart>, OpenError> {
    if let Some(to) = &content.moved_to {
        return Err(OpenError::Moved { from: address.to_owned(), to: to.clone() });
    }
    match parse(address, content) {
        Ok(_) => Ok(None),
        Err(damage @ (OpenError::Damaged { .. } | OpenError::Corrupt { .. })) => {
            let readable = file::parse_damaged(Path::new(address), &content.bytes, KnownLength::Nothing)?;
            Ok(Some(DamagedPart { readable, damage }))
        }
        Err(error) => Err(error),
    }
}

impl Journal {
    /// Reads the readable part of a damaged journal in a remote store, without its lease; `None` if there is no damage.
    ///
    /// # Errors
    ///
    /// Fails if it has no beginning, was moved, was written by a newer program, or cannot be read at all.
    pub async fn salvage_remote(store: &dyn RemoteStore) -> Result<Option<Salvaged>, OpenError> {
        let Some(Located { part, content }) = locate(store).await? else { return Ok(None) };
        let damaged = damaged(&store.address(part), &content)?;
        Ok(damaged.map(|DamagedPart { readable, damage }| Salvaged {
            key: readable.key,
            journal_state: readable.journal_state,
            damage: Some(damage),
        }))
    }

    /// Accepts a damaged journal in a remote store: every readable line is sealed again, in its order, in the next part.
    /// The damaged part stays as it is. Returns `None` if there is no damage. `dir` is the state folder of this machine.
    ///
    /// # Errors
    ///
    /// Those of [`Journal::salvage_remote`]; also if another process holds the journal, or the store refuses.
    pub async fn accept_remote(
        store: &dyn RemoteStore,
        dir: &Path,
        landfall_version: &str,
        lease_id: &str,
    ) -> Result<Option<Accepted>, OpenError> {
        Self::secure(dir)?;
        let _lock = lock::Lock::take(dir, "accept-journal")?;
        let local = dir.join(JOURNAL);
        if local.exists() && transfer::moved_to(dir).is_none() {
            return Err(OpenError::TwoJournals { local, remote: store.address(1) });
        }
        let Acquired { lease, located, ids } = acquire(store, dir, lease_id).await?;
        let address = store.address(located.part);
        let accepted = async {
            let Some(DamagedPart { readable, damage }) = damaged(&address, &located.content)? else {
                return Ok((located.part, None));
            };
            let lines = readable.lines.len();
            let sealed = salvage::sealed_again(readable.key, landfall_version, &readable.lines);
            let (bytes, _) = sealed.map_err(OpenError::io(Path::new(&address)))?;
            let end = replace_part(store, &lease, located.part, &bytes).await.map_err(OpenError::store)?;
            Ok((end.part, Some(Accepted { kept: PathBuf::from(&address), lines, damage })))
        };
        match accepted.await {
            Ok((part, accepted)) => {
                let _ = store.release(part, lease_id).await;
                ids.forget();
                Ok(accepted)
            }
            Err(error) => {
                let error = released(store, located.part, lease_id, error).await;
                ids.forget();
                Err(error)
            }
        }
    }
}
