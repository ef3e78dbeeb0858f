//! Acceptance of a damaged journal: only at a person's request, and never without a copy of it.

use super::{
    Entry, EnvironmentKey, FORMAT, JOURNAL, Journal, JournalState, Line, OpenError, file,
    length_record::{self, KnownLength, Length},
    lock,
    seal::Chain,
};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// The readable part of a journal.
#[derive(Debug)]
pub struct Salvaged {
    /// The environment that owns it.
    pub key: EnvironmentKey,
    /// The state that its lines yield.
    pub journal_state: JournalState,
    /// The first damage; `None` if it is sound.
    pub damage: Option<OpenError>,
}

/// A damaged journal that was accepted.
#[derive(Debug)]
pub struct Accepted {
    /// The new path of the damaged file; in a store the address of the damaged part, which stays as it was.
    pub kept: PathBuf,
    /// The number of lines that were taken over.
    pub lines: usize,
    /// The first damage that it had.
    pub damage: OpenError,
}

impl Journal {
    /// Reads the readable part of the journal in `dir`, however damaged; `None` if there is no journal.
    ///
    /// # Errors
    ///
    /// Fails if it has no beginning, was written by a newer program, or cannot be read at all.
    pub fn salvage(dir: &Path) -> Result<Option<Salvaged>, OpenError> {
        Self::refuse_moved(dir)?;
        let known = KnownLength::read(dir, lock::length_recorded(dir)).map_err(OpenError::io(dir))?;
        let path = dir.join(JOURNAL);
        match file::read_damaged(&path, known)? {
            Some(file::Readable { key, journal_state, damage, .. }) => {
                Ok(Some(Salvaged { key, journal_state, damage }))
            }
            None if lock::journal_recorded(dir) => Err(OpenError::missing(&path)),
            None => Ok(None),
        }
    }

    /// Accepts a damaged journal: every readable line is sealed again, in its order, in a new file. The
    /// damaged one stays beside it under another name. Returns `None` if there is no damage.
    ///
    /// # Errors
    ///
    /// Those of [`Journal::salvage`]; also if another process holds the journal, or the file system refuses.
    pub fn accept(dir: &Path, landfall_version: &str) -> Result<Option<Accepted>, OpenError> {
        Self::secure(dir)?;
        let mut lock = lock::Lock::take(dir, "accept-journal")?;
        Self::refuse_moved(dir)?;
        let known = KnownLength::read(dir, lock.has_length()).map_err(OpenError::io(dir))?;
        let path = dir.join(JOURNAL);
        let Some(file::Readable { key, lines, damage: Some(damage), .. }) = file::read_damaged(&path, known)?
        else {
            return Ok(None);
        };
        let io = OpenError::io(&path);
        let rewritten = keep_and_rewrite(&path, key, landfall_version, &lines);
        let (kept, last) = rewritten.map_err(io)?;
        // Until the length is written too, it does not fit the new file, which is then still refused.
        let length = length_record::remove(dir).and_then(|()| Length::open(dir, last));
        length.map_err(OpenError::io(dir))?;
        lock.record_length()?;
        Ok(Some(Accepted { kept, lines: lines.len(), damage }))
    }
}

/// Copies the journal to another name, then replaces it by these lines.
fn keep_and_rewrite(
    path: &Path,
    key: EnvironmentKey,
    landfall_version: &str,
    lines: &[Line],
) -> io::Result<(PathBuf, length_record::Last)> {
    let at = format!("{:.3}", jiff::Timestamp::now()).replace(':', "-");
    let kept = path.with_extension(format!("damaged-{at}.jsonl"));
    let mut copy = file::private().write(true).create_new(true).open(&kept)?;
    io::copy(&mut fs::File::open(path)?, &mut copy)?;
    copy.sync_all()?;
    let (bytes, last) = sealed_again(key, landfall_version, lines)?;
    file::create(path, &bytes)?;
    Ok((kept, last))
}

/// Seals lines again, below a first line that says so.
pub(super) fn sealed_again(
    key: EnvironmentKey,
    landfall_version: &str,
    lines: &[Line],
) -> io::Result<(Vec<u8>, length_record::Last)> {
    let opened = Line::now(Entry::Opened {
        format: FORMAT,
        command: "accept-journal".into(),
        environment: key,
        landfall: landfall_version.into(),
        holder: None,
    });
    let (mut bytes, mut chain) = (Vec::new(), Chain::after_plain(&[], 0));
    for line in std::iter::once(&opened).chain(lines) {
        let (sealed, after) = line.sealed(chain)?;
        bytes.extend_from_slice(&sealed);
        chain = after;
    }
    let last = length_record::Last { bytes: bytes.len() as u64, chain };
    Ok((bytes, last))
}
