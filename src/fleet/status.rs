//! The state of each environment of a fleet, by its journal and the fleet's.

use super::{
    file::{Fleet, FleetEnvironment},
    journal_facts::{self, JournalFacts},
    record::History,
    result::{EnvironmentError, EnvironmentOutcome},
    state::FleetState,
};
use crate::failure::Failure;
use jiff::Timestamp;

/// The recorded state of one environment.
#[derive(Clone, Debug)]
pub struct EnvironmentStatus {
    /// Its name.
    pub name: String,
    /// Its ring.
    pub ring: String,
    /// Its subscription as configured.
    pub subscription: String,
    /// Its state, in words.
    pub state: &'static str,
    /// The number of its steps.
    pub steps: usize,
    /// The number of those that are ready.
    pub ready_steps: usize,
    /// The time of the last recorded change.
    pub changed_at: Option<Timestamp>,
    /// The last error.
    pub error: Option<EnvironmentError>,
}

/// Reads the state of the selected environments: from the state folder without a request, from an account with a list,
/// the fleet's journal, and the journals that no summary describes.
///
/// # Errors
/// Fails if the journal of the fleet cannot be read; an unreadable one of an environment is its error.
pub async fn read(
    fleet: &Fleet,
    selected: &[usize],
    state: &FleetState,
) -> Result<Vec<EnvironmentStatus>, Failure> {
    let history = History::read(&state.record(fleet)).await?;
    let facts = journal_facts::read(fleet, selected, state).await?;
    let of = |(at, facts): (&usize, Result<JournalFacts, Failure>)| {
        of_environment(&fleet.environments[*at], &history, facts)
    };
    Ok(selected.iter().zip(facts).map(of).collect())
}

fn of_environment(
    environment: &FleetEnvironment,
    history: &History,
    facts: Result<JournalFacts, Failure>,
) -> EnvironmentStatus {
    let (facts, unreadable) = match facts {
        Ok(facts) => (facts, None),
        Err(failure) => (JournalFacts::default(), Some(failure)),
    };
    let last = history.of(&environment.name, &["up", "down", "renew"]);
    let recorded = last.map(|(command, ended)| (command, ended.result.outcome));
    let state = match recorded {
        _ if unreadable.is_some() => "failed",
        Some((_, EnvironmentOutcome::Refused)) => "refused",
        Some((_, EnvironmentOutcome::Failed)) => "failed",
        Some((_, EnvironmentOutcome::Interrupted)) => "interrupted",
        Some(("down", _)) if facts.owns_nothing => "deleted",
        _ if facts.failed.is_some() => "failed",
        _ if facts.ready == facts.steps => "ready",
        _ if facts.ready + facts.in_progress > 0 => "in progress",
        _ => "never run",
    };
    let error = match &unreadable {
        Some(failure) => {
            let (message, causes, hint) = failure.parts();
            Some(EnvironmentError { message, causes, hint, ..EnvironmentError::default() })
        }
        None => {
            let recorded = last.filter(|(_, ended)| ended.result.outcome.is_failure());
            recorded.and_then(|(_, ended)| ended.result.error.clone()).or(facts.failed)
        }
    };
    EnvironmentStatus {
        name: environment.name.clone(),
        ring: environment.ring.clone(),
        subscription: environment.subscription().to_owned(),
        state,
        steps: facts.steps,
        ready_steps: facts.ready,
        changed_at: facts.changed_at.max(last.map(|(_, ended)| ended.at)),
        error,
    }
}
