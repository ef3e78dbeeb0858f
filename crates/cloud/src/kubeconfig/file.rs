//! The kubeconfig file: its path, reads, and atomic changes under its lock.
//!
//! A rename replaces the file. The file is written in place if a rename is impossible (a bind mount, a
//! read-only folder), or would change more than the content (owner, hard links); see [`super::write_in_place`].

use std::ffi::OsStr;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::encoding::Encoding;
use super::lock::{self, Attempt, Holder, Lock};
use super::{KubeconfigError, write_in_place};

/// The maximum number of symbolic links that are followed in a row.
const LINKS_MAX: usize = 16;
/// The maximum age of a live lock: kubectl holds its lock for milliseconds, so an older one belongs to no
/// running kubectl.
const LOCK_AGE_MAX: Duration = Duration::from_secs(60);
/// The suffix of the temporary file's name.
pub(super) const NEW: &str = ".new";

/// The text of a kubeconfig, with the encoding to write it back in.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Content {
    /// The text, with its byte order mark if it has one. It holds credentials.
    pub text: String,
    encoding: Encoding,
}

impl Content {
    /// Returns another text in the same encoding.
    #[must_use]
    pub fn with(&self, text: String) -> Self {
        Self { text, encoding: self.encoding }
    }
}

/// A kubeconfig under kubectl's lock: while this lives, no process that takes the lock changes it.
#[derive(Debug)]
pub struct LockedFile {
    /// The target of the symbolic links.
    target: PathBuf,
    backup: PathBuf,
    locks: Vec<Lock>,
}

/// The result of an attempt to lock a kubeconfig.
#[derive(Debug)]
pub enum Locking {
    /// The lock is taken.
    Locked(LockedFile),
    /// Another process holds it.
    Held(Holder),
}

/// Returns the file to write: the first that the variable `KUBECONFIG` names, else `.kube/config` below the
/// home.
pub fn path(variable: Option<&OsStr>, home: &Path) -> PathBuf {
    let listed = variable.map(std::env::split_paths).into_iter().flatten();
    let mut named = listed.filter(|path| !path.as_os_str().is_empty());
    named.next().unwrap_or_else(|| home.join(".kube").join("config"))
}

/// Reads a kubeconfig; `None` if there is no file.
///
/// # Errors
/// `Io` if it cannot be read, `Unreadable` if it is neither UTF-8 nor UTF-16.
pub fn read(path: &Path) -> Result<Option<Content>, KubeconfigError> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(io_error("read", path)(source)),
    };
    let (text, encoding) = Encoding::read(&bytes)?;
    Ok(Some(Content { text, encoding }))
}

/// Returns whether a process that died during a change of this kubeconfig left its marker, lock or backup.
pub fn has_leftovers(path: &Path, backup: &Path) -> bool {
    let target = follow(path).unwrap_or_else(|_| path.to_owned());
    write_in_place::has_leftover(backup) || [path, &target].into_iter().any(lock::has_leftover)
}

/// Returns the lock of a kubeconfig that its owner seems to have abandoned: it is older than a minute.
pub fn abandoned_lock(path: &Path) -> Option<Holder> {
    let target = follow(path).unwrap_or_else(|_| path.to_owned());
    let held = [path, &target].into_iter().find_map(lock::holder);
    held.filter(|held| held.age.is_some_and(|age| age > LOCK_AGE_MAX))
}

/// Returns the permission bits of a kubeconfig that other users may read or write.
#[cfg(unix)]
pub fn open_to_others(path: &Path) -> Option<u32> {
    use std::os::unix::fs::MetadataExt as _;
    fs::metadata(path).ok().map(|known| known.mode() & 0o777).filter(|mode| mode & 0o077 != 0)
}

/// On other systems a profile's files are private by inheritance.
#[cfg(not(unix))]
pub fn open_to_others(_: &Path) -> Option<u32> {
    None
}

