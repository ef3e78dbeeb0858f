//! Writes a kubeconfig in place, if it cannot be replaced. A reader may then see half of it, also after a
//! kill. A backup contains the old and the new content from before the first byte until after the last.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::file::{NEW, make_private, sync};
use super::{KubeconfigError, lock};

/// The record of one write in place. It contains the user's credentials, so only its owner may read the file.
#[derive(Serialize, Deserialize)]
struct Backup {
    file: PathBuf,
    /// In base64.
    before: String,
    /// In base64.
    after: String,
}

/// Returns the file whose write in place a dead process did not finish, if there is one.
pub(super) fn unfinished(backup: &Path) -> Result<Option<PathBuf>, KubeconfigError> {
    let read =
        read(backup).map_err(|source| KubeconfigError::Io { act: "read", path: backup.to_owned(), source });
    Ok(read?.map(|backup| backup.file))
}

/// Writes a file in place, after a backup of its content.
pub(super) fn write(file: &Path, bytes: &[u8], backup: &Path) -> io::Result<()> {
    let before = fs::read(file)?;
    let record =
        Backup { file: file.to_owned(), before: STANDARD.encode(&before), after: STANDARD.encode(bytes) };
    save(&record, backup)?;
    if let Err(error) = overwrite(file, bytes) {
        // For example, the disk is full. The backup stays if the former content cannot be written either.
        let _ = restore(file, backup);
        return Err(error);
    }
    fs::remove_file(backup)
}

/// Returns whether a dead process left a backup, or half of one.
pub(super) fn has_leftover(backup: &Path) -> bool {
    [backup, &lock::sibling_path(backup, NEW)].into_iter().any(|left| fs::symlink_metadata(left).is_ok())
}

/// Reverts the unfinished write in place of a dead process: a partial text becomes the former one again.
///
/// A file that another program has changed since stays unchanged.
pub(super) fn restore(file: &Path, backup: &Path) -> io::Result<()> {
    let _ = fs::remove_file(lock::sibling_path(backup, NEW));
    let Some(record) = read(backup)? else { return Ok(()) };
    if record.file != file {
        return Ok(());
    }
    let decode = |text: &str| STANDARD.decode(text).map_err(io::Error::other);
    let (before, after) = (decode(&record.before)?, decode(&record.after)?);
    if fs::read(file).is_ok_and(|now| is_torn(&now, &before, &after)) {
        overwrite(file, &before)?;
    }
    fs::remove_file(backup)
}

fn read(backup: &Path) -> io::Result<Option<Backup>> {
    match fs::read(backup) {
        Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(io::Error::other),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Writes the backup atomically: it is whole, or does not exist.
fn save(record: &Backup, backup: &Path) -> io::Result<()> {
    let folder = backup.parent().unwrap_or(Path::new("."));
    make_private(folder)?;
    let new = lock::sibling_path(backup, NEW);
    let _ = fs::remove_file(&new);
    let mut file = lock::private(OpenOptions::new().create_new(true).write(true)).open(&new)?;
    file.write_all(&serde_json::to_vec(record)?)?;
    file.sync_all()?;
    fs::rename(&new, backup)?;
    sync(folder)
}

/// Overwrites the old content and truncates the rest: the file is never empty.
fn overwrite(file: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file: File = OpenOptions::new().write(true).open(file)?;
    file.write_all(bytes)?;
    file.set_len(bytes.len() as u64)?;
    file.sync_all()
}

/// Returns whether a content is an intermediate state of [`overwrite`], neither its beginning nor its end.
fn is_torn(now: &[u8], before: &[u8], after: &[u8]) -> bool {
    if now == before || now == after {
        return false;
    }
    let written = now.iter().zip(after).take_while(|(now, after)| now == after).count();
    if now.len() > before.len() {
        return written == now.len();
    }
    let kept = now.iter().rev().zip(before.iter().rev()).take_while(|(now, before)| now == before).count();
    now.len() == before.len() && written + kept >= now.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns every content that a kill may leave while `after` overwrites `before`.
    fn crash_contents(before: &[u8], after: &[u8]) -> Vec<Vec<u8>> {
        let half = |written: usize| [&after[..written], before.get(written..).unwrap_or_default()].concat();
        (0..=after.len()).map(half).chain([after.to_vec()]).collect()
    }

    #[test]
    fn a_kill_at_any_byte_leaves_the_old_or_the_new_file() {
        let folder = tempfile::tempdir().unwrap();
        let (file, backup) = (folder.path().join("config"), folder.path().join("state/backup"));
        for (before, after) in
            [("aaaa", "aabbcc"), ("aaaaaa", "ab"), ("", "x"), ("abab", ""), ("abc", "abcd")]
        {
            let (before, after) = (before.as_bytes(), after.as_bytes());
            for moment in crash_contents(before, after) {
                let record = Backup {
                    file: file.clone(),
                    before: STANDARD.encode(before),
                    after: STANDARD.encode(after),
                };
                save(&record, &backup).unwrap();
                fs::write(&file, &moment).unwrap();
                assert_eq!(unfinished(&backup).unwrap().as_deref(), Some(file.as_path()));
                restore(&file, &backup).unwrap();
                let now = fs::read(&file).unwrap();
                assert!(now == before || now == after, "{moment:?} became {now:?}");
                assert!(!backup.exists());
            }
        }
    }

    #[test]
    fn a_file_that_another_program_changed_since_stays_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let (file, backup) = (folder.path().join("config"), folder.path().join("backup"));
        let record =
            Backup { file: file.clone(), before: STANDARD.encode("aaaa"), after: STANDARD.encode("bbbbbb") };
        save(&record, &backup).unwrap();
        fs::write(&file, "bbbb and theirs").unwrap();
        restore(&file, &backup).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "bbbb and theirs");
    }

    #[cfg(unix)]
    #[test]
    fn a_backup_is_private_and_removed_after_the_write() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let (file, backup) = (folder.path().join("config"), folder.path().join("state/backup"));
        let record = Backup { file: file.clone(), before: String::new(), after: String::new() };
        save(&record, &backup).unwrap();
        assert_eq!(fs::metadata(&backup).unwrap().permissions().mode() & 0o777, 0o600);
        fs::write(&file, "before, and longer").unwrap();
        write(&file, b"after", &backup).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "after");
        assert_eq!(fs::read_dir(backup.parent().unwrap()).unwrap().count(), 0);
    }
}
