//! `landfall fleet`: one command for many environments.

use crate::{
    cli::Format,
    cli_context::CliContext,
    commands::renew::RenewOptions,
    endpoint_consent,
    exit::Exit,
    failure::Failure,
    fleet::{
        amount::Amount,
        environment_run::Task,
        file::{self, Fleet, FleetInput},
        preflight,
        record::{History, Record},
        report::{self, FleetReport, ReportFormat},
        result::EnvironmentOutcome,
        runner::{FleetOutcome, FleetRun, Limits},
        select::Selection,
        status,
        waves::{self, Wave},
    },
    render::{
        fleet::{
            self as display, FleetDisplay, json::FleetJson, lines::Lines, live::Live,
            progress::FleetProgress, status as status_output, summary,
        },
        stream,
    },
    run::TeardownOptions,
    settings::{Mode, checks::endpoints::Consent, flags::SettingFlags},
    signals, telemetry,
    up_options::UpOptions,
};
use clap::Subcommand;
use landfall_diagnose::verify::VerifyTimeouts;
use landfall_engine::Stop;
use std::{
    io::BufRead,
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime},
};
use tokio::sync::mpsc;

/// What `fleet` takes.
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(subcommand)]
    command: FleetCommand,
}

/// The commands of a fleet.
#[derive(Subcommand, Debug)]
enum FleetCommand {
    /// Create or repair every environment, wave by wave; run it again to continue
    Up(UpArgs),
    /// Show what up would change
    Plan(PlanArgs),
    /// Show the state of every environment by the journals
    Status(StatusArgs),
    /// Verify every environment from outside
    Verify(VerifyArgs),
    /// Renew the certificates that are due, wave by wave
    Renew(RenewArgs),
    /// Delete what the environments created, and nothing else
    Down(DownArgs),
}

/// What selects environments.
#[derive(clap::Args, Debug)]
struct SelectArgs {
    /// Only these environments: names with * and ?, or ring=, subscription=, location=, domain=; terms with commas must
    /// all hold; may be repeated
    #[arg(long, value_name = "EXPR", value_parser = Selection::parse)]
    select: Vec<Selection>,
    /// Only environments that failed or did not run, or whose settings have changed since
    #[arg(long)]
    only_failed: bool,
    #[command(flatten)]
    setting_flags: SettingFlags,
}

/// What every run of a fleet takes.
#[derive(clap::Args, Debug)]
struct RunArgs {
    #[command(flatten)]
    select: SelectArgs,
    /// Environments that run at once [default: parallel in fleet.toml, or 20]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(file::PARALLEL_MAX)))]
    jobs: Option<u32>,
    /// Failures that a wave may have, 2 or 5% [default: max_failures in fleet.toml, or 0]
    #[arg(long, value_name = "N", value_parser = parse_amount)]
    max_failures: Option<Amount>,
    /// Print a report of every environment at the end
    #[arg(long, value_name = "FORMAT")]
    report: Option<ReportFormat>,
    /// Write the report to a file; its extension (json, csv, xml) selects the format if --report does not
    #[arg(long, value_name = "FILE")]
    report_file: Option<PathBuf>,
}

#[derive(clap::Args, Debug)]
struct UpArgs {
    #[command(flatten)]
    run: RunArgs,
    #[command(flatten)]
    up_options: UpOptions,
    /// Verify each environment from outside when it is ready; a failed check is a failure of its wave
    #[arg(long)]
    verify: bool,
    /// Check every environment, also those that an interrupted run has completed
    #[arg(long)]
    from_start: bool,
}

#[derive(clap::Args, Debug)]
struct PlanArgs {
    #[command(flatten)]
    run: RunArgs,
    #[command(flatten)]
    up_options: UpOptions,
    /// Exit with 10 if there are changes, with 0 if there are none
    #[arg(long)]
    detailed_exitcode: bool,
}

#[derive(clap::Args, Debug)]
struct StatusArgs {
    #[command(flatten)]
    select: SelectArgs,
}

#[derive(clap::Args, Debug)]
struct VerifyArgs {
    #[command(flatten)]
    run: RunArgs,
    /// How long to retry a failed check
    #[arg(long = "patience", value_name = "SECONDS", default_value_t = VerifyTimeouts::default().retry_timeout.as_secs())]
    retry_timeout: u64,
}

#[derive(clap::Args, Debug)]
struct RenewArgs {
    #[command(flatten)]
    run: RunArgs,
    /// Only report which are due
    #[arg(long)]
    dry_run: bool,
    /// Renew them although they are not due
    #[arg(long, conflicts_with = "dry_run")]
    force: bool,
}

#[derive(clap::Args, Debug)]
struct DownArgs {
    #[command(flatten)]
    run: RunArgs,
    /// Also purge the vaults, so that nothing in them can be recovered
    #[arg(long)]
    purge: bool,
    /// Delete clusters that landfall created even if they contain foreign objects
    #[arg(long = "with-strangers")]
    with_foreign: bool,
}

