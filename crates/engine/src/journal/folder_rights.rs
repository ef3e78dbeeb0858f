//! Access rights of the journal's folder. The journal decides what is deleted, so only its owner may change
//! it, or replace it by another one.

use super::OpenError;
use std::path::{Path, PathBuf};

/// The reason why a link in the place of a landfall file is refused.
pub(super) const LINK: &str = "it is a link, and a file is needed";

/// Refuses a folder that another user could swap or write to from above, and creates it if it is missing.
/// Revokes the rights that others have to it and to `files` in it. Returns the paths to which others had
/// rights.
///
/// The rule is that of ssh for its own files: rights that only the owner can fix are fixed and reported; all
/// others are refused. This holds for root as well: another user's folder decides what root would delete.
pub(super) fn secure(dir: &Path, files: &[&str]) -> Result<Vec<PathBuf>, OpenError> {
    let dir = std::path::absolute(dir).map_err(OpenError::io(dir))?;
    check(&dir)?;
    super::file::make_folder(&dir).map_err(OpenError::io(&dir))?;
    restrict(&dir, files)
}

/// Like [`secure`], for a machine without other users, such as a container: who may write to the folders above is not
/// checked.
pub(super) fn secure_alone(dir: &Path, files: &[&str]) -> Result<Vec<PathBuf>, OpenError> {
    let dir = std::path::absolute(dir).map_err(OpenError::io(dir))?;
    super::file::make_folder(&dir).map_err(OpenError::io(&dir))?;
    restrict(&dir, files)
}

#[cfg(not(unix))]
fn check(_: &Path) -> Result<(), OpenError> {
    Ok(())
}

#[cfg(not(unix))]
fn restrict(_: &Path, _: &[&str]) -> Result<Vec<PathBuf>, OpenError> {
    // On other systems a profile's folders are private by inheritance.
    Ok(Vec::new())
}

#[cfg(unix)]
use on_unix::{check, restrict};

#[cfg(unix)]
mod on_unix {
    use super::{LINK, OpenError, Path, PathBuf};
    use std::{
        fs::{self, File, Metadata, Permissions},
        io,
        os::unix::fs::{MetadataExt, PermissionsExt},
    };

    const ROOT: u32 = 0;
    /// The maximum number of links that a system follows.
    const LINKS_MAX: u32 = 40;
    const STICKY: u32 = 0o1000;

    pub(super) fn check(dir: &Path) -> Result<(), OpenError> {
        path_check().walk(dir, true, LINKS_MAX)
    }

    pub(super) fn restrict(dir: &Path, files: &[&str]) -> Result<Vec<PathBuf>, OpenError> {
        let files = files.iter().map(|file| (dir.join(file), 0o600));
        let mut wide = Vec::new();
        for (path, mode) in [(dir.to_owned(), 0o700)].into_iter().chain(files) {
            // The path to the folder may contain a link, which `check` has evaluated; a file must not be one.
            let is_file = path != dir;
            match fs::symlink_metadata(&path) {
                Ok(metadata) if is_file && metadata.is_symlink() => return Err(refuse(&path, LINK.into())),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(OpenError::io(&path)(error)),
            }
            let opened = open(&path, is_file).map_err(OpenError::io(&path))?;
            let metadata = opened.metadata().map_err(OpenError::io(&path))?;
            if is_file {
                path_check().check_owner(&path, &metadata)?;
            }
            if metadata.mode() & 0o077 != 0 {
                opened.set_permissions(Permissions::from_mode(mode)).map_err(OpenError::io(&path))?;
                wide.push(path);
            }
        }
        Ok(wide)
    }

    /// Opens a file or folder to read and change its rights; no other process can swap it in between.
    fn open(path: &Path, is_file: bool) -> io::Result<File> {
        match is_file {
            true => super::super::file::private().read(true).open(path),
            false => File::open(path),
        }
    }

    /// Returns the path check for the user of this process.
    fn path_check() -> PathCheck {
        PathCheck { uid: rustix::process::geteuid().as_raw() }
    }

    /// The path check from the root to a folder, for one user.
    struct PathCheck {
        uid: u32,
    }

    impl PathCheck {
        /// Checks every name on the path to `path`, and on the paths of its links. Missing names are for
        /// landfall to create. The target that the whole path `ends` at has rights that landfall may fix.
        fn walk(&self, path: &Path, ends: bool, links: u32) -> Result<(), OpenError> {
            let mut prefixes: Vec<&Path> = path.ancestors().collect();
            prefixes.reverse();
            for prefix in prefixes {
                let metadata = match fs::symlink_metadata(prefix) {
                    Ok(metadata) => metadata,
                    Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
                    Err(error) => return Err(OpenError::io(prefix)(error)),
                };
                if metadata.is_symlink() {
                    self.follow(prefix, &metadata, ends && prefix == path, links)?;
                } else if !metadata.is_dir() {
                    return Err(refuse(prefix, "it is a file, but a folder is required".into()));
                } else {
                    self.check_folder(prefix, &metadata, ends && prefix == path)?;
                }
            }
            Ok(())
        }

