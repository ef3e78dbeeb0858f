//! The content of an environment's journal in a few numbers; and the summary of it that a run leaves beside a journal in
//! a storage account, so that one list shows a whole fleet.

use super::{
    file::Fleet,
    result::{EnvironmentError, EnvironmentResult},
    state::FleetState,
};
use crate::{deployment::Deployment, failure::Failure, render::escape, target};
use futures::{StreamExt, stream};
use jiff::Timestamp;
use landfall_cloud::Clients;
use landfall_engine::{Journal, JournalState, StepStatus};
use landfall_steps::{
    StoredEnvironment,
    settings::{Settings, Teardown},
};
use serde::{Deserialize, Serialize};

/// The journals that are read at once.
const READS: usize = 16;
/// The longest text in a summary, in characters.
const TEXT_MAX: usize = 400;
/// The longest summary in bytes; a blob may have 8 KiB of metadata.
const SUMMARY_MAX: usize = 6_000;

/// The recorded state of an environment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct JournalFacts {
    /// The number of its steps.
    pub steps: usize,
    /// The number of those that are ready.
    pub ready: usize,
    /// The number of those that have begun.
    pub in_progress: usize,
    /// True if it owns nothing.
    pub owns_nothing: bool,
    /// True if the creation of its cluster has begun.
    pub has_cluster: bool,
    /// The time of the last recorded change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub changed_at: Option<Timestamp>,
    /// The error of a failed step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed: Option<EnvironmentError>,
}

impl JournalFacts {
    /// Returns the facts of a journal.
    pub fn of(configured: &Settings, journal_state: &JournalState, clients: &Clients) -> Self {
        // As `status` does: the journal decides which steps an environment has.
        let as_configured = Deployment::new(clients, configured, Teardown::default());
        let settings = as_configured.resources().with_recorded_names(configured, journal_state);
        let deployment = Deployment::new(clients, &settings, Teardown::default());
        let steps: Vec<&str> =
            deployment.graph.steps().iter().filter(|step| step.enabled).map(|step| step.id).collect();
        let status =
            |step: &str| journal_state.step_state(step).map_or(StepStatus::NotStarted, |state| state.state);
        let number = |wanted: StepStatus| steps.iter().filter(|step| status(step) == wanted).count();
        let failed = steps.iter().find_map(|step| {
            let state = journal_state.step_state(step).filter(|state| state.state == StepStatus::Failed)?;
            Some(EnvironmentError::of_step(step, state.error.as_ref()?))
        });
        Self {
            steps: steps.len(),
            ready: number(StepStatus::Ready),
            in_progress: number(StepStatus::InProgress),
            owns_nothing: journal_state.0.values().all(|state| !state.owned),
            has_cluster: status(deployment.resources().cluster_step()) != StepStatus::NotStarted,
            changed_at: journal_state.latest_time(),
            failed,
        }
    }
}

/// Reads the facts of the selected environments. From an account, a journal is read only if no summary describes it.
///
/// # Errors
/// Fails if the account cannot be listed; an unreadable journal is the result of its environment.
pub async fn read(
    fleet: &Fleet,
    selected: &[usize],
    state: &FleetState,
) -> Result<Vec<Result<JournalFacts, Failure>>, Failure> {
    // They send nothing, so one subscription is as good as another.
    let clients = target::offline("")?;
    let listed = state.list().await?;
    let of = async |at: &usize| {
        let environment = &fleet.environments[*at];
        let settings = &environment.config.settings;
        let journal_state = match state.journal(environment) {
            None => Journal::read(&environment.config.folder).map(|known| known.map(|(_, state)| state)),
            Some(store) => match listed.get(&environment.name) {
                None => Ok(None),
                Some(stored) => match EnvironmentSummary::of(stored) {
                    Some(summary) => return Ok(summary.facts()),
                    None => Journal::read_remote(&store)
                        .await
                        .map(|content| content.map(|content| content.journal_state)),
                },
            },
        };
        let journal_state = journal_state.map_err(|error| Failure::of_journal(&error))?.unwrap_or_default();
        Ok(JournalFacts::of(settings, &journal_state, &clients))
    };
    Ok(stream::iter(selected).map(of).buffered(READS).collect().await)
}

/// The summary of a journal, which the last run of a fleet has left.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EnvironmentSummary {
    /// The length of the journal that it describes.
    bytes: u64,
    /// The time.
    pub at: Timestamp,
    /// The command of the fleet.
    pub command: String,
    /// The run that the command was part of, if it ran outside of the command's process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// The digest of the settings.
    pub settings: String,
    /// The result.
    pub result: EnvironmentResult,
    journal: JournalFacts,
}

