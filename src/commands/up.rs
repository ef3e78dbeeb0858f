//! `landfall up`: brings the environment to ready, or resumes after the last run.

use super::verify;
use crate::{
    deployment::Deployment,
    exit::{self, Exit},
    extent::Extent,
    failure::Failure,
    interrupt,
    render::{self, board::Board, doctor, escape, json, stream, summary, trouble, verify as proof},
    session::Session,
    settings::{Purpose, Wished, file::CloudName, flags::Wishes},
    target::{self, Gateways, Target},
};
use jiff::Timestamp;
use landfall_cloud::Ways;
use landfall_diagnose::{
    doctor::Diagnosis,
    verify::{Bounds, Verdict},
};
use landfall_engine::{EnvironmentKey, Journal, Level, Memory, OpenError, Outcome, Report, Run, Stop};
use landfall_steps::{preflight, settings::Teardown};
use serde_json::Value;
use std::{sync::Arc, time::SystemTime};
use tokio::sync::mpsc;

/// A field of the last line of JSON, and its value.
type Field = Option<(&'static str, Value)>;

/// The command-specific output of a walk.
pub struct Told<'a> {
    /// The command to repeat after a failure.
    pub again: String,
    /// The text after a walk that brought everything to ready.
    pub text: Box<dyn Fn(&Ended<'_>) -> String + 'a>,
    /// The additional field in the last line of JSON.
    pub field: Box<dyn Fn(&Ended<'_>) -> Field + 'a>,
}

/// The result of a walk.
pub struct Ended<'a> {
    /// The environment.
    pub deployment: &'a Deployment,
    /// The recorded state before it.
    pub before: &'a Memory,
    /// The recorded state now.
    pub memory: &'a Memory,
    /// The report.
    pub report: &'a Report,
    /// The cloud.
    pub target: &'a Target,
    /// The address map of the gateways.
    pub ways: &'a Ways,
    /// The result of the verification, if there was one.
    pub verdict: Option<&'a Verdict>,
}

impl<'a> Told<'a> {
    /// Returns the output for an environment that is ready.
    fn of_up(session: &'a Session) -> Self {
        let program = session.program();
        let again = format!("{program} up");
        let text = move |ended: &Ended<'_>| {
            let around = summary::Around {
                program: &program,
                caution: ended.target.caution,
                takes_time: !ended.target.pace.is_instant(),
                ways: ended.ways,
                now: Timestamp::now(),
            };
            let facts = ended.deployment.facts(ended.memory);
            summary::text(&facts, ended.report, ended.target.requests(), around, session.terminal.err)
        };
        Self { again, text: Box::new(text), field: Box::new(verified) }
    }
}

/// What `up` takes.
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(flatten)]
    extent: Extent,
    /// Verify from outside when everything is ready, as `verify` does
    #[arg(long)]
    verify: bool,
    #[command(flatten)]
    journal: AcceptJournal,
    #[command(flatten)]
    wishes: Wishes,
}

/// The way out of a journal that is not as it was written.
#[derive(clap::Args, Debug)]
pub struct AcceptJournal {
    /// Take a damaged journal as it stands, and keep a copy of the file beside it
    #[arg(long)]
    accept_journal: bool,
}

impl AcceptJournal {
    /// Accepts the damaged journal, if that was requested and there is damage.
    pub fn apply(&self, session: &Session, wished: &Wished) -> Result<(), Failure> {
        let refuse = |error: OpenError| Failure::of_journal(&error);
        if !self.accept_journal {
            return Ok(());
        }
        let Some(salvaged) = Journal::salvage(&wished.folder).map_err(refuse)? else { return Ok(()) };
        same_journal(wished, &salvaged.key)?;
        if let Some(taken) = Journal::accept(&wished.folder, env!("CARGO_PKG_VERSION")).map_err(refuse)? {
            session.say(&format!(
                "The journal is accepted with {} lines that can be read, because of: {}. The file as it was is {}.",
                taken.lines,
                taken.damage,
                taken.kept.display()
            ));
        }
        Ok(())
    }
}

/// Runs it.
pub async fn run(session: &Session, args: &Args) -> Result<Exit, Failure> {
    let mut wished = session.wished(&args.wishes, Purpose::Make)?;
    args.journal.apply(session, &wished)?;
    args.extent.apply(&mut wished.settings)?;
    let (journal, target) = open(session, &wished, "up", gateways(args)).await?;
    session.say(&heading(session, "up", &target));
    if let Some(warning) = preflight::open_kubeconfig(&wished.settings.kubeconfig) {
        session.say(&format!("Warning: {warning}."));
    }
    let ended = match same_environment(session, &wished, &journal.memory(), &target) {
        Ok(()) => {
            let told = Told::of_up(session);
            walk(session, &wished, journal, &target, &told, args.verify).await
        }
        Err(refused) => Err(refused),
    };
    target.close().await;
    ended
}

