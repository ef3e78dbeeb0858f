//! `landfall verify`: checks the served behavior from outside, against the gateways' addresses.

use super::up;
use crate::{
    deployment::Deployment,
    exit::{self, Exit},
    failure::Failure,
    render::{stream, verify},
    session::Session,
    settings::{Purpose, flags::Wishes},
    target::{self, Gateways, Target},
};
use landfall_diagnose::verify::{Bounds, ReadError, ReadFailure, Verdict, Verification};
use landfall_engine::{Journal, Kind, Memory, Residue, StepError};
use landfall_steps::settings::Settings;
use std::{
    path::{Path, PathBuf},
    time::Duration,
};

/// What `verify` takes.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Write a JUnit report as well
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// How long to retry a failed check: changes reach the gateways with a delay
    #[arg(long, value_name = "SECONDS", default_value_t = Bounds::default().patience.as_secs())]
    patience: u64,
    #[command(flatten)]
    wishes: Wishes,
}

/// Runs it. The journal is read without its lock and not written.
pub async fn run(session: &Session, args: &Args) -> Result<Exit, Failure> {
    let mut wished = session.wished(&args.wishes, Purpose::Remember)?;
    let known = Journal::read(&wished.folder).map_err(|error| Failure::of_journal(&error))?;
    let Some((key, memory)) = known else { return Err(nothing_made(session)) };
    up::same_journal(&wished, &key)?;
    let deployment = Deployment::offline(&key.subscription, &wished.settings)?;
    if !deployment.has_cluster(&memory) {
        return Err(nothing_made(session));
    }
    wished.settings = deployment.resources().as_made(&wished.settings, &memory);
    let subscription = Some(key.subscription.as_str());
    let allowed = session.allowed(&wished.place)?;
    let target =
        target::connect(allowed, &session.environment, &wished.folder, subscription, Gateways::Answer)
            .await?;
    session.say(&up::heading(session, "verify", &target));
    let bounds = Bounds { patience: Duration::from_secs(args.patience), ..Bounds::default() };
    let proved = prove(session, &wished.settings, &memory, &target, bounds).await;
    let cloud = target.cloud;
    target.close().await;
    let verdict = proved?;
    match session.is_json() {
        true => stream::out().json(&verify::document(&verdict, &session.global.environment, cloud)),
        false => stream::out().line(&verify::text(&verdict, &session.program(), session.terminal.out)),
    }
    if let Some(path) = &args.junit {
        report(&verdict, &session.global.environment, path)?;
    }
    Ok(exit_of(&verdict))
}

/// Checks everything that the settings promise.
pub async fn prove(
    session: &Session,
    settings: &Settings,
    memory: &Memory,
    target: &Target,
    bounds: Bounds,
) -> Result<Verdict, Failure> {
    let clouds = &target.clouds;
    let environment = landfall_steps::description(settings, memory, clouds.azure.id());
    let verification = Verification::new(clouds, &environment, bounds);
    let verification = verification.ok_or_else(|| nothing_made(session))?;
    let tell = |pending: &[_], since| session.say(&verify::waiting(pending, since));
    verification.run(async || target.ways().await, &tell).await.map_err(unread)
}

/// Returns the exit code of a verification.
pub fn exit_of(verdict: &Verdict) -> Exit {
    if verdict.holds() { Exit::Well } else { Exit::Failed }
}

/// Converts the error of a read-only query, which leaves nothing behind.
fn unread(error: ReadError) -> Failure {
    let failed = |what| StepError::new(Kind::Failed, what).residue(Residue::Nothing);
    let error = match &error.why {
        ReadFailure::Api(api) => landfall_steps::step_error(error.what, api),
        ReadFailure::CertificateMissing => failed(error.what)
            .cause("it no longer exists")
            .hint("run landfall up: it imports one into the vault"),
        ReadFailure::Unreadable(certificate) => failed(error.what).caused_by(certificate),
    };
    let failure = Failure::new(exit::of_kind(error.kind), error.message.clone());
    let failure = error.causes.iter().fold(failure, |failure, cause| failure.cause(cause));
    failure.hint(crate::failure::hint(&error))
}

fn nothing_made(session: &Session) -> Failure {
    let environment = &session.global.environment;
    Failure::new(Exit::Input, format!("verify environment {environment}"))
        .cause("no gateway is created yet")
        .hint(format!("create the environment first: {} up", session.program()))
}

fn report(verdict: &Verdict, environment: &str, path: &Path) -> Result<(), Failure> {
    let written = verify::junit(verdict, environment).and_then(|text| std::fs::write(path, text));
    written.map_err(|error| {
        Failure::new(Exit::Failed, format!("write the report {}", path.display()))
            .caused_by(&error)
            .hint("use a file in an existing, writable folder")
    })
}
