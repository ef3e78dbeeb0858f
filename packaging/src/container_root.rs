//! The root file system of a container image: the program, the root certificates, a user, and folders to write to.

use crate::{Error, elf, error, file_tree::FileTree};
use std::path::{Path, PathBuf};

/// The user and group that the program runs as.
pub const USER: u32 = 65_532;
/// The home folder of [`USER`].
pub const HOME: &str = "/home/landfall";
/// The current folder, for `landfall.toml` and `.landfall/`. Mount yours here.
pub const WORK: &str = "/workspace";
/// The program.
pub const PROGRAM: &str = "/landfall";
/// The root certificates. TLS clients on Linux read them at run time; without them, every request to Azure fails.
pub const ROOTS: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Where distributions keep the bundle of root certificates: Debian and Alpine, Fedora, openSUSE, macOS.
const BUNDLES: [&str; 4] =
    [ROOTS, "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem", "/etc/ssl/cert.pem"];

/// A file to add to an image.
#[derive(Debug, Clone)]
pub struct Addition {
    /// The file on this machine.
    pub source: PathBuf,
    /// Its path in the image.
    pub path: String,
}

impl std::str::FromStr for Addition {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (source, path) = text.split_once('=').unwrap_or((text, text));
        match path.starts_with('/') && !path.split('/').any(|part| part == "..") {
            true => Ok(Self { source: source.into(), path: path.to_owned() }),
            false => Err(format!("the path in the image must be absolute: {path}")),
        }
    }
}

/// A root file system with the architecture of its program.
#[derive(Debug)]
pub struct ContainerRoot {
    /// The files.
    pub files: FileTree,
    /// The architecture, as the image specification names it.
    pub architecture: &'static str,
    /// The number of its root certificates.
    pub roots: usize,
}

/// Returns the root file system for a program. `roots` is a bundle in PEM; without it, that of this machine is used.
///
/// # Errors
/// A file cannot be read, the program could not start in the image, or there is no root certificate.
pub fn build(program: &Path, roots: Option<&Path>, additions: &[Addition]) -> Result<ContainerRoot, Error> {
    let mut files = FileTree::default();
    let program = error::read(program)?;
    let elf = elf::read(&program)?;
    let bundle = match roots {
        Some(path) => error::read_text(path)?,
        None => error::read_text(machine_roots()?)?,
    };
    let roots = bundle.matches("-----BEGIN CERTIFICATE-----").count();
    if roots == 0 {
        return Err(Error::new("add the root certificates", "the bundle has no certificate in PEM"));
    }
    files.file(PROGRAM, 0o755, program);
    files.file(ROOTS, 0o644, bundle.into_bytes());
    let user = format!("landfall:x:{USER}:{USER}:landfall:{HOME}:/sbin/nologin\n");
    files.file("/etc/passwd", 0o644, format!("root:x:0:0:root:/root:/sbin/nologin\n{user}").into_bytes());
    files.file("/etc/group", 0o644, format!("root:x:0:\nlandfall:x:{USER}:\n").into_bytes());
    files.folder("/tmp", 0o1777, 0);
    files.folder(HOME, 0o755, USER);
    files.folder(WORK, 0o755, USER);
    for addition in additions {
        files.file(&addition.path, 0o755, error::read(&addition.source)?);
    }
    match elf.loader {
        Some(loader) if !files.contains(&loader) => Err(Error::new(
            "build the image",
            format!("the program is dynamic and the image has no {loader}"),
        )
        .hint("build the program for a musl target, or add its loader and libraries with --add")),
        _ => Ok(ContainerRoot { files, architecture: elf.architecture, roots }),
    }
}

fn machine_roots() -> Result<&'static Path, Error> {
    BUNDLES.into_iter().map(Path::new).find(|path| path.is_file()).ok_or_else(|| {
        Error::new("add the root certificates", "this machine has no bundle of them")
            .hint("install the package ca-certificates, or name a bundle with --roots")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_addition_has_an_absolute_path() {
        let same: Addition = "/lib/libc.so.6".parse().unwrap();
        assert_eq!((same.source.to_str().unwrap(), same.path.as_str()), ("/lib/libc.so.6", "/lib/libc.so.6"));
        let other: Addition = "my/file=/etc/file".parse().unwrap();
        assert_eq!((other.source.to_str().unwrap(), other.path.as_str()), ("my/file", "/etc/file"));
        assert!("/a=b".parse::<Addition>().is_err());
        assert!("/a=/b/../c".parse::<Addition>().is_err());
    }
}
