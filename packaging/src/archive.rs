//! The archive of a target: the program with its completions, its man page and its documents.

use crate::{Error, error, file_tree::FileTree, names, tar};
use flate2::{Compression, GzBuilder};
use std::{
    io::{ErrorKind, Write as _},
    path::Path,
    process::Command,
    thread,
    time::Duration,
};

/// The shells, and where the completions of each are in the archive.
pub const COMPLETIONS: [(&str, &str); 5] = [
    ("bash", "completions/landfall.bash"),
    ("zsh", "completions/_landfall"),
    ("fish", "completions/landfall.fish"),
    ("elvish", "completions/landfall.elv"),
    ("powershell", "completions/_landfall.ps1"),
];
/// The man page in the archive.
pub const MAN_PAGE: &str = "man/landfall.1";
/// The attempts, and the pause between them, to start a program that is still open for writing.
const BUSY_TRIES: u32 = 100;
const BUSY_PAUSE: Duration = Duration::from_millis(20);
/// The documents from the root of the repository.
pub const DOCUMENTS: [&str; 3] = ["README.md", "CHANGELOG.md", "LICENSE"];

/// Returns the archive of a program for a target. The program runs on this machine: it prints its own completions
/// and its man page, and its version must be that of the release.
///
/// # Errors
/// The program does not run or has another version, or a file cannot be read.
pub fn build(program: &Path, triple: &str, repository: &Path, time: u64) -> Result<Vec<u8>, Error> {
    let wanted = format!("landfall {}", names::VERSION);
    let version = output(program, &["--version"])?;
    if version.trim_ascii() != wanted.as_bytes() {
        let is = String::from_utf8_lossy(&version).trim().to_owned();
        return Err(Error::new("build the archive", format!("the program is {is:?} instead of {wanted:?}")));
    }
    let folder = names::folder(triple);
    let mut files = FileTree::default();
    files.file(&format!("{folder}/landfall"), 0o755, error::read(program)?);
    for (shell, path) in COMPLETIONS {
        files.file(&format!("{folder}/{path}"), 0o644, output(program, &["completions", shell])?);
    }
    files.file(&format!("{folder}/{MAN_PAGE}"), 0o644, output(program, &["man"])?);
    for document in DOCUMENTS {
        files.file(&format!("{folder}/{document}"), 0o644, error::read(&repository.join(document))?);
    }
    let failed = |error| Error::new("compress the archive", error);
    let mut gzip = GzBuilder::new().mtime(0).write(Vec::new(), Compression::best());
    gzip.write_all(&tar::write(&files, time)?).map_err(failed)?;
    gzip.finish().map_err(failed)
}

fn output(program: &Path, arguments: &[&str]) -> Result<Vec<u8>, Error> {
    let doing = || format!("run {} {}", program.display(), arguments.join(" "));
    let mut tries = 0;
    let output = loop {
        match Command::new(program).args(arguments).output() {
            // A process that another thread starts may hold a new file open for writing until it executes its program.
            Err(error) if error.kind() == ErrorKind::ExecutableFileBusy && tries < BUSY_TRIES => {
                tries += 1;
                thread::sleep(BUSY_PAUSE);
            }
            result => break result,
        }
    };
    let output = output.map_err(|error| {
        Error::new(doing(), error).hint("an archive is built on a machine that runs the program")
    })?;
    if !output.status.success() || output.stdout.is_empty() {
        let cause = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(Error::new(doing(), format!("{}: {cause}", output.status)));
    }
    Ok(output.stdout)
}
