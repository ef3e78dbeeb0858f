//! The journal as bytes: read to the last whole line, appended to and synced.

use super::{
    Memory, OpenError,
    entry::{Entry, EnvironmentKey, Line, Unreadable},
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
}

/// Reads a journal; `None` when it is not there.
pub(super) fn read(path: &Path) -> Result<Option<Remembered>, OpenError> {
    match read_bytes(path) {
        Ok(bytes) => fold(&bytes, path).map(Some),
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
fn fold(bytes: &[u8], path: &Path) -> Result<Remembered, OpenError> {
    let lost = |how| OpenError::Lost { path: path.to_owned(), how };
    let mut remembered: Option<Remembered> = None;
    let lines: Vec<&[u8]> = bytes.split_inclusive(|&byte| byte == b'\n').collect();
    for (index, bytes) in lines.iter().enumerate() {
        let (number, last) = (index + 1, index + 1 == lines.len());
        if last && !bytes.ends_with(b"\n") {
            break;
        }
        let line = match Line::parse(bytes) {
            Ok(line) => line,
            Err(Unreadable::Torn) if last => break,
            Err(Unreadable::Torn | Unreadable::Foreign) => return Err(OpenError::Corrupt { line: number }),
            Err(Unreadable::Unknown(kind)) => return Err(OpenError::Unknown { line: number, kind }),
            Err(Unreadable::Newer(format, landfall)) => return Err(OpenError::Newer { format, landfall }),
        };
        let entry = &line.entry;
        let remembered = match (&mut remembered, entry) {
            (Some(remembered), Entry::Opened { environment, .. }) => {
                remembered.key = environment.clone();
                remembered
            }
            (Some(remembered), _) => remembered,
            (none, Entry::Opened { environment, .. }) => {
                let (key, memory) = (environment.clone(), Memory::default());
                none.insert(Remembered { key, memory, good_bytes: 0 })
            }
            (None, _) => return Err(OpenError::Corrupt { line: number }),
        };
        remembered.memory.learn(&line.at, entry);
        remembered.good_bytes += bytes.len() as u64;
    }
    remembered.ok_or_else(|| lost(if bytes.is_empty() { "it is empty" } else { "its first line is torn" }))
}

/// Makes a journal of one line. It is there whole or not at all, whatever dies meanwhile.
pub(super) fn create(path: &Path, line: &[u8]) -> io::Result<()> {
    let new = path.with_extension("new");
    let mut file = private().write(true).create(true).truncate(true).open(&new)?;
    append(&mut file, line)?;
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