/// Checks, read-only, that a kubeconfig can be written later: replaced or in place.
///
/// # Errors
/// `Io` with the path that cannot be written.
pub fn check_writable(path: &Path) -> Result<(), KubeconfigError> {
    let target = follow(path).map_err(io_error("write", path))?;
    match OpenOptions::new().write(true).open(&target) {
        Ok(_) => return Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(source) => return Err(io_error("write", path)(source)),
    }
    let folders = target.ancestors().skip(1);
    let folder = folders.map(|folder| if folder.as_os_str().is_empty() { Path::new(".") } else { folder });
    let folder = folder.into_iter().find(|folder| folder.exists()).unwrap_or(Path::new("."));
    check_folder(folder).map_err(io_error("create a file in", folder))
}

#[cfg(unix)]
fn check_folder(folder: &Path) -> io::Result<()> {
    use rustix::fs::{Access, AtFlags, CWD, accessat};
    if !folder.is_dir() {
        return Err(ErrorKind::NotADirectory.into());
    }
    Ok(accessat(CWD, folder, Access::WRITE_OK | Access::EXEC_OK, AtFlags::EACCESS)?)
}

#[cfg(not(unix))]
fn check_folder(folder: &Path) -> io::Result<()> {
    if folder.is_dir() { Ok(()) } else { Err(ErrorKind::NotADirectory.into()) }
}

impl LockedFile {
    /// Tries once to lock a kubeconfig as kubectl does, and removes what a dead landfall process left: its
    /// lock, its temporary file, and a half-written text (`backup` contains the whole one).
    ///
    /// Symbolic links stay; the lock of their target is taken too.
    ///
    /// # Errors
    /// `Io` with the file that cannot be locked or restored.
    pub fn lock(path: &Path, backup: &Path) -> Result<Locking, KubeconfigError> {
        let target = follow(path).map_err(io_error("lock", path))?;
        if let Some(other) = write_in_place::unfinished(backup)?
            && resolved(&other).ok() != resolved(&target).ok()
            && let Locking::Held(holder) = Self::lock(&other, backup)?
        {
            return Ok(Locking::Held(holder));
        }
        let mut files = Vec::new();
        for file in [path, &target] {
            make_private(folder_of(file)).map_err(io_error("lock", path))?;
            files.push(resolved(file).map_err(io_error("lock", path))?);
        }
        let target = files[1].clone();
        // The order is fixed, so that two processes never wait for each other.
        files.sort();
        files.dedup();
        let mut locks = Vec::new();
        for file in files {
            match Lock::attempt(&file).map_err(io_error("lock", &file))? {
                Attempt::Taken(lock) => locks.push(lock),
                Attempt::Held(holder) => return Ok(Locking::Held(holder)),
            }
        }
        let locked = LockedFile { target, backup: backup.to_owned(), locks };
        locked.tidy().map_err(io_error("restore", path))?;
        Ok(Locking::Locked(locked))
    }

    /// Removes the temporary file of a dead process, and completes its write in place.
    fn tidy(&self) -> io::Result<()> {
        if self.locks.iter().all(Lock::is_exclusive) {
            remove_if_there(&self.temporary())?;
        }
        write_in_place::restore(&self.target, &self.backup)
    }

    fn temporary(&self) -> PathBuf {
        lock::sibling_path(&self.target, NEW)
    }

    /// Returns the file that is written: the target of the symbolic links.
    pub fn target(&self) -> &Path {
        &self.target
    }

    /// Reads the file; `None` if there is none.
    ///
    /// # Errors
    /// As [`read`].
    pub fn read(&self) -> Result<Option<Content>, KubeconfigError> {
        read(&self.target)
    }

    /// Writes the file. A reader sees the old or the new content, also after a power cut, wherever the file
    /// can be replaced. The mode stays; a new file is readable by its owner only.
    ///
    /// # Errors
    /// `Io` with the file that could not be written.
    pub fn write(&self, content: &Content) -> Result<(), KubeconfigError> {
        let bytes = content.encoding.write(&content.text);
        self.replace(&bytes).map_err(io_error("write", &self.target))
    }

