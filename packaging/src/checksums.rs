//! The checksums of a release, in the format of `sha256sum`.

use crate::{Error, error, names};
use sha2::{Digest as _, Sha256};
use std::{fmt::Write as _, path::Path};

/// Returns the SHA-256 of bytes in hexadecimal.
#[must_use]
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Returns one line for each file in a folder, sorted by name, without the list of checksums itself.
///
/// # Errors
/// The folder or a file cannot be read, or there is no file.
pub fn of_folder(folder: &Path) -> Result<String, Error> {
    let doing = || format!("list {}", folder.display());
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(|error| Error::new(doing(), error))? {
        let path = entry.map_err(|error| Error::new(doing(), error))?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        let name = name.ok_or_else(|| Error::new(doing(), "a file name is not UTF-8"))?.to_owned();
        if path.is_file() && name != names::CHECKSUMS {
            files.push((name, path));
        }
    }
    if files.is_empty() {
        return Err(Error::new(doing(), "it has no files"));
    }
    files.sort();
    let mut text = String::new();
    for (name, path) in files {
        let _ = writeln!(text, "{}  {name}", sha256(&error::read(&path)?));
    }
    Ok(text)
}

/// Returns the checksum of a file from a list.
#[must_use]
pub fn find<'a>(list: &'a str, file: &str) -> Option<&'a str> {
    list.lines().find_map(|line| line.split_once("  ").filter(|(_, name)| *name == file).map(|(sum, _)| sum))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_one_line_for_each_file() {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in [("b", "abc"), ("a", ""), (names::CHECKSUMS, "an older list")] {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let list = of_folder(folder.path()).unwrap();
        // The two examples that every description of SHA-256 has.
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(list, format!("{empty}  a\n{abc}  b\n"));
        assert_eq!((find(&list, "b"), find(&list, "c")), (Some(abc), None));
    }
}
