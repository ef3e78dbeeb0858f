//! A folder that is laid out like the release page, with real archives of a program that stands for landfall.

use landfall_packaging::{archive, checksums, names};
use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Output},
};
use tempfile::TempDir;

/// Returns the root of the repository.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// Writes an executable shell script.
pub fn script(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// The stand-in answers as landfall does, and records what else it was started with.
const PROGRAM: &str = r#"
case "$1" in
  --version) echo "landfall VERSION" ;;
  completions) echo "completions for $2" ;;
  man) echo ".TH landfall 1" ;;
  *) for argument; do echo "[$argument]"; done; exit 7 ;;
esac"#;

/// A release with the archives of all targets.
pub struct Release {
    folder: TempDir,
}

impl Release {
    pub fn new() -> Self {
        let release = Self { folder: tempfile::tempdir().unwrap() };
        let program = release.path("program");
        script(&program, &PROGRAM.replace("VERSION", names::VERSION));
        for target in names::TARGETS {
            let bytes = archive::build(&program, target.triple, root(), 0).unwrap();
            release.write(&names::archive(target.triple), &bytes);
        }
        release.update_checksums();
        release
    }

    /// Returns a path beside the release.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Returns the folder of the newest version.
    pub fn latest(&self) -> PathBuf {
        self.path("releases/latest/download")
    }

    /// Writes a file of the release, for the newest version and by version.
    pub fn write(&self, name: &str, bytes: &[u8]) {
        let tagged = self.path("releases/download").join(names::tag(names::VERSION));
        for folder in [self.latest(), tagged] {
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join(name), bytes).unwrap();
        }
    }

    pub fn update_checksums(&self) {
        self.write(names::CHECKSUMS, checksums::of_folder(&self.latest()).unwrap().as_bytes());
    }

    /// Returns the address of the release page.
    pub fn address(&self) -> String {
        format!("file://{}", self.path("releases").display())
    }

    /// Puts a program in front of the path of [`Release::command`].
    pub fn program(&self, name: &str, text: &str) {
        script(&self.path("bin").join(name), text);
    }

    /// Makes `uname` report a machine.
    pub fn machine(&self, system: &str, machine: &str) {
        self.program("uname", &format!("[ \"$1\" = -s ] && echo {system} || echo {machine}"));
        self.program("sysctl", "exit 1");
    }

    /// Returns a command with the release, a home folder and the programs of [`Release::program`].
    pub fn command(&self, program: &str) -> Command {
        let path = std::env::var("PATH").unwrap();
        let mut command = Command::new(program);
        command
            .env("PATH", format!("{}:{path}", self.path("bin").display()))
            .env("HOME", self.path("home"))
            .env("LANDFALL_RELEASES", self.address());
        command
    }

    /// Runs the installer.
    pub fn install(&self, arguments: &[&str]) -> Output {
        let script = root().join("packaging/install.sh");
        self.command("sh").arg(script).args(arguments).output().unwrap()
    }

    /// Returns the installed program.
    pub fn installed(&self) -> PathBuf {
        self.path("home/.local/bin/landfall")
    }
}

/// Returns stdout and stderr as text.
pub fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}