    fn replace(&self, bytes: &[u8]) -> io::Result<()> {
        let known = fs::metadata(&self.target).ok();
        // A rename would replace a device by a file; and a file without write permission must not be replaced
        // either.
        if known.as_ref().is_some_and(|known| !known.is_file()) {
            return Err(io::Error::other("it is not a file"));
        }
        if known.as_ref().is_some_and(|known| known.permissions().readonly()) {
            return Err(io::Error::new(ErrorKind::PermissionDenied, "it is read-only"));
        }
        let temporary = self.temporary();
        match self.renamed(&temporary, bytes, known.as_ref()) {
            Ok(true) => Ok(()),
            Ok(false) => write_in_place::write(&self.target, bytes, &self.backup),
            Err(error) => {
                let _ = fs::remove_file(&temporary);
                Err(error)
            }
        }
    }

    /// Replaces the file by a rename; false if that is impossible or would change more than the content.
    fn renamed(&self, temporary: &Path, bytes: &[u8], known: Option<&Metadata>) -> io::Result<bool> {
        remove_if_there(temporary).or_else(|error| if known.is_some() { Ok(()) } else { Err(error) })?;
        let mut file = match lock::private(OpenOptions::new().create_new(true).write(true)).open(temporary) {
            Ok(file) => file,
            Err(error) if known.is_some() && lock::cannot_write(&error) => return Ok(false),
            Err(error) => return Err(error),
        };
        if let Some(known) = known
            && !is_replaceable(known, &file.metadata()?)
        {
            fs::remove_file(temporary)?;
            return Ok(false);
        }
        file.write_all(bytes)?;
        if let Some(known) = known {
            file.set_permissions(known.permissions())?;
        }
        file.sync_all()?;
        match fs::rename(temporary, &self.target) {
            Ok(()) => sync(folder_of(&self.target)).map(|()| true),
            Err(error) if known.is_some() && cannot_rename(&error) => {
                fs::remove_file(temporary)?;
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// Removes the file; empties it if removal is impossible. A symbolic link to it stays.
    ///
    /// # Errors
    /// `Io` with the file that could not be removed.
    pub fn remove(&self) -> Result<(), KubeconfigError> {
        let removed = match fs::remove_file(&self.target) {
            Err(error) if lock::cannot_write(&error) || cannot_rename(&error) => {
                write_in_place::write(&self.target, b"", &self.backup)
            }
            removed => removed.and_then(|()| sync(folder_of(&self.target))),
        };
        removed.map_err(io_error("remove", &self.target))
    }
}

/// Returns a function that converts the I/O error of a file operation.
fn io_error(act: &'static str, path: &Path) -> impl FnOnce(io::Error) -> KubeconfigError {
    let path = path.to_owned();
    move |source| KubeconfigError::Io { act, path, source }
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Returns whether a rename is impossible for this file but a write in place is not: a mount point, another
/// file system.
fn cannot_rename(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::ResourceBusy | ErrorKind::CrossesDevices | ErrorKind::PermissionDenied)
}

/// Returns whether a replacement file has the same owner, and no other hard link loses its content.
#[cfg(unix)]
fn is_replaceable(known: &Metadata, new: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    known.nlink() == 1 && (known.uid(), known.gid()) == (new.uid(), new.gid())
}

#[cfg(not(unix))]
fn is_replaceable(_: &Metadata, _: &Metadata) -> bool {
    true
}

/// Follows a chain of symbolic links to its target, which need not exist.
fn follow(path: &Path) -> io::Result<PathBuf> {
    let mut target = path.to_owned();
    for _ in 0..LINKS_MAX {
        match fs::read_link(&target) {
            Ok(next) => target = target.parent().unwrap_or(Path::new("")).join(next),
            Err(_) => return Ok(target),
        }
    }
    Err(io::Error::other("it is a dangling symbolic link"))
}

/// Returns the canonical path of a file, which need not exist. Its folder exists, and the last component is
/// not followed.
fn resolved(file: &Path) -> io::Result<PathBuf> {
    let name = file.file_name().ok_or_else(|| io::Error::other("it has no name"))?;
    Ok(fs::canonicalize(folder_of(file))?.join(name))
}

fn folder_of(file: &Path) -> &Path {
    match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Creates a folder that only its owner can enter, unless it exists.
pub(super) fn make_private(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

/// Makes a new name in the folder durable.
pub(super) fn sync(folder: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}

#[cfg(unix)]
#[cfg(test)]
#[path = "file_tests.rs"]
mod tests;
