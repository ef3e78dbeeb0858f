//! Where the program meets the steps: the graph of an environment, and what its outputs say.

use landfall_engine::{Graph, Memory};
use landfall_steps::{
    Clouds, Facts, Handles,
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
}
