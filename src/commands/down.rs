//! `landfall down`: deletes what this environment owns, in reverse order, and nothing else.

use super::up;
use crate::{
    deployment::Deployment,
    exit::{self, Exit},
    failure::Failure,
    interrupt,
    render::{self, board::Board, going::Going, json, stream, teardown, trouble},
    session::Session,
    settings::{Purpose, Wished, flags::Wishes},
    target::{Gateways, Target},
    teardown_guards as guards,
};
use landfall_engine::{Entry, Journal, Memory, Outcome, Report, Run, StepInfo, Stop};
use landfall_steps::{Holdings, settings::Teardown};
use std::{cmp::Reverse, io::BufRead, sync::Arc, time::SystemTime};
use tokio::sync::mpsc;

/// What `down` takes.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Also purge the vault, so that nothing in it can be recovered
    #[arg(long)]
    purge: bool,
    /// Start the long deletions and return; the next down waits for them
    #[arg(long)]
    no_wait: bool,
    /// Keep the resource of a step and all its dependencies; may be repeated
    #[arg(long, value_name = "STEP")]
    keep: Vec<String>,
    /// Also delete the resources that landfall only found
    #[arg(long)]
    adopt: bool,
    /// Delete a cluster that landfall created even if it contains foreign objects, also when it cannot be examined
    #[arg(long)]
    with_strangers: bool,
    #[command(flatten)]
    journal: up::AcceptJournal,
    #[command(flatten)]
    wishes: Wishes,
}

impl Args {
    fn teardown(&self) -> Teardown {
        Teardown { purge: self.purge, no_wait: self.no_wait, with_strangers: self.with_strangers }
    }
}

/// Runs it.
pub async fn run(session: &Session, args: &Args) -> Result<Exit, Failure> {
    let mut wished = session.wished(&args.wishes, Purpose::Remember)?;
    args.journal.apply(session, &wished)?;
    let nothing = |why: &str| {
        session.say(&format!("Nothing to delete: {why}."));
        Ok(Exit::Well)
    };
    let known_journal = up::remembered(&wished)?;
    if known_journal.is_none() && !args.adopt {
        return nothing("this environment has no journal");
    }
    if let Some((key, _)) = &known_journal {
        up::same_journal(&wished, key)?;
    }
    let subscription = known_journal.as_ref().map(|(key, _)| key.subscription.as_str()).unwrap_or_default();
    let offline = Deployment::offline(subscription, &wished.settings)?;
    if let Some((_, memory)) = &known_journal {
        // The recorded names decide what is deleted, whatever the current settings are.
        wished.settings = offline.resources().as_made(&wished.settings, memory);
    }
    known(&args.keep, &offline.graph.steps())?;
    let memory = known_journal.map(|(_, memory)| memory).unwrap_or_default();
    if !is_anything_ours(&offline, &memory) && !args.adopt {
        return nothing("landfall created nothing here");
    }
    if !session.global.yes && !session.terminal.answers {
        return Err(Failure::new(Exit::Input, "ask for confirmation of the deletion")
            .cause("there is no terminal")
            .hint("confirm with --yes; nothing was changed"));
    }
    let (journal, target) = up::open(session, &wished, "down", Gateways::Rest).await?;
    session.say(&up::heading(session, "down", &target));
    let ended = after_a_look(session, args, &wished, journal, &target).await;
    target.close().await;
    ended
}

fn is_anything_ours(deployment: &Deployment, memory: &Memory) -> bool {
    memory.0.iter().any(|(step, past)| past.ours && deployment.resources().is_deletable(step))
}

/// Refuses to keep the resource of an unknown step.
fn known(kept: &[String], steps: &[StepInfo]) -> Result<(), Failure> {
    let unknown = kept.iter().find(|step| !steps.iter().any(|known| known.id == step.as_str()));
    let Some(unknown) = unknown else { return Ok(()) };
    let ids: Vec<&str> = steps.iter().map(|step| step.id).collect();
    Err(Failure::new(Exit::Input, format!("keep {unknown}"))
        .cause("there is no such step; nothing was changed")
        .hint(format!("the steps are {}", ids.join(", "))))
}