        fn follow(&self, link: &Path, metadata: &Metadata, ends: bool, links: u32) -> Result<(), OpenError> {
            self.check_owner(link, metadata)?;
            let target = fs::read_link(link).map_err(OpenError::io(link))?;
            if links == 0 || !link.exists() {
                let to = target.display();
                return Err(refuse(link, format!("it is a link to {to}, which does not exist")));
            }
            let target = link.parent().unwrap_or(Path::new("/")).join(target);
            self.walk(&target, ends, links - 1)
        }

        fn check_folder(&self, folder: &Path, metadata: &Metadata, is_last: bool) -> Result<(), OpenError> {
            self.check_owner(folder, metadata)?;
            let mode = metadata.mode();
            if is_last || mode & STICKY != 0 {
                return Ok(());
            }
            let why = if mode & 0o002 != 0 {
                "every user may write to it".to_owned()
            // A group with the owner's number is the owner's own, without other members.
            } else if mode & 0o020 != 0 && metadata.gid() != metadata.uid() {
                format!("its group, id {}, may write to it", metadata.gid())
            } else {
                return Ok(());
            };
            Err(refuse(folder, why))
        }

        fn check_owner(&self, path: &Path, metadata: &Metadata) -> Result<(), OpenError> {
            let owner = metadata.uid();
            match owner == self.uid || owner == ROOT {
                true => Ok(()),
                false => Err(refuse(path, format!("it belongs to another user, id {owner}"))),
            }
        }
    }

    fn refuse(path: &Path, why: String) -> OpenError {
        OpenError::Unsafe { path: path.to_owned(), why }
    }

    #[cfg(test)]
    mod tests {
        use super::*;
        use std::os::unix::fs::symlink;

        /// Returns a private folder in which tests build paths.
        fn temp_folder() -> tempfile::TempDir {
            tempfile::tempdir().unwrap()
        }

        fn folder(path: PathBuf, mode: u32) -> PathBuf {
            fs::create_dir_all(&path).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            path
        }

        fn mode(path: &Path) -> u32 {
            fs::metadata(path).unwrap().mode() & 0o777
        }

        fn why(dir: &Path) -> String {
            match super::super::secure(dir, &[]) {
                Err(OpenError::Unsafe { why, .. }) => why,
                other => panic!("not refused: {other:?}"),
            }
        }

        #[test]
        fn permissions_of_others_are_revoked_and_reported() {
            let temp_folder = temp_folder();
            let dir = folder(temp_folder.path().join("state"), 0o755);
            fs::write(dir.join("journal.jsonl"), "x").unwrap();
            fs::set_permissions(dir.join("journal.jsonl"), Permissions::from_mode(0o644)).unwrap();
            let wide = super::super::secure(&dir, &["journal.jsonl", "journal.lock"]).unwrap();
            assert_eq!(wide, [dir.clone(), dir.join("journal.jsonl")]);
            assert_eq!((mode(&dir), mode(&dir.join("journal.jsonl"))), (0o700, 0o600));
            assert!(super::super::secure(&dir, &["journal.jsonl"]).unwrap().is_empty(), "once is enough");
        }

        #[test]
        fn a_folder_below_a_world_writable_one_is_refused() {
            let temp_folder = temp_folder();
            let open = folder(temp_folder.path().join("open"), 0o777);
            assert_eq!(why(&open.join("state/default")), "every user may write to it");
            assert!(!open.join("state").exists(), "nothing was made");
            let sticky = folder(temp_folder.path().join("sticky"), 0o1777);
            super::super::secure(&sticky.join("state"), &[]).expect("there, what is ours stays ours");
        }

        #[test]
        fn a_shared_group_is_refused_and_a_private_group_is_not() {
            let temp_folder = temp_folder();
            let shared = folder(temp_folder.path().join("shared"), 0o775);
            let metadata = fs::metadata(&shared).unwrap();
            let refused = super::super::secure(&shared.join("state"), &[]).is_err();
            assert_eq!(refused, metadata.uid() != metadata.gid());
        }

