//! The page of the last runs of all environments: those of the state folder, or of a storage account.

use super::{
    Args,
    journal_source::{self, JournalSource},
    page_file,
};
use crate::{
    cli_context::CliContext,
    deployment::Deployment,
    exit::Exit,
    failure::Failure,
    render::{report::fleet_page, stream, text},
    report::{EnvironmentRun, RunView},
    run::store,
    settings::{LoadedConfig, Mode},
    target::{self, Connection},
};
use jiff::Timestamp;
use landfall_engine::{Journal, OpenError, RecordedRuns, StepInfo};
use landfall_steps::{BlobJournalStore, settings::Teardown};
use serde_json::json;
use std::path::PathBuf;

/// Writes the page.
pub async fn write(cli_context: &CliContext, args: &Args, to_stdout: bool) -> Result<Exit, Failure> {
    let config = cli_context.load_config(&args.setting_flags, Mode::Inspect)?;
    let source = JournalSource::open(cli_context, &config).await?;
    let mut last_runs = LastRuns::new(&config)?;
    let read = match &source {
        JournalSource::Folder => last_runs.read_folder(cli_context),
        JournalSource::Account(connection) => last_runs.read_account(connection, &config).await,
    };
    source.close().await;
    read?;
    let LastRuns { runs, damages, now, .. } = last_runs;
    if runs.is_empty() {
        return Err(Failure::new(Exit::Input, "report on all environments")
            .cause(format!("{} contains no journal", place(cli_context, &config)))
            .hint("run landfall up first, or select the folder with --state-dir"));
    }
    let page = fleet_page(&runs, now, None);
    if to_stdout {
        stream::out().raw(&page);
    } else {
        let path = args.output.clone().unwrap_or_else(|| "landfall-environments.html".into());
        let file = page_file(cli_context, path)?;
        file.write(&page)?;
        match cli_context.is_json() {
            true => stream::out()
                .json(&json!({ "report": file.path().display().to_string(), "environments": runs })),
            false => cli_context.say(&format!(
                "{} {} in {}.",
                text::count(runs.len(), "environment"),
                if runs.len() == 1 { "is" } else { "are" },
                file.path().display()
            )),
        }
    }
    match damages.into_iter().next() {
        Some(damage) => Err(damage),
        None => Ok(Exit::Success),
    }
}

fn place(cli_context: &CliContext, config: &LoadedConfig) -> String {
    match &config.place.state {
        Some(_) => "the container".to_owned(),
        None => cli_context.global.state_dir.display().to_string(),
    }
}

/// The last run of every environment, by name, and the damages of their journals.
struct LastRuns {
    runs: Vec<EnvironmentRun>,
    damages: Vec<Failure>,
    /// All steps in the order of the graph.
    steps: Vec<StepInfo>,
    now: Timestamp,
}

impl LastRuns {
    fn new(config: &LoadedConfig) -> Result<Self, Failure> {
        // Only the order of the steps is read from the graph, so the names in it do not matter.
        let clients = target::offline("")?;
        let steps = Deployment::new(&clients, &config.settings, Teardown::default()).graph.steps();
        Ok(Self { runs: Vec::new(), damages: Vec::new(), steps, now: Timestamp::now() })
    }

    fn read_folder(&mut self, cli_context: &CliContext) -> Result<(), Failure> {
        let state_dir = &cli_context.global.state_dir;
        let unreadable = |error: std::io::Error| {
            Failure::new(Exit::Input, format!("read {}", state_dir.display())).caused_by(&error)
        };
        let mut folders: Vec<PathBuf> = Vec::new();
        if state_dir.exists() {
            for entry in std::fs::read_dir(state_dir).map_err(unreadable)? {
                folders.push(entry.map_err(unreadable)?.path());
            }
        }
        folders.sort();
        for folder in folders.into_iter().filter(|folder| folder.is_dir()) {
            match Journal::runs(&folder) {
                Ok(Some(recorded)) => self.add(recorded, Journal::holder(&folder).is_some()),
                Ok(None) => {}
                Err(error) => self.add_damage(&error),
            }
        }
        Ok(())
    }

    async fn read_account(&mut self, connection: &Connection, config: &LoadedConfig) -> Result<(), Failure> {
        let state = store::state_config(config, "report on the environments of a storage account")?;
        let container = connection.container(state)?;
        let stored = BlobJournalStore::list(&container, &state.prefix).await;
        for stored in stored.map_err(|error| Failure::of_store(&error))? {
            let store = BlobJournalStore::new(container.clone(), &state.prefix, &stored.name);
            match journal_source::read_stored(&store).await {
                Ok(Some((recorded, is_held))) => self.add(recorded, is_held),
                Ok(None) => {}
                Err(failure) => self.damages.push(failure),
            }
        }
        Ok(())
    }

    fn add(&mut self, recorded: RecordedRuns, is_held: bool) {
        if let Some(last) = recorded.runs.last() {
            let view = RunView::new(&recorded.key, last, &self.steps, self.now, is_held);
            self.runs.push(EnvironmentRun::new(&view));
        }
        if let Some(damage) = recorded.damage {
            self.add_damage(&damage);
        }
    }

    fn add_damage(&mut self, damage: &OpenError) {
        self.damages.push(Failure::of_journal(damage));
    }
}
