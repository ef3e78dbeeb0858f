//! The graph: steps, and typed handles to their outputs.

use crate::{
    action_policy::GuardedNode,
    error::StepError,
    handle::{Done, Handle, Inputs, OptionalHandle, RecordOf, Sources, StepRef},
    journal::JournalState,
    node::{Node, Wired},
    step::Step,
    step_types::{StepAction, StepInfo},
};
use std::{
    any::TypeId,
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    marker::PhantomData,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// The counter that gives each graph of this process a number, so that a handle identifies its graph.
static NEXT_GRAPH_ID: AtomicU64 = AtomicU64::new(0);

/// Steps in the order of their addition, each with edges to earlier ones.
pub struct Graph {
    graph_id: u64,
    pub(crate) nodes: Vec<Arc<dyn Node>>,
    /// For each step, the earlier steps it needs, in order and without duplicates.
    pub(crate) sources: Vec<Vec<usize>>,
    /// For each step, those of its sources whose value it receives.
    pub(crate) parents: Vec<Vec<usize>>,
    /// For each step, those of its sources whose value it receives if there is one.
    pub(crate) optional_sources: Vec<Vec<usize>>,
    /// True if steps are applied even if their check reports them as ready.
    pub(crate) always_apply: bool,
    /// The steps that teardown keeps, with the reason.
    pub(crate) kept: BTreeMap<usize, String>,
    /// The steps that a setting may switch off; see [`Graph::add_optional`].
    optional: BTreeSet<usize>,
    /// The steps that are switched off.
    disabled: BTreeSet<usize>,
    /// The step after which `up` deletes the resource of each of these steps while it is switched off; see
    /// [`Graph::retire_after`].
    retired_after: BTreeMap<usize, usize>,
    /// The output types of the steps that [`Graph::record_of`] refers to before they are added.
    announced: BTreeMap<&'static str, TypeId>,
}

impl Default for Graph {
    fn default() -> Self {
        Self::new()
    }
}

impl Graph {
    /// Returns a graph without steps.
    pub fn new() -> Self {
        let graph_id = NEXT_GRAPH_ID.fetch_add(1, Ordering::Relaxed);
        Self {
            graph_id,
            nodes: Vec::new(),
            sources: Vec::new(),
            parents: Vec::new(),
            optional_sources: Vec::new(),
            always_apply: false,
            kept: BTreeMap::new(),
            optional: BTreeSet::new(),
            disabled: BTreeSet::new(),
            retired_after: BTreeMap::new(),
            announced: BTreeMap::new(),
        }
    }

    /// Adds a step and returns the handle to its output.
    ///
    /// The id is kebab-case and permanent, because users' journals contain it.
    ///
    /// # Panics
    ///
    /// Panics if the id is used twice, if an input belongs to another graph or is the value of an optional step, or
    /// if [`Graph::record_of`] gave the id another output type.
    pub fn add<S, I>(&mut self, id: &'static str, step: S, inputs: I) -> Handle<S::Output>
    where
        S: Step,
        I: Inputs<Values = S::Input>,
    {
        let handle = self.wire(id, step, inputs);
        let takes_optional =
            self.parents[handle.at.index].iter().any(|parent| self.optional.contains(parent));
        assert!(!takes_optional, "step {id} takes a value from an optional step");
        handle
    }

    fn wire<S, I>(&mut self, id: &'static str, step: S, inputs: I) -> Handle<S::Output>
    where
        S: Step,
        I: Inputs<Values = S::Input>,
    {
        assert!(self.nodes.iter().all(|node| node.id() != id), "step id {id} is used twice");
        let announced = self.announced.remove(id);
        assert!(announced.is_none_or(|is| is == TypeId::of::<S::Output>()), "step {id} has another output");
        let mut sources = Sources::default();
        inputs.sources(&mut sources);
        let index_of = |step_ref: &StepRef| {
            assert_eq!(step_ref.graph, self.graph_id, "step {id} has a handle of another graph");
            step_ref.index
        };
        let parents: BTreeSet<usize> = sources.values.iter().map(index_of).collect();
        let optional: BTreeSet<usize> = sources.optional.iter().map(index_of).collect();
        let orders: BTreeSet<usize> =
            sources.orders.iter().map(index_of).chain(optional.iter().copied()).collect();
        self.sources.push(parents.union(&orders).copied().collect());
        self.optional_sources.push(optional.into_iter().collect());
        self.parents.push(parents.into_iter().collect());
        let at = StepRef { graph: self.graph_id, index: self.nodes.len() };
        self.nodes.push(Arc::new(Wired { id, step, inputs }));
        Handle { at, id, _output: PhantomData }
    }

    /// Adds a step that a setting may switch off. Other steps can be ordered after it, or take its output if it has
    /// one; another optional step can rely on it.
    ///
    /// A disabled step is neither checked nor applied, and a plan or a report contains no line of it, unless
    /// an earlier run created its resource: a plan then says that `down` deletes it. `down` deletes an owned
    /// resource of a disabled step like any other, in the same order. [`Graph::retire_after`] lets `up` delete it.
    ///
    /// # Panics
    ///
    /// Like [`Graph::add`]. Also panics if it is switched on and takes a value from a step that is not.
    pub fn add_optional<S, I>(
        &mut self,
        id: &'static str,
        enabled: bool,
        step: S,
        inputs: I,
    ) -> OptionalHandle<S::Output>
    where
        S: Step,
        I: Inputs<Values = S::Input>,
    {
        let handle = self.wire(id, step, inputs);
        let index = handle.at.index;
        self.optional.insert(index);
        if !enabled {
            self.disabled.insert(index);
        }
        let lacks_value = enabled && self.parents[index].iter().any(|parent| self.disabled.contains(parent));
        assert!(!lacks_value, "step {id} takes a value from a disabled step");
        OptionalHandle(handle)
    }

    /// Lets `up` delete the owned resource of a step that is switched off, once another step has succeeded: that
    /// step proves that nothing uses the resource any more. Without this call only `down` deletes it.
    ///
    /// Resources are deleted after the last step of the run, dependents first.
    ///
    /// # Panics
    ///
    /// Panics if the id is unknown, or the other step belongs to another graph.
    pub fn retire_after(&mut self, id: &str, proof: Done) {
        let index = self.nodes.iter().position(|node| node.id() == id);
        let index = index.unwrap_or_else(|| panic!("no step {id}"));
        let Done(proof) = proof;
        assert_eq!(proof.graph, self.graph_id, "step {id} has a handle of another graph");
        self.retired_after.insert(index, proof.index);
    }

    /// Returns the switched-off steps whose owned resources `up` deletes, dependents first, each with the step that
    /// must have succeeded before.
    pub(crate) fn retired(&self, journal_state: &JournalState) -> Vec<(usize, usize)> {
        let owned = |index: usize| {
            let step_state = journal_state.step_state(self.nodes[index].id());
            step_state.is_some_and(|step_state| step_state.owned)
        };
        let disabled = self.disabled.iter().rev().filter(|&&index| owned(index));
        disabled.filter_map(|&index| Some((index, self.proof_of_retirement(index)?))).collect()
    }

    /// Returns the step that must have succeeded before `up` deletes the resource of this one.
    pub(crate) fn proof_of_retirement(&self, index: usize) -> Option<usize> {
        self.retired_after.get(&index).copied().filter(|&proof| !self.is_disabled(proof))
    }

    /// Returns the reference to the record of a step that is added later.
    ///
    /// # Panics
    ///
    /// Panics if an earlier call gave the id another output type.
    pub fn record_of<T: 'static>(&mut self, id: &'static str) -> RecordOf<T> {
        let announced = *self.announced.entry(id).or_insert(TypeId::of::<T>());
        assert_eq!(announced, TypeId::of::<T>(), "step {id} has another output");
        RecordOf { id, _output: PhantomData }
    }

    /// Checks that every step that [`Graph::record_of`] announced was added.
    ///
    /// # Panics
    ///
    /// Panics if one is missing.
    pub fn assert_complete(&self) {
        assert!(self.announced.is_empty(), "no step {:?}", self.announced.keys());
    }

    /// Disables all steps except these, so that a part of the graph runs alone.
    ///
    /// # Panics
    ///
    /// Panics if an id is unknown, or a remaining step takes a value from a disabled one.
    pub fn only(&mut self, ids: &[&str]) {
        let index_of = |id: &&str| {
            self.nodes.iter().position(|node| node.id() == *id).unwrap_or_else(|| panic!("no step {id}"))
        };
        let enabled: BTreeSet<usize> = ids.iter().map(index_of).collect();
        for &index in &enabled {
            let whole = self.parents[index].iter().all(|parent| enabled.contains(parent));
            assert!(whole, "step {} takes a value from a disabled step", self.nodes[index].id());
        }
        self.disabled = (0..self.nodes.len()).filter(|index| !enabled.contains(index)).collect();
    }

    /// Returns whether the step of this index is switched off.
    pub(crate) fn is_disabled(&self, index: usize) -> bool {
        self.disabled.contains(&index)
    }

    /// Adds a hook before every action of the steps added so far. `ask` receives the step's id and the
    /// action, and its error becomes the step's failure.
    ///
    /// For code that must be able to refuse an action: a policy, a limit on new resources, a test that
    /// injects a failure. The hook runs for [`StepAction::Check`] before every check (a step may be checked several
    /// times). For [`StepAction::Apply`] it runs before any journal entry or request of the step, so a refusal
    /// records no ownership. For [`StepAction::Undo`] it runs before the deletion of an owned resource. Of several
    /// hooks the last one added runs first.
    pub fn add_policy(
        &mut self,
        policy: impl Fn(&'static str, StepAction) -> Result<(), StepError> + Send + Sync + 'static,
    ) {
        let policy = Arc::new(policy);
        for node in &mut self.nodes {
            *node = Arc::new(GuardedNode { node: node.clone(), policy: policy.clone() });
        }
    }

    /// Applies every step even if it is ready, as `make --always-make` does: for users who do not trust the
    /// checks.
    ///
    /// A ready step is treated as drifted: its ownership is unchanged, and its result is
    /// [`How::Changed`](crate::How::Changed).
    pub fn always_apply(&mut self) {
        self.always_apply = true;
    }

    /// Excludes a step's resource and all its dependencies from teardown; they stay owned.
    ///
    /// Returns whether the step exists.
    pub fn keep(&mut self, step: &str, why: &str) -> bool {
        let Some(index) = self.nodes.iter().position(|node| node.id() == step) else { return false };
        let title = self.nodes[index].title();
        self.kept.insert(index, why.to_owned());
        let mut below: Vec<usize> = self.sources[index].clone();
        while let Some(source) = below.pop() {
            let stays = format!("{title} depends on it and is kept");
            if let Entry::Vacant(entry) = self.kept.entry(source) {
                entry.insert(stays);
            }
            below.extend(&self.sources[source]);
        }
        true
    }

    /// Returns the steps that [`Graph::keep`] excludes, with the reason.
    pub fn kept(&self) -> BTreeMap<&'static str, &str> {
        self.kept.iter().map(|(&index, why)| (self.nodes[index].id(), why.as_str())).collect()
    }

    /// Describes every step, dependencies first.
    pub fn steps(&self) -> Vec<StepInfo> {
        let describe = |(index, node): (usize, &Arc<dyn Node>)| StepInfo {
            id: node.id(),
            title: node.title(),
            after: self.sources[index].iter().map(|&source| self.nodes[source].id()).collect(),
            typical_duration: node.typical_duration(),
            deadline: node.deadline(),
            enabled: !self.is_disabled(index),
        };
        self.nodes.iter().enumerate().map(describe).collect()
    }

    /// Describes the steps that a run shows: those that are not switched off, and those whose resources it deletes.
    pub(crate) fn steps_of_run(&self, journal_state: &JournalState) -> Vec<StepInfo> {
        let retired = self.retired(journal_state);
        let mut shown = self.steps();
        for &(index, proof) in &retired {
            shown[index].after = vec![self.nodes[proof].id()];
            shown[index].typical_duration = Duration::ZERO;
        }
        let is_shown = |index: usize| !self.is_disabled(index) || retired.iter().any(|one| one.0 == index);
        shown.into_iter().enumerate().filter(|(index, _)| is_shown(*index)).map(|(_, step)| step).collect()
    }

    /// Describes the steps that are not switched off, dependencies first.
    pub fn enabled_steps(&self) -> Vec<StepInfo> {
        self.steps().into_iter().filter(|step| step.enabled).collect()
    }

    /// Returns a step's output from the journal; `None` if there is none, or it no longer parses.
    ///
    /// # Panics
    ///
    /// Panics if the handle belongs to another graph.
    pub fn output<T: Clone + 'static>(&self, handle: Handle<T>, journal_state: &JournalState) -> Option<T> {
        assert_eq!(handle.at.graph, self.graph_id, "the handle belongs to another graph");
        let node = &self.nodes[handle.at.index];
        let node_output = node.decode(journal_state.step_state(node.id())?.output.as_ref()?)?;
        Some(node_output.produced.downcast_ref::<T>().expect("typed by Graph::add").clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Check, Context, StepError, UndoOutcome};

    /// A step with any input whose output is a number.
    struct Number<I>(u32, PhantomData<fn() -> I>);

    fn number<I>(n: u32) -> Number<I> {
        Number(n, PhantomData)
    }

    impl<I: Send + Sync + 'static> Step for Number<I> {
        type Input = I;
        type Output = u32;
        fn title(&self) -> String {
            format!("number {}", self.0)
        }
        fn deadline(&self) -> Duration {
            Duration::from_secs(1)
        }
        async fn check(&self, _: &Context, _: &I) -> Result<Check<u32>, StepError> {
            Ok(Check::InSync(self.0))
        }
        async fn apply(&self, _: &Context, _: &I) -> Result<u32, StepError> {
            Ok(self.0)
        }
        async fn undo(&self, _: &Context, _: u32) -> Result<UndoOutcome, StepError> {
            Ok(UndoOutcome::Deleted)
        }
    }

    #[test]
    fn a_step_records_its_dependencies_and_its_value_sources() {
        let mut graph = Graph::new();
        let a = graph.add("a", number::<()>(1), ());
        let b = graph.add("b", number::<()>(2), a.done());
        graph.add("c", number::<((), (u32, u32), u32)>(3), (a.done(), (b, b), b));
        assert_eq!(graph.sources, [vec![], vec![0], vec![0, 1]]);
        assert_eq!(graph.parents, [vec![], vec![], vec![1]]);
        assert_eq!(graph.steps()[2].after, ["a", "b"]);
    }

    #[test]
    #[should_panic(expected = "step c has a handle of another graph")]
    fn a_handle_of_another_graph_panics() {
        let (mut one, mut other) = (Graph::new(), Graph::new());
        let a = one.add("a", number::<()>(1), ());
        other.add("b", number::<()>(1), ());
        other.add("c", number::<u32>(2), a);
    }

    #[test]
    #[should_panic(expected = "step id a is used twice")]
    fn a_duplicate_id_panics() {
        let mut graph = Graph::new();
        graph.add("a", number::<()>(1), ());
        graph.add("a", number::<()>(2), ());
    }

    #[test]
    #[should_panic(expected = "step a has another output")]
    fn a_reference_to_a_later_step_has_the_type_of_its_output() {
        let mut graph = Graph::new();
        let _ = graph.record_of::<String>("a");
        graph.add("a", number::<()>(1), ());
    }

    #[test]
    fn an_optional_step_takes_the_value_of_another() {
        let mut graph = Graph::new();
        let a = graph.add_optional("a", false, number::<()>(1), ());
        let b = graph.add_optional("b", false, number::<u32>(2), a);
        graph.add("c", number::<((), Option<u32>)>(3), (b.done(), a.if_enabled()));
        assert_eq!(graph.parents, [vec![], vec![0], vec![]]);
        assert_eq!((&graph.sources[2], &graph.optional_sources[2]), (&vec![0, 1], &vec![0]));
    }

    #[test]
    #[should_panic(expected = "step b takes a value from an optional step")]
    fn the_value_of_an_optional_step_is_for_optional_steps() {
        let mut graph = Graph::new();
        let a = graph.add_optional("a", true, number::<()>(1), ());
        graph.add("b", number::<u32>(2), a);
    }

    #[test]
    #[should_panic(expected = "step b takes a value from a disabled step")]
    fn an_optional_step_is_switched_off_with_its_source() {
        let mut graph = Graph::new();
        let a = graph.add_optional("a", false, number::<()>(1), ());
        graph.add_optional("b", true, number::<u32>(2), a);
    }

    #[test]
    #[should_panic(expected = "step b takes a value from a disabled step")]
    fn a_part_of_a_graph_contains_the_values_that_it_takes() {
        let mut graph = Graph::new();
        let a = graph.add("a", number::<()>(1), ());
        graph.add("b", number::<u32>(2), a);
        graph.only(&["b"]);
    }
}
