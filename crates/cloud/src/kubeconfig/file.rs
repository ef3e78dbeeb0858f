//! Where the kubeconfig is, and writing it so that it is always whole.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use super::KubeconfigError;

/// How many symbolic links in a row are followed.
const LINKS_MAX: usize = 16;

/// Returns the file to write: the first that the variable `KUBECONFIG` names, else `.kube/config` below the home.
pub fn path(variable: Option<&OsStr>, home: &Path) -> PathBuf {
    let listed = variable.map(std::env::split_paths).into_iter().flatten();
    let mut named = listed.filter(|path| !path.as_os_str().is_empty());
    named.next().unwrap_or_else(|| home.join(".kube").join("config"))
}

/// Replaces the content of a file at once: whoever reads it sees the old or the new, also after a power cut.
///
/// A symbolic link stays and what it leads to is replaced. The mode stays; a new file is for its owner only.
///
/// # Errors
/// `Io` with the file that could not be written.
pub fn write(path: &Path, text: &str) -> Result<(), KubeconfigError> {
    replace(path, text).map_err(|source| KubeconfigError::Io { path: path.to_owned(), source })
}

fn replace(path: &Path, text: &str) -> io::Result<()> {
    let target = follow(path)?;
    let folder = match target.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    make_private(folder)?;
    let known = fs::metadata(&target).ok();
    // A device would be replaced by a file, and a file that may not be written may not be replaced either.
    if known.as_ref().is_some_and(|known| !known.is_file()) {
        return Err(io::Error::other("it is not a file"));
    }
    if known.as_ref().is_some_and(|known| known.permissions().readonly()) {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "it is read-only"));
    }
    let mut file = NamedTempFile::new_in(folder)?;
    file.write_all(text.as_bytes())?;
    if let Some(known) = known {
        file.as_file().set_permissions(known.permissions())?;
    }
    file.as_file().sync_all()?;
    file.persist(&target).map_err(|error| error.error)?;
    sync(folder)
}

/// Finds what a chain of symbolic links leads to, be it there or not.
fn follow(path: &Path) -> io::Result<PathBuf> {
    let mut target = path.to_owned();
    for _ in 0..LINKS_MAX {
        match fs::read_link(&target) {
            Ok(next) => target = target.parent().unwrap_or(Path::new("")).join(next),
            Err(_) => return Ok(target),
        }
    }
    Err(io::Error::other("it is a symbolic link that leads nowhere"))
}

/// Makes a folder that only its owner can enter, unless it is there.
fn make_private(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

/// Makes the new name in the folder last.
fn sync(folder: &Path) -> io::Result<()> {
    if cfg!(unix) { fs::File::open(folder)?.sync_all() } else { Ok(()) }
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn the_first_file_of_a_list_is_ours_to_write() {
        let home = Path::new("/home/ada");
        assert_eq!(path(None, home), Path::new("/home/ada/.kube/config"));
        assert_eq!(path(Some(OsStr::new("")), home), Path::new("/home/ada/.kube/config"));
        assert_eq!(path(Some(OsStr::new(":/a:/b")), home), Path::new("/a"));
    }

    #[test]
    fn a_new_file_is_private_and_an_old_one_keeps_its_mode() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kube/config");
        write(&path, "a").unwrap();
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        write(&path, "b").unwrap();
        assert_eq!((mode(&path), fs::read_to_string(&path).unwrap().as_str()), (0o640, "b"));
        assert_eq!(
            fs::read_dir(path.parent().unwrap()).unwrap().count(),
            1,
            "nothing else is left lying there"
        );
    }

    #[test]
    fn what_is_read_only_or_no_file_is_left_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config");
        fs::write(&path, "mine").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).unwrap();
        let refused = write(&path, "ours").unwrap_err();
        assert!(refused.to_string().ends_with("config"), "{refused}");
        assert_eq!((mode(&path), fs::read_to_string(&path).unwrap().as_str()), (0o400, "mine"));
        let socket = folder.path().join("socket");
        let _listening = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        assert!(write(&socket, "ours").is_err());
        assert!(!fs::metadata(&socket).unwrap().is_file());
    }

    #[test]
    fn a_symbolic_link_stays_one_even_when_it_leads_to_nothing_yet() {
        let folder = tempfile::tempdir().unwrap();
        let (link, second, target) =
            (folder.path().join("link"), folder.path().join("second"), folder.path().join("t"));
        symlink("second", &link).unwrap();
        symlink(&target, &second).unwrap();
        write(&link, "a").unwrap();
        write(&link, "b").unwrap();
        assert!(
            fs::symlink_metadata(&link).unwrap().is_symlink()
                && fs::symlink_metadata(&second).unwrap().is_symlink()
        );
        assert_eq!(fs::read_to_string(&target).unwrap(), "b");
        let circle = folder.path().join("circle");
        symlink(&circle, &circle).unwrap();
        assert!(write(&circle, "x").is_err());
    }
}
