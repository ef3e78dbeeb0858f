//! A command of a fleet from its arguments to its exit code.

use super::{
    amount::Amount,
    arguments::{RunArgs, SelectArgs},
    environment_run::Task,
    file::{self, Fleet, FleetInput},
    kubernetes::{
        self,
        management_cluster::{ManagementCluster, Platform},
        render::RenderOptions,
        rollout::Rollout,
        wave_run::KubernetesRun,
    },
    output, preflight,
    record::{History, Record, RecordedCommand},
    report::{self, FleetReport},
    runner::{FleetOutcome, FleetRun, Limits},
    state::FleetState,
    status,
    waves::{self, Wave},
};
use crate::{
    cli_context::CliContext,
    endpoint_consent,
    exit::Exit,
    failure::Failure,
    render::{
        fleet::{self as display, progress::FleetProgress, status as status_output},
        stream,
    },
    settings::{Mode, checks::endpoints::Consent, flags::SettingFlags},
    signals,
};
use landfall_engine::Stop;
use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};
use tokio::sync::{Mutex, mpsc};

/// A run as requested.
pub struct Requested {
    /// The task for each environment.
    pub task: Task,
    /// The arguments.
    pub run: RunArgs,
    /// The purpose of the settings.
    pub mode: Mode,
    /// True if an interrupted run is not continued.
    pub from_start: bool,
    /// True if changes that a plan finds have an exit code.
    pub detailed_exitcode: bool,
    /// Where the environments run; `None` for this process.
    pub on: Option<Platform>,
}

impl Requested {
    /// Returns a run that continues an interrupted one.
    pub fn new(task: Task, run: RunArgs, mode: Mode) -> Self {
        Self { task, run, mode, from_start: false, detailed_exitcode: false, on: None }
    }
}

