//! `landfall down`: deletes what this environment owns, in reverse order, and nothing else.

use crate::{
    cli_context::CliContext,
    deployment::Deployment,
    exit::{self, Exit},
    failure::Failure,
    render::{
        self, failed_run, json, progress_state::ProgressState, stream, teardown,
        teardown_preview::TeardownPreview,
    },
    run::{self, Recorded},
    settings::{LoadedConfig, Mode, flags::SettingFlags},
    signals,
    target::{Gateways, Target},
    teardown_guards as guards,
};
use landfall_engine::{Entry, Journal, JournalState, Outcome, Report, Run, StepInfo, Stop};
use landfall_steps::{TeardownInventory, settings::Teardown};
use std::{cmp::Reverse, io::BufRead, sync::Arc, time::SystemTime};
use tokio::sync::mpsc;

/// What `down` takes.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Also purge the vault, so that nothing in it can be recovered
    #[arg(long)]
    purge: bool,
    /// Start the long deletions and return; the next down waits for them
    #[arg(long)]
    no_wait: bool,
    /// Keep the resource of a step and all its dependencies; may be repeated
    #[arg(long, value_name = "STEP")]
    keep: Vec<String>,
    /// Also delete the resources that landfall only found
    #[arg(long)]
    adopt: bool,
    /// Delete a cluster that landfall created even if it contains foreign objects, also when it cannot be examined
    #[arg(long = "with-strangers")]
    with_foreign: bool,
    #[command(flatten)]
    journal: run::AcceptJournal,
    #[command(flatten)]
    setting_flags: SettingFlags,
}

impl Args {
    fn teardown(&self) -> Teardown {
        Teardown { purge: self.purge, no_wait: self.no_wait, with_foreign: self.with_foreign }
    }
}

/// Runs it.
pub async fn run(cli_context: &CliContext, args: &Args) -> Result<Exit, Failure> {
    let mut config = cli_context.load_config(&args.setting_flags, Mode::Inspect)?;
    args.journal.apply(cli_context, &config)?;
    let nothing = |why: &str| {
        cli_context.say(&format!("Nothing to delete: {why}."));
        Ok(Exit::Success)
    };
    let known_journal =
        Recorded::read(cli_context, &config, Gateways::WithoutTraffic).await?.into_state().await;
    if known_journal.is_none() && !args.adopt {
        return nothing("this environment has no journal");
    }
    if let Some((key, _)) = &known_journal {
        run::same_journal(&config, key)?;
    }
    let subscription = known_journal.as_ref().map(|(key, _)| key.subscription.as_str()).unwrap_or_default();
    let offline = Deployment::offline(subscription, &config.settings)?;
    if let Some((_, journal_state)) = &known_journal {
        // The recorded names decide what is deleted, whatever the current settings are.
        config.settings = offline.resources().with_recorded_names(&config.settings, journal_state);
    }
    known(&args.keep, &offline.graph.steps())?;
    let journal_state = known_journal.map(|(_, journal_state)| journal_state).unwrap_or_default();
    if !owns_anything(&offline, &journal_state) && !args.adopt {
        return nothing("landfall created nothing here");
    }
    if !cli_context.global.yes && !cli_context.terminal.answers {
        return Err(Failure::new(Exit::Input, "ask for confirmation of the deletion")
            .cause("no terminal is available for the answer")
            .hint("confirm with --yes; nothing was changed"));
    }
    let (journal, target) = run::open(cli_context, &config, "down", Gateways::WithoutTraffic).await?;
    cli_context.say(&run::heading(cli_context, "down", &target));
    let journal_state = journal.journal_state();
    let prepared = match args.adopt {
        // What was found is deleted in the form that it has.
        true => run::resolve_identity(&mut config, &journal_state, &target).await,
        false => Ok(()),
    };
    let result = match prepared {
        Ok(()) => preview_and_delete(cli_context, args, &config, journal, &target).await,
        Err(refused) => Err(refused),
    };
    target.close().await;
    result
}

fn owns_anything(deployment: &Deployment, journal_state: &JournalState) -> bool {
    journal_state
        .0
        .iter()
        .any(|(step, step_state)| step_state.owned && deployment.resources().is_deletable(step))
}

/// Refuses to keep the resource of an unknown step.
fn known(kept: &[String], steps: &[StepInfo]) -> Result<(), Failure> {
    let unknown = kept.iter().find(|step| !steps.iter().any(|known| known.id == step.as_str()));
    let Some(unknown) = unknown else { return Ok(()) };
    let ids: Vec<&str> = steps.iter().map(|step| step.id).collect();
    Err(Failure::new(Exit::Input, format!("keep {unknown}"))
        .cause("there is no such step; nothing was changed")
        .hint(format!("the steps are {}", ids.join(", "))))
}

