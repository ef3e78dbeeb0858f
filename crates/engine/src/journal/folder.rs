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
    tighten(&dir, files)
}

#[cfg(not(unix))]
fn check(_: &Path) -> Result<(), OpenError> {
    Ok(())
}

#[cfg(not(unix))]
fn tighten(_: &Path, _: &[&str]) -> Result<Vec<PathBuf>, OpenError> {
    // On other systems a profile's folders are private by inheritance.
    Ok(Vec::new())
}

#[cfg(unix)]
use on_unix::{check, tighten};

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
        way().walk(dir, true, LINKS_MAX)
    }

    pub(super) fn tighten(dir: &Path, files: &[&str]) -> Result<Vec<PathBuf>, OpenError> {
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
                way().owned(&path, &metadata)?;
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
    fn way() -> Way {
        Way { me: rustix::process::geteuid().as_raw() }
    }

    /// The path check from the root to a folder, for one user.
    struct Way {
        me: u32,
    }

    impl Way {
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
                    self.judge(prefix, &metadata, ends && prefix == path)?;
                }
            }
            Ok(())
        }

        fn follow(&self, link: &Path, metadata: &Metadata, ends: bool, links: u32) -> Result<(), OpenError> {
            self.owned(link, metadata)?;
            let target = fs::read_link(link).map_err(OpenError::io(link))?;
            if links == 0 || !link.exists() {
                let to = target.display();
                return Err(refuse(link, format!("it is a link to {to}, which does not exist")));
            }
            let target = link.parent().unwrap_or(Path::new("/")).join(target);
            self.walk(&target, ends, links - 1)
        }

        fn judge(&self, folder: &Path, metadata: &Metadata, is_the_end: bool) -> Result<(), OpenError> {
            self.owned(folder, metadata)?;
            let mode = metadata.mode();
            if is_the_end || mode & STICKY != 0 {
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

        fn owned(&self, path: &Path, metadata: &Metadata) -> Result<(), OpenError> {
            let owner = metadata.uid();
            match owner == self.me || owner == ROOT {
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
        fn ground() -> tempfile::TempDir {
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
        fn what_others_could_look_into_is_tightened_and_told() {
            let ground = ground();
            let dir = folder(ground.path().join("state"), 0o755);
            fs::write(dir.join("journal.jsonl"), "x").unwrap();
            fs::set_permissions(dir.join("journal.jsonl"), Permissions::from_mode(0o644)).unwrap();
            let wide = super::super::secure(&dir, &["journal.jsonl", "journal.lock"]).unwrap();
            assert_eq!(wide, [dir.clone(), dir.join("journal.jsonl")]);
            assert_eq!((mode(&dir), mode(&dir.join("journal.jsonl"))), (0o700, 0o600));
            assert!(super::super::secure(&dir, &["journal.jsonl"]).unwrap().is_empty(), "once is enough");
        }

        #[test]
        fn a_folder_under_one_that_others_may_write_to_is_refused() {
            let ground = ground();
            let open = folder(ground.path().join("open"), 0o777);
            assert_eq!(why(&open.join("state/default")), "every user may write to it");
            assert!(!open.join("state").exists(), "nothing was made");
            let sticky = folder(ground.path().join("sticky"), 0o1777);
            super::super::secure(&sticky.join("state"), &[]).expect("there, what is ours stays ours");
        }

        #[test]
        fn a_group_of_others_is_others_and_a_private_group_is_not() {
            let ground = ground();
            let shared = folder(ground.path().join("shared"), 0o775);
            let metadata = fs::metadata(&shared).unwrap();
            let refused = super::super::secure(&shared.join("state"), &[]).is_err();
            assert_eq!(refused, metadata.uid() != metadata.gid());
        }

        #[test]
        fn a_link_of_ours_to_a_folder_of_ours_is_fine() {
            let ground = ground();
            let disk = folder(ground.path().join("other-disk"), 0o700);
            symlink(&disk, ground.path().join("state")).unwrap();
            super::super::secure(&ground.path().join("state/default"), &[]).unwrap();
            assert_eq!(mode(&disk.join("default")), 0o700);
        }

        #[test]
        fn a_link_into_a_folder_that_others_may_write_to_is_refused() {
            let ground = ground();
            let open = folder(ground.path().join("open"), 0o777);
            folder(open.join("state"), 0o700);
            symlink(open.join("state"), ground.path().join("state")).unwrap();
            assert_eq!(why(&ground.path().join("state/default")), "every user may write to it");
            symlink(&open, ground.path().join("here")).unwrap();
            assert_eq!(why(&ground.path().join("here/default")), "every user may write to it");
        }

        #[test]
        fn a_link_that_leads_nowhere_says_so() {
            let ground = ground();
            symlink("gone", ground.path().join("state")).unwrap();
            for dir in ["state", "state/default"] {
                assert_eq!(why(&ground.path().join(dir)), "it is a link to gone, which does not exist");
            }
            symlink("round", ground.path().join("round")).unwrap();
            assert!(why(&ground.path().join("round")).contains("does not exist"));
        }

        #[test]
        fn a_file_where_a_folder_should_be_says_so() {
            let ground = ground();
            fs::write(ground.path().join("state"), "").unwrap();
            assert!(why(&ground.path().join("state/default")).contains("a folder is required"));
        }

        #[test]
        fn a_link_in_the_place_of_a_file_is_refused() {
            for file in ["journal.jsonl", "journal.lock"] {
                let ground = ground();
                let dir = folder(ground.path().join("state"), 0o700);
                let other = ground.path().join("other");
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
            let ground = ground();
            fs::write(ground.path().join("other"), "{}\n").unwrap();
            symlink(ground.path().join("other"), ground.path().join("journal.jsonl")).unwrap();
            let read = super::super::super::Journal::read(ground.path());
            assert!(matches!(read, Err(OpenError::Unsafe { .. })), "{read:?}");
        }

        #[test]
        fn a_folder_of_another_user_is_refused_to_root_too() {
            let ground = ground();
            if fs::metadata(ground.path()).unwrap().uid() != ROOT {
                return;
            }
            let theirs = folder(ground.path().join("theirs"), 0o755);
            std::os::unix::fs::chown(&theirs, Some(12_345), None).unwrap();
            assert_eq!(why(&theirs.join("default")), "it belongs to another user, id 12345");
            assert!(!theirs.join("default").exists(), "nothing was made");
            let ours = folder(ground.path().join("ours"), 0o700);
            fs::write(ours.join("journal.jsonl"), "{}\n").unwrap();
            std::os::unix::fs::chown(ours.join("journal.jsonl"), Some(12_345), None).unwrap();
            assert!(super::super::secure(&ours, &["journal.jsonl"]).is_err(), "a file of theirs neither");
        }

        #[test]
        fn what_belongs_to_another_user_is_refused_to_everybody() {
            let ground = ground();
            let owner = fs::metadata(ground.path()).unwrap().uid();
            let somebody = Way { me: owner + 1 };
            let metadata = fs::metadata(ground.path()).unwrap();
            let refused = somebody.owned(ground.path(), &metadata).is_err();
            assert_eq!(refused, owner != ROOT, "what is root's is safe from everybody else");
            let refused = Way { me: ROOT }.owned(ground.path(), &metadata).is_err();
            assert_eq!(refused, owner != ROOT);
        }
    }
}
