//! The journal in the state folder: a file, and the file with its length.

use super::{
    background_sync::{BackgroundSync, SyncError},
    file,
    length_record::{Last, Length},
};
use std::{fs::File, io, path::PathBuf, sync::Arc};

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
        let failed = |path: PathBuf, error: io::Error| (path, Arc::new(error));
        let written = match &self.sync {
            SyncMode::Immediate(_) => file::append(&mut self.file, line),
            SyncMode::Background(_) => io::Write::write_all(&mut self.file, line),
        };
        if let Err(error) = written {
            file::cut(&mut self.file, before.bytes);
            return Err(failed(self.path.clone(), error));
        }
        match &mut self.sync {
            SyncMode::Immediate(length) => {
                // After an error the line stays: its length may be on disk, and must not lead.
                length.write(last).map_err(|error| failed(length.path().to_owned(), error))?;
                then();
                Ok(())
            }
            SyncMode::Background(sync) => sync.push(last, then),
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
