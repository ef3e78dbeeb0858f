//! The journal as bytes: read to the last whole line, appended to and synced.

use super::{
    Memory, OpenError,
    damage::Damage,
    entry::{Entry, EnvironmentKey, Line, Parsed, Unreadable},
    length::{Known, Last},
    seal::Chain,
};
use std::{
    fs::{DirBuilder, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    path::Path,
};

/// What a journal on disk says.
#[derive(Debug, PartialEq)]
pub(super) struct Remembered {
    pub(super) key: EnvironmentKey,
    pub(super) memory: Memory,
    /// How far the file is good; what follows is a torn line.
    pub(super) good_bytes: u64,
    /// The end of the chain of its lines.
    pub(super) chain: Chain,
}

impl Remembered {
    /// Returns the last line, as the length file knows it.
    pub(super) fn last(&self) -> Last {
        Last { bytes: self.good_bytes, chain: self.chain }
    }
}

/// What can be read of a journal, whatever is wrong with it.
#[derive(Debug)]
pub(super) struct Readable {
    pub(super) key: EnvironmentKey,
    pub(super) memory: Memory,
    pub(super) lines: Vec<Line>,
    /// The first thing that is wrong.
    pub(super) damage: Option<OpenError>,
}

/// Reads a journal; `None` when it is not there.
pub(super) fn read(path: &Path, known: Known) -> Result<Option<Remembered>, OpenError> {
    let Some(bytes) = bytes(path)? else { return Ok(None) };
    let mut fold = Fold::new(path, known, false);
    let (good_bytes, chain) = fold.all(&bytes)?;
    let (key, memory) = (fold.owner(&bytes)?, fold.memory);
    Ok(Some(Remembered { key, memory, good_bytes, chain }))
}

/// Reads what can be read of a journal; `None` when it is not there.
pub(super) fn read_damaged(path: &Path, known: Known) -> Result<Option<Readable>, OpenError> {
    let Some(bytes) = bytes(path)? else { return Ok(None) };
    let mut fold = Fold::new(path, known, true);
    fold.all(&bytes)?;
    let key = fold.owner(&bytes)?;
    Ok(Some(Readable { key, memory: fold.memory, lines: fold.lines, damage: fold.damage }))
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

/// Says whether a file was not opened because it is a link.
fn is_link(error: &io::Error) -> bool {
    #[cfg(unix)]
    let link = Some(rustix::io::Errno::LOOP.raw_os_error());
    #[cfg(not(unix))]
    let link = None;
    error.raw_os_error().is_some() && error.raw_os_error() == link
}

/// Folds the lines of a journal.
///
/// A last line without its line feed, or that is no whole object, is torn: the process died while
/// writing it, so nothing acted on it. The first line is never torn, because a journal gets its
/// name when that line is on disk. Any other line that is no entry was written by a stranger.
struct Fold<'a> {
    path: &'a Path,
    known: Known,
    /// Damage is noted and the reading goes on.
    lenient: bool,
    key: Option<EnvironmentKey>,
    memory: Memory,
    /// The entries, in a lenient reading.
    lines: Vec<Line>,
    damage: Option<OpenError>,
    /// The chain so far, once lines are sealed.
    chain: Option<Chain>,
}

impl<'a> Fold<'a> {
    fn new(path: &'a Path, known: Known, lenient: bool) -> Self {
        let (memory, lines, damage) = (Memory::default(), Vec::new(), None);
        Self { path, known, lenient, key: None, memory, lines, damage, chain: None }
    }

    /// Reads all lines; returns how far the file is good and the chain there.
    fn all(&mut self, bytes: &[u8]) -> Result<(u64, Chain), OpenError> {
        let (mut good, mut number) = (0, 0);
        let mut lines = bytes.split_inclusive(|&byte| byte == b'\n').peekable();
        while let Some(line) = lines.next() {
            let last = lines.peek().is_none();
            if last && !line.ends_with(b"\n") {
                break;
            }
            match Line::parse(line) {
                Ok(parsed) => self.learn(&bytes[..good], number, line, parsed)?,
                Err(Unreadable::Torn) if last => break,
                Err(unreadable) => self.strange(number + 1, line, unreadable)?,
            }
            good += line.len();
            number += 1;
            self.compare(number, good as u64)?;
        }
        let chain = self.chain.unwrap_or_else(|| Chain::after_plain(&bytes[..good], number));
        // A file without a first line is lost, which says more.
        if self.key.is_some() {
            self.reaches(number)?;
        }
        Ok((good as u64, chain))
    }

    /// Checks a line's seal and learns its entry. `before` is all that stands before it, `number` lines.
    fn learn(&mut self, before: &[u8], number: u64, bytes: &[u8], parsed: Parsed) -> Result<(), OpenError> {
        if self.chain.is_none() && parsed.begins_seals() {
            self.chain = Some(Chain::after_plain(before, number));
        }
        let checked = self.chain.map(|chain| chain.check(bytes, parsed.seq).map_err(|why| (chain, why)));
        // Whose journal it is, is asked first: another environment's is refused by its name.
        match (&self.key, &parsed.line.entry) {
            (_, Entry::Opened { environment, .. }) => self.key = Some(environment.clone()),
            (Some(_), _) => {}
            (None, _) if checked.as_ref().is_none_or(Result::is_ok) => {
                self.note(OpenError::Corrupt { line: number as usize + 1 })?;
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
        self.memory.learn(&parsed.line.at, &parsed.line.entry);
        if self.lenient {
            self.lines.push(parsed.line);
        }
        Ok(())
    }

    /// Refuses a line that is no entry, or notes it and goes on behind it.
    fn strange(&mut self, line: u64, bytes: &[u8], why: Unreadable) -> Result<(), OpenError> {
        self.chain = self.chain.map(|chain| chain.resume(bytes));
        let line = line as usize;
        match why {
            Unreadable::Torn | Unreadable::Foreign => self.note(OpenError::Corrupt { line }),
            Unreadable::Unknown(kind) => Err(OpenError::Unknown { line, kind }),
            Unreadable::Newer(format, landfall) => Err(OpenError::Newer { format, landfall }),
        }
    }

    /// Compares a line with the one that the length file knows.
    fn compare(&mut self, number: u64, bytes: u64) -> Result<(), OpenError> {
        match self.known {
            Known::AtLeast(last)
                if last.chain.seq == number
                    && (last.bytes != bytes || self.chain.is_none_or(|chain| chain != last.chain)) =>
            {
                self.damaged(Damage::Replaced { line: number })
            }
            _ => Ok(()),
        }
    }

    /// Checks that all lines are there that were on disk.
    fn reaches(&mut self, number: u64) -> Result<(), OpenError> {
        match self.known {
            Known::AtLeast(last) if last.chain.seq > number => {
                self.damaged(Damage::Cut { line: number + 1, last: last.chain.seq })
            }
            Known::Lost => self.damaged(Damage::LengthLost),
            _ => Ok(()),
        }
    }

    fn damaged(&mut self, how: Damage) -> Result<(), OpenError> {
        self.note(OpenError::Damaged { path: self.path.to_owned(), how })
    }

    fn note(&mut self, error: OpenError) -> Result<(), OpenError> {
        if !self.lenient {
            return Err(error);
        }
        self.damage.get_or_insert(error);
        Ok(())
    }

    /// Returns whose journal it is.
    fn owner(&mut self, bytes: &[u8]) -> Result<EnvironmentKey, OpenError> {
        let how = if bytes.is_empty() { "it is empty" } else { "its first line is incomplete" };
        self.key.take().ok_or_else(|| OpenError::Lost { path: self.path.to_owned(), how })
    }
}

/// Makes a journal of these lines. It is there whole or not at all, whatever dies meanwhile.
pub(super) fn create(path: &Path, lines: &[u8]) -> io::Result<()> {
    let new = path.with_extension("new");
    let mut file = private().write(true).create(true).truncate(true).open(&new)?;
    append(&mut file, lines)?;
    std::fs::rename(&new, path)?;
    sync_folder(path.parent().unwrap_or(Path::new(".")))
}

/// Opens a journal for appending after its first `good_bytes`, cutting off what follows them.
pub(super) fn open_for_append(path: &Path, good_bytes: u64) -> io::Result<File> {
    let mut file = private().read(true).write(true).open(path)?;
    file.set_len(good_bytes)?;
    file.seek(SeekFrom::End(0))?;
    file.sync_all()?;
    Ok(file)
}

/// Cuts off what an append that failed may have written. It is torn in any case, and cut off by
/// the next opening when this fails too.
pub(super) fn cut(file: &mut File, good_bytes: u64) {
    let _ = file.set_len(good_bytes);
}

/// Appends one line; it is on disk when this returns.
pub(super) fn append(file: &mut File, line: &[u8]) -> io::Result<()> {
    file.write_all(line)?;
    file.sync_data()
}

/// Makes a folder that only its owner may read, and those above it that are missing. Their names
/// are on disk when this returns.
pub(super) fn make_folder(dir: &Path) -> io::Result<()> {
    let missing = |dir: &&Path| !dir.as_os_str().is_empty() && !dir.exists();
    let missing: Vec<&Path> = dir.ancestors().take_while(missing).collect();
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir)?;
    for parent in missing.into_iter().filter_map(Path::parent) {
        // The parent of a bare name is the folder we are in.
        sync_folder(if parent.as_os_str().is_empty() { Path::new(".") } else { parent })?;
    }
    Ok(())
}

/// Options that make a file only its owner may read, and that follow no link in its place.
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

/// Puts a folder's list of names on disk: a synced file without a name is lost all the same.
pub(super) fn sync_folder(dir: &Path) -> io::Result<()> {
    // Elsewhere a folder cannot be opened as a file, and names are journalled by the system.
    if cfg!(unix) { File::open(dir)?.sync_all() } else { Ok(()) }
}
