//! `landfall report`: writes a recorded run, or the last runs of all environments, as one HTML page. It reads journals
//! only, without their locks; a journal in the state folder needs no cloud.

mod all_environments;
mod journal_source;

use self::journal_source::JournalSource;
use crate::{
    cli_context::CliContext,
    deployment::Deployment,
    exit::Exit,
    failure::Failure,
    render::{
        report::{RunPage, run_page},
        stream, text,
    },
    report::{EnvironmentRun, RunState, RunView, page_file::PageFile},
    settings::{LoadedConfig, Mode, flags::SettingFlags},
    signals::StopRequest,
    target,
};
use jiff::Timestamp;
use landfall_engine::{RecordedRun, RecordedRuns};
use landfall_steps::settings::Teardown;
use serde_json::Value;
use std::{
    path::{Path, PathBuf},
    time::Duration,
};

/// The interval at which a followed run is read, in real time.
const FOLLOW_INTERVAL: Duration = Duration::from_secs(1);
/// The number of runs that an error lists.
const LISTED_MAX: usize = 10;

/// What `report` takes.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Number of the run in the journal, or "last"
    #[arg(value_name = "RUN", default_value = "last", conflicts_with = "all")]
    run: String,
    /// File of the page, - for standard output [default: landfall-ENVIRONMENT-run-N.html]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Update the page until the run ends
    #[arg(long)]
    follow: bool,
    /// One page for all environments of the state folder: a grid, failures by cause, the slowest
    #[arg(long, conflicts_with = "follow")]
    all: bool,
    #[command(flatten)]
    setting_flags: SettingFlags,
}

/// Runs it.
pub async fn run(cli_context: &CliContext, args: &Args) -> Result<Exit, Failure> {
    let to_stdout = args.output.as_deref() == Some(Path::new("-"));
    if to_stdout && (args.follow || cli_context.is_json()) {
        let flag = if args.follow { "--follow" } else { "--format json" };
        return Err(Failure::new(Exit::Input, format!("write the page to standard output with {flag}"))
            .hint("name a file with -o"));
    }
    match args.all {
        true => all_environments::write(cli_context, args, to_stdout).await,
        false => one_run(cli_context, args, to_stdout).await,
    }
}

async fn one_run(cli_context: &CliContext, args: &Args, to_stdout: bool) -> Result<Exit, Failure> {
    let config = cli_context.load_config(&args.setting_flags, Mode::Inspect)?;
    let source = JournalSource::open(cli_context, &config).await?;
    let result = report_on(cli_context, args, config, &source, to_stdout).await;
    source.close().await;
    result
}

async fn report_on(
    cli_context: &CliContext,
    args: &Args,
    config: LoadedConfig,
    source: &JournalSource,
    to_stdout: bool,
) -> Result<Exit, Failure> {
    let mut reading = Reading::new(cli_context, config, source, args).await?;
    if args.follow && !reading.is_last() {
        return Err(Failure::new(Exit::Input, format!("follow run {}", reading.number))
            .cause("it is not the last run")
            .hint("leave out its number to follow the last run"));
    }
    if to_stdout {
        stream::out().raw(&reading.page(cli_context, false));
        return reading.exit();
    }
    let default =
        || format!("landfall-{}-run-{}.html", cli_context.global.environment, reading.number).into();
    let file = page_file(cli_context, args.output.clone().unwrap_or_else(default))?;
    file.write(&reading.page(cli_context, args.follow))?;
    if args.follow && reading.is_active() {
        cli_context.say(&format!("Writing {} until the run ends.", file.path().display()));
        let mut stop = StopRequest::listen();
        while reading.is_active() {
            tokio::select! {
                () = stop.received() => {
                    file.write(&reading.page(cli_context, false))?;
                    cli_context.say("Stopped; the run continues.");
                    return Ok(Exit::Interrupted);
                }
                () = tokio::time::sleep(FOLLOW_INTERVAL) => {}
            }
            reading.refresh().await?;
            file.write(&reading.page(cli_context, true))?;
        }
    }
    reading.tell(cli_context, file.path());
    reading.exit()
}

/// Checks the path of a page, and reports what it replaces.
fn page_file(cli_context: &CliContext, path: PathBuf) -> Result<PageFile, Failure> {
    let file = PageFile::check(&path, cli_context.global.yes)?;
    if file.replaces_other {
        cli_context.say(&format!("{} was not a report; it is replaced.", file.path().display()));
    }
    Ok(file)
}

/// A journal, the environment's graph, and the selected run.
struct Reading<'a> {
    source: &'a JournalSource,
    recorded: RecordedRuns,
    /// True if a process holds the journal.
    is_held: bool,
    /// The number of the run.
    number: usize,
    views: Vec<RunView>,
    config: LoadedConfig,
    now: Timestamp,
}

