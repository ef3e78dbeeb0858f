//! Bounded reads of the user's files: no endless file, and no pipe without a writer.

use std::fs::{self, File, Metadata};
use std::io::{self, Read as _};
use std::path::Path;

use crate::kubeconfig;

/// The reason why a file cannot be used. The message fits after the file's name.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The operating system refused it.
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
    /// It is a folder, a pipe or a socket.
    #[error("is a {0}, not a file")]
    NotAFile(&'static str),
    /// It is larger than any sensible file of its kind.
    #[error("has more than {} MB, too many for this kind of file", .0 / 1_000_000)]
    TooLarge(u64),
    /// Its encoding is unknown.
    #[error("cannot be read: {0}")]
    Encoding(String),
}

impl ReadError {
    /// Returns whether there is no such file.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Io(error) if error.kind() == io::ErrorKind::NotFound)
    }
}

/// Reads a file of at most `size_max` bytes. Opening a named pipe would block until a program writes to it, so
/// it is refused.
///
/// # Errors
/// Every [`ReadError`] except `Encoding`.
pub fn read_bytes(path: &Path, size_max: u64) -> Result<Vec<u8>, ReadError> {
    let known = fs::metadata(path)?;
    if let Some(what) = not_a_file(&known) {
        return Err(ReadError::NotAFile(what));
    }
    if known.len() > size_max {
        return Err(ReadError::TooLarge(size_max));
    }
    let mut bytes = Vec::new();
    // The size of a device is unknown, and a file may grow.
    File::open(path)?.take(size_max + 1).read_to_end(&mut bytes)?;
    match u64::try_from(bytes.len()) {
        Ok(size) if size <= size_max => Ok(bytes),
        _ => Err(ReadError::TooLarge(size_max)),
    }
}

/// Reads a text file of at most `size_max` bytes: UTF-8, or UTF-16 with a byte order mark, which PowerShell 5
/// writes. The mark is not part of the text.
///
/// # Errors
/// Every [`ReadError`].
pub fn read(path: &Path, size_max: u64) -> Result<String, ReadError> {
    kubeconfig::decode(&read_bytes(path, size_max)?).map_err(ReadError::Encoding)
}

#[cfg(unix)]
fn not_a_file(known: &Metadata) -> Option<&'static str> {
    use std::os::unix::fs::FileTypeExt as _;
    let kind = known.file_type();
    match (kind.is_dir(), kind.is_fifo(), kind.is_socket()) {
        (true, ..) => Some("folder"),
        (_, true, _) => Some("pipe"),
        (.., true) => Some("socket"),
        _ => None,
    }
}

#[cfg(not(unix))]
fn not_a_file(known: &Metadata) -> Option<&'static str> {
    known.is_dir().then_some("folder")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(path: &Path, size_max: u64) -> String {
        read(path, size_max).unwrap_err().to_string()
    }

    #[test]
    fn utf_16_with_a_byte_order_mark_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.yaml");
        let text = "\u{feff}a: \"ä\"\r\n";
        for bytes in [
            text.as_bytes().to_vec(),
            text.encode_utf16().flat_map(u16::to_le_bytes).collect(),
            text.encode_utf16().flat_map(u16::to_be_bytes).collect(),
        ] {
            fs::write(&path, bytes).unwrap();
            assert_eq!(read(&path, 1_000).unwrap(), "a: \"ä\"\r\n");
        }
        let unmarked: Vec<u8> = "a: b".encode_utf16().flat_map(u16::to_le_bytes).collect();
        fs::write(&path, unmarked).unwrap();
        assert!(message(&path, 1_000).contains("UTF-16"), "{}", message(&path, 1_000));
    }

    #[test]
    fn a_file_that_is_too_large_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.yaml");
        File::create(&path).unwrap().set_len(50_000_000).unwrap();
        assert_eq!(message(&path, 4_000_000), "has more than 4 MB, too many for this kind of file");
        assert!(message(&folder.path().join("none"), 10).starts_with("cannot be read: "));
        assert_eq!(message(folder.path(), 10), "is a folder, not a file");
    }

    #[cfg(unix)]
    #[test]
    fn a_pipe_does_not_block_and_a_device_is_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&path).status();
        if made.is_ok_and(|status| status.success()) {
            assert_eq!(message(&path, 10), "is a pipe, not a file");
        }
        assert_eq!(read(Path::new("/dev/null"), 10).unwrap(), "");
        assert!(matches!(read(Path::new("/dev/zero"), 10), Err(ReadError::TooLarge(10))));
    }
}
