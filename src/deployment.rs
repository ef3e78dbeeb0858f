//! Where the program meets the steps: the graph of an environment, and what its outputs say.

use landfall_engine::{Graph, Memory};
use landfall_steps::{
    Clouds, Facts, Handles, Rotation,
    certificate::{HeldCertificate, Replaced},
    settings::{Settings, Teardown},
};

/// An environment's steps, wired.
pub struct Deployment {
    /// The graph.
    pub graph: Graph,
    handles: Handles,
}

impl Deployment {
    /// Wires the steps of an environment; nothing is asked of any cloud.
    pub fn new(clouds: &Clouds, settings: &Settings, teardown: Teardown) -> Self {
        let (graph, handles) = landfall_steps::deployment(clouds, settings, &teardown);
        Self { graph, handles }
    }

    /// Returns what the remembered outputs say.
    pub fn facts(&self, memory: &Memory) -> Facts {
        landfall_steps::facts(&self.graph, &self.handles, memory)
    }

    /// Returns the certificate that is remembered.
    pub fn certificate(&self, memory: &Memory) -> Option<HeldCertificate> {
        self.graph.output(self.handles.certificate(), memory)
    }

    /// Returns what the remembered certificate takes the place of, when that is not over.
    pub fn unfinished_rotation(&self, memory: &Memory) -> Option<Replaced> {
        landfall_steps::unfinished(&self.graph, &self.handles, memory)
    }

    /// Returns what a rotation between the two came to.
    pub fn rotation(&self, before: &Memory, after: &Memory) -> Option<Rotation> {
        landfall_steps::rotation(&self.graph, &self.handles, before, after)
    }
}
