//! `landfall down`: takes away what this environment made, in the reverse order, and nothing else.

use super::up;
use crate::{
    deployment::Deployment,
    exit::{self, Exit},
    failure::Failure,
    interrupt,
    render::{self, board::Board, json, stream, teardown, trouble},
    session::Session,
    settings::{Purpose, Wished, flags::Wishes},
    target::{self, Target},
};
use landfall_engine::{Journal, Memory, Outcome, Report, Run, Stop};
use landfall_steps::settings::Teardown;
use std::{io::BufRead, sync::Arc, time::SystemTime};
use tokio::sync::mpsc;

/// What `down` takes.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Purge the vault as well, so that nothing in it can be recovered
    #[arg(long)]
    purge: bool,
    #[command(flatten)]
    wishes: Wishes,
}

/// Runs it.
pub async fn run(session: &Session, args: &Args) -> Result<Exit, Failure> {
    let mut wished = session.wished(&args.wishes, Purpose::Remember)?;
    let Some((key, memory)) = Journal::read(&wished.folder).map_err(|error| Failure::of_journal(&error))?
    else {
        session.say("Nothing to take down: this environment has no journal.");
        return Ok(Exit::Well);
    };
    up::same_journal(&wished, &key)?;
    // What was made goes, under the names it was made with, whatever the settings say by now.
    wished.settings = landfall_steps::as_made(&wished.settings, &memory);
    let asked = Teardown { purge: args.purge };
    let steps = Deployment::new(&target::offline(&key.subscription)?, &wished.settings, asked).graph.steps();
    let Some(plan) = teardown::plan(&steps, &memory, args.purge, session.terminal.err) else {
        session.say("Nothing to take down: nothing here was made by landfall.");
        return Ok(Exit::Well);
    };
    confirm(session, &plan, &wished.settings.resource_group)?;
    let (journal, target) = up::open(session, &wished, "down").await?;
    session.say(&up::heading(session, "down", &target));
    let ended = take_down(session, &wished, journal, &target, asked).await;
    target.close().await;
    ended
}

/// Shows what will go, and asks unless --yes was given.
fn confirm(session: &Session, plan: &str, group: &str) -> Result<(), Failure> {
    if session.global.yes {
        session.say(&format!("{plan}\n"));
        return Ok(());
    }
    if !session.terminal.answers {
        return Err(Failure::new(Exit::Input, "ask whether to take it down")
            .cause("there is no terminal to ask on")
            .hint("give --yes if it is meant; nothing was touched"));
    }
    stream::err().write(&format!(
        "{plan}\n\nType the name of the resource group to go on ({group}).\nResource group: "
    ));
    let mut answer = String::new();
    let read = std::io::stdin().lock().read_line(&mut answer);
    match (read.is_ok(), answer.trim()) {
        (true, name) if name == group => Ok(()),
        (_, name) => Err(Failure::new(Exit::Input, "take it down")
            .cause(format!("\"{name}\" is not {group}; nothing was touched"))),
    }
}

fn ours(memory: &Memory) -> Vec<String> {
    memory.0.iter().filter(|(_, past)| past.ours).map(|(step, _)| step.clone()).collect()
}

async fn take_down(
    session: &Session,
    wished: &Wished,
    journal: Journal,
    target: &Target,
    asked: Teardown,
) -> Result<Exit, Failure> {
    let deployment = Deployment::new(&target.clouds, &wished.settings, asked);
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
        // The display ends when nobody can send any more.
        drop(run);
        report
    };
    let (report, ()) = tokio::join!(running, render::drive(&mut *display, seen, sentences));
    let report = report.map_err(|error| Failure::of_writing(&error))?;
    tell(session, &report, target.requests(), trouble::goes_on(&journal.memory()));
    Ok(exit::of_report(&report))
}

fn tell(session: &Session, report: &Report, requests: u64, goes_on: bool) {
    if session.is_json() {
        stream::out().line(&json::farewell(SystemTime::now(), report, requests).to_string());
    }
    let paint = session.terminal.err;
    if report.outcome == Outcome::Ready {
        session.say(&format!("\n{}", teardown::text(report, requests, paint)));
        return;
    }
    let mut trouble = trouble::errors(report, paint);
    // No steps: what could not be taken away blocks what it stands on, and each of those has been told.
    trouble.push(trouble::rest(report, &[], &format!("{} down", session.program()), goes_on));
    stream::err().line(&format!("\n{}", trouble.join("\n\n")));
}