impl<'a> Reading<'a> {
    async fn new(
        cli_context: &CliContext,
        config: LoadedConfig,
        source: &'a JournalSource,
        args: &Args,
    ) -> Result<Self, Failure> {
        let (recorded, is_held) = source.read(&config).await?;
        let number = select(cli_context, &recorded.runs, &args.run)?;
        let (views, now) = (Vec::new(), Timestamp::now());
        let mut reading = Self { source, recorded, is_held, number, views, config, now };
        reading.evaluate()?;
        Ok(reading)
    }

    /// Reads the journal again.
    async fn refresh(&mut self) -> Result<(), Failure> {
        (self.recorded, self.is_held) = self.source.read(&self.config).await?;
        self.evaluate()
    }

    fn evaluate(&mut self) -> Result<(), Failure> {
        self.now = Timestamp::now();
        let deployment = self.deployment(self.selected())?;
        let steps = deployment.graph.steps();
        let last = self.recorded.runs.len();
        let view = |run: &RecordedRun| {
            RunView::new(&self.recorded.key, run, &steps, self.now, self.is_held && run.number == last)
        };
        self.views = self.recorded.runs.iter().map(view).collect();
        Ok(())
    }

    fn selected(&self) -> &RecordedRun {
        &self.recorded.runs[self.number - 1]
    }

    fn view(&self) -> &RunView {
        &self.views[self.number - 1]
    }

    fn is_last(&self) -> bool {
        self.number == self.recorded.runs.len()
    }

    fn is_active(&self) -> bool {
        self.view().state == RunState::Running
    }

    /// Wires the steps with the names that the run recorded.
    fn deployment(&self, run: &RecordedRun) -> Result<Deployment, Failure> {
        let clients = target::offline(&self.recorded.key.subscription)?;
        let as_configured = Deployment::new(&clients, &self.config.settings, Teardown::default());
        let settings = as_configured.resources().with_recorded_names(&self.config.settings, state_of(run));
        Ok(Deployment::new(&clients, &settings, Teardown::default()))
    }

    fn page(&self, cli_context: &CliContext, is_followed: bool) -> String {
        let run = self.selected();
        // The subscription was usable when the views were made.
        let facts = self.deployment(run).map(|deployment| {
            let journal_state = state_of(run);
            (deployment.facts(journal_state), deployment.topology(&self.config.settings, journal_state))
        });
        let (facts, topology) = facts.unwrap_or_default();
        run_page(&RunPage {
            view: self.view(),
            runs: &self.views,
            facts: &facts,
            topology: &topology,
            is_deleted: has_no_output(run),
            damage: self.recorded.damage.as_ref().map(ToString::to_string),
            program: &cli_context.program(),
            now: self.now,
            is_followed,
        })
    }

    /// Reports the written page.
    fn tell(&self, cli_context: &CliContext, path: &Path) {
        let view = self.view();
        if cli_context.is_json() {
            let mut document = serde_json::to_value(EnvironmentRun::new(view)).unwrap_or(Value::Null);
            document["report"] = path.display().to_string().into();
            return stream::out().json(&document);
        }
        cli_context.say(&format!("Run {} ({}) is in {}.", view.number, view.command, path.display()));
    }

    /// Returns the exit code: a damaged journal is a failure, after the page was written.
    fn exit(&self) -> Result<Exit, Failure> {
        match &self.recorded.damage {
            Some(damage) => Err(Failure::of_journal(damage)),
            None => Ok(Exit::Success),
        }
    }
}

/// Returns the state after a run. A teardown forgets what it deletes, so its names are those before it.
fn state_of(run: &RecordedRun) -> &landfall_engine::JournalState {
    if has_no_output(run) { &run.before } else { &run.after }
}

/// Returns whether nothing is recorded after a run.
fn has_no_output(run: &RecordedRun) -> bool {
    run.after.0.values().all(|step_state| step_state.output.is_none())
}

/// Returns the number of the selected run.
fn select(cli_context: &CliContext, runs: &[RecordedRun], wanted: &str) -> Result<usize, Failure> {
    let last = runs.len();
    let number = if wanted == "last" { Some(last) } else { wanted.parse().ok() };
    if let Some(number) = number.filter(|number| (1..=last).contains(number)) {
        return Ok(number);
    }
    let refused = Failure::new(
        Exit::Input,
        format!("find run {wanted} of environment {}", cli_context.global.environment),
    );
    let refused = refused.cause(format!("the journal has {}", text::count(last, "run")));
    let listed = runs.iter().rev().take(LISTED_MAX);
    let refused = listed.fold(refused, |refused, run| {
        refused.cause(format!("run {}: {}, {}", run.number, run.command, run.began))
    });
    Err(refused.hint("use one of these numbers, or last"))
}
