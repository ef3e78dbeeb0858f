//! The builder of the wiring: adds steps to the graph, and collects what they own.

use crate::resource::{Declared, Resource, Resources};
use landfall_engine::{Done, Graph, Handle, Inputs, Step};

/// An adapter around every step of a deployment, for a test that changes how all steps behave.
pub trait Wrap {
    /// Returns the step to wire instead.
    fn wrap<S: Step>(&self, step: S) -> impl Step<Input = S::Input, Output = S::Output>;
}

/// The adapter that changes nothing.
pub struct Unwrapped;

impl Wrap for Unwrapped {
    fn wrap<S: Step>(&self, step: S) -> impl Step<Input = S::Input, Output = S::Output> {
        step
    }
}

/// A graph in construction, with the declarations of its steps.
pub(crate) struct Wiring<'w, W> {
    graph: Graph,
    wrap: &'w W,
    declared: Vec<Declared>,
}

impl<'w, W: Wrap> Wiring<'w, W> {
    pub(crate) fn new(graph: Graph, wrap: &'w W) -> Self {
        Self { graph, wrap, declared: Vec::new() }
    }

    /// Adds a step; see [`Graph::add`].
    pub(crate) fn add<S, I>(&mut self, id: &'static str, step: S, inputs: I) -> Handle<S::Output>
    where
        S: Resource,
        I: Inputs<Values = S::Input>,
    {
        self.declare(id, &step);
        self.graph.add(id, self.wrap.wrap(step), inputs)
    }

    /// Adds a step that a setting may switch off; see [`Graph::add_optional`].
    #[expect(dead_code, reason = "no setting switches off a step yet")]
    pub(crate) fn add_optional<S, I>(&mut self, id: &'static str, enabled: bool, step: S, inputs: I) -> Done
    where
        S: Resource,
        I: Inputs<Values = S::Input>,
    {
        self.declare(id, &step);
        self.graph.add_optional(id, enabled, self.wrap.wrap(step), inputs)
    }

    fn declare<S: Resource>(&mut self, id: &'static str, step: &S) {
        let (parent, names, spec) = (step.part_of(), S::NAMES, step.resource());
        self.declared.push(Declared { id, parent, depth: 0, names, spec });
    }

    /// Completes the wiring, and fills `resources` with the declarations.
    ///
    /// # Panics
    ///
    /// Panics if a record refers to a step that was not added.
    pub(crate) fn finish(mut self, resources: &Resources) -> Graph {
        self.graph.assert_complete();
        let steps = self.graph.steps();
        for index in 0..steps.len() {
            let sources = steps[index].after.iter();
            let depths = sources.filter_map(|id| self.declared.iter().find(|one| one.id == *id));
            let depth = depths.map(|one| one.depth + 1).max().unwrap_or(0);
            self.declared[index].depth = depth;
        }
        resources.fill(self.declared);
        self.graph
    }
}
