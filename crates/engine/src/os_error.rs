//! Refusals of the operating system, and their remedies: errors of files by their cause, and threads.

use std::io::{self, ErrorKind};

/// The start of the runtime's panic if the system grants no thread.
const THREAD_REFUSAL: &str = "OS can't spawn worker thread";

/// Returns whether the message of a panic means that the system granted no thread.
pub fn is_thread_refusal(panic: &str) -> bool {
    panic.starts_with(THREAD_REFUSAL)
}

/// Returns the remedy for an error of the file system, by its cause. The path is in the error's own message.
///
/// Portable causes have a kind of their own; the rest are errno values of Unix.
/// <https://man7.org/linux/man-pages/man3/errno.3.html>
pub fn file_remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::StorageFull => "free space on this disk",
        ErrorKind::QuotaExceeded => "delete files of this user, or have the disk quota raised",
        ErrorKind::FileTooLarge => "raise the limit of the file size (ulimit -f)",
        ErrorKind::ReadOnlyFilesystem => "the file system is mounted read-only: use a writable one",
        ErrorKind::PermissionDenied => "fix the permissions of the path",
        ErrorKind::InvalidFilename => {
            "the path is too long or has characters that this file system refuses: use a shorter one"
        }
        ErrorKind::NotADirectory => "a part of the path is a file: use a path of folders",
        ErrorKind::IsADirectory => "a folder is in the place of the file: move it away",
        ErrorKind::NotFound => "a part of the path does not exist: create it",
        ErrorKind::StaleNetworkFileHandle => {
            "the network file system was replaced or mounted again: open the folder again (cd), or mount it again"
        }
        ErrorKind::Unsupported => LOCKS,
        _ => by_errno(error),
    }
}

/// The remedy for a file system without locks.
const LOCKS: &str = "this file system grants no locks, as network file systems without a lock service do: use a folder \
                     on a local disk";

#[cfg(unix)]
fn by_errno(error: &io::Error) -> &'static str {
    use rustix::io::Errno;
    match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::NOLCK) => LOCKS,
        Some(Errno::MFILE) => "raise the limit of open files of this process (ulimit -n)",
        Some(Errno::NFILE) => "the system has no more open files: end other processes",
        Some(Errno::IO) => {
            "the disk or the network mount reports a failure: check it, the system's log has details"
        }
        Some(Errno::LOOP) => "the path has too many links: use one without",
        _ => OTHER,
    }
}

#[cfg(not(unix))]
fn by_errno(_: &io::Error) -> &'static str {
    OTHER
}

/// The remedy for every other cause.
const OTHER: &str = "the cause is the file system's: check the path and its disk";

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use rustix::io::Errno;

    #[test]
    fn every_refusal_of_the_file_system_has_its_own_remedy() {
        let remedies = [
            (Errno::NOSPC, "free space"),
            (Errno::DQUOT, "quota"),
            (Errno::ROFS, "read-only"),
            (Errno::ACCESS, "permissions"),
            (Errno::NOLCK, "grants no locks"),
            (Errno::MFILE, "ulimit -n"),
            (Errno::STALE, "network file system"),
            (Errno::IO, "reports a failure"),
            (Errno::NAMETOOLONG, "too long"),
            (Errno::NOTDIR, "is a file"),
            (Errno::FBIG, "ulimit -f"),
        ];
        for (errno, word) in remedies {
            let remedy = file_remedy(&io::Error::from_raw_os_error(errno.raw_os_error()));
            assert!(remedy.contains(word), "{errno:?}: {remedy}");
            assert_eq!(remedy.contains("free space"), errno == Errno::NOSPC, "{errno:?}: {remedy}");
        }
    }
}
