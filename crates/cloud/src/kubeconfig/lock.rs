//! The lock of a kubeconfig: `<file>.lock`, the file that kubectl creates while it changes a kubeconfig.
//!
//! kubectl creates the lock with `O_CREATE|O_EXCL` and removes it afterwards. A lock that a killed kubectl
//! left blocks every later kubectl until a person removes it.
//!
//! landfall's lock is recoverable. Beside the kubeconfig is a *marker*, `.<file>.landfall`, which its process
//! holds with `flock`; the lock is a hard link to the marker. `link` fails if the lock exists, like `O_EXCL`.
//! The kernel releases the `flock` of a killed process, so a marker that can be locked belongs to a dead
//! process. A lock that is the same file as that marker is one that the dead process left. Any other lock
//! belongs to another program and is never removed.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The maximum number of attempts to open a marker that its owner removes at the same moment.
const MARKER_TRIES: usize = 8;

/// The result of an attempt to take a lock.
#[derive(Debug)]
pub(super) enum Attempt {
    /// This process holds the lock until it is dropped.
    Taken(Lock),
    /// Another process holds it.
    Held(Holder),
}

/// The lock that another process holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// The lock file.
    pub lock: PathBuf,
    /// The age of the lock; `None` if it is not known.
    pub age: Option<Duration>,
}

/// A held lock. Dropping it removes the lock file and the marker.
#[derive(Debug)]
pub(super) struct Lock {
    /// Marker and lock. `None` if nothing can be created in the folder: there kubectl cannot take a lock
    /// either.
    held: Option<(File, PathBuf, PathBuf)>,
    /// The file itself, locked against other landfall processes, if nothing can be created in the folder.
    _only: Option<File>,
}

/// Returns the path of kubectl's lock of a file.
pub(super) fn lock_of(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".lock");
    PathBuf::from(name)
}

/// Returns the path of a landfall file beside a kubeconfig: `.<file>.landfall<end>`.
pub(super) fn sibling_path(file: &Path, end: &str) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(file.file_name().unwrap_or_default());
    name.push(".landfall");
    name.push(end);
    file.with_file_name(name)
}

/// Returns whether a landfall process died while it held the lock of this file: its marker exists and is not
/// locked.
pub(super) fn has_leftover(file: &Path) -> bool {
    File::open(sibling_path(file, "")).is_ok_and(|marker| marker.try_lock_shared().is_ok())
}

fn is_marked(file: &Path) -> bool {
    fs::symlink_metadata(sibling_path(file, "")).is_ok()
}

/// Returns the lock that another program holds on a file, if there is one.
pub(super) fn holder(file: &Path) -> Option<Holder> {
    let lock = lock_of(file);
    let known = fs::symlink_metadata(&lock).ok()?;
    let own = File::open(sibling_path(file, "")).is_ok_and(|marker| is_same(&marker, &lock));
    let age = known.modified().ok().and_then(|since| since.elapsed().ok());
    (!own).then_some(Holder { lock, age })
}

impl Lock {
    /// Tries once to take the lock of a file, whose folder exists.
    pub fn attempt(file: &Path) -> io::Result<Attempt> {
        let (marker_path, lock) = (sibling_path(file, ""), lock_of(file));
        for _ in 0..MARKER_TRIES {
            let marker = match open_marker(&marker_path) {
                Ok(marker) => marker,
                Err(error) if cannot_write(&error) && !is_marked(file) => {
                    return Self::of_file_alone(file, lock);
                }
                Err(error) => return Err(error),
            };
            match marker.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Ok(Attempt::Held(Holder { age: age(&lock), lock })),
                Err(TryLockError::Error(error)) => return Err(error),
            }
            // Its last owner may have removed it between the opening and the locking.
            if !is_same(&marker, &marker_path) {
                continue;
            }
            return Self::link(marker, marker_path, lock);
        }
        Ok(Attempt::Held(Holder { age: age(&lock), lock }))
    }

    /// Creates the lock of a marker that this process holds.
    fn link(mut marker: File, marker_path: PathBuf, lock: PathBuf) -> io::Result<Attempt> {
        let linked = match fs::hard_link(&marker_path, &lock) {
            // A dead landfall process left it: it is this very marker, which this process now holds.
            Err(error) if error.kind() == ErrorKind::AlreadyExists && is_same(&marker, &lock) => Ok(()),
            // A file system without hard links. After a kill this lock cannot be distinguished from another
            // program's.
            Err(error) if error.kind() != ErrorKind::AlreadyExists && !cannot_write(&error) => create(&lock),
            linked => linked,
        };
        match linked {
            Ok(()) => {
                // For a person who finds it. The lock is valid without it.
                let _ = marker.set_len(0);
                let _ = writeln!(marker, "landfall changes this kubeconfig, process {}", std::process::id());
                Ok(Attempt::Taken(Lock { held: Some((marker, marker_path, lock)), _only: None }))
            }
            Err(error) => {
                let _ = fs::remove_file(&marker_path);
                match error.kind() {
                    ErrorKind::AlreadyExists => Ok(Attempt::Held(Holder { age: age(&lock), lock })),
                    _ => Err(error),
                }
            }
        }
    }

    /// Locks the file itself, if nothing can be created beside it.
    fn of_file_alone(file: &Path, lock: PathBuf) -> io::Result<Attempt> {
        let only = match OpenOptions::new().write(true).open(file) {
            Ok(only) => only,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Ok(Attempt::Taken(Lock { held: None, _only: None }));
            }
            Err(error) => return Err(error),
        };
        match only.try_lock() {
            Ok(()) => Ok(Attempt::Taken(Lock { held: None, _only: Some(only) })),
            Err(TryLockError::WouldBlock) => Ok(Attempt::Held(Holder { age: None, lock })),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// Returns whether the folder allows landfall's files, such as the temporary file.
    pub fn is_exclusive(&self) -> bool {
        self.held.is_some()
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        if let Some((_marker, marker_path, lock)) = self.held.take() {
            // The lock goes first: while the marker exists, a dead process's lock can be recognised.
            let _ = fs::remove_file(lock);
            let _ = fs::remove_file(marker_path);
        }
    }
}

