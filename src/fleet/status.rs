//! The state of each environment of a fleet, by its journal and the fleet's, without a request.

use super::{
    file::{Fleet, FleetEnvironment},
    record::History,
    result::{EnvironmentError, EnvironmentOutcome},
};
use crate::{deployment::Deployment, failure::Failure, target};
use jiff::Timestamp;
use landfall_cloud::Clients;
use landfall_engine::{Journal, JournalState, StepStatus};
use landfall_steps::settings::Teardown;

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

/// Reads the state of the selected environments.
///
/// # Errors
/// Fails if the journal of the fleet cannot be read; an unreadable one of an environment is its error.
pub fn read(fleet: &Fleet, selected: &[usize]) -> Result<Vec<EnvironmentStatus>, Failure> {
    let history = History::read(&fleet.folder)?;
    // They send nothing, so one subscription is as good as another.
    let clients = target::offline("")?;
    let of = |at: &usize| of_environment(&fleet.environments[*at], &history, &clients);
    Ok(selected.iter().map(of).collect())
}

fn of_environment(environment: &FleetEnvironment, history: &History, clients: &Clients) -> EnvironmentStatus {
    let (journal_state, unreadable) = match Journal::read(&environment.config.folder) {
        Ok(known) => (known.map(|(_, journal_state)| journal_state).unwrap_or_default(), None),
        Err(error) => (JournalState::default(), Some(Failure::of_journal(&error))),
    };
    // As `status` does: the journal decides which steps an environment has.
    let configured = &environment.config.settings;
    let as_configured = Deployment::new(clients, configured, Teardown::default());
    let settings = as_configured.resources().with_recorded_names(configured, &journal_state);
    let deployment = Deployment::new(clients, &settings, Teardown::default());
    let steps: Vec<&str> =
        deployment.graph.steps().iter().filter(|step| step.enabled).map(|step| step.id).collect();
    let last = history.of(&environment.name, &["up", "down", "renew"]);
    let is = |wanted: StepStatus| {
        let has = |step: &&&str| {
            journal_state.step_state(step).map_or(StepStatus::NotStarted, |state| state.state) == wanted
        };
        steps.iter().filter(has).count()
    };
    let failed_step = steps.iter().find_map(|step| {
        let state = journal_state.step_state(step).filter(|state| state.state == StepStatus::Failed)?;
        Some(EnvironmentError::of_step(step, state.error.as_ref()?))
    });
    let recorded = last.map(|(command, ended)| (command, ended.result.outcome));
    let ready_steps = is(StepStatus::Ready);
    let owns_nothing = journal_state.0.values().all(|state| !state.owned);
    let state = match recorded {
        _ if unreadable.is_some() => "failed",
        Some((_, EnvironmentOutcome::Refused)) => "refused",
        Some((_, EnvironmentOutcome::Failed)) => "failed",
        Some((_, EnvironmentOutcome::Interrupted)) => "interrupted",
        Some(("down", _)) if owns_nothing => "deleted",
        _ if failed_step.is_some() => "failed",
        _ if ready_steps == steps.len() => "ready",
        _ if ready_steps + is(StepStatus::InProgress) > 0 => "in progress",
        _ => "never run",
    };
    let error = match &unreadable {
        Some(failure) => {
            let (message, causes, hint) = failure.parts();
            Some(EnvironmentError { message, causes, hint, ..EnvironmentError::default() })
        }
        None => {
            let recorded = last.filter(|(_, ended)| ended.result.outcome.is_failure());
            recorded.and_then(|(_, ended)| ended.result.error.clone()).or(failed_step)
        }
    };
    EnvironmentStatus {
        name: environment.name.clone(),
        ring: environment.ring.clone(),
        subscription: environment.subscription().to_owned(),
        state,
        steps: steps.len(),
        ready_steps,
        changed_at: journal_state.latest_time().max(last.map(|(_, ended)| ended.at)),
        error,
    }
}
