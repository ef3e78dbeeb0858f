//! One invocation of the program: its flags, environment and streams, and the helpers of all commands.

use crate::{
    cli::{Format, Global},
    endpoint_consent::{self, Allowed},
    failure::Failure,
    render::{
        Display, escape,
        json::Json,
        line_display::Line,
        live_display::Live,
        progress_state::ProgressState,
        progress_tree::{Size, TreeStyle},
        stream::{self, Terminal},
        text,
    },
    settings::{
        self, LoadInput, LoadedConfig, Mode, flags::SettingFlags, sources::Environment, target::TargetConfig,
    },
    target::SignIns,
    telemetry,
};
use jiff::Timestamp;
use landfall_engine::{Event, Journal, TimeScale};
use std::{
    sync::{Arc, Mutex},
    time::SystemTime,
};

/// One invocation of the program.
pub struct CliContext {
    /// The global flags.
    pub global: Global,
    /// The environment variables.
    pub environment: Environment,
    /// The terminal.
    pub terminal: Terminal,
    /// The open journals in stores, whose leases are released at the end of the command.
    shared_journals: Mutex<Vec<Arc<Journal>>>,
    /// The sign-ins, which the environments of a fleet share.
    pub sign_ins: Arc<SignIns>,
    /// True on a machine without other users, such as a container.
    pub is_alone: bool,
}

impl CliContext {
    /// Creates the session.
    pub fn new(global: Global) -> Self {
        let environment = Environment::of_this_process();
        let no_color = environment.get("NO_COLOR").is_some();
        let terminal = Terminal::detect(global.color, no_color, environment.get("TERM"));
        let (shared_journals, sign_ins) = (Mutex::default(), Arc::default());
        Self { global, environment, terminal, shared_journals, sign_ins, is_alone: false }
    }

    /// Registers an open journal in a store, for [`CliContext::close_journals`].
    pub fn share_journal(&self, journal: &Arc<Journal>) {
        self.shared_journals.lock().expect("nothing panics while it is held").push(journal.clone());
    }

    /// Returns the open journals in stores.
    pub fn shared_journals(&self) -> Vec<Arc<Journal>> {
        self.shared_journals.lock().expect("nothing panics while it is held").clone()
    }

    /// Releases the leases of the journals, and returns the failure of a command that lost one.
    pub async fn close_journals(&self) -> Option<Failure> {
        let journals =
            std::mem::take(&mut *self.shared_journals.lock().expect("nothing panics while it is held"));
        let mut failure = None;
        for journal in journals {
            if let Some(end) = journal.lease_end() {
                failure = Some(Failure::of_lost_lease(end, journal.current_holder().await.as_ref()));
            }
            journal.close().await;
        }
        failure
    }

    /// Returns the invocation as one for an environment of a fleet sees it: it prints nothing and asks nothing.
    pub fn for_environment(&self, name: &str) -> Self {
        let global = Global {
            environment: name.to_owned(),
            quiet: true,
            yes: true,
            format: None,
            // The fleet file contains no environment's settings by themselves.
            config: None,
            ..self.global.clone()
        };
        let terminal = Terminal { answers: false, ..self.terminal };
        let (environment, sign_ins) = (self.environment.clone(), self.sign_ins.clone());
        let (shared_journals, is_alone) = (Mutex::default(), self.is_alone);
        Self { global, environment, terminal, shared_journals, sign_ins, is_alone }
    }

    /// Loads and validates the settings.
    pub fn load_config(&self, setting_flags: &SettingFlags, mode: Mode) -> Result<LoadedConfig, Failure> {
        let ask = |prompt: &str| match self.terminal.answers {
            true => rpassword::prompt_password(escape::visible(prompt)).ok(),
            false => None,
        };
        settings::load(&LoadInput {
            flags: &setting_flags.flags(self.global.cloud.as_deref()),
            environment: &self.environment,
            config: self.global.config.as_deref(),
            name: &self.global.environment,
            state_dir: &self.global.state_dir,
            mode,
            now: Timestamp::now(),
            ask: &ask,
        })
        .map_err(Failure::of_config_errors)
    }