/// Returns whether an error means that nothing can be created in a folder.
pub(super) fn cannot_write(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem)
}

fn age(lock: &Path) -> Option<Duration> {
    fs::symlink_metadata(lock).ok()?.modified().ok()?.elapsed().ok()
}

/// Returns the options for a file that only its owner may use, and that is not a symbolic link.
pub(super) fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600).custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed())
    }
    #[cfg(not(unix))]
    options
}

fn open_marker(path: &Path) -> io::Result<File> {
    let marker =
        private(OpenOptions::new().create(true).truncate(false).read(true).write(true)).open(path)?;
    match marker.metadata()?.is_file() {
        true => Ok(marker),
        false => Err(io::Error::other("its marker is not a file")),
    }
}

/// Creates the lock as kubectl does.
fn create(lock: &Path) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.create_new(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0);
    options.open(lock).map(drop)
}

/// Returns whether a path leads to the open file.
#[cfg(unix)]
fn is_same(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let id = |known: fs::Metadata| (known.dev(), known.ino());
    match (file.metadata(), fs::symlink_metadata(path)) {
        (Ok(file), Ok(path)) => id(file) == id(path),
        _ => false,
    }
}

/// On other systems an open file cannot be removed, so the marker is the one that was opened. A lock is never
/// recognised as owned.
#[cfg(not(unix))]
fn is_same(_: &File, path: &Path) -> bool {
    path.extension().is_none_or(|end| end != "lock") && path.exists()
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use super::*;

    fn taken(file: &Path) -> Lock {
        match Lock::attempt(file).unwrap() {
            Attempt::Taken(lock) => lock,
            Attempt::Held(holder) => panic!("{holder:?}"),
        }
    }

    fn is_held(file: &Path) -> bool {
        matches!(Lock::attempt(file).unwrap(), Attempt::Held(_))
    }

    fn names(folder: &Path) -> Vec<OsString> {
        let mut names: Vec<_> =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_lock_excludes_kubectl_and_is_released_with_its_owner() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config");
        let lock = taken(&file);
        assert_eq!(names(folder.path()), [".config.landfall", "config.lock"]);
        assert!(is_held(&file), "another process of ours");
        assert!(create(&lock_of(&file)).is_err(), "kubectl");
        assert_eq!(holder(&file), None, "it is no other program's");
        drop(lock);
        assert_eq!(names(folder.path()), [""; 0]);
        drop(taken(&file));
    }

    #[test]
    fn a_lock_of_another_program_is_waited_for_and_never_removed() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config");
        create(&lock_of(&file)).unwrap();
        assert!(is_held(&file));
        assert_eq!(names(folder.path()), ["config.lock"], "nothing of ours stays behind");
        assert!(holder(&file).unwrap().age.is_some());
        // A landfall process that died before it took the lock: its marker does not transfer the lock.
        fs::write(sibling_path(&file, ""), "").unwrap();
        assert!(is_held(&file));
        assert!(holder(&file).is_some());
        assert!(lock_of(&file).exists());
        fs::remove_file(lock_of(&file)).unwrap();
        drop(taken(&file));
        assert_eq!(names(folder.path()), [""; 0]);
    }

    #[test]
    fn a_lock_of_a_killed_process_is_taken_over() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config");
        fs::write(sibling_path(&file, ""), "landfall changes this kubeconfig, process 1\n").unwrap();
        fs::hard_link(sibling_path(&file, ""), lock_of(&file)).unwrap();
        drop(taken(&file));
        assert_eq!(names(folder.path()), [""; 0]);
    }

    #[test]
    fn a_marker_that_is_a_link_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config");
        fs::write(folder.path().join("victim"), "theirs").unwrap();
        std::os::unix::fs::symlink("victim", sibling_path(&file, "")).unwrap();
        assert!(Lock::attempt(&file).is_err());
        assert_eq!(fs::read_to_string(folder.path().join("victim")).unwrap(), "theirs");
    }
}