/// A verification sends requests to the gateways.
fn gateways(args: &Args) -> Gateways {
    if args.verify { Gateways::Answer } else { Gateways::Rest }
}

/// Opens journal and cloud, in the order that refuses a second run before it changes anything.
pub async fn open(
    session: &Session,
    wished: &Wished,
    command: &str,
    gateways: Gateways,
) -> Result<(Journal, Target), Failure> {
    let allowed = session.allowed(&wished.place)?;
    let refuse = |error: OpenError| Failure::of_journal(&error);
    for path in Journal::secure(&wished.folder).map_err(refuse)? {
        session.say(&format!(
            "{} was accessible to other users; its permissions are now restricted to you.",
            path.display()
        ));
    }
    let known = remembered(wished)?.map(|(key, _)| key);
    if let Some(key) = &known {
        same_journal(wished, key)?;
    }
    let take = |key: &EnvironmentKey| {
        Journal::open(&wished.folder, command, key, env!("CARGO_PKG_VERSION"))
            .map_err(|error| Failure::of_journal(&error))
    };
    let early = known.as_ref().map(take).transpose()?;
    let before = known.as_ref().map(|key| key.subscription.as_str());
    let target = target::connect(allowed, &session.environment, &wished.folder, before, gateways).await?;
    let key = EnvironmentKey {
        cloud: target.cloud.to_owned(),
        subscription: target.clouds.azure.id().to_owned(),
        environment: wished.settings.environment.clone(),
    };
    match early {
        Some(journal) if *journal.environment() == key => Ok((journal, target)),
        // The journal belongs to another subscription; opening it reports that.
        Some(journal) => {
            drop(journal);
            let refused = take(&key);
            target.close().await;
            let why = || Failure::new(Exit::Input, "use the journal of another subscription");
            Err(refused.err().unwrap_or_else(why))
        }
        None => match take(&key) {
            Ok(journal) => Ok((journal, target)),
            Err(failure) => {
                target.close().await;
                Err(failure)
            }
        },
    }
}

/// Reads the journal. The owner is checked first: a journal of another environment is refused by its name,
/// damaged or not.
pub fn remembered(wished: &Wished) -> Result<Option<(EnvironmentKey, Memory)>, Failure> {
    Journal::read(&wished.folder).map_err(|error| {
        let salvaged = match error {
            OpenError::Damaged { .. } => Journal::salvage(&wished.folder).ok().flatten(),
            _ => None,
        };
        let other = salvaged.and_then(|salvaged| same_journal(wished, &salvaged.key).err());
        other.unwrap_or_else(|| Failure::of_journal(&error))
    })
}

/// Refuses the journal of another environment as early as possible: before the sign-in.
pub fn same_journal(wished: &Wished, key: &EnvironmentKey) -> Result<(), Failure> {
    let place = &wished.place;
    let cloud = target::name(place.cloud);
    // The simulated cloud has its own subscription, whatever is configured.
    let subscription = place.subscription.as_ref().filter(|_| place.cloud == CloudName::Azure);
    let wanted = EnvironmentKey {
        cloud: cloud.to_owned(),
        subscription: match subscription {
            Some(wanted) if !wanted.eq_ignore_ascii_case(&key.subscription) => wanted.clone(),
            None if key.cloud != cloud => "separate".to_owned(),
            _ => key.subscription.clone(),
        },
        environment: wished.settings.environment.clone(),
    };
    match wanted == *key {
        true => Ok(()),
        false => {
            let (is, wanted) = (Box::new(key.clone()), Box::new(wanted));
            Err(Failure::of_journal(&OpenError::OtherEnvironment { is, wanted }))
        }
    }
}

/// Returns the first lines of a run.
pub fn heading(session: &Session, command: &str, target: &Target) -> String {
    let paint = session.terminal.err;
    let first = format!("landfall {command} · {} · {}", session.global.environment, target.words);
    let remark = target.remark.as_ref().map(|remark| format!("\n{remark}")).unwrap_or_default();
    format!("{}{remark}\n", paint.strong(&first))
}

/// Refuses to create resources under other names: the recorded ones would be forgotten.
pub fn same_environment(
    session: &Session,
    wished: &Wished,
    memory: &Memory,
    target: &Target,
) -> Result<(), Failure> {
    let deployment = Deployment::new(&target.clouds, &wished.settings, Teardown::default());
    let subscription = target.clouds.azure.id();
    let renamed = deployment.resources().renamed(&wished.settings, memory, subscription);
    if renamed.is_empty() {
        return Ok(());
    }
    let name = &session.global.environment;
    let refused = Failure::new(Exit::Input, format!("use environment {name} with other names"));
    let told = renamed.iter().fold(refused, |refused, one| {
        refused.cause(format!("{} is {}, but was created as {}", one.setting, one.wished, one.made))
    });
    Err(told.hint(format!(
        "set it back, delete the environment first, or use a separate environment: {} --environment NAME up",
        session.program()
    )))
}

