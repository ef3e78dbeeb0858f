//! `landfall plan`: runs the same checks as `up`, read-only, and prints what `up` would do.

use super::up;
use crate::{
    deployment::Deployment,
    exit::{self, Exit},
    extent::Extent,
    failure::Failure,
    render::{plan, stream},
    session::{Session, command_line},
    settings::{Purpose, Wished, flags::Wishes},
    target::{self, Gateways, Target},
};
use jiff::Timestamp;
use landfall_engine::{Looking, Memory, Plan, Stop};
use landfall_steps::{CertificateFacts, settings::Teardown};
use std::sync::Arc;

/// What `plan` takes.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Exit with 10 if there are changes, with 0 if there are none
    #[arg(long)]
    detailed_exitcode: bool,
    #[command(flatten)]
    extent: Extent,
    #[command(flatten)]
    wishes: Wishes,
}

/// Runs it. The journal is read without its lock and not written: a concurrent run continues.
pub async fn run(session: &Session, args: &Args) -> Result<Exit, Failure> {
    let mut wished = session.wished(&args.wishes, Purpose::Make)?;
    args.extent.apply(&mut wished.settings)?;
    let known = up::remembered(&wished)?;
    if let Some((key, _)) = &known {
        up::same_journal(&wished, key)?;
    }
    let subscription = known.as_ref().map(|(key, _)| key.subscription.clone());
    let memory = known.map(|(_, memory)| memory).unwrap_or_default();
    let target = target::connect(
        session.allowed(&wished.place)?,
        &session.environment,
        &wished.folder,
        subscription.as_deref(),
        Gateways::Rest,
    )
    .await?;
    let planned = look(session, &wished, memory, &target).await;
    let words = target.words.clone();
    let (cloud, pace, requests) = (target.cloud, target.pace, target.requests());
    target.close().await;
    let (planned, certificate) = planned?;
    let (environment, program) = (session.global.environment.as_str(), session.program());
    let flags = [args.extent.arguments(), args.wishes.arguments()].concat();
    let flags = command_line(&flags);
    let certificate = certificate.as_ref();
    let now = Timestamp::now();
    let shown = plan::Shown {
        plan: &planned,
        environment,
        words: &words,
        program: &program,
        flags: &flags,
        pace,
        requests,
        certificate,
        now,
    };
    match session.is_json() {
        true => stream::out().json(&plan::document(&shown, cloud)),
        false => stream::out().line(&plan::text(&shown, session.terminal.out)),
    }
    let refused = planned.steps.iter().filter_map(|step| step.error.as_ref());
    Ok(match args.detailed_exitcode && !planned.is_empty() {
        // As for `up`: the cloud would refuse, and only a person can change that.
        _ if refused.map(|error| exit::of_kind(error.kind)).any(|exit| exit == Exit::Refused) => {
            Exit::Refused
        }
        true => Exit::Changes,
        false => Exit::Well,
    })
}

async fn look(
    session: &Session,
    wished: &Wished,
    memory: Memory,
    target: &Target,
) -> Result<(Plan, Option<CertificateFacts>), Failure> {
    up::same_environment(session, wished, &memory, target)?;
    let deployment = Deployment::new(&target.clouds, &wished.settings, Teardown::default());
    let certificate = deployment.facts(&memory).certificate;
    let looking = Looking { memory: Arc::new(memory), pace: target.pace, stop: Stop::new() };
    Ok((landfall_engine::plan(&deployment.graph, &looking).await, certificate))
}
