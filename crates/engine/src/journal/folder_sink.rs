//! The journal in the state folder: a file, and the file with its length.

use super::{
    background_sync::{BackgroundSync, SyncError},
    file,
    length_record::{Last, Length},
};
use std::{
    fs::File,
    io::{self, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

/// The open files of a journal.
#[derive(Debug)]
pub(super) struct FolderSink {
    pub(super) path: PathBuf,
    pub(super) file: File,
    pub(super) sync: SyncMode,
}

/// The way in which lines reach the disk.
#[derive(Debug)]
pub(super) enum SyncMode {
    /// A write returns when its line is on disk, and so is the new length.
    Immediate(Length),
    /// A thread syncs what was written.
    Background(BackgroundSync),
}

impl FolderSink {
    /// Writes one line after `before`, and calls a function when it is on disk.
    ///
    /// # Errors
    ///
    /// The file that could not be written, and the cause.
    pub(super) fn write(
        &mut self,
        line: &[u8],
        before: Last,
        last: Last,
        then: Box<dyn FnOnce() + Send>,
    ) -> Result<(), SyncError> {
        let (path, file) = (&self.path, &mut self.file);
        match &mut self.sync {
            SyncMode::Immediate(length) => {
                whole(path, file, before, |file| file::append(file, line))?;
                // After an error the line stays: its length may be on disk, and must not lead.
                length.write(last).map_err(|error| (length.path().to_owned(), Arc::new(error)))?;
                then();
                Ok(())
            }
            SyncMode::Background(sync) => {
                sync.write(|| whole(path, file, before, |file| file.write_all(line)), last, then)
            }
        }
    }

    /// Lets a thread sync the lines after `last`. Without a thread from the system, writes stay immediate.
    pub(super) fn sync_in_background(&mut self, last: Last) -> io::Result<()> {
        let SyncMode::Immediate(length) = &self.sync else { return Ok(()) };
        let length = length.try_clone()?;
        self.sync = SyncMode::Background(BackgroundSync::start(self.path.clone(), &self.file, length, last)?);
        Ok(())
    }
}

/// Writes a line, and removes the part of it that a failed write may have left.
fn whole(
    path: &Path,
    file: &mut File,
    before: Last,
    write: impl FnOnce(&mut File) -> io::Result<()>,
) -> Result<(), SyncError> {
    write(file).map_err(|error| {
        file::cut(file, before.bytes);
        (path.to_owned(), Arc::new(error))
    })
}
