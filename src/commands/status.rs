//! `landfall status`: prints the journal's state without a cloud request; with `--live`, the current state of
//! the cloud.

use super::up;
use crate::{
    deployment::Deployment,
    exit::Exit,
    failure::Failure,
    render::{escape, present, status, stream},
    session::Session,
    settings::{Purpose, Wished, flags::Wishes},
    target::{self, Gateways},
};
use jiff::Timestamp;
use landfall_cloud::Ways;
use landfall_diagnose::present::{self as live_status, Present};
use landfall_engine::{EnvironmentKey, Journal, Memory, OpenError};
use landfall_steps::settings::Teardown;

/// What `status` takes.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Also query the cloud: gateways with their resources, routes, certificate, DNS records
    #[arg(long)]
    live: bool,
    #[command(flatten)]
    wishes: Wishes,
}

/// Runs it.
pub async fn run(session: &Session, args: &Args) -> Result<Exit, Failure> {
    let mut wished = session.wished(&args.wishes, Purpose::Remember)?;
    let (remembered, damage) = remembered(&wished)?;
    let seen = match &remembered {
        Some((key, memory)) if args.live => Some(look(session, &wished, key, memory).await?),
        _ => None,
    };
    let nobody = || {
        let key = EnvironmentKey {
            cloud: target::name(wished.place.cloud).to_owned(),
            subscription: wished.place.subscription.clone().unwrap_or_default(),
            environment: wished.settings.environment.clone(),
        };
        (key, Memory::default())
    };
    let (key, memory) = remembered.unwrap_or_else(nobody);
    let clouds = target::offline(&key.subscription)?;
    let as_configured = Deployment::new(&clouds, &wished.settings, Teardown::default());
    wished.settings = as_configured.resources().as_made(&wished.settings, &memory);
    let deployment = Deployment::new(&clouds, &wished.settings, Teardown::default());
    let steps = deployment.graph.steps();
    let facts = deployment.facts(&memory);
    let shown =
        status::Status { key: &key, steps: &steps, memory: &memory, facts: &facts, now: Timestamp::now() };
    let program = session.program();
    let live = seen.as_ref().map(|(present, ways)| present::Shown {
        present,
        ways,
        program: &program,
        now: shown.now,
    });
    let text = match (session.is_json(), &live) {
        (true, live) => {
            let mut document = status::document(&shown);
            if let Some(live) = live {
                document["live"] = present::document(live);
            }
            if let Some(damage) = &damage {
                document["damage"] = damage.to_string().into();
            }
            escape::json(&document)
        }
        (false, Some(live)) => {
            let paint = session.terminal.out;
            format!(
                "{}\n\n{}",
                status::heading(&shown, "Live state from the cloud.", paint),
                present::text(live, paint)
            )
        }
        (false, None) => status::text(&shown, &program, session.terminal.out),
    };
    stream::out().line(&text);
    match damage {
        Some(damage) => Err(Failure::of_journal(&damage)),
        None => Ok(Exit::Well),
    }
}

/// A read journal: its owner, its state, and its damage.
type Remembered = (Option<(EnvironmentKey, Memory)>, Option<OpenError>);

/// Reads the journal; of a damaged one, the readable part.
fn remembered(wished: &Wished) -> Result<Remembered, Failure> {
    let refuse = |error: OpenError| Failure::of_journal(&error);
    let damage = match Journal::read(&wished.folder) {
        Ok(remembered) => return Ok((remembered, None)),
        Err(error @ (OpenError::Damaged { .. } | OpenError::Corrupt { .. })) => error,
        Err(error) => return Err(refuse(error)),
    };
    // The error of an unreadable journal is its damage, not the failure to salvage it.
    let Ok(Some(salvaged)) = Journal::salvage(&wished.folder) else { return Err(refuse(damage)) };
    Ok((Some((salvaged.key, salvaged.memory)), Some(damage)))
}

/// Reads the state of the cloud, without the journal's lock and without writing the journal.
async fn look(
    session: &Session,
    wished: &Wished,
    key: &EnvironmentKey,
    memory: &Memory,
) -> Result<(Present, Ways), Failure> {
    up::same_journal(wished, key)?;
    let (allowed, subscription) = (session.allowed(&wished.place)?, Some(key.subscription.as_str()));
    let opened =
        target::connect(allowed, &session.environment, &wished.folder, subscription, Gateways::Answer);
    let target = opened.await?;
    let deployment = Deployment::new(&target.clouds, &wished.settings, Teardown::default());
    let settings = deployment.resources().as_made(&wished.settings, memory);
    let environment = landfall_steps::description(&settings, memory, target.clouds.azure.id());
    let present = live_status::look(&target.clouds, &environment).await;
    let ways = target.ways().await;
    target.close().await;
    Ok((present, ways))
}
