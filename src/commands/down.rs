//! `landfall down`: deletes what this environment owns, in reverse order, and nothing else.

use crate::{
    cli_context::CliContext,
    exit::{self, Exit},
    failure::Failure,
    render::{
        failed_run, json, progress_state::ProgressState, stream, teardown, teardown_preview::TeardownPreview,
    },
    run::{self, PreparedTeardown, RecordedTeardown, TeardownOptions},
    settings::{LoadedConfig, Mode, flags::SettingFlags},
    target::{Gateways, Target},
    teardown_guards as guards,
};
use landfall_engine::{Journal, JournalState, Outcome, Report, Stop};
use std::{io::BufRead, sync::Arc, time::SystemTime};

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
    fn options(&self) -> TeardownOptions {
        TeardownOptions {
            purge: self.purge,
            no_wait: self.no_wait,
            with_foreign: self.with_foreign,
            keep: self.keep.clone(),
            adopt: self.adopt,
        }
    }
}

/// Runs it.
pub async fn run(cli_context: &CliContext, args: &Args) -> Result<Exit, Failure> {
    let mut config = cli_context.load_config(&args.setting_flags, Mode::Inspect)?;
    args.journal.apply(cli_context, &config).await?;
    let options = args.options();
    if let RecordedTeardown::Nothing(why) = options.recorded(cli_context, &mut config).await? {
        cli_context.say(&format!("Nothing to delete: {why}."));
        return Ok(Exit::Success);
    }
    if !cli_context.global.yes && !cli_context.terminal.answers {
        return Err(Failure::new(Exit::Input, "ask for confirmation of the deletion")
            .cause("no terminal is available for the answer")
            .hint("confirm with --yes; nothing was changed"));
    }
    let (journal, target) = run::open(cli_context, &config, "down", Gateways::WithoutTraffic).await?;
    cli_context.say(&run::heading(cli_context, "down", &target));
    let result = preview_and_delete(cli_context, &options, &mut config, journal, &target).await;
    target.close().await;
    result
}

/// Surveys the resources, prints the preview, asks for consent, and deletes.
async fn preview_and_delete(
    cli_context: &CliContext,
    options: &TeardownOptions,
    config: &mut LoadedConfig,
    journal: Arc<Journal>,
    target: &Target,
) -> Result<Exit, Failure> {
    let Some(mut prepared) = options.prepare(config, &journal, target).await? else {
        cli_context.say("Nothing to delete: this environment has no resources.");
        return Ok(Exit::Success);
    };
    let preview = prepared.preview();
    if cli_context.is_json() {
        stream::out().json(&json::plan(SystemTime::now(), preview.json()));
    }
    match preview.steps().is_empty() {
        // Nothing is deleted, so there is no question; the run reports what is left.
        true => cli_context.say(&format!("{}\n", preview.text(cli_context.terminal.err))),
        false => confirm(cli_context, &preview, &config.settings.resource_group)?,
    }
    prepared.record(&journal)?;
    tear_down(cli_context, &prepared, journal, target).await
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
    prepared: &PreparedTeardown,
    journal: Arc<Journal>,
    target: &Target,
) -> Result<Exit, Failure> {
    let progress_state = ProgressState::reversed(owned(&journal.journal_state()));
    let report = run::displayed(cli_context, progress_state, target, &Stop::new(), async |control| {
        prepared.run(control, &journal, target).await
    })
    .await?;
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
