//! `landfall doctor`: diagnoses the environment read-only, and reports the root cause.

use crate::{
    cli_context::CliContext,
    deployment::Deployment,
    exit::Exit,
    failure::{self, Failure},
    render::{doctor, stream},
    run::{self, Recorded},
    settings::{LoadedConfig, Mode, flags::SettingFlags},
    target::{Gateways, Target},
};
use landfall_diagnose::doctor::{Diagnosis, DoctorContext, DoctorTimeouts, FailedStep, diagnose};
use landfall_engine::{JournalState, StepInfo, StepStatus};
use landfall_steps::settings::Teardown;
use std::time::Duration;
use tokio::time::timeout;

/// The maximum time that a failed run spends on its diagnosis, in real time.
const DIAGNOSIS_MAX: Duration = Duration::from_secs(10);

/// What `doctor` takes.
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(flatten)]
    setting_flags: SettingFlags,
}

/// Runs it. The journal is read without its lock and not written: a concurrent run continues.
pub async fn run(cli_context: &CliContext, args: &Args) -> Result<Exit, Failure> {
    let config = cli_context.load_config(&args.setting_flags, Mode::Inspect)?;
    let (known, connection) = Recorded::read(cli_context, &config, Gateways::WithTraffic).await?.into_parts();
    if let Some((key, _)) = &known {
        run::same_journal(&config, key)?;
    }
    let subscription = known.as_ref().map(|(key, _)| key.subscription.clone());
    let journal_state = known.map(|(_, journal_state)| journal_state).unwrap_or_default();
    let (subscription, gateways) = (subscription.as_deref(), Gateways::WithTraffic);
    let target = Recorded::connect(connection, cli_context, &config, subscription, gateways).await?;
    let address_map = target.address_map().await;
    let found =
        run_diagnosis(&target, &config, &journal_state, Some(&address_map), DoctorTimeouts::default()).await;
    let (cloud, text) = (target.cloud, target.text.clone());
    target.close().await;
    let program = cli_context.program();
    let shown = doctor::DiagnosisView {
        diagnosis: &found,
        environment: &cli_context.global.environment,
        text: &text,
        program: &program,
    };
    match cli_context.is_json() {
        true => stream::out().json(&doctor::document(&shown, cloud)),
        false => stream::out().line(&doctor::text(&shown, cli_context.terminal.out)),
    }
    Ok(if found.is_clean() { Exit::Success } else { Exit::Failed })
}

/// Reads the created resources, under their recorded names.
async fn run_diagnosis(
    target: &Target,
    config: &LoadedConfig,
    journal_state: &JournalState,
    address_map: Option<&landfall_cloud::AddressMap>,
    timeouts: DoctorTimeouts,
) -> Diagnosis {
    let deployment = Deployment::new(&target.clients, &config.settings, Teardown::default());
    let settings = deployment.resources().with_recorded_names(&config.settings, journal_state);
    let (clients, now) = (&target.clients, target.clients.clock().now());
    let environment = &landfall_steps::description(clients, &settings, journal_state);
    let failed = &failed_steps(&deployment, journal_state);
    diagnose(&DoctorContext { clients, environment, address_map, timeouts, now, failed }).await
}

/// Returns the steps whose last attempt failed, in the order of the graph.
fn failed_steps(deployment: &Deployment, journal_state: &JournalState) -> Vec<FailedStep> {
    let failed = |step: StepInfo| {
        let state = journal_state.step_state(step.id).filter(|state| state.state == StepStatus::Failed)?;
        let error = state.error.as_ref()?;
        Some(FailedStep {
            step: step.id.to_owned(),
            message: error.message.clone(),
            code: error.code.clone(),
            causes: error.causes.clone(),
            hint: failure::hint(error),
        })
    };
    deployment.graph.steps().into_iter().filter_map(failed).collect()
}

/// Returns the root cause of a failed run's errors. The gateways are not queried: the failure precedes them.
pub async fn root_cause_note(
    target: &Target,
    config: &LoadedConfig,
    journal_state: &JournalState,
) -> Option<Diagnosis> {
    let timeouts = DoctorTimeouts { cloud: DIAGNOSIS_MAX, external: DIAGNOSIS_MAX };
    timeout(DIAGNOSIS_MAX, run_diagnosis(target, config, journal_state, None, timeouts)).await.ok()
}
