//! The graph of an environment, and typed access to its outputs.

use crate::{failure::Failure, target};
use landfall_engine::{Graph, JournalState};
use landfall_steps::{
    Clients, Resources, Rotation, Summary, Topology,
    certificate::{Replaced, VaultCertificate},
    settings::{Settings, Teardown},
};

/// The wired steps of an environment.
pub struct Deployment {
    /// The graph.
    pub graph: Graph,
    resources: Resources,
    domain: String,
}

impl Deployment {
    /// Wires the steps of an environment; sends no request.
    pub fn new(clients: &Clients, settings: &Settings, teardown: Teardown) -> Self {
        let (graph, resources) = landfall_steps::deployment(clients, settings, &teardown);
        Self { graph, resources, domain: settings.domain.clone() }
    }

    /// Wires the steps without a cloud, for commands that only read the journal.
    ///
    /// # Errors
    /// Fails if the clients cannot be created.
    pub fn offline(subscription: &str, settings: &Settings) -> Result<Self, Failure> {
        Ok(Self::new(&target::offline(subscription)?, settings, Teardown::default()))
    }

    /// Returns what the steps own.
    pub fn resources(&self) -> &Resources {
        &self.resources
    }

    /// Keeps a step's resource during a teardown, with all its dependencies; see [`Resources::keep`].
    pub fn keep(&mut self, step: &str, why: &str) -> bool {
        self.resources.keep(&mut self.graph, step, why)
    }

    /// Returns whether the journal records a ready cluster.
    pub fn has_cluster(&self, journal_state: &JournalState) -> bool {
        journal_state
            .past_of(self.resources.records().cluster())
            .is_some_and(|step_state| step_state.output.is_some())
    }

    /// Returns whether an import of the certificate started and has no recorded end: it may have replaced the
    /// recorded certificate.
    pub fn is_import_begun(&self, journal_state: &JournalState) -> bool {
        let step_state = journal_state.past_of(self.resources.records().certificate());
        step_state.is_some_and(|step_state| step_state.ticket.is_some())
    }

    /// Returns whether the journal records a certificate.
    pub fn has_certificate(&self, journal_state: &JournalState) -> bool {
        let step_state = journal_state.past_of(self.resources.records().certificate());
        step_state.is_some_and(|step_state| step_state.output.is_some())
    }

    /// Returns the summary of the recorded outputs.
    pub fn facts(&self, journal_state: &JournalState) -> Summary {
        landfall_steps::summarize(self.resources.records(), &self.domain, journal_state)
    }

    /// Returns the topology of the recorded outputs; `settings` give the manifests.
    pub fn topology(&self, settings: &Settings, journal_state: &JournalState) -> Topology {
        landfall_steps::topology(self.resources.records(), settings, journal_state)
    }

    /// Returns the recorded certificate.
    pub fn certificate(&self, journal_state: &JournalState) -> Option<VaultCertificate> {
        journal_state.output_of(self.resources.records().certificate())
    }

    /// Returns the certificate that the recorded one replaces, while the rotation is incomplete.
    pub fn unfinished_rotation(&self, journal_state: &JournalState) -> Option<Replaced> {
        landfall_steps::unfinished_rotation(self.resources.records(), journal_state)
    }

    /// Returns the rotation between two states.
    pub fn rotation(&self, before: &JournalState, after: &JournalState) -> Option<Rotation> {
        landfall_steps::rotation(self.resources.records(), before, after)
    }
}