        #[test]
        fn an_own_link_to_an_own_folder_is_accepted() {
            let temp_folder = temp_folder();
            let disk = folder(temp_folder.path().join("other-disk"), 0o700);
            symlink(&disk, temp_folder.path().join("state")).unwrap();
            super::super::secure(&temp_folder.path().join("state/default"), &[]).unwrap();
            assert_eq!(mode(&disk.join("default")), 0o700);
        }

        #[test]
        fn a_link_into_a_world_writable_folder_is_refused() {
            let temp_folder = temp_folder();
            let open = folder(temp_folder.path().join("open"), 0o777);
            folder(open.join("state"), 0o700);
            symlink(open.join("state"), temp_folder.path().join("state")).unwrap();
            assert_eq!(why(&temp_folder.path().join("state/default")), "every user may write to it");
            symlink(&open, temp_folder.path().join("here")).unwrap();
            assert_eq!(why(&temp_folder.path().join("here/default")), "every user may write to it");
        }

        #[test]
        fn a_dangling_link_is_reported() {
            let temp_folder = temp_folder();
            symlink("gone", temp_folder.path().join("state")).unwrap();
            for dir in ["state", "state/default"] {
                assert_eq!(why(&temp_folder.path().join(dir)), "it is a link to gone, which does not exist");
            }
            symlink("round", temp_folder.path().join("round")).unwrap();
            assert!(why(&temp_folder.path().join("round")).contains("does not exist"));
        }

        #[test]
        fn a_file_in_place_of_a_folder_is_reported() {
            let temp_folder = temp_folder();
            fs::write(temp_folder.path().join("state"), "").unwrap();
            assert!(why(&temp_folder.path().join("state/default")).contains("a folder is required"));
        }

        #[test]
        fn a_link_in_place_of_a_file_is_refused() {
            for file in ["journal.jsonl", "journal.lock"] {
                let temp_folder = temp_folder();
                let dir = folder(temp_folder.path().join("state"), 0o700);
                let other = temp_folder.path().join("other");
                fs::write(&other, "precious").unwrap();
                fs::set_permissions(&other, Permissions::from_mode(0o644)).unwrap();
                symlink(&other, dir.join(file)).unwrap();
                match super::super::secure(&dir, &["journal.jsonl", "journal.lock"]) {
                    Err(OpenError::Unsafe { why, .. }) => assert_eq!(why, LINK),
                    other => panic!("not refused: {other:?}"),
                }
                let opened = super::super::super::file::private().read(true).write(true).open(dir.join(file));
                assert!(opened.is_err(), "a link that came later is not followed either");
                assert_eq!((fs::read_to_string(&other).unwrap().as_str(), mode(&other)), ("precious", 0o644));
            }
        }

        #[test]
        fn a_journal_behind_a_link_is_not_read() {
            let temp_folder = temp_folder();
            fs::write(temp_folder.path().join("other"), "{}\n").unwrap();
            symlink(temp_folder.path().join("other"), temp_folder.path().join("journal.jsonl")).unwrap();
            let read = super::super::super::Journal::read(temp_folder.path());
            assert!(matches!(read, Err(OpenError::Unsafe { .. })), "{read:?}");
        }

        #[test]
        fn a_folder_of_another_user_is_refused_for_root_too() {
            let temp_folder = temp_folder();
            if fs::metadata(temp_folder.path()).unwrap().uid() != ROOT {
                return;
            }
            let foreign = folder(temp_folder.path().join("theirs"), 0o755);
            std::os::unix::fs::chown(&foreign, Some(12_345), None).unwrap();
            assert_eq!(why(&foreign.join("default")), "it belongs to another user, id 12345");
            assert!(!foreign.join("default").exists(), "nothing was made");
            let owned = folder(temp_folder.path().join("ours"), 0o700);
            fs::write(owned.join("journal.jsonl"), "{}\n").unwrap();
            std::os::unix::fs::chown(owned.join("journal.jsonl"), Some(12_345), None).unwrap();
            assert!(super::super::secure(&owned, &["journal.jsonl"]).is_err(), "a file of theirs neither");
        }

        #[test]
        fn a_path_of_another_user_is_refused_unless_root_owns_it() {
            let temp_folder = temp_folder();
            let owner = fs::metadata(temp_folder.path()).unwrap().uid();
            let other_user = PathCheck { uid: owner + 1 };
            let metadata = fs::metadata(temp_folder.path()).unwrap();
            let refused = other_user.check_owner(temp_folder.path(), &metadata).is_err();
            assert_eq!(refused, owner != ROOT, "what is root's is safe from everybody else");
            let refused = PathCheck { uid: ROOT }.check_owner(temp_folder.path(), &metadata).is_err();
            assert_eq!(refused, owner != ROOT);
        }
    }
}