fn parse_amount(text: &str) -> Result<Amount, String> {
    Amount::parse(text).ok_or_else(|| "give a number, 2, or a share from 0% to 100%, 5%".to_owned())
}

/// A run as requested.
struct Requested {
    task: Task,
    run: RunArgs,
    mode: Mode,
    /// True if an interrupted run is not continued.
    from_start: bool,
    /// True if changes that a plan finds have an exit code.
    detailed_exitcode: bool,
}

impl Requested {
    fn new(task: Task, run: RunArgs, mode: Mode) -> Self {
        Self { task, run, mode, from_start: false, detailed_exitcode: false }
    }
}

/// Runs it.
pub async fn run(cli_context: CliContext, args: Args) -> Result<Exit, Failure> {
    if cli_context.global.environment != "default" {
        return Err(Failure::new(Exit::Input, "use --environment with a fleet")
            .cause("fleet.toml names the environments")
            .hint(format!("select one: --select {}", cli_context.global.environment)));
    }
    telemetry::without_steps();
    let requested = match args.command {
        FleetCommand::Status(args) => return print_status(&cli_context, &args.select),
        FleetCommand::Up(UpArgs { run, up_options, verify, from_start }) => {
            let task = Task::Up { up_options: Arc::new(up_options), verify };
            Requested { from_start, ..Requested::new(task, run, Mode::Apply) }
        }
        FleetCommand::Plan(PlanArgs { run, up_options, detailed_exitcode }) => {
            let task = Task::Plan { up_options: Arc::new(up_options) };
            Requested { detailed_exitcode, ..Requested::new(task, run, Mode::Apply) }
        }
        FleetCommand::Verify(VerifyArgs { run, retry_timeout }) => {
            let retry_timeout = Duration::from_secs(retry_timeout);
            let task = Task::Verify(VerifyTimeouts { retry_timeout, ..VerifyTimeouts::default() });
            Requested::new(task, run, Mode::Inspect)
        }
        FleetCommand::Renew(RenewArgs { run, dry_run, force }) => {
            Requested::new(Task::Renew(RenewOptions { dry_run, force }), run, Mode::Apply)
        }
        FleetCommand::Down(DownArgs { run, purge, with_foreign }) => {
            let options = TeardownOptions { purge, with_foreign, ..TeardownOptions::default() };
            Requested::new(Task::Down(options), run, Mode::Inspect)
        }
    };
    run_fleet(cli_context, requested).await
}

/// Reads the fleet file, and asks once for each set of endpoints that landfall does not know.
fn load(cli_context: &CliContext, setting_flags: &SettingFlags, mode: Mode) -> Result<Fleet, Failure> {
    let mut fleet = file::load(&FleetInput {
        path: cli_context.global.config.as_deref(),
        flags: &setting_flags.flags(cli_context.global.cloud.as_deref()),
        environment: &cli_context.environment,
        state_dir: &cli_context.global.state_dir,
        mode,
    })
    .map_err(Failure::of_config_errors)?;
    if let Some(environment) = fleet.environments.iter().find(|one| one.config.place.state.is_some()) {
        return Err(Failure::new(Exit::Input, "use a storage account for the journals of a fleet")
            .cause(format!("[state] is set for environment {}", environment.name))
            .cause("the journals of a fleet are in the state folder")
            .hint("remove [state] from the fleet file, and unset LANDFALL_STATE"));
    }
    let mut granted: Vec<Consent> = Vec::new();
    for environment in &mut fleet.environments {
        let place = &mut environment.config.place;
        if !granted.contains(&place.consent) {
            endpoint_consent::ask(place, &cli_context.global, &cli_context.terminal)?;
            granted.push(place.consent.clone());
        }
        place.consent = Consent::NotNeeded;
    }
    Ok(fleet)
}

/// Returns the selected environments.
///
/// # Errors
/// Exit code 2 if --select names none.
fn select(fleet: &Fleet, args: &SelectArgs, command: &str) -> Result<Vec<usize>, Failure> {
    let is_selected = |at: &usize| {
        let environment = &fleet.environments[*at];
        args.select.is_empty() || args.select.iter().any(|selection| selection.selects(environment))
    };
    let mut selected: Vec<usize> = (0..fleet.environments.len()).filter(is_selected).collect();
    if selected.is_empty() {
        return Err(Failure::new(Exit::Input, "select environments")
            .cause("no environment of the fleet file matches --select")
            .hint("`landfall fleet status` lists them"));
    }
    if args.only_failed {
        let history = History::read(&fleet.folder)?;
        let wanted = match command {
            "down" => "down",
            "renew" => "renew",
            _ => "up",
        };
        let others: &[&str] = if wanted == "renew" { &["renew"] } else { &["up", "down"] };
        selected.retain(|at| {
            let environment = &fleet.environments[*at];
            match history.of(&environment.name, others) {
                Some((command, ended)) => {
                    command != wanted
                        || ended.settings != environment.fingerprint
                        || !ended.result.outcome.is_good()
                }
                None => true,
            }
        });
    }
    Ok(selected)
}

