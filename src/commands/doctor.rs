//! `landfall doctor`: diagnoses the environment read-only, and reports the root cause.

use crate::{
    deployment::Deployment,
    exit::Exit,
    failure::Failure,
    render::{doctor, stream},
    session::Session,
    settings::{Purpose, Wished, flags::Wishes},
    target::{self, Gateways, Target},
};
use jiff::Timestamp;
use landfall_diagnose::doctor::{Bounds, Diagnosis, Patient, diagnose};
use landfall_engine::{Journal, Memory};
use landfall_steps::settings::Teardown;
use std::time::Duration;
use tokio::time::timeout;

/// The maximum time that a failed run spends on its diagnosis, in real time.
const AFTERWORD_MAX: Duration = Duration::from_secs(10);

/// What `doctor` takes.
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(flatten)]
    wishes: Wishes,
}

/// Runs it. The journal is read without its lock and not written: a concurrent run continues.
pub async fn run(session: &Session, args: &Args) -> Result<Exit, Failure> {
    let wished = session.wished(&args.wishes, Purpose::Remember)?;
    let known = Journal::read(&wished.folder).map_err(|error| Failure::of_journal(&error))?;
    if let Some((key, _)) = &known {
        super::up::same_journal(&wished, key)?;
    }
    let subscription = known.as_ref().map(|(key, _)| key.subscription.clone());
    let memory = known.map(|(_, memory)| memory).unwrap_or_default();
    let (allowed, environment) = (session.allowed(&wished.place)?, &session.environment);
    let target =
        target::connect(allowed, environment, &wished.folder, subscription.as_deref(), Gateways::Answer)
            .await?;
    let ways = target.ways().await;
    let found = look(&target, &wished, &memory, Some(&ways), Bounds::default()).await;
    let (cloud, words) = (target.cloud, target.words.clone());
    target.close().await;
    let program = session.program();
    let shown = doctor::Shown {
        diagnosis: &found,
        environment: &session.global.environment,
        words: &words,
        program: &program,
    };
    match session.is_json() {
        true => stream::out().json(&doctor::document(&shown, cloud)),
        false => stream::out().line(&doctor::text(&shown, session.terminal.out)),
    }
    Ok(if found.findings.is_empty() { Exit::Well } else { Exit::Failed })
}

/// Reads the created resources, under their recorded names.
async fn look(
    target: &Target,
    wished: &Wished,
    memory: &Memory,
    ways: Option<&landfall_cloud::Ways>,
    bounds: Bounds,
) -> Diagnosis {
    let deployment = Deployment::new(&target.clouds, &wished.settings, Teardown::default());
    let settings = deployment.resources().as_made(&wished.settings, memory);
    let (clouds, now) = (&target.clouds, Timestamp::now());
    let environment = &landfall_steps::description(&settings, memory, clouds.azure.id());
    diagnose(&Patient { clouds, environment, ways, bounds, now }).await
}

/// Returns the root cause of a failed run's errors. The gateways are not queried: the failure precedes them.
pub async fn afterword(target: &Target, wished: &Wished, memory: &Memory) -> Option<Diagnosis> {
    let bounds = Bounds { cloud: AFTERWORD_MAX, outside: AFTERWORD_MAX };
    timeout(AFTERWORD_MAX, look(target, wished, memory, None, bounds)).await.ok()
}
