//! The journal as bytes: read to the last whole line, appended to and synced.

use super::{
    Memory, OpenError,
    entry::{Entry, EnvironmentKey, Line, Unreadable},
};
use std::{
    fs::{DirBuilder, File, OpenOptions},
    io::{self, Seek, SeekFrom, Write},
    path::Path,
};

/// What a journal on disk says.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Remembered {
    /// `None` when there is no journal, or no whole line in it.
    pub(super) key: Option<EnvironmentKey>,
    pub(super) memory: Memory,
    /// How far the file is good; what follows is a torn line.
    pub(super) good_bytes: u64,
}

/// Reads a journal; one that is not there remembers nothing.
pub(super) fn read(path: &Path) -> Result<Remembered, OpenError> {
    match std::fs::read(path) {
        Ok(bytes) => fold(&bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Remembered::default()),
        Err(error) => Err(OpenError::io(path)(error)),
    }
}

/// Folds the lines of a journal.
///
/// A last line without its line feed, or that does not parse, is torn: the process died while
/// writing it, so nothing acted on it. Any other line that does not parse was written by a stranger.
fn fold(bytes: &[u8]) -> Result<Remembered, OpenError> {
    let mut remembered = Remembered::default();
    let lines: Vec<&[u8]> = bytes.split_inclusive(|&byte| byte == b'\n').collect();
    for (index, bytes) in lines.iter().enumerate() {
        let last = index + 1 == lines.len();
        if last && !bytes.ends_with(b"\n") {
            break;
        }
        let line = match Line::parse(bytes) {
            Ok(line) => line,
            Err(Unreadable::Newer(format)) => return Err(OpenError::Newer { format }),
            Err(Unreadable::Torn) if last => break,
            Err(Unreadable::Torn) => return Err(OpenError::Corrupt { line: index + 1 }),
        };
        match &line.entry {
            Entry::Opened { environment, .. } => remembered.key = Some(environment.clone()),
            _ if remembered.key.is_none() => return Err(OpenError::Corrupt { line: index + 1 }),
            _ => {}
        }
        remembered.memory.learn(&line.at, &line.entry);
        remembered.good_bytes += bytes.len() as u64;
    }
    Ok(remembered)
}

/// Opens a journal for appending after its first `good_bytes`, cutting off what follows them.
pub(super) fn open_for_append(path: &Path, good_bytes: u64) -> io::Result<File> {
    let mut file = private().read(true).write(true).create(true).truncate(false).open(path)?;
    file.set_len(good_bytes)?;
    file.seek(SeekFrom::End(0))?;
    file.sync_all()?;
    Ok(file)
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

/// Options that make a file only its owner may read.
pub(super) fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Puts a folder's list of names on disk: a synced file without a name is lost all the same.
pub(super) fn sync_folder(dir: &Path) -> io::Result<()> {
    // Elsewhere a folder cannot be opened as a file, and names are journalled by the system.
    if cfg!(unix) { File::open(dir)?.sync_all() } else { Ok(()) }
}
