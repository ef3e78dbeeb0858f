//! The journal in the state folder: a file, and the file with its length.

use super::{
    file,
    length_record::{Last, Length},
};
use std::{fs::File, io, path::PathBuf};

/// The open files of a journal.
#[derive(Debug)]
pub(super) struct FolderSink {
    pub(super) path: PathBuf,
    pub(super) file: File,
    pub(super) length: Length,
}

impl FolderSink {
    /// Writes one line after `before`. It is on disk when this returns, and so is the new length.
    ///
    /// # Errors
    ///
    /// The file that could not be written, and the cause.
    pub(super) fn write(
        &mut self,
        line: &[u8],
        before: Last,
        last: Last,
    ) -> Result<(), (PathBuf, io::Error)> {
        if let Err(error) = file::append(&mut self.file, line) {
            file::cut(&mut self.file, before.bytes);
            return Err((self.path.clone(), error));
        }
        // After an error the line stays: its length may be on disk, and must not lead.
        self.length.write(last).map_err(|error| (self.length.path().to_owned(), error))
    }
}
