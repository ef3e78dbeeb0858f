//! `landfall up`: brings the environment to ready, or resumes after the last run.

use crate::{
    cli_context::CliContext,
    exit::Exit,
    failure::Failure,
    render::summary,
    run::{self, AcceptJournal, RunOutput, RunResult},
    settings::{Mode, flags::SettingFlags},
    target::Gateways,
    up_options::UpOptions,
};
use jiff::Timestamp;
use landfall_steps::preflight;

/// Returns the output of `up`.
fn output(cli_context: &CliContext) -> RunOutput<'_> {
    let program = cli_context.program();
    let again = format!("{program} up");
    let text = move |result: &RunResult<'_>| {
        let output_context = summary::OutputContext {
            program: &program,
            caution: result.target.caution,
            takes_time: !result.target.time_scale.is_instant(),
            address_map: result.address_map,
            now: Timestamp::now(),
        };
        let facts = result.deployment.facts(result.journal_state);
        summary::text(
            &facts,
            result.report,
            result.target.requests(),
            output_context,
            cli_context.terminal.err,
        )
    };
    RunOutput { again, text: Box::new(text), field: Box::new(run::verified) }
}

/// What `up` takes.
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(flatten)]
    up_options: UpOptions,
    /// Verify from outside when everything is ready, as `verify` does
    #[arg(long)]
    verify: bool,
    #[command(flatten)]
    journal: AcceptJournal,
    #[command(flatten)]
    setting_flags: SettingFlags,
}

/// Runs it.
pub async fn run(cli_context: &CliContext, args: &Args) -> Result<Exit, Failure> {
    let mut config = cli_context.load_config(&args.setting_flags, Mode::Apply)?;
    args.journal.apply(cli_context, &config).await?;
    args.up_options.apply(&mut config.settings)?;
    let (journal, target) = run::open(cli_context, &config, "up", gateways(args)).await?;
    cli_context.say(&run::heading(cli_context, "up", &target));
    run::warn_about_chain(cli_context, &config.settings);
    if let Some(warning) = preflight::readable_kubeconfig_warning(&config.settings.kubeconfig) {
        cli_context.warn(&format!("{warning}."));
    }
    let journal_state = journal.journal_state();
    let prepared = match run::same_environment(cli_context, &config, &journal_state, &target) {
        Ok(()) => run::resolve_identity(&mut config, &journal_state, &target).await,
        refused => refused,
    };
    let result = match prepared {
        Ok(()) => {
            let run_output = output(cli_context);
            run::run_steps(cli_context, &config, journal, &target, &run_output, args.verify).await
        }
        Err(refused) => Err(refused),
    };
    target.close().await;
    result
}

/// A verification sends requests to the gateways.
fn gateways(args: &Args) -> Gateways {
    if args.verify { Gateways::WithTraffic } else { Gateways::WithoutTraffic }
}
