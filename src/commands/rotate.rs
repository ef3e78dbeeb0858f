//! `landfall rotate`: replaces the served certificate.

use super::up::{self, Ended, Told};
use crate::{
    deployment::Deployment,
    exit::Exit,
    failure::Failure,
    render::rotation,
    session::Session,
    settings::{Purpose, Wished, flags::Wishes},
    target::Gateways,
};
use jiff::Timestamp;
use landfall_engine::Memory;
use landfall_steps::settings::{Renewal, Teardown};

/// What `rotate` takes.
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(flatten)]
    journal: up::AcceptJournal,
    #[command(flatten)]
    wishes: Wishes,
}

/// Runs it.
pub async fn run(session: &Session, args: &Args) -> Result<Exit, Failure> {
    let mut wished = session.wished(&args.wishes, Purpose::Make)?;
    args.journal.apply(session, &wished)?;
    let Some((key, memory)) = up::remembered(&wished)? else { return Err(nothing_to_rotate(session)) };
    if !Deployment::offline(&key.subscription, &wished.settings)?.has_certificate(&memory) {
        return Err(nothing_to_rotate(session));
    }
    let (journal, target) = up::open(session, &wished, "rotate", Gateways::Rest).await?;
    session.say(&up::heading(session, "rotate", &target));
    let deployment = Deployment::new(&target.clouds, &wished.settings, Teardown::default());
    let ended = match may_rotate(session, &deployment, &wished, &journal.memory()) {
        Ok(renewal) => {
            wished.settings.certificate.renewal = renewal;
            let told = told(session, &wished);
            match up::same_environment(session, &wished, &journal.memory(), &target) {
                Ok(()) => up::bring_up(session, &wished, journal, &target, &told).await,
                Err(refused) => Err(refused),
            }
        }
        Err(refused) => Err(refused),
    };
    target.close().await;
    ended
}

fn nothing_to_rotate(session: &Session) -> Failure {
    Failure::new(Exit::Input, "rotate the certificate")
        .cause(format!(
            "there is nothing to rotate: environment {} has no certificate",
            session.global.environment
        ))
        .hint(format!("create the environment first: {} up", session.program()))
}

/// Returns the renewal of this run; `None` if an earlier rotation is unfinished, which this run resumes.
fn may_rotate(
    session: &Session,
    deployment: &Deployment,
    wished: &Wished,
    memory: &Memory,
) -> Result<Option<Renewal>, Failure> {
    if deployment.unfinished_rotation(memory).is_some() {
        session.say("An earlier rotation is not complete; it is resumed.\n");
        return Ok(None);
    }
    let given = wished.settings.certificate.given.is_some();
    let held = deployment.certificate(memory).filter(|held| !held.is_made_for(&wished.settings.domain));
    match held.filter(|_| !given && !deployment.is_import_begun(memory)) {
        None => Ok(Some(Renewal::Now)),
        Some(held) => Err(Failure::new(Exit::Input, "rotate the certificate")
            .cause(format!(
                "{} comes from a PFX file: landfall renews only self-signed certificates of its \
                            own",
                held.name
            ))
            .hint(format!("pass the new one: {} rotate --pfx FILE", session.program()))),
    }
}

fn told<'a>(session: &'a Session, wished: &Wished) -> Told<'a> {
    let given = wished.settings.certificate.given.is_some();
    let program = session.program();
    let text = move |ended: &Ended<'_>| {
        let rotation = ended.deployment.rotation(ended.before, ended.memory);
        let shown = rotation::Shown {
            facts: &ended.deployment.facts(ended.memory),
            report: ended.report,
            requests: ended.target.requests(),
            given,
            program: &program,
            now: Timestamp::now(),
        };
        rotation.map(|rotation| rotation::text(&rotation, &shown, session.terminal.err)).unwrap_or_default()
    };
    let field = |ended: &Ended<'_>| {
        let rotation = ended.deployment.rotation(ended.before, ended.memory)?;
        Some(("rotation", rotation::document(&rotation)))
    };
    let again = format!("{} rotate", session.program());
    Told { again, text: Box::new(text), field: Box::new(field) }
}
