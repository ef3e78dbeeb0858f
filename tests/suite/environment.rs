//! A private environment for the binary, and access to what it left.

use assert_cmd::cargo::CommandCargoExt;
use serde_json::Value;
use std::{
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::atomic::{AtomicU64, Ordering},
};
use tempfile::TempDir;

/// The home, working folder and state folder of one test.
pub struct TestEnvironment {
    home: TempDir,
    variables: Vec<(String, String)>,
}

/// Returns a unique seed: a new cloud starts its search for a port at the seed, and concurrent clouds must
/// not take each other's port.
fn seed() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed) * 7
}

/// The output of a run, and its exit code.
pub struct CommandOutput {
    /// The standard output.
    pub stdout: String,
    /// The standard error: progress and messages.
    pub stderr: String,
    pub status: ExitStatus,
}

impl TestEnvironment {
    /// Creates an environment in which everything is ready at the first poll.
    pub fn instant() -> Self {
        Self::at_speed("instant")
    }

    /// Creates an environment with this time scale.
    pub fn at_speed(speed: &str) -> Self {
        let home = TempDir::new().unwrap();
        Self { home, variables: Vec::new() }
            .with("LANDFALL_SIM_SPEED", speed)
            .with("LANDFALL_SIM_SEED", &seed().to_string())
    }

    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn without(mut self, name: &str) -> Self {
        self.variables.retain(|(known, _)| known != name);
        self
    }

    pub fn path(&self) -> &Path {
        self.home.path()
    }

    pub fn state(&self) -> PathBuf {
        self.path().join(".landfall/default")
    }

    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::cargo_bin("landfall").unwrap();
        command.args(arguments).current_dir(self.path()).env_clear().env("HOME", self.path());
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("COLUMNS", "80");
        command.envs(self.variables.iter().map(|(name, value)| (name, value))).stdin(Stdio::null());
        command
    }

    pub fn run(&self, arguments: &[&str]) -> CommandOutput {
        let output = self.command(arguments).output().unwrap();
        CommandOutput {
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
            status: output.status,
        }
    }

    /// Runs, and prints all output if the exit code is unexpected.
    pub fn expect(&self, code: i32, arguments: &[&str]) -> CommandOutput {
        let output = self.run(arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}\n{}\n{}", output.stdout, output.stderr);
        output
    }

    pub fn spawn(&self, arguments: &[&str]) -> Child {
        self.command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// Returns every request that the cloud has answered, in order.
    pub fn request_log(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.state().join("sim/ledger.jsonl")).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Returns the number of requests of this method to a path that contains this.
    pub fn count(&self, method: &str, part: &str) -> usize {
        let part = part.to_ascii_lowercase();
        let is = |line: &&Value| {
            let path = line["path"].as_str().unwrap().to_ascii_lowercase();
            line["method"] == method && path.contains(&part)
        };
        self.request_log().iter().filter(is).count()
    }

    /// Rewrites the journal in the format without seals, for tests that edit it.
    pub fn unseal_journal(&self) {
        let path = self.state().join("journal.jsonl");
        let text = std::fs::read_to_string(&path).unwrap();
        let unsealed = text.lines().map(|line| {
            let mut line: serde_json::Map<String, Value> = serde_json::from_str(line).unwrap();
            line.retain(|name, _| name != "seq" && name != "sum");
            if let Some(format) = line.get_mut("format") {
                *format = 1.into();
            }
            format!("{}\n", Value::Object(line))
        });
        std::fs::write(&path, unsealed.collect::<String>()).unwrap();
        for file in ["journal.lock", "journal.length"] {
            std::fs::remove_file(self.state().join(file)).unwrap();
        }
    }

    /// Returns the journal's entries, one per line.
    pub fn journal(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.state().join("journal.jsonl")).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Returns every file below the home, to search for text that must not occur.
    pub fn files(&self) -> Vec<PathBuf> {
        let mut files = Vec::new();
        let mut folders = vec![self.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
                match entry.file_type().unwrap().is_dir() {
                    true => folders.push(entry.path()),
                    false => files.push(entry.path()),
                }
            }
        }
        files
    }
}

impl CommandOutput {
    /// Returns the events of `--format json`.
    pub fn events(&self) -> Vec<Value> {
        self.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Returns the last event: the summary.
    pub fn summary(&self) -> Value {
        self.events().pop().expect("a run says at least one line")
    }
}

/// Returns the path of a PFX file from OpenSSL that the tests of every crate share.
pub fn pfx(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("crates/cloud/tests/fixtures/pfx").join(name)
}
