//! `landfall rotate`: replaces the served certificate.

use crate::{
    cli_context::CliContext,
    deployment::Deployment,
    exit::Exit,
    failure::Failure,
    render::rotation,
    run::{self, Recorded, RunOutput, RunResult},
    settings::{LoadedConfig, Mode, flags::SettingFlags},
    target::Gateways,
};
use jiff::Timestamp;
use landfall_engine::JournalState;
use landfall_steps::settings::{Renewal, Teardown};

/// What `rotate` takes.
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(flatten)]
    journal: run::AcceptJournal,
    #[command(flatten)]
    setting_flags: SettingFlags,
}

/// Runs it.
pub async fn run(cli_context: &CliContext, args: &Args) -> Result<Exit, Failure> {
    let mut config = cli_context.load_config(&args.setting_flags, Mode::Apply)?;
    args.journal.apply(cli_context, &config).await?;
    let Some((key, journal_state)) =
        Recorded::read(cli_context, &config, Gateways::WithoutTraffic).await?.into_state().await
    else {
        return Err(nothing_to_rotate(cli_context));
    };
    if !Deployment::offline(&key.subscription, &config.settings)?.has_certificate(&journal_state) {
        return Err(nothing_to_rotate(cli_context));
    }
    let (journal, target) = run::open(cli_context, &config, "rotate", Gateways::WithoutTraffic).await?;
    cli_context.say(&run::heading(cli_context, "rotate", &target));
    run::warn_about_chain(cli_context, &config.settings);
    let deployment = Deployment::new(&target.clients, &config.settings, Teardown::default());
    let result = match may_rotate(cli_context, &deployment, &config, &journal.journal_state()) {
        Ok(renewal) => {
            config.settings.certificate.renewal = renewal;
            let journal_state = journal.journal_state();
            let prepared = match run::same_environment(cli_context, &config, &journal_state, &target) {
                Ok(()) => run::resolve_identity(&mut config, &journal_state, &target).await,
                refused => refused,
            };
            let run_output = run_output(cli_context, &config);
            match prepared {
                Ok(()) => run::run_steps(cli_context, &config, journal, &target, &run_output, false).await,
                Err(refused) => Err(refused),
            }
        }
        Err(refused) => Err(refused),
    };
    target.close().await;
    result
}

fn nothing_to_rotate(cli_context: &CliContext) -> Failure {
    Failure::new(Exit::Input, "rotate the certificate")
        .cause(format!(
            "there is nothing to rotate: environment {} has no certificate",
            cli_context.global.environment
        ))
        .hint(format!("create the environment first: {} up", cli_context.program()))
}

/// Returns the renewal of this run; `None` if an earlier rotation is unfinished, which this run resumes.
fn may_rotate(
    cli_context: &CliContext,
    deployment: &Deployment,
    config: &LoadedConfig,
    journal_state: &JournalState,
) -> Result<Option<Renewal>, Failure> {
    if deployment.unfinished_rotation(journal_state).is_some() {
        cli_context.say("An earlier rotation is not complete; it is resumed.\n");
        return Ok(None);
    }
    // An ACME server issues a new one, whatever the old one was.
    let given = config.settings.certificate.given.is_some() || config.settings.certificate.acme.is_some();
    let held =
        deployment.certificate(journal_state).filter(|held| !held.is_renewable_for(&config.settings.domain));
    match held.filter(|_| !given && !deployment.is_import_begun(journal_state)) {
        None => Ok(Some(Renewal::Now)),
        Some(held) => Err(Failure::new(Exit::Input, "rotate the certificate")
            .cause(format!(
                "{} comes from a PFX file: landfall renews only self-signed certificates of its \
                            own",
                held.name
            ))
            .hint(format!(
                "pass the new certificate as a PFX file: {} rotate --pfx FILE",
                cli_context.program()
            ))),
    }
}

fn run_output<'a>(cli_context: &'a CliContext, config: &LoadedConfig) -> RunOutput<'a> {
    let given = config.settings.certificate.given.is_some();
    let program = cli_context.program();
    let text = move |result: &RunResult<'_>| {
        let rotation = result.deployment.rotation(result.before, result.journal_state);
        let shown = rotation::RotationView {
            facts: &result.deployment.facts(result.journal_state),
            report: result.report,
            requests: result.target.requests(),
            given,
            program: &program,
            now: Timestamp::now(),
        };
        rotation
            .map(|rotation| rotation::text(&rotation, &shown, cli_context.terminal.err))
            .unwrap_or_default()
    };
    let field = |result: &RunResult<'_>| {
        let rotation = result.deployment.rotation(result.before, result.journal_state)?;
        Some(("rotation", rotation::document(&rotation)))
    };
    let again = format!("{} rotate", cli_context.program());
    RunOutput { again, text: Box::new(text), field: Box::new(field) }
}