/// The run that a summary describes.
#[derive(Clone, Debug)]
pub struct SummaryOf {
    /// The command of the fleet.
    pub command: &'static str,
    /// The run outside of the command's process.
    pub run: Option<String>,
    /// The digest of the settings.
    pub settings: String,
}

impl EnvironmentSummary {
    /// Returns the summary of an environment that has ended.
    ///
    /// # Errors
    /// Fails if the clients cannot be prepared.
    pub fn new(
        of: &SummaryOf,
        settings: &Settings,
        journal: &Journal,
        result: &EnvironmentResult,
    ) -> Result<Self, Failure> {
        let facts = JournalFacts::of(settings, &journal.journal_state(), &target::offline("")?);
        let result = EnvironmentResult { error: result.error.clone().map(shortened), ..result.clone() };
        Ok(Self {
            bytes: journal.bytes(),
            at: Timestamp::now(),
            command: of.command.to_owned(),
            run: of.run.clone(),
            settings: of.settings.clone(),
            // The error of the result is that of the first failed step.
            journal: JournalFacts {
                failed: facts.failed.filter(|_| result.error.is_none()).map(shortened),
                ..facts
            },
            result,
        })
    }

    /// Returns the summary of a listed journal; `None` if there is none, or if a later run has written to the journal.
    pub fn of(stored: &StoredEnvironment) -> Option<Self> {
        let summary: Self = serde_json::from_str(stored.summary.as_deref()?).ok()?;
        (summary.bytes == stored.bytes && stored.moved_to.is_none() && !stored.leased).then_some(summary)
    }

    /// Returns it as one line of ASCII, as metadata of a blob must be.
    pub fn text(&self) -> String {
        let ascii = |summary: &Self| {
            escape::ascii_json(&serde_json::to_value(summary).expect("plain values serialise"))
        };
        let text = ascii(self);
        if text.len() <= SUMMARY_MAX {
            return text;
        }
        let mut short = self.clone();
        for error in [&mut short.result.error, &mut short.journal.failed].into_iter().flatten() {
            error.causes.truncate(1);
            error.hint = None;
        }
        ascii(&short)
    }

    fn facts(self) -> JournalFacts {
        let Self { journal, result, .. } = self;
        JournalFacts {
            failed: journal.failed.or(result.error.filter(|error| error.step.is_some())),
            ..journal
        }
    }
}

/// Returns an error whose texts fit into a summary.
fn shortened(error: EnvironmentError) -> EnvironmentError {
    let short = |text: String| match text.char_indices().nth(TEXT_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    };
    EnvironmentError {
        message: short(error.message),
        causes: error.causes.into_iter().take(3).map(short).collect(),
        hint: error.hint.map(short),
        ..error
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::result::EnvironmentOutcome;

    fn summary(cause: &str) -> EnvironmentSummary {
        let error = EnvironmentError {
            message: "create cluster".into(),
            causes: vec![cause.into(); 5],
            hint: Some(cause.into()),
            ..EnvironmentError::default()
        };
        let result = EnvironmentResult {
            error: Some(shortened(error)),
            ..EnvironmentResult::new(EnvironmentOutcome::Failed)
        };
        EnvironmentSummary {
            bytes: 7,
            at: "2026-11-30T10:00:00Z".parse().unwrap(),
            command: "up".into(),
            run: None,
            settings: "1".into(),
            result,
            journal: JournalFacts { steps: 20, ready: 3, ..JournalFacts::default() },
        }
    }

    fn stored(bytes: u64, text: String) -> StoredEnvironment {
        StoredEnvironment {
            name: "a".into(),
            bytes,
            modified: String::new(),
            leased: false,
            moved_to: None,
            summary: Some(text),
        }
    }

    #[test]
    fn a_summary_is_short_ascii_and_applies_to_its_length_only() {
        let one = summary("„quota“\n🌍");
        assert!(one.text().is_ascii() && !one.text().contains('\n'), "{}", one.text());
        assert_eq!(EnvironmentSummary::of(&stored(7, one.text())), Some(one.clone()));
        assert_eq!(EnvironmentSummary::of(&stored(8, one.text())), None, "a later run has written");
        let held = StoredEnvironment { leased: true, ..stored(7, one.text()) };
        assert_eq!(EnvironmentSummary::of(&held), None, "a run writes");
        assert_eq!(EnvironmentSummary::of(&stored(7, "{".into())), None);
        let long = summary(&"ü".repeat(5_000));
        assert!(long.text().len() <= SUMMARY_MAX, "{}", long.text().len());
    }
}
