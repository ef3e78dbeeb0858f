//! The journal as bytes: reads up to the last whole line, appends and syncs.

use super::{
    Holder, JournalState, OpenError,
    damage_kind::Damage,
    entry::{Entry, EnvironmentKey, Line, Parsed, Unreadable},
    length_record::{KnownLength, Last},
    seal::Chain,
};
use std::{
    fs::{DirBuilder, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    path::Path,
};

/// The content of a journal on disk.
#[derive(Debug, PartialEq)]
pub(super) struct LoadedJournal {
    pub(super) key: EnvironmentKey,
    pub(super) journal_state: JournalState,
    /// The length of the valid part; a torn line may follow.
    pub(super) good_bytes: u64,
    /// The end of the chain of its lines.
    pub(super) chain: Chain,
    /// The process of the last run, if that run has not ended regularly and named it.
    pub(super) holder: Option<Holder>,
}

impl LoadedJournal {
    /// Returns the last line, as the length file stores it.
    pub(super) fn last(&self) -> Last {
        Last { bytes: self.good_bytes, chain: self.chain }
    }
}

/// The readable part of a journal, however damaged.
#[derive(Debug)]
pub(super) struct Readable {
    pub(super) key: EnvironmentKey,
    pub(super) journal_state: JournalState,
    pub(super) lines: Vec<Line>,
    /// The first damage.
    pub(super) damage: Option<OpenError>,
}

/// Reads a journal; `None` if it does not exist.
pub(super) fn read(path: &Path, known: KnownLength) -> Result<Option<LoadedJournal>, OpenError> {
    let Some(bytes) = bytes(path)? else { return Ok(None) };
    parse(path, &bytes, known).map(Some)
}

/// Parses the content of a journal; `path` is its name in errors.
pub(super) fn parse(path: &Path, bytes: &[u8], known: KnownLength) -> Result<LoadedJournal, OpenError> {
    let mut fold = Fold::new(path, known, false);
    let (good_bytes, chain) = fold.all(bytes)?;
    let (key, journal_state, holder) = (fold.owner(bytes)?, fold.journal_state, fold.holder);
    Ok(LoadedJournal { key, journal_state, good_bytes, chain, holder })
}

/// Reads the readable part of a journal; `None` if it does not exist.
pub(super) fn read_damaged(path: &Path, known: KnownLength) -> Result<Option<Readable>, OpenError> {
    let Some(bytes) = bytes(path)? else { return Ok(None) };
    parse_damaged(path, &bytes, known).map(Some)
}

/// Parses the readable part of a journal; `path` is its name in errors.
pub(super) fn parse_damaged(path: &Path, bytes: &[u8], known: KnownLength) -> Result<Readable, OpenError> {
    let mut fold = Fold::new(path, known, true);
    fold.all(bytes)?;
    let key = fold.owner(bytes)?;
    Ok(Readable { key, journal_state: fold.journal_state, lines: fold.lines, damage: fold.damage })
}

fn bytes(path: &Path) -> Result<Option<Vec<u8>>, OpenError> {
    match read_bytes(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if is_link(&error) => Err(OpenError::link(path)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(OpenError::io(path)(error)),
    }
}

/// Reads a file of the state folder; a link in its place is an error.
pub(super) fn read_bytes(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    private().read(true).open(path)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Returns whether a file was not opened because it is a link.
fn is_link(error: &io::Error) -> bool {
    #[cfg(unix)]
    let link = Some(rustix::io::Errno::LOOP.raw_os_error());
    #[cfg(not(unix))]
    let link = None;
    error.raw_os_error().is_some() && error.raw_os_error() == link
}

/// Folds the lines of a journal into its state.
///
/// A last line without its line feed, or that is not a whole object, is torn. The process died while it wrote
/// the line, so nothing acted on it. The first line is never torn, because a journal gets its name when that
/// line is on disk. Any other line that is not an entry was written by another program.
struct Fold<'a> {
    path: &'a Path,
    known: KnownLength,
    /// True if damage is recorded and reading continues.
    lenient: bool,
    key: Option<EnvironmentKey>,
    journal_state: JournalState,
    /// The entries, in lenient mode.
    lines: Vec<Line>,
    damage: Option<OpenError>,
    /// The chain so far, from the first sealed line on.
    chain: Option<Chain>,
    /// The holder that the last run named, until it ends.
    holder: Option<Holder>,
}

impl<'a> Fold<'a> {
    fn new(path: &'a Path, known: KnownLength, lenient: bool) -> Self {
        let (journal_state, lines, damage) = (JournalState::default(), Vec::new(), None);
        Self { path, known, lenient, key: None, journal_state, lines, damage, chain: None, holder: None }
    }

    /// Reads all lines; returns the length of the valid part and the chain there.
    fn all(&mut self, bytes: &[u8]) -> Result<(u64, Chain), OpenError> {
        let (mut good, mut number) = (0, 0);
        let mut lines = bytes.split_inclusive(|&byte| byte == b'\n').peekable();
        while let Some(line) = lines.next() {
            let last = lines.peek().is_none();
            if last && !line.ends_with(b"\n") {
                break;
            }
            match Line::parse(line) {
                Ok(parsed) => self.apply(&bytes[..good], number, line, parsed)?,
                Err(Unreadable::Torn) if last => break,
                Err(unreadable) => self.reject(number + 1, line, unreadable)?,
            }
            good += line.len();
            number += 1;
            self.compare(number, good as u64)?;
        }
        let chain = self.chain.unwrap_or_else(|| Chain::after_plain(&bytes[..good], number));
        // A file without a first line is lost, which is the more precise error.
        if self.key.is_some() {
            self.reaches(number)?;
        }
        Ok((good as u64, chain))
    }

    /// Checks a line's seal and applies its entry. `before` is the text before it, `number` lines.
    fn apply(&mut self, before: &[u8], number: u64, bytes: &[u8], parsed: Parsed) -> Result<(), OpenError> {
        if self.chain.is_none() && parsed.begins_seals() {
            self.chain = Some(Chain::after_plain(before, number));
        }
        let checked = self.chain.map(|chain| chain.check(bytes, parsed.seq).map_err(|why| (chain, why)));
        // The owner is checked first: a journal of another environment is refused by its name.
        match (&self.key, &parsed.line.entry) {
            (_, Entry::Opened { environment, .. }) => self.key = Some(environment.clone()),
            (Some(_), _) => {}
            (None, _) if checked.as_ref().is_none_or(Result::is_ok) => {
                self.record_damage(OpenError::Corrupt { line: number as usize + 1 })?;
            }
            (None, _) => {}
        }
        match checked {
            None => {}
            Some(Ok(chain)) => self.chain = Some(chain),
            Some(Err((chain, why))) => {
                self.damaged(why)?;
                self.chain = Some(chain.resume(bytes));
            }
        }
        match &parsed.line.entry {
            Entry::Opened { holder, .. } => self.holder = holder.as_deref().cloned(),
            Entry::Closed { .. } => self.holder = None,
            _ => {}
        }
        self.journal_state.apply(&parsed.line.at, &parsed.line.entry);
        if self.lenient {
            self.lines.push(parsed.line);
        }
        Ok(())
    }

    /// Refuses a line that is not an entry, or records it and continues after it.
    fn reject(&mut self, line: u64, bytes: &[u8], why: Unreadable) -> Result<(), OpenError> {
        self.chain = self.chain.map(|chain| chain.resume(bytes));
        let line = line as usize;
        match why {
            Unreadable::Torn | Unreadable::NotAnEntry => self.record_damage(OpenError::Corrupt { line }),
            Unreadable::Unknown(kind) => Err(OpenError::Unknown { line, kind }),
            Unreadable::Newer(format, landfall) => Err(OpenError::Newer { format, landfall }),
        }
    }

    /// Compares a line with the one in the length file.
    fn compare(&mut self, number: u64, bytes: u64) -> Result<(), OpenError> {
        match self.known {
            KnownLength::AtLeast(last)
                if last.chain.seq == number
                    && (last.bytes != bytes || self.chain.is_none_or(|chain| chain != last.chain)) =>
            {
                self.damaged(Damage::Replaced { line: number })
            }
            _ => Ok(()),
        }
    }

    /// Checks that all lines exist that were on disk.
    fn reaches(&mut self, number: u64) -> Result<(), OpenError> {
        match self.known {
            KnownLength::AtLeast(last) if last.chain.seq > number => {
                self.damaged(Damage::Cut { line: number + 1, last: last.chain.seq })
            }
            KnownLength::Lost => self.damaged(Damage::LengthLost),
            _ => Ok(()),
        }
    }

    fn damaged(&mut self, how: Damage) -> Result<(), OpenError> {
        self.record_damage(OpenError::Damaged { path: self.path.to_owned(), how })
    }

    fn record_damage(&mut self, error: OpenError) -> Result<(), OpenError> {
        if !self.lenient {
            return Err(error);
        }
        self.damage.get_or_insert(error);
        Ok(())
    }

    /// Returns the owner of the journal.
    fn owner(&mut self, bytes: &[u8]) -> Result<EnvironmentKey, OpenError> {
        let how = if bytes.is_empty() { "it is empty" } else { "its first line is incomplete" };
        self.key.take().ok_or_else(|| OpenError::Lost { path: self.path.to_owned(), how })
    }
}

/// Creates a journal of these lines, atomically: it exists whole or not at all.
pub(super) fn create(path: &Path, lines: &[u8]) -> io::Result<()> {
    let new = path.with_extension("new");
    let mut file = private().write(true).create(true).truncate(true).open(&new)?;
    append(&mut file, lines)?;
    std::fs::rename(&new, path)?;
    sync_folder(path.parent().unwrap_or(Path::new(".")))
}

/// Opens a journal to append after its first `good_bytes`, and truncates the rest.
pub(super) fn open_for_append(path: &Path, good_bytes: u64) -> io::Result<File> {
    let mut file = private().read(true).write(true).open(path)?;
    file.set_len(good_bytes)?;
    file.seek(SeekFrom::End(0))?;
    file.sync_all()?;
    Ok(file)
}

/// Truncates what a failed append may have written. It is torn in any case, and the next opening truncates it
/// if this fails too.
pub(super) fn cut(file: &mut File, good_bytes: u64) {
    let _ = file.set_len(good_bytes);
}

/// Appends one line; it is on disk when this returns.
pub(super) fn append(file: &mut File, line: &[u8]) -> io::Result<()> {
    file.write_all(line)?;
    file.sync_data()
}

/// Creates a folder that only its owner may read, with its missing parents. Their names are on disk when this
/// returns.
pub(super) fn make_folder(dir: &Path) -> io::Result<()> {
    let missing = |dir: &&Path| !dir.as_os_str().is_empty() && !dir.exists();
    let missing: Vec<&Path> = dir.ancestors().take_while(missing).collect();
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir)?;
    for parent in missing.into_iter().filter_map(Path::parent) {
        // The parent of a bare name is the current folder.
        sync_folder(if parent.as_os_str().is_empty() { Path::new(".") } else { parent })?;
    }
    Ok(())
}

/// Returns options that create a file that only its owner may read, and that follow no link in its place.
pub(super) fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        let no_follow = rustix::fs::OFlags::NOFOLLOW.bits();
        options.mode(0o600).custom_flags(i32::try_from(no_follow).unwrap_or_default());
    }
    options
}

/// Syncs a folder's list of names: without its name, a synced file is lost all the same.
pub(super) fn sync_folder(dir: &Path) -> io::Result<()> {
    // Elsewhere a folder cannot be opened as a file, and the system journals the names.
    if cfg!(unix) { File::open(dir)?.sync_all() } else { Ok(()) }
}
