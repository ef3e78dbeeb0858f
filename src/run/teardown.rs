//! The parts of a teardown before and after its question: what it would delete, and the walk that deletes it.

use super::{
    execute::RunControl,
    journal::{Recorded, same_journal},
    open::resolve_identity,
};
use crate::{
    cli_context::CliContext,
    deployment::Deployment,
    exit::Exit,
    failure::Failure,
    render::teardown_preview::TeardownPreview,
    settings::LoadedConfig,
    target::{Gateways, Target},
    teardown_guards as guards,
};
use landfall_engine::{Entry, Journal, JournalState, Report, StepInfo};
use landfall_steps::{TeardownInventory, TeardownPreconditions, settings::Teardown};
use std::{cmp::Reverse, sync::Arc};

/// The options of a teardown.
#[derive(Clone, Debug, Default)]
pub struct TeardownOptions {
    /// Also purge the vault.
    pub purge: bool,
    /// Start the long deletions, and do not wait for them.
    pub no_wait: bool,
    /// Delete a cluster although it contains foreign objects.
    pub with_foreign: bool,
    /// The steps whose resource is kept.
    pub keep: Vec<String>,
    /// Also delete what was only found.
    pub adopt: bool,
}

/// What the journal records for a teardown.
pub enum RecordedTeardown {
    /// Nothing to delete; the reason.
    Nothing(&'static str),
    /// Owned resources, or resources to adopt.
    Resources,
}

/// A teardown that is ready to start.
pub struct PreparedTeardown {
    deployment: Deployment,
    steps: Vec<StepInfo>,
    journal_state: JournalState,
    adopted: Vec<String>,
    preconditions: TeardownPreconditions,
    entries: Vec<Entry>,
    purge: bool,
}

impl TeardownOptions {
    fn of_steps(&self) -> Teardown {
        Teardown { purge: self.purge, no_wait: self.no_wait, with_foreign: self.with_foreign }
    }

    /// Reads what the journal records, and puts the recorded names into the settings: they decide what is deleted,
    /// whatever the current settings are.
    ///
    /// # Errors
    /// Fails if the journal cannot be read or belongs to another environment, and if a step to keep is unknown.
    pub async fn recorded(
        &self,
        cli_context: &CliContext,
        config: &mut LoadedConfig,
    ) -> Result<RecordedTeardown, Failure> {
        let known_journal =
            Recorded::read(cli_context, config, Gateways::WithoutTraffic).await?.into_state().await;
        if known_journal.is_none() && !self.adopt {
            return Ok(RecordedTeardown::Nothing("this environment has no journal"));
        }
        if let Some((key, _)) = &known_journal {
            same_journal(config, key)?;
        }
        let subscription =
            known_journal.as_ref().map(|(key, _)| key.subscription.as_str()).unwrap_or_default();
        let offline = Deployment::offline(subscription, &config.settings)?;
        if let Some((_, journal_state)) = &known_journal {
            config.settings = offline.resources().with_recorded_names(&config.settings, journal_state);
        }
        known(&self.keep, &offline.graph.steps())?;
        let journal_state = known_journal.map(|(_, journal_state)| journal_state).unwrap_or_default();
        Ok(match owns_anything(&offline, &journal_state) || self.adopt {
            true => RecordedTeardown::Resources,
            false => RecordedTeardown::Nothing("landfall created nothing here"),
        })
    }

    /// Surveys the resources; `None` if there are none.
    ///
    /// # Errors
    /// Fails if the resources to adopt cannot be listed, or the settings contradict a class among the manifests.
    pub async fn prepare(
        &self,
        config: &mut LoadedConfig,
        journal: &Journal,
        target: &Target,
    ) -> Result<Option<PreparedTeardown>, Failure> {
        let mut journal_state = journal.journal_state();
        if self.adopt {
            // What was found is deleted in the form that it has.
            resolve_identity(config, &journal_state, target).await?;
        }
        let settings = &config.settings;
        let mut deployment = Deployment::new(&target.clients, settings, self.of_steps());
        for step in &self.keep {
            deployment.keep(step, "kept by --keep");
        }
        let kept = |deployment: &Deployment, step: &str| deployment.graph.kept().contains_key(step);
        let mut entries = match self.adopt {
            true => {
                guards::found(&deployment, target, &mut journal_state, |step| kept(&deployment, step)).await?
            }
            false => Vec::new(),
        };
        let mut to_adopt =
            if self.adopt { deployment.resources().adoptable(&journal_state) } else { Vec::new() };
        to_adopt.retain(|step| !kept(&deployment, step));
        if !owns_anything(&deployment, &journal_state) && to_adopt.is_empty() {
            return Ok(None);
        }
        let adopted: Vec<String> = to_adopt
            .iter()
            .filter(|step| !journal_state.step_state(step).is_some_and(|step_state| step_state.owned))
            .cloned()
            .collect();
        for step in to_adopt {
            let entry = Entry::Adopted { step };
            journal_state.apply("", &entry);
            entries.push(entry);
        }
        let is_deleted = |deployment: &Deployment, step: &str| {
            journal_state.step_state(step).is_some_and(|step_state| step_state.owned)
                && !kept(deployment, step)
        };
        let preview: Vec<&str> =
            journal_state.0.keys().map(String::as_str).filter(|step| is_deleted(&deployment, step)).collect();
        let resources = deployment.resources();
        let mut preconditions =
            landfall_steps::preconditions(&target.clients, settings, resources, &journal_state, &preview)
                .await;
        guards::keep(&mut deployment, &mut preconditions, self.with_foreign, is_deleted);
        let (steps, purge) = (deployment.graph.steps(), self.purge);
        Ok(Some(PreparedTeardown {
            deployment,
            steps,
            journal_state,
            adopted,
            preconditions,
            entries,
            purge,
        }))
    }
}

impl PreparedTeardown {
    /// Returns the preview.
    pub fn preview(&self) -> TeardownPreview<'_> {
        let kept = self.deployment.graph.kept();
        let preview = TeardownPreview {
            resources: self.deployment.resources(),
            steps: &self.steps,
            journal_state: &self.journal_state,
            adopted: &self.adopted,
            kept: kept.iter().map(|(step, why)| ((*step).to_owned(), (*why).to_owned())).collect(),
            preconditions: &self.preconditions,
            owned: TeardownInventory::default(),
            adopted_resources: TeardownInventory::default(),
            purge: self.purge,
        };
        preview.with_inventories()
    }

    /// Records what is adopted.
    ///
    /// # Errors
    /// Fails if the journal cannot be written.
    pub fn record(&mut self, journal: &Journal) -> Result<(), Failure> {
        for entry in self.entries.drain(..) {
            journal.append(entry).map_err(|error| Failure::of_journal_write(&error))?;
        }
        Ok(())
    }

    /// Deletes. The results are in the order of the graph, whichever step finished first.
    ///
    /// # Errors
    /// Fails if the journal cannot be written.
    pub async fn run(
        &self,
        control: RunControl,
        journal: &Arc<Journal>,
        target: &Target,
    ) -> Result<Report, Failure> {
        let mut report = control.down(&self.deployment.graph, journal, target).await?;
        let place = |step: &str| Reverse(self.steps.iter().position(|known| known.id == step));
        report.undone.sort_by_key(|(step, _)| place(step));
        Ok(report)
    }
}

fn owns_anything(deployment: &Deployment, journal_state: &JournalState) -> bool {
    journal_state
        .0
        .iter()
        .any(|(step, step_state)| step_state.owned && deployment.resources().is_deletable(step))
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
