//! `landfall fleet one`: one environment of the list of a wave, as a pod of an Indexed Job runs it.
//!
//! The environment runs with the same code as in `fleet up`. The output is one JSON event a line; the exit code tells the
//! Job whether another attempt makes sense.

use super::{
    environment_run::Task,
    journal_facts::SummaryOf,
    kubernetes::wave_list::{ListedEnvironment, WaveList},
    result::{EnvironmentOutcome, EnvironmentResult, INVALID_INPUT, LOCKED},
};
use crate::{
    cli_context::CliContext,
    exit::Exit,
    failure::Failure,
    render::{
        Display,
        fleet::json::of_result,
        json::{Json, stamped},
        stream,
    },
    run::RunControl,
    settings::{LoadedConfig, Mode, flags::SettingFlags},
    signals, target,
};
use landfall_engine::{Stop, StopLevel};
use serde_json::{Value, json};
use std::{
    io,
    path::PathBuf,
    time::{Duration, SystemTime},
};
use tokio::{sync::mpsc, time::Instant};

/// The variable with the index of a pod.
const INDEX: &str = "JOB_COMPLETION_INDEX";
/// The longest wait for the lease of another run. That of a dead pod ends within a minute.
const LEASE_WAIT: Duration = Duration::from_secs(180);
/// The interval of attempts to get the lease.
const LEASE_POLL: Duration = Duration::from_secs(5);

/// The environment to run.
#[derive(clap::Args, Debug)]
pub struct OneArgs {
    /// The list of the wave, which `fleet render` writes
    #[arg(long, value_name = "FILE")]
    pub list: PathBuf,
    /// The index of the environment in the list, from 0 [env: JOB_COMPLETION_INDEX]
    #[arg(long, value_name = "N")]
    pub index: Option<usize>,
    /// The machine has no other users, as a container: who may write to the folders above the state folder is not checked
    #[arg(long)]
    pub in_container: bool,
}

/// What a list requests.
pub struct ListedTask {
    /// What is done.
    pub task: Task,
    /// The settings from flags.
    pub setting_flags: SettingFlags,
    /// The purpose of the settings.
    pub mode: Mode,
}

/// Runs one environment. A failure is also an event, for the reader of the pod's log.
pub async fn run(
    mut cli_context: CliContext,
    args: &OneArgs,
    listed_task: impl FnOnce(&[String]) -> Result<ListedTask, Failure>,
) -> Result<Exit, Failure> {
    let list = WaveList::read(&args.list)?;
    let index = index(&cli_context, args)?;
    let environment = list.environments.get(index).ok_or_else(|| {
        Failure::new(Exit::Input, format!("run environment {index} of the list"))
            .cause(format!("it has {} environments, counted from 0", list.environments.len()))
            .hint("use the list that the Job was made for")
    })?;
    cli_context.is_alone = args.in_container;
    cli_context.environment = cli_context.environment.clone().with(&list.variables);
    let cli_context = cli_context.for_environment(&environment.name);
    let prepared = listed_task(&list.arguments).and_then(|listed| {
        let flags = listed.setting_flags.flags(None);
        let config = list.config(
            environment,
            &args.list,
            &flags,
            &cli_context.environment,
            &cli_context.global.state_dir,
            listed.mode,
        );
        Ok((listed.task, config?))
    });
    let (result, failure) = match prepared {
        Ok((task, config)) => {
            let run = OneRun { cli_context: &cli_context, list: &list, environment, task };
            (run.run(config).await, None)
        }
        Err(failure) => (EnvironmentResult::of_failure(&failure), Some(failure)),
    };
    put("environment", of_result(&environment.name, &result));
    failure.map_or_else(|| Ok(exit_of(&result)), Err)
}

fn index(cli_context: &CliContext, args: &OneArgs) -> Result<usize, Failure> {
    let refused = || Failure::new(Exit::Input, "select the environment of the list");
    match (args.index, cli_context.environment.get(INDEX)) {
        (Some(index), _) => Ok(index),
        (None, Some(text)) => text.trim().parse().map_err(|_| {
            refused()
                .cause(format!("{INDEX} is \"{text}\""))
                .hint("set it to a number from 0, or use --index")
        }),
        (None, None) => Err(refused()
            .cause(format!("there is no --index, and {INDEX} is not set"))
            .hint("an Indexed Job sets it; elsewhere use --index N")),
    }
}

fn put(name: &str, fields: Value) {
    stream::out().json(&stamped(name, SystemTime::now(), fields));
}

/// Returns the exit code, by which the Job decides about another attempt.
fn exit_of(result: &EnvironmentResult) -> Exit {
    let code = result.error.as_ref().and_then(|error| error.code.as_deref());
    match (result.outcome, code) {
        (EnvironmentOutcome::Ready | EnvironmentOutcome::Unchanged, _) => Exit::Success,
        (EnvironmentOutcome::Refused, _) => Exit::Refused,
        (EnvironmentOutcome::Interrupted, _) => Exit::Interrupted,
        (EnvironmentOutcome::Failed, Some(LOCKED)) => Exit::Locked,
        (EnvironmentOutcome::Failed, Some(INVALID_INPUT)) => Exit::Input,
        (EnvironmentOutcome::Failed, _) => Exit::Failed,
    }
}

struct OneRun<'a> {
    cli_context: &'a CliContext,
    list: &'a WaveList,
    environment: &'a ListedEnvironment,
    task: Task,
}

impl OneRun<'_> {
    /// Runs the environment; waits for the lease of a dead pod.
    async fn run(&self, config: LoadedConfig) -> EnvironmentResult {
        let stop = Stop::new();
        let (say, mut sentences) = mpsc::unbounded_channel::<String>();
        signals::listen(stop.clone(), say);
        tokio::spawn(async move {
            while let Some(text) = sentences.recv().await {
                put("message", json!({ "text": text }));
            }
        });
        let until = Instant::now() + LEASE_WAIT;
        loop {
            let result = self.attempt(config.clone(), &stop).await;
            let is_locked = exit_of(&result) == Exit::Locked;
            if !is_locked || stop.level() >= StopLevel::Graceful || Instant::now() + LEASE_POLL >= until {
                return result;
            }
            let causes = result.error.map(|error| error.causes.join("; ")).unwrap_or_default();
            let text = format!("waiting for the lease of the journal: {causes}");
            put("message", json!({ "environment": self.environment.name, "text": text }));
            tokio::select! {
                () = stop.requested(StopLevel::Graceful) => {}
                () = tokio::time::sleep(LEASE_POLL) => {}
            }
        }
    }

    async fn attempt(&self, config: LoadedConfig, stop: &Stop) -> EnvironmentResult {
        let (events, mut seen) = mpsc::unbounded_channel();
        let cloud = target::name(config.place.cloud);
        let mut display = Json::of_environment(io::stdout(), cloud, &self.environment.name);
        let control = RunControl { stop: stop.clone(), events };
        let of = SummaryOf {
            command: self.task.name(),
            run: Some(self.list.run.clone()),
            settings: self.environment.digest.clone(),
        };
        let shown = async {
            while let Some(event) = seen.recv().await {
                display.show(&event);
            }
        };
        let run = self.task.run(self.cli_context, config, control, &of);
        tokio::join!(run, shown).0
    }
}