/// Surveys the resources, prints the preview, asks for consent, and deletes.
async fn preview_and_delete(
    cli_context: &CliContext,
    args: &Args,
    config: &LoadedConfig,
    journal: Arc<Journal>,
    target: &Target,
) -> Result<Exit, Failure> {
    let settings = &config.settings;
    let mut deployment = Deployment::new(&target.clients, settings, args.teardown());
    for step in &args.keep {
        deployment.keep(step, "kept by --keep");
    }
    let mut journal_state = journal.journal_state();
    let kept = |deployment: &Deployment, step: &str| deployment.graph.kept().contains_key(step);
    let found = match args.adopt {
        true => {
            guards::found(&deployment, target, &mut journal_state, |step| kept(&deployment, step)).await?
        }
        false => Vec::new(),
    };
    let mut to_adopt = if args.adopt { deployment.resources().adoptable(&journal_state) } else { Vec::new() };
    to_adopt.retain(|step| !kept(&deployment, step));
    if !owns_anything(&deployment, &journal_state) && to_adopt.is_empty() {
        cli_context.say("Nothing to delete: this environment has no resources.");
        return Ok(Exit::Success);
    }
    let adopted: Vec<String> = to_adopt
        .iter()
        .filter(|step| !journal_state.step_state(step).is_some_and(|step_state| step_state.owned))
        .cloned()
        .collect();
    for step in &to_adopt {
        journal_state.apply("", &Entry::Adopted { step: step.clone() });
    }
    let is_deleted = |deployment: &Deployment, step: &str| {
        journal_state.step_state(step).is_some_and(|step_state| step_state.owned) && !kept(deployment, step)
    };
    let preview: Vec<&str> =
        journal_state.0.keys().map(String::as_str).filter(|step| is_deleted(&deployment, step)).collect();
    let resources = deployment.resources();
    let mut preconditions =
        landfall_steps::preconditions(&target.clients, settings, resources, &journal_state, &preview).await;
    guards::keep(&mut deployment, &mut preconditions, args.with_foreign, is_deleted);
    let steps = deployment.graph.steps();
    let preview = TeardownPreview {
        resources: deployment.resources(),
        steps: &steps,
        journal_state: &journal_state,
        adopted: &adopted,
        kept: deployment
            .graph
            .kept()
            .iter()
            .map(|(step, why)| ((*step).to_owned(), (*why).to_owned()))
            .collect(),
        preconditions: &preconditions,
        owned: TeardownInventory::default(),
        adopted_resources: TeardownInventory::default(),
        purge: args.purge,
    };
    let preview = preview.with_inventories();
    if cli_context.is_json() {
        stream::out().json(&json::plan(SystemTime::now(), preview.json()));
    }
    match preview.steps().is_empty() {
        // Nothing is deleted, so there is no question; the run reports what is left.
        true => cli_context.say(&format!("{}\n", preview.text(cli_context.terminal.err))),
        false => confirm(cli_context, &preview, &settings.resource_group)?,
    }
    for entry in found {
        journal.append(entry).map_err(|error| Failure::of_journal_write(&error))?;
    }
    for step in to_adopt {
        journal.append(Entry::Adopted { step }).map_err(|error| Failure::of_journal_write(&error))?;
    }
    tear_down(cli_context, deployment, journal, target).await
}

/// Prints the preview, refuses if something is locked, and asks for consent unless --yes was given.
fn confirm(cli_context: &CliContext, preview: &TeardownPreview<'_>, group: &str) -> Result<(), Failure> {
    let plan = preview.text(cli_context.terminal.err);
    if let Some(refused) = guards::refused(preview) {
        cli_context.say(&format!("{plan}\n"));
        return Err(refused);
    }
    if cli_context.global.yes {
        cli_context.say(&format!("{plan}\n"));
        return Ok(());
    }
    stream::err().write(&format!(
        "{plan}\n\nType the name of the resource group to continue ({group}).\nResource group: "
    ));
    let mut answer = String::new();
    let read = std::io::stdin().lock().read_line(&mut answer);
    match (read.is_ok(), answer.trim()) {
        (true, name) if name == group => Ok(()),
        (_, name) => Err(Failure::new(Exit::Input, "delete the environment").cause(format!(
            "the typed name \"{name}\" is not the resource group {group}; nothing was changed"
        ))),
    }
}

fn owned(journal_state: &JournalState) -> Vec<String> {
    journal_state.0.iter().filter(|(_, step_state)| step_state.owned).map(|(step, _)| step.clone()).collect()
}

async fn tear_down(
    cli_context: &CliContext,
    deployment: Deployment,
    journal: Arc<Journal>,
    target: &Target,
) -> Result<Exit, Failure> {
    let progress_state = ProgressState::reversed(owned(&journal.journal_state()));
    let time_scale = target.time_scale;
    let (events, seen) = mpsc::unbounded_channel();
    let (say, sentences) = mpsc::unbounded_channel();
    let run = Run { journal: journal.clone(), time_scale, stop: Stop::new(), events };
    signals::listen(run.stop.clone(), say);
    let mut display = cli_context.display(progress_state, target.cloud, time_scale);
    let running = async {
        let report = landfall_engine::down(&deployment.graph, &run).await;
        // The display ends when the last sender is dropped.
        drop(run);
        report
    };
    let (report, ()) = tokio::join!(running, render::drive(&mut *display, seen, sentences));
    let mut report = report.map_err(|error| Failure::of_journal_write(&error))?;
    // The order is that of the graph, whichever step finished first.
    let steps = deployment.graph.steps();
    let place = |step: &str| Reverse(steps.iter().position(|known| known.id == step));
    report.undone.sort_by_key(|(step, _)| place(step));
    print_report(
        cli_context,
        &report,
        target.requests(),
        failed_run::has_operations_in_flight(&journal.journal_state()),
    );
    Ok(exit::of_report(&report))
}

fn print_report(cli_context: &CliContext, report: &Report, requests: u64, has_operations_in_flight: bool) {
    if cli_context.is_json() {
        stream::out().json(&json::farewell(SystemTime::now(), report, requests));
    }
    let style = cli_context.terminal.err;
    if report.outcome == Outcome::Ready {
        let again = format!("{} down", cli_context.program());
        cli_context.say(&format!("\n{}", teardown::text(report, requests, &again, style)));
        return;
    }
    let mut failure = failed_run::errors(report, style);
    // No steps: a failed deletion blocks its dependencies, and each of those has been reported.
    failure.push(failed_run::next_steps(
        report,
        &[],
        &format!("{} down", cli_context.program()),
        has_operations_in_flight,
    ));
    stream::err().line(&format!("\n{}", failure.join("\n\n")));
}
