//! `landfall status`: what the journal remembers, without asking the cloud.

use crate::{
    deployment::Deployment,
    exit::Exit,
    failure::Failure,
    render::{status, stream},
    session::Session,
    settings::{Purpose, flags::Wishes},
    target,
};
use jiff::Timestamp;
use landfall_engine::{EnvironmentKey, Journal, Memory};
use landfall_steps::settings::Teardown;

/// What `status` takes.
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(flatten)]
    wishes: Wishes,
}

/// Runs it.
pub fn run(session: &Session, args: &Args) -> Result<Exit, Failure> {
    let mut wished = session.wished(&args.wishes, Purpose::Remember)?;
    let remembered = Journal::read(&wished.folder).map_err(|error| Failure::of_journal(&error))?;
    let nobody = || {
        let key = EnvironmentKey {
            cloud: target::name(wished.place.cloud).to_owned(),
            subscription: wished.place.subscription.clone().unwrap_or_default(),
            environment: wished.settings.environment.clone(),
        };
        (key, Memory::default())
    };
    let (key, memory) = remembered.unwrap_or_else(nobody);
    wished.settings = landfall_steps::as_made(&wished.settings, &memory);
    let clouds = target::offline(&key.subscription)?;
    let deployment = Deployment::new(&clouds, &wished.settings, Teardown::default());
    let steps = deployment.graph.steps();
    let facts = deployment.facts(&memory);
    let shown =
        status::Status { key: &key, steps: &steps, memory: &memory, facts: &facts, now: Timestamp::now() };
    let text = match session.is_json() {
        true => status::document(&shown).to_string(),
        false => status::text(&shown, &session.program(), session.terminal.out),
    };
    stream::out().line(&text);
    Ok(Exit::Well)
}
