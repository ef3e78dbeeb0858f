//! The graph of an environment, and typed access to its outputs.

use landfall_engine::{Graph, Memory};
use landfall_steps::{
    Clouds, Facts, Handles, Rotation,
    certificate::{HeldCertificate, Replaced},
    settings::{Settings, Teardown},
};

/// The wired steps of an environment.
pub struct Deployment {
    /// The graph.
    pub graph: Graph,
    handles: Handles,
}

impl Deployment {
    /// Wires the steps of an environment; sends no request.
    pub fn new(clouds: &Clouds, settings: &Settings, teardown: Teardown) -> Self {
        let (graph, handles) = landfall_steps::deployment(clouds, settings, &teardown);
        Self { graph, handles }
    }

    /// Returns the summary of the recorded outputs.
    pub fn facts(&self, memory: &Memory) -> Facts {
        landfall_steps::facts(&self.graph, &self.handles, memory)
    }

    /// Returns the recorded certificate.
    pub fn certificate(&self, memory: &Memory) -> Option<HeldCertificate> {
        self.graph.output(self.handles.certificate(), memory)
    }

    /// Returns the certificate that the recorded one replaces, while the rotation is incomplete.
    pub fn unfinished_rotation(&self, memory: &Memory) -> Option<Replaced> {
        landfall_steps::unfinished(&self.graph, &self.handles, memory)
    }

    /// Returns the rotation between two states.
    pub fn rotation(&self, before: &Memory, after: &Memory) -> Option<Rotation> {
        landfall_steps::rotation(&self.graph, &self.handles, before, after)
    }
}