fn print_status(cli_context: &CliContext, args: &SelectArgs) -> Result<Exit, Failure> {
    let fleet = load(cli_context, &args.setting_flags, Mode::Inspect)?;
    let selected = select(&fleet, args, "status")?;
    let environments = status::read(&fleet, &selected)?;
    match cli_context.is_json() {
        true => stream::out().json(&status_output::document(&fleet.name, &environments)),
        false => {
            let (columns, style) = (cli_context.columns(), cli_context.terminal.out);
            stream::out().line(&status_output::text(&fleet.name, &environments, columns, style));
        }
    }
    Ok(Exit::Success)
}

async fn run_fleet(cli_context: CliContext, requested: Requested) -> Result<Exit, Failure> {
    let Requested { task, run, mode, from_start, detailed_exitcode } = requested;
    let command = task.name();
    check_report(&cli_context, &run)?;
    let fleet = Arc::new(load(&cli_context, &run.select.setting_flags, mode)?);
    let selected = select(&fleet, &run.select, command)?;
    if selected.is_empty() {
        cli_context.say("Nothing to do: no environment failed, and each has run.");
        return Ok(Exit::Success);
    }
    let is_selected = |at: usize| selected.binary_search(&at).is_ok();
    let waves = match task.has_waves() {
        true => waves::waves(&fleet, is_selected),
        false => vec![Wave { name: "all".to_owned(), environments: selected.clone(), soak: Duration::ZERO }],
    };
    match &task {
        Task::Down(_) => confirm(&cli_context, &fleet, selected.len())?,
        Task::Up { up_options, .. } => {
            preflight::check(&cli_context, &fleet, &selected, up_options).await?;
        }
        _ => {}
    }
    let limits = Limits {
        parallel: run.jobs.map_or(fleet.parallel, |jobs| jobs as usize),
        parallel_per_subscription: fleet.parallel_per_subscription,
        max_failures: match task.has_waves() {
            true => run.max_failures.unwrap_or(fleet.max_failures),
            // What only reads or deletes goes on with the others, unless a limit is given.
            false => run.max_failures.unwrap_or(Amount::Percent(100.0)),
        },
    };
    let (record, unfinished) = match task.changes() {
        true => {
            let (record, history) = Record::open(&fleet.folder, command, from_start)?;
            (Some(record), history.unfinished)
        }
        false => (None, None),
    };
    let all = report::count(&waves);
    cli_context.say(&heading(&cli_context, &fleet, command, all, unfinished.is_some()));
    let (events, seen) = mpsc::unbounded_channel();
    let (say, sentences) = mpsc::unbounded_channel();
    let stop = Stop::new();
    signals::listen(stop.clone(), say);
    let began = SystemTime::now();
    let progress = || FleetProgress::new(fleet.clone(), waves.clone(), limits.parallel, began);
    let mut shown = display_of(&cli_context, &fleet, &waves, progress());
    let cli_context = Arc::new(cli_context);
    let fleet_run = FleetRun {
        fleet: fleet.clone(),
        task,
        waves: waves.clone(),
        limits,
        cli_context: cli_context.clone(),
        stop,
        events,
        record,
        unfinished,
    };
    let (outcome, ()) = tokio::join!(fleet_run.run(), display::drive(&mut *shown, seen, sentences));
    let outcome = outcome?;
    drop(shown);
    print_outcome(&cli_context, &fleet, &waves, command, &outcome);
    let report = FleetReport { fleet: &fleet, command, waves: &waves, outcome: &outcome };
    write_report(&run, &report)?;
    Ok(match exit_of(&outcome) {
        Exit::Success if detailed_exitcode && has_changes(&outcome) => Exit::Changes,
        exit => exit,
    })
}

/// Refuses a report that would mix with the events on standard output.
fn check_report(cli_context: &CliContext, run: &RunArgs) -> Result<(), Failure> {
    if run.report.is_some() && run.report_file.is_none() && cli_context.is_json() {
        return Err(Failure::new(Exit::Input, "print a report")
            .cause("with --format json, standard output contains the events")
            .hint("write it to a file: --report-file FILE"));
    }
    match &run.report_file {
        Some(path) if run.report.or(ReportFormat::of_file(path)).is_none() => {
            Err(Failure::new(Exit::Input, format!("write the report {}", path.display()))
                .cause("its extension is none of json, csv and xml")
                .hint("name the format: --report json"))
        }
        _ => Ok(()),
    }
}

