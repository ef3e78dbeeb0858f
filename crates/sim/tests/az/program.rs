//! Runs of the Azure CLI against a simulated cloud, with a home folder of its own.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::env;
use std::path::{Path, PathBuf};

use landfall_sim::ConnectionInfo;
use tokio::process::Command;

/// The Azure CLI.
pub struct Az {
    program: PathBuf,
    home: PathBuf,
    proxy: String,
}

/// The output of a command.
#[derive(Debug)]
pub struct CommandOutput {
    pub code: i32,
    pub out: String,
    pub err: String,
}

/// Finds az at the path in the variable LANDFALL_TEST_AZ, or on the search path.
pub fn find() -> Option<PathBuf> {
    if let Some(program_path) = env::var_os("LANDFALL_TEST_AZ") {
        return Some(program_path.into());
    }
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|folder| folder.join("az")).find(|program| program.is_file())
}

impl Az {
    /// Creates an unused az home below a folder, for the cloud of these facts.
    pub fn new(program: PathBuf, folder: &Path, connection: &ConnectionInfo) -> Self {
        let home = folder.join("home");
        std::fs::create_dir_all(&home).unwrap();
        std::fs::write(home.join("ca.pem"), &connection.ca_pem).unwrap();
        Self { program, home, proxy: format!("http://127.0.0.1:{}", connection.port) }
    }

    /// Returns the working folder of commands.
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// Runs a command line; single quotes keep words together.
    pub async fn run(&self, line: &str) -> CommandOutput {
        let mut command = Command::new(&self.program);
        for (name, _) in env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("AZURE_")) {
            command.env_remove(name);
        }
        let output = command
            .args(words(line))
            .current_dir(&self.home)
            .env("HOME", &self.home)
            .env("AZURE_CONFIG_DIR", self.home.join("azure"))
            .env("HTTPS_PROXY", &self.proxy)
            .env("NO_PROXY", "")
            .env("REQUESTS_CA_BUNDLE", self.home.join("ca.pem"))
            .env("AZURE_CORE_INSTANCE_DISCOVERY", "false")
            .env("AZURE_CORE_LOGIN_EXPERIENCE_V2", "off")
            .env("AZURE_CORE_COLLECT_TELEMETRY", "false")
            .env("AZURE_CORE_SURVEY_MESSAGE", "false")
            .env("AZURE_CORE_NO_COLOR", "true")
            .env("AZURE_CORE_OUTPUT", "tsv")
            .env("PYTHONWARNINGS", "ignore")
            .kill_on_drop(true)
            .output()
            .await
            .unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        CommandOutput { code: output.status.code().unwrap_or(-1), out, err }
    }

    /// Runs a command that must succeed, and returns its output.
    pub async fn succeed(&self, line: &str) -> String {
        let result = self.run(line).await;
        assert_eq!(result.code, 0, "az {line}: {result:?}");
        result.out
    }

    /// Runs a command that must fail with that exit code and a reason.
    pub async fn is_refused(&self, line: &str, code: i32, why: &str) {
        let result = self.run(line).await;
        assert!(result.code == code && result.err.contains(why), "az {line}: {result:?}");
    }
}

fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut is_quoted, mut is_started) = (Vec::new(), String::new(), false, false);
    for letter in line.chars() {
        match letter {
            '\'' => (is_quoted, is_started) = (!is_quoted, true),
            letter if letter.is_whitespace() && !is_quoted => {
                if std::mem::take(&mut is_started) {
                    words.push(std::mem::take(&mut word));
                }
            }
            letter => {
                word.push(letter);
                is_started = true;
            }
        }
    }
    words.extend(is_started.then_some(word));
    words
}