    /// Returns the cloud of the settings after its consent to receive credentials; see [`endpoint_consent`].
    pub fn allowed<'a>(&self, place: &'a TargetConfig) -> Result<Allowed<'a>, Failure> {
        endpoint_consent::ask(place, &self.global, &self.terminal)
    }

    /// Returns the output format of a run.
    pub fn format(&self) -> Format {
        let live = self.terminal.live && self.global.verbose == 0;
        self.global.format.unwrap_or(if live { Format::Live } else { Format::Line })
    }

    /// Returns whether standard output is JSON only.
    pub fn is_json(&self) -> bool {
        self.global.format == Some(Format::Json)
    }

    /// Creates the display of a run.
    pub fn display(
        &self,
        progress_state: ProgressState,
        cloud: &'static str,
        time_scale: TimeScale,
    ) -> Box<dyn Display> {
        let display: Box<dyn Display> = match self.format() {
            Format::Json => Box::new(Json::new(std::io::stdout(), cloud)),
            _ if self.global.quiet => Box::new(Silent),
            Format::Line => Box::new(Line::new(progress_state, std::io::stderr(), time_scale)),
            Format::Live => {
                let tree_style = TreeStyle { style: self.terminal.err, time_scale };
                Box::new(Live::new(progress_state, std::io::stderr(), size, tree_style))
            }
        };
        telemetry::observed(display)
    }

    /// Prints a text on standard error that is neither progress nor an error.
    pub fn say(&self, text: &str) {
        if !self.global.quiet && !self.is_json() {
            stream::err().line(text);
        }
    }

    /// Prints a warning sentence, wrapped.
    pub fn warn(&self, text: &str) {
        self.say(&text::wrap("Warning: ", text, text::COLUMNS));
    }

    /// Returns the number of columns for a text on standard output.
    pub fn columns(&self) -> usize {
        console::Term::stdout().size_checked().map_or(text::COLUMNS, |(_, columns)| columns.into())
    }

    /// Returns the command line that calls the program again for the same fleet.
    pub fn fleet_program(&self) -> String {
        format!("{} fleet", self.program())
    }

    /// Returns the command line that calls the program again for the same environment.
    pub fn program(&self) -> String {
        let mut words = vec!["landfall".to_owned()];
        let global = &self.global;
        if let Some(config) = &global.config {
            words.push(format!("--config {}", quoted(&config.display().to_string())));
        }
        if global.environment != "default" {
            words.push(format!("--environment {}", quoted(&global.environment)));
        }
        if global.state_dir.as_os_str() != ".landfall" {
            words.push(format!("--state-dir {}", quoted(&global.state_dir.display().to_string())));
        }
        if let Some(cloud) = &global.cloud {
            words.push(format!("--cloud {}", quoted(cloud)));
        }
        words.join(" ")
    }
}

/// Quotes words for a shell, each after a space.
pub fn command_line(words: &[String]) -> String {
    words.iter().map(|word| format!(" {}", quoted(word))).collect()
}

/// Quotes a word for a shell if needed.
fn quoted(word: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "_-./=:@".contains(letter);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

/// Returns the size of the terminal behind standard error.
pub fn size() -> Size {
    let (rows, columns) = console::Term::stderr().size_checked().unwrap_or((24, 80));
    Size { columns: columns.into(), rows: rows.into() }
}

/// A display without output, for --quiet.
struct Silent;

impl Display for Silent {
    fn show(&mut self, _: &Event) {}
    fn say(&mut self, _: &str) {}
    fn tick(&mut self, _: SystemTime) {}
    fn close(&mut self) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shell_words_are_quoted_if_needed() {
        assert_eq!(quoted("env/dev.toml"), "env/dev.toml");
        assert_eq!(quoted("my env"), "'my env'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
    }
}