fn heading(cli_context: &CliContext, fleet: &Fleet, command: &str, all: usize, continues: bool) -> String {
    let style = cli_context.terminal.err;
    let first = format!(
        "landfall fleet {command} · {} · {}",
        fleet.name,
        crate::render::text::count(all, "environment")
    );
    let continues = if continues { "\nContinuing the interrupted run." } else { "" };
    format!("{}{continues}\n", style.strong(&first))
}

fn display_of(
    cli_context: &CliContext,
    fleet: &Arc<Fleet>,
    waves: &[Wave],
    progress: FleetProgress,
) -> Box<dyn FleetDisplay> {
    match cli_context.format() {
        Format::Json => Box::new(FleetJson::new(fleet.clone(), waves.to_vec())),
        _ if cli_context.global.quiet => Box::new(display::Silent),
        Format::Line => Box::new(Lines::new(progress, std::io::stderr())),
        Format::Live => {
            let style = cli_context.terminal.err;
            Box::new(Live::new(progress, std::io::stderr(), crate::cli_context::size, style))
        }
    }
}

fn print_outcome(
    cli_context: &CliContext,
    fleet: &Arc<Fleet>,
    waves: &[Wave],
    command: &str,
    outcome: &FleetOutcome,
) {
    let selected = report::count(waves);
    let results = outcome.results.iter().map(|(at, result)| (&fleet.environments[*at], result));
    let causes = crate::fleet::causes::causes(results);
    if cli_context.is_json() {
        let line = display::json::summary(SystemTime::now(), fleet, selected, outcome, &causes);
        stream::out().json(&line);
        return;
    }
    let mut slowest: Vec<_> =
        outcome.results.iter().map(|(at, result)| (fleet.environments[*at].name.as_str(), result)).collect();
    slowest.sort_by_key(|(_, result)| std::cmp::Reverse(result.elapsed_ms));
    let program = cli_context.fleet_program();
    let text = summary::text(
        &summary::FleetSummary {
            command,
            program: &program,
            selected,
            waves,
            outcome,
            causes: &causes,
            slowest: &slowest,
        },
        cli_context.terminal.err,
    );
    match outcome.results.values().any(|result| result.outcome.is_failure()) {
        true => stream::err().line(&format!("\n{text}")),
        false => cli_context.say(&format!("\n{text}")),
    }
}

fn write_report(run: &RunArgs, report: &FleetReport<'_>) -> Result<(), Failure> {
    let format = run.report.or_else(|| ReportFormat::of_file(run.report_file.as_deref()?));
    let Some(format) = format else { return Ok(()) };
    let failed = |error: std::io::Error| {
        Failure::new(Exit::Failed, "write the report")
            .caused_by(&error)
            .hint("use a file in an existing, writable folder")
    };
    let text = report.text(format).map_err(failed)?;
    match &run.report_file {
        Some(path) => std::fs::write(path, text).map_err(failed),
        None => {
            stream::out().write(&text);
            Ok(())
        }
    }
}

/// Asks for consent to delete, unless --yes was given.
fn confirm(cli_context: &CliContext, fleet: &Fleet, selected: usize) -> Result<(), Failure> {
    if cli_context.global.yes {
        return Ok(());
    }
    if !cli_context.terminal.answers {
        return Err(Failure::new(Exit::Input, "ask for confirmation of the deletion")
            .cause("no terminal is available for the answer")
            .hint("confirm with --yes; nothing was changed"));
    }
    let all = crate::render::text::count(selected, "environment");
    stream::err().write(&format!(
        "Everything that landfall created in {all} of fleet {0} will be deleted. `landfall --environment NAME down` shows \
         the list of one.\nType the name of the fleet to continue ({0}).\nFleet: ",
        fleet.name
    ));
    let mut answer = String::new();
    let read = std::io::stdin().lock().read_line(&mut answer);
    match read.is_ok() && answer.trim() == fleet.name {
        true => Ok(()),
        false => Err(Failure::new(Exit::Input, "delete the environments").cause(format!(
            "the typed name \"{}\" is not the fleet {}; nothing was changed",
            answer.trim(),
            fleet.name
        ))),
    }
}

/// Returns the exit code of a run.
fn exit_of(outcome: &FleetOutcome) -> Exit {
    let failures = || outcome.results.values().filter(|result| result.outcome.is_failure());
    match failures().next() {
        _ if outcome.interrupted => Exit::Interrupted,
        None => Exit::Success,
        Some(_) if failures().all(|result| result.outcome == EnvironmentOutcome::Refused) => Exit::Refused,
        Some(_) => Exit::Failed,
    }
}

fn has_changes(outcome: &FleetOutcome) -> bool {
    outcome.results.values().any(|result| result.outcome == EnvironmentOutcome::Ready)
}
