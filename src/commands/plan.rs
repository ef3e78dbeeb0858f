//! `landfall plan`: runs the same checks as `up`, read-only, and prints what `up` would do.

use crate::{
    cli_context::{CliContext, command_line},
    deployment::Deployment,
    exit::{self, Exit},
    failure::Failure,
    render::{plan, stream},
    run::{self, Recorded},
    settings::{LoadedConfig, Mode, flags::SettingFlags},
    target::{Gateways, Target},
    up_options::UpOptions,
};
use jiff::Timestamp;
use landfall_engine::{JournalState, Plan, PlanContext, Stop, TimeScale};
use landfall_steps::{CertificateSummary, settings::Teardown};
use std::sync::Arc;

/// What `plan` takes.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Exit with 10 if there are changes, with 0 if there are none
    #[arg(long)]
    detailed_exitcode: bool,
    #[command(flatten)]
    up_options: UpOptions,
    #[command(flatten)]
    setting_flags: SettingFlags,
}

/// Runs it. The journal is read without its lock and not written: a concurrent run continues.
pub async fn run(cli_context: &CliContext, args: &Args) -> Result<Exit, Failure> {
    let mut config = cli_context.load_config(&args.setting_flags, Mode::Apply)?;
    args.up_options.apply(&mut config.settings)?;
    let computed = compute(cli_context, &mut config).await?;
    let ComputedPlan { plan: planned, certificate, text, cloud, time_scale, requests } = computed;
    let (environment, program) = (cli_context.global.environment.as_str(), cli_context.program());
    let flags = [args.up_options.arguments(), args.setting_flags.arguments()].concat();
    let flags = command_line(&flags);
    let certificate = certificate.as_ref();
    let now = Timestamp::now();
    let shown = plan::PlanView {
        plan: &planned,
        environment,
        text: &text,
        program: &program,
        flags: &flags,
        time_scale,
        requests,
        certificate,
        now,
    };
    match cli_context.is_json() {
        true => stream::out().json(&plan::document(&shown, cloud)),
        false => stream::out().line(&plan::text(&shown, cli_context.terminal.out)),
    }
    Ok(match exit_of(&planned) {
        Exit::Changes if !args.detailed_exitcode => Exit::Success,
        exit => exit,
    })
}

/// Returns the exit code of a plan whose changes have one.
pub fn exit_of(plan: &Plan) -> Exit {
    let errors = plan.steps.iter().filter_map(|step| step.error.as_ref());
    let exits: Vec<Exit> = errors.map(|error| exit::of_kind(error.kind)).collect();
    match plan.is_empty() {
        // As for `up`: the cloud would refuse, and only a person can change that.
        _ if exits.contains(&Exit::Refused) => Exit::Refused,
        _ if !exits.is_empty() && exits.iter().all(|exit| *exit == Exit::Input) => Exit::Input,
        true => Exit::Success,
        false => Exit::Changes,
    }
}

/// A plan, with what its display needs.
pub struct ComputedPlan {
    /// The plan.
    pub plan: Plan,
    /// The recorded certificate.
    pub certificate: Option<CertificateSummary>,
    /// The target as display text.
    pub text: String,
    /// The cloud.
    pub cloud: &'static str,
    /// The time scale of the cloud.
    pub time_scale: TimeScale,
    /// The number of requests.
    pub requests: u64,
}

/// Computes the plan of an environment. The journal is read without its lock and not written.
pub async fn compute(cli_context: &CliContext, config: &mut LoadedConfig) -> Result<ComputedPlan, Failure> {
    let (known, connection) =
        Recorded::read(cli_context, config, Gateways::WithoutTraffic).await?.into_parts();
    if let Some((key, _)) = &known {
        run::same_journal(config, key)?;
    }
    let subscription = known.as_ref().map(|(key, _)| key.subscription.clone());
    let journal_state = known.map(|(_, journal_state)| journal_state).unwrap_or_default();
    let (subscription, gateways) = (subscription.as_deref(), Gateways::WithoutTraffic);
    let target = Recorded::connect(connection, cli_context, config, subscription, gateways).await?;
    run::warn_about_chain(cli_context, &config.settings);
    run::warn_about_clock(cli_context, &journal_state);
    let planned = compute_plan(cli_context, config, journal_state, &target).await;
    let text = target.text.clone();
    let (cloud, time_scale, requests) = (target.cloud, target.time_scale, target.requests());
    target.close().await;
    let (plan, certificate) = planned?;
    Ok(ComputedPlan { plan, certificate, text, cloud, time_scale, requests })
}

async fn compute_plan(
    cli_context: &CliContext,
    config: &mut LoadedConfig,
    journal_state: JournalState,
    target: &Target,
) -> Result<(Plan, Option<CertificateSummary>), Failure> {
    run::same_environment(cli_context, config, &journal_state, target)?;
    run::resolve_identity(config, &journal_state, target).await?;
    let deployment = Deployment::new(&target.clients, &config.settings, Teardown::default());
    let certificate = deployment.facts(&journal_state).certificate;
    let plan_context = PlanContext {
        journal_state: Arc::new(journal_state),
        time_scale: target.time_scale,
        stop: Stop::new(),
    };
    Ok((landfall_engine::plan(&deployment.graph, &plan_context).await, certificate))
}