/// Runs every step, and reports the result.
pub async fn bring_up(
    session: &Session,
    wished: &Wished,
    journal: Journal,
    target: &Target,
    told: &Told<'_>,
) -> Result<Exit, Failure> {
    walk(session, wished, journal, target, told, false).await
}

/// Like [`bring_up`], with a verification at the end if it is requested.
async fn walk(
    session: &Session,
    wished: &Wished,
    journal: Journal,
    target: &Target,
    told: &Told<'_>,
    verify: bool,
) -> Result<Exit, Failure> {
    let deployment = Deployment::new(&target.clouds, &wished.settings, Teardown::default());
    let before = journal.memory();
    let journal = Arc::new(journal);
    let pace = target.pace;
    let (events, seen) = mpsc::unbounded_channel();
    let (say, sentences) = mpsc::unbounded_channel();
    let stop = Stop::new();
    let run = Run { journal: journal.clone(), pace, stop: stop.clone(), events };
    interrupt::listen(stop.clone(), say);
    let mut display = session.display(Board::default(), target.cloud, pace);
    let running = async {
        let report = landfall_engine::up(&deployment.graph, &run).await;
        // The display ends when the last sender is dropped.
        drop(run);
        report
    };
    let (report, ()) = tokio::join!(running, render::drive(&mut *display, seen, sentences));
    let report = report.map_err(|error| Failure::of_writing(&error))?;
    let memory = journal.memory();
    let ways = target.ways().await;
    let proved = match verify && report.outcome == Outcome::Ready {
        true => Some(prove(session, wished, &memory, target, &stop).await),
        false => None,
    };
    let verdict = proved.as_ref().and_then(|proved| proved.as_ref().ok());
    let behind = match report.outcome {
        Outcome::Failed => super::doctor::afterword(target, wished, &memory).await,
        _ => None,
    };
    let (before, memory, report) = (&before, &memory, &report);
    let ended = Ended { deployment: &deployment, before, memory, report, target, ways: &ways, verdict };
    tell(session, &ended, told, behind.as_ref());
    match proved {
        Some(proved) => Ok(verify::exit_of(&proved?)),
        None => Ok(exit::of_report(report)),
    }
}

/// Verifies the environment. It is read-only, so the first stop request ends it at once.
async fn prove(
    session: &Session,
    wished: &Wished,
    memory: &Memory,
    target: &Target,
    stop: &Stop,
) -> Result<Verdict, Failure> {
    session.say("\nEverything is ready; verifying from outside.");
    let interrupted = || {
        Failure::new(Exit::Interrupted, "verify the environment")
            .cause("interrupted; the environment is complete")
            .hint(format!("verify it later: {} verify", session.program()))
    };
    tokio::select! {
        proved = verify::prove(session, &wished.settings, memory, target, Bounds::default()) => proved,
        () = stop.asked(Level::Gently) => Err(interrupted()),
    }
}

/// Returns the verification's field in the last line of JSON.
fn verified(ended: &Ended<'_>) -> Field {
    ended.verdict.map(|verdict| ("verified", verdict.holds().into()))
}

fn tell(session: &Session, ended: &Ended<'_>, told: &Told<'_>, behind: Option<&Diagnosis>) {
    let Ended { deployment, memory, report, target, .. } = ended;
    if let Some(verdict) = ended.verdict {
        let text = match session.is_json() {
            true => escape::json(&json::verified(SystemTime::now(), proof::fields(verdict))),
            false => format!("\n{}", proof::text(verdict, &session.program(), session.terminal.out)),
        };
        stream::out().line(&text);
    }
    if session.is_json() {
        let facts = deployment.facts(memory);
        let mut line = json::summary(SystemTime::now(), report, &facts, target.requests());
        if let Some((name, value)) = (told.field)(ended) {
            line[name] = value;
        }
        stream::out().json(&line);
    }
    if report.outcome == Outcome::Ready {
        session.say(&format!("\n{}", (told.text)(ended)));
        return;
    }
    let mut trouble = trouble::errors(report, session.terminal.err);
    trouble.extend(behind.and_then(|behind| doctor::afterword(behind, report, &session.program())));
    let goes_on = trouble::goes_on(memory);
    trouble.push(trouble::rest(report, &deployment.graph.steps(), &told.again, goes_on));
    stream::err().line(&format!("\n{}", trouble.join("\n\n")));
}