/// Surveys the resources, prints the preview, asks for consent, and deletes.
async fn after_a_look(
    session: &Session,
    args: &Args,
    wished: &Wished,
    journal: Journal,
    target: &Target,
) -> Result<Exit, Failure> {
    let settings = &wished.settings;
    let mut deployment = Deployment::new(&target.clouds, settings, args.teardown());
    for step in &args.keep {
        deployment.keep(step, "kept by --keep");
    }
    let mut memory = journal.memory();
    let kept = |deployment: &Deployment, step: &str| deployment.graph.kept().contains_key(step);
    let found = match args.adopt {
        true => guards::found(&deployment, target, &mut memory, |step| kept(&deployment, step)).await?,
        false => Vec::new(),
    };
    let mut to_adopt = if args.adopt { deployment.resources().adoptable(&memory) } else { Vec::new() };
    to_adopt.retain(|step| !kept(&deployment, step));
    if !is_anything_ours(&deployment, &memory) && to_adopt.is_empty() {
        session.say("Nothing to delete: this environment has no resources.");
        return Ok(Exit::Well);
    }
    let adopted: Vec<String> =
        to_adopt.iter().filter(|step| !memory.past(step).is_some_and(|past| past.ours)).cloned().collect();
    for step in &to_adopt {
        memory.learn("", &Entry::Adopted { step: step.clone() });
    }
    let goes = |deployment: &Deployment, step: &str| {
        memory.past(step).is_some_and(|past| past.ours) && !kept(deployment, step)
    };
    let going: Vec<&str> =
        memory.0.keys().map(String::as_str).filter(|step| goes(&deployment, step)).collect();
    let resources = deployment.resources();
    let mut survey = landfall_steps::survey(&target.clouds, settings, resources, &memory, &going).await;
    guards::keep(&mut deployment, &mut survey, args.with_strangers, goes);
    let steps = deployment.graph.steps();
    let going = Going {
        resources: deployment.resources(),
        steps: &steps,
        memory: &memory,
        adopted: &adopted,
        kept: deployment
            .graph
            .kept()
            .iter()
            .map(|(step, why)| ((*step).to_owned(), (*why).to_owned()))
            .collect(),
        survey: &survey,
        ours: Holdings::default(),
        theirs: Holdings::default(),
        purge: args.purge,
    };
    let going = going.weigh();
    if session.is_json() {
        stream::out().json(&json::plan(SystemTime::now(), going.json()));
    }
    match going.steps().is_empty() {
        // Nothing is deleted, so there is no question; the run reports what is left.
        true => session.say(&format!("{}\n", going.text(session.terminal.err))),
        false => confirm(session, &going, &settings.resource_group)?,
    }
    for entry in found {
        journal.append(entry).map_err(|error| Failure::of_writing(&error))?;
    }
    for step in to_adopt {
        journal.append(Entry::Adopted { step }).map_err(|error| Failure::of_writing(&error))?;
    }
    take_down(session, deployment, journal, target).await
}

/// Prints the preview, refuses if something is locked, and asks for consent unless --yes was given.
fn confirm(session: &Session, going: &Going<'_>, group: &str) -> Result<(), Failure> {
    let plan = going.text(session.terminal.err);
    if let Some(refused) = guards::refused(going) {
        session.say(&format!("{plan}\n"));
        return Err(refused);
    }
    if session.global.yes {
        session.say(&format!("{plan}\n"));
        return Ok(());
    }
    stream::err().write(&format!(
        "{plan}\n\nType the name of the resource group to continue ({group}).\nResource group: "
    ));
    let mut answer = String::new();
    let read = std::io::stdin().lock().read_line(&mut answer);
    match (read.is_ok(), answer.trim()) {
        (true, name) if name == group => Ok(()),
        (_, name) => Err(Failure::new(Exit::Input, "delete the environment")
            .cause(format!("\"{name}\" is not {group}; nothing was changed"))),
    }
}

fn ours(memory: &Memory) -> Vec<String> {
    memory.0.iter().filter(|(_, past)| past.ours).map(|(step, _)| step.clone()).collect()
}

async fn take_down(
    session: &Session,
    deployment: Deployment,
    journal: Journal,
    target: &Target,
) -> Result<Exit, Failure> {
    let board = Board::backwards(ours(&journal.memory()));
    let pace = target.pace;
    let (events, seen) = mpsc::unbounded_channel();
    let (say, sentences) = mpsc::unbounded_channel();
    let journal = Arc::new(journal);
    let run = Run { journal: journal.clone(), pace, stop: Stop::new(), events };
    interrupt::listen(run.stop.clone(), say);
    let mut display = session.display(board, target.cloud, pace);
    let running = async {
        let report = landfall_engine::down(&deployment.graph, &run).await;
        // The display ends when the last sender is dropped.
        drop(run);
        report
    };
    let (report, ()) = tokio::join!(running, render::drive(&mut *display, seen, sentences));
    let mut report = report.map_err(|error| Failure::of_writing(&error))?;
    // The order is that of the graph, whichever step finished first.
    let steps = deployment.graph.steps();
    let place = |step: &str| Reverse(steps.iter().position(|known| known.id == step));
    report.undone.sort_by_key(|(step, _)| place(step));
    tell(session, &report, target.requests(), trouble::goes_on(&journal.memory()));
    Ok(exit::of_report(&report))
}

fn tell(session: &Session, report: &Report, requests: u64, goes_on: bool) {
    if session.is_json() {
        stream::out().json(&json::farewell(SystemTime::now(), report, requests));
    }
    let paint = session.terminal.err;
    if report.outcome == Outcome::Ready {
        let again = format!("{} down", session.program());
        session.say(&format!("\n{}", teardown::text(report, requests, &again, paint)));
        return;
    }
    let mut trouble = trouble::errors(report, paint);
    // No steps: a failed deletion blocks its dependencies, and each of those has been reported.
    trouble.push(trouble::rest(report, &[], &format!("{} down", session.program()), goes_on));
    stream::err().line(&format!("\n{}", trouble.join("\n\n")));
}
