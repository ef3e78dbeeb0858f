//! The file of a page: written whole or not at all, and never over a file that is not a page of landfall.

use crate::{exit::Exit, failure::Failure};
use std::{
    fs, io,
    io::{Read, Write},
    path::{Path, PathBuf},
};

/// The mark of landfall's pages, near the beginning of the document.
pub const MARK: &str = "<meta name=\"generator\" content=\"landfall report\">";
/// The length of the beginning that contains the mark, in bytes.
const BEGINNING: u64 = 512;

/// A checked path for a page.
#[derive(Debug)]
pub struct PageFile {
    path: PathBuf,
    /// True if something else is at the path, which is replaced.
    pub replaces_other: bool,
}

impl PageFile {
    /// Checks the path: a new file or an earlier page. Anything else needs `--yes`.
    pub fn check(path: &Path, yes: bool) -> Result<Self, Failure> {
        let failed = |error: &io::Error| {
            Failure::new(Exit::Input, format!("write {}", path.display()))
                .caused_by(error)
                .hint("choose another file with -o, or - for standard output")
        };
        // A page behind a link is replaced, and not the link.
        let path = &fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        if path.exists() && !path.is_file() {
            return Err(failed(&io::Error::other("it is not a file")));
        }
        let is_other = match fs::File::open(path) {
            Ok(file) => !is_page(file).map_err(|error| failed(&error))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            Err(error) => return Err(failed(&error)),
        };
        if is_other && !yes {
            return Err(Failure::new(Exit::Input, format!("write the report to {}", path.display()))
                .cause("the file exists and is not a report of landfall")
                .hint("choose another file with -o, or replace it with --yes"));
        }
        Ok(Self { path: path.to_owned(), replaces_other: is_other })
    }

    /// Returns the path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a page. A browser that reads the file meanwhile sees the old or the new page, never a part.
    pub fn write(&self, page: &str) -> Result<(), Failure> {
        let failed = |error: io::Error| {
            Failure::new(Exit::Failed, format!("write {}", self.path.display()))
                .caused_by(&error)
                .hint(landfall_engine::file_remedy(&error))
        };
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let mut name = std::ffi::OsString::from(".");
        name.push(self.path.file_name().unwrap_or_default());
        name.push(format!(".{}.new", std::process::id()));
        let new = folder.unwrap_or(Path::new(".")).join(name);
        // A process with the same id may have died here before.
        let _ = fs::remove_file(&new);
        let written = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&new)
            .and_then(|mut file| file.write_all(page.as_bytes()))
            .and_then(|()| fs::rename(&new, &self.path));
        written.map_err(|error| {
            // The partial file is of no use, and its removal may fail for the same reason.
            let _ = fs::remove_file(&new);
            failed(error)
        })
    }
}

/// Returns whether a file is one of landfall's pages; an empty file contains nothing to lose.
fn is_page(file: fs::File) -> io::Result<bool> {
    let mut beginning = Vec::new();
    file.take(BEGINNING).read_to_end(&mut beginning)?;
    Ok(beginning.is_empty() || String::from_utf8_lossy(&beginning).contains(MARK))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    #[test]
    fn only_a_page_is_replaced_without_a_request() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("run.html");
        let page = format!("<!doctype html>\n{MARK}");
        for _ in 0..2 {
            PageFile::check(&path, false).unwrap().write(&page).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), page);
        }
        fs::write(&path, "thesis").unwrap();
        assert_eq!(PageFile::check(&path, false).unwrap_err().exit, Exit::Input);
        assert_eq!(fs::read_to_string(&path).unwrap(), "thesis");
        let file = PageFile::check(&path, true).unwrap();
        assert!(file.replaces_other);
        file.write(&page).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside the page");
        assert_eq!(PageFile::check(folder.path(), true).unwrap_err().exit, Exit::Input);
    }
}