/// Reads the fleet file, and asks once for each set of endpoints that landfall does not know.
pub fn load(cli_context: &CliContext, setting_flags: &SettingFlags, mode: Mode) -> Result<Fleet, Failure> {
    let mut fleet = file::load(&FleetInput {
        path: cli_context.global.config.as_deref(),
        flags: &setting_flags.flags(cli_context.global.cloud.as_deref()),
        environment: &cli_context.environment,
        state_dir: &cli_context.global.state_dir,
        mode,
    })
    .map_err(Failure::of_config_errors)?;
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
pub async fn select(
    fleet: &Fleet,
    args: &SelectArgs,
    command: &str,
    state: &FleetState,
) -> Result<Vec<usize>, Failure> {
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
        let history = History::read(&state.record(fleet)).await?;
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

/// Prints the state of every selected environment.
pub async fn print_status(cli_context: &CliContext, args: &SelectArgs) -> Result<Exit, Failure> {
    let fleet = load(cli_context, &args.setting_flags, Mode::Inspect)?;
    let state = FleetState::of(cli_context, &fleet).await?;
    let selected = select(&fleet, args, "status", &state).await?;
    let environments = status::read(&fleet, &selected, &state).await?;
    match cli_context.is_json() {
        true => stream::out().json(&status_output::document(&fleet.name, &environments)),
        false => {
            let (columns, style) = (cli_context.columns(), cli_context.terminal.out);
            stream::out().line(&status_output::text(&fleet.name, &environments, columns, style));
        }
    }
    Ok(Exit::Success)
}

/// The requirements of a run on Kubernetes, checked before anything is changed.
struct Pods {
    rollout: Rollout,
    cluster: ManagementCluster,
}

impl Pods {
    async fn prepare(
        cli_context: &CliContext,
        fleet: &Arc<Fleet>,
        task: &Task,
        run: &RunArgs,
        context: Option<&str>,
    ) -> Result<Self, Failure> {
        let arguments = listed_arguments(task, &run.select.setting_flags);
        let id: String = uuid::Uuid::new_v4().simple().to_string().chars().take(8).collect();
        let rollout = Rollout::new(cli_context, fleet, task.name(), arguments, &id)?;
        let context = context.or(fleet.kubernetes.context.as_deref());
        let cluster = ManagementCluster::connect(cli_context, &rollout.config, context).await?;
        Ok(Self { rollout, cluster })
    }
}

/// Prints the manifests of a run on Kubernetes. It sends no request, unless a selection needs the journals.
pub async fn render(
    cli_context: &CliContext,
    requested: &Requested,
    options: &RenderOptions,
) -> Result<Exit, Failure> {
    let Requested { task, run, mode, .. } = requested;
    let fleet = Arc::new(load(cli_context, &run.select.setting_flags, *mode)?);
    let state = match run.select.only_failed {
        true => FleetState::of(cli_context, &fleet).await?,
        // Nothing is read.
        false => FleetState::Folder,
    };
    let selected = select(&fleet, &run.select, task.name(), &state).await?;
    let waves = waves::waves(&fleet, |at| selected.binary_search(&at).is_ok());
    let arguments = listed_arguments(task, &run.select.setting_flags);
    kubernetes::render::run(cli_context, &fleet, &waves, &limits(&fleet, run, task), arguments, options)
}

/// Returns the command of a list: its flags, and the settings from flags that a pod has too.
fn listed_arguments(task: &Task, setting_flags: &SettingFlags) -> Vec<String> {
    const LOCAL: [&str; 2] = ["--kubeconfig", "--auth"];
    let flags = setting_flags.arguments();
    let kept = flags.chunks(2).filter(|pair| !LOCAL.contains(&pair[0].as_str()));
    task.arguments().into_iter().chain(kept.flatten().cloned()).collect()
}

fn limits(fleet: &Fleet, run: &RunArgs, task: &Task) -> Limits {
    Limits {
        parallel: run.jobs.map_or(fleet.parallel, |jobs| jobs as usize),
        parallel_per_subscription: fleet.parallel_per_subscription,
        max_failures: match task.has_waves() {
            true => run.max_failures.unwrap_or(fleet.max_failures),
            // What only reads or deletes goes on with the others, unless a limit is given.
            false => run.max_failures.unwrap_or(Amount::Percent(100.0)),
        },
    }
}

/// Runs a command for every selected environment, wave by wave, and reports the result.
pub async fn run(cli_context: CliContext, requested: Requested) -> Result<Exit, Failure> {
    let Requested { task, run, mode, from_start, detailed_exitcode, on } = requested;
    let command = task.name();
    output::check_report(&cli_context, &run)?;
    // The pods have the files that the settings name, this machine need not.
    let mode = if on.is_some() { Mode::Inspect } else { mode };
    let fleet = Arc::new(load(&cli_context, &run.select.setting_flags, mode)?);
    let platform = on.as_ref().map(ToString::to_string);
    let pods = match on {
        Some(Platform::Kubernetes(context)) => {
            Some(Pods::prepare(&cli_context, &fleet, &task, &run, context.as_deref()).await?)
        }
        None => None,
    };
    let state = FleetState::of(&cli_context, &fleet).await?;
    let selected = select(&fleet, &run.select, command, &state).await?;
    if selected.is_empty() {
        cli_context.say("Nothing to do: no environment failed, and each has run.");
        // The report of an earlier run would be taken for this one's.
        let outcome = FleetOutcome::default();
        let report = FleetReport { fleet: &fleet, command, waves: &[], outcome: &outcome };
        output::write_report(&run, &report)?;
        return Ok(Exit::Success);
    }
    let is_selected = |at: usize| selected.binary_search(&at).is_ok();
    let waves = match task.has_waves() {
        true => waves::waves(&fleet, is_selected),
        false => vec![Wave { name: "all".to_owned(), environments: selected.clone(), soak: Duration::ZERO }],
    };
    match &task {
        Task::Down(_) => output::confirm(&cli_context, &fleet, selected.len())?,
        Task::Up { up_options, .. } => {
            preflight::check(&cli_context, &fleet, &selected, &state, up_options).await?;
        }
        _ => {}
    }
    let limits = limits(&fleet, &run, &task);
    let (record, unfinished) = match task.changes() {
        true => {
            let run = pods.as_ref().map(|pods| pods.rollout.run.clone());
            let opened = RecordedCommand { run, ..FleetState::command(&cli_context, command, from_start) };
            let (record, history) = Record::open(&state.record(&fleet), opened).await?;
            (Some(record), history.unfinished)
        }
        false => (None, None),
    };
    let kubernetes = match pods {
        Some(Pods { rollout, cluster }) => {
            cluster.set_up(&rollout.config).await?;
            let earlier_runs = unfinished.as_ref().map(|run| run.runs.clone()).unwrap_or_default();
            Some(KubernetesRun { rollout, state, earlier_runs, cluster: Mutex::new(Arc::new(cluster)) })
        }
        None => None,
    };
    let all = report::count(&waves);
    cli_context.say(&output::heading(&cli_context, &fleet, command, all, unfinished.is_some()));
    let (events, seen) = mpsc::unbounded_channel();
    let (say, sentences) = mpsc::unbounded_channel();
    let stop = Stop::new();
    signals::listen(stop.clone(), say.clone());
    let began = SystemTime::now();
    let progress = || FleetProgress::new(fleet.clone(), waves.clone(), limits.parallel, began);
    let mut shown = output::display_of(&cli_context, &fleet, &waves, progress());
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
        kubernetes,
        say,
    };
    let (outcome, ()) = tokio::join!(fleet_run.run(), display::drive(&mut *shown, seen, sentences));
    let outcome = outcome?;
    drop(shown);
    output::print_outcome(&cli_context, &fleet, &waves, command, platform.as_deref(), &outcome);
    let report = FleetReport { fleet: &fleet, command, waves: &waves, outcome: &outcome };
    output::write_report(&run, &report)?;
    Ok(match output::exit_of(&outcome) {
        Exit::Success if detailed_exitcode && output::has_changes(&outcome) => Exit::Changes,
        exit => exit,
    })
}
