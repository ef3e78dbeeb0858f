//! The length of the journal, in a file of its own, which detects a lost end.
//!
//! The file has two records of fixed size, which are written alternately, so that a torn record leaves the
//! other one. Each contains its content twice, so that a tear is detected. A line is on disk before its
//! record is written: the file may lag behind the journal, and never leads.

use super::{
    file,
    seal::{Chain, Sum},
};
use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

pub(super) const LENGTH: &str = "journal.length";

/// The size of a record in bytes, its line feed included.
const RECORD: usize = 128;

/// The last line that is known to be on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Last {
    /// The length of the journal up to it, in bytes.
    pub(super) bytes: u64,
    /// Its number and its checksum.
    pub(super) chain: Chain,
}

/// The knowledge about a journal's length before it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KnownLength {
    /// None: it is of an earlier version, was killed at its start, or was copied without the file.
    Nothing,
    /// At least this much was on disk.
    AtLeast(Last),
    /// It was known, and is lost.
    Lost,
}

impl KnownLength {
    /// Reads the length of the journal in `dir`; `expected` is true if there must be one.
    pub(super) fn read(dir: &Path, expected: bool) -> io::Result<Self> {
        let mut text = Vec::new();
        let most = 2 * RECORD as u64;
        match File::open(dir.join(LENGTH)) {
            Ok(file) => file.take(most).read_to_end(&mut text).map(drop)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let last = text.chunks(RECORD).filter_map(Last::parse).max_by_key(|last| last.chain.seq);
        Ok(match last {
            Some(last) => Self::AtLeast(last),
            None if expected => Self::Lost,
            None => Self::Nothing,
        })
    }
}

impl Last {
    fn parse(record: &[u8]) -> Option<Self> {
        let text =
            str::from_utf8(record.strip_suffix(b"\n").filter(|text| text.len() + 1 == RECORD)?).ok()?;
        let (once, again) = text.trim_end().split_once(" = ")?;
        let mut parts = (once == again).then(|| once.split(' '))?;
        let mut number = || parts.next()?.parse().ok();
        let (seq, bytes) = (number()?, number()?);
        let sum = Sum::parse(parts.next()?)?;
        parts.next().is_none().then_some(Self { bytes, chain: Chain { seq, sum } })
    }

    fn to_record(self) -> String {
        let once = format!("{} {} {}", self.chain.seq, self.bytes, self.chain.sum);
        let text = format!("{once} = {once}");
        format!("{text:<width$}\n", width = RECORD - 1)
    }
}

/// The length file, open for writing.
#[derive(Debug)]
pub(super) struct Length {
    path: PathBuf,
    file: File,
}

impl Length {
    /// Opens or creates the file, and writes the current length.
    pub(super) fn open(dir: &Path, last: Last) -> io::Result<Self> {
        let path = dir.join(LENGTH);
        let file = file::private().write(true).create(true).truncate(false).open(&path)?;
        file.set_len(2 * RECORD as u64)?;
        let mut length = Self { path, file };
        length.write(last)?;
        file::sync_folder(dir)?;
        Ok(length)
    }

    /// Returns the same file with another handle.
    pub(super) fn try_clone(&self) -> io::Result<Self> {
        Ok(Self { path: self.path.clone(), file: self.file.try_clone()? })
    }

    /// Writes the last line's record. It is on disk when this returns.
    pub(super) fn write(&mut self, last: Last) -> io::Result<()> {
        self.put(last)?;
        self.sync()
    }

    /// Writes the last line's record without a sync. Until one, a crash of the machine may leave an earlier record,
    /// that of this process not.
    pub(super) fn put(&mut self, last: Last) -> io::Result<()> {
        let place = last.chain.seq % 2 * RECORD as u64;
        self.file.seek(SeekFrom::Start(place))?;
        self.file.write_all(last.to_record().as_bytes())
    }

    /// Syncs the records that were written.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    /// Replaces the file by another handle.
    #[cfg(test)]
    pub(super) fn replace(&mut self, file: File) {
        self.file = file;
    }

    /// Returns the path of the file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

/// Removes the length of a journal that no longer exists.
pub(super) fn remove(dir: &Path) -> io::Result<()> {
    match std::fs::remove_file(dir.join(LENGTH)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => file::sync_folder(dir),
    }
}
