//! The teardown: deletes only owned resources, each after everything that depends on it.

use super::{
    Turn, Walk,
    report::{LeftBehind, Report, Span},
    teardown_state::{Resolved, TeardownState, TeardownStates},
    with_deadline,
};
use crate::{
    context::Context,
    error::{Kind, Leftover, StepError},
    event::EventKind,
    graph::Graph,
    handle::Outputs,
    journal::{Details, Entry, JournalError, JournalState},
    node::{Boxed, Node, NodeOutput},
    run_context::Run,
    schedule::Schedule,
    step_types::{StepAction, UndoOutcome},
    stop::StopLevel,
};
use std::sync::Arc;
use tokio::time::Instant;

/// Deletes what the steps of this graph created, in reverse order, as concurrently as the edges allow.
///
/// Leaves existing resources alone. If a resource cannot be deleted, its dependencies stay too. A second call
/// resumes. It first searches for resources whose creation was interrupted by the death of a process.
///
/// # Errors
///
/// Fails if the journal cannot be written; the run ends immediately.
pub async fn down(graph: &Graph, run: &Run) -> Result<Report, JournalError> {
    let mut down = Down::begin(graph, run);
    match down.walk_all().await {
        Ok(()) => down.close().await,
        Err(error) => {
            down.walk.drain(&error).await;
            Err(error)
        }
    }
}

struct Down<'a> {
    walk: Walk<'a, UndoOutcome>,
    known: Arc<DeletionContext>,
    teardown_states: TeardownStates,
}

impl<'a> Down<'a> {
    fn begin(graph: &'a Graph, run: &'a Run) -> Self {
        let journal_state = run.journal.journal_state();
        let owned = graph
            .nodes
            .iter()
            .map(|node| journal_state.step_state(node.id()).is_some_and(|step_state| step_state.owned));
        let teardown_states = TeardownStates::new(containers(graph), owned);
        let walk = Walk::begin(graph, run, Schedule::backward(graph.sources.clone()), graph.steps());
        Self { walk, known: Arc::new(DeletionContext::new(graph, run)), teardown_states }
    }

    async fn walk_all(&mut self) -> Result<(), JournalError> {
        loop {
            self.start_ready()?;
            let Some(turn) = self.walk.next().await else { return Ok(()) };
            self.end(turn)?;
            self.resolve()?;
        }
    }

    fn start_ready(&mut self) -> Result<(), JournalError> {
        loop {
            let ready = self.walk.take_ready();
            if ready.is_empty() {
                return self.resolve();
            }
            for index in ready {
                match self.walk.graph.kept.get(&index) {
                    _ if self.teardown_states.of(index) == TeardownState::NotOwned => {
                        self.walk.schedule.finish(index)
                    }
                    Some(why) => {
                        self.walk.schedule.finish(index);
                        self.teardown_states.set(index, TeardownState::Kept);
                        self.record(index, UndoOutcome::Kept { why: why.clone() }, Details::default())?;
                    }
                    None => self.start(index),
                }
            }
        }
    }

    fn start(&mut self, index: usize) {
        let (known, run_requests) = (self.known.clone(), self.walk.run_requests.clone());
        self.walk.running.spawn(async move {
            let node = &*known.nodes[index];
            let cx = Context::new(node.id(), StepAction::Undo, &known.run, &run_requests);
            let began = Instant::now();
            cx.begin_acting();
            let result = cx.counted(with_deadline(node, &cx, known.delete(index, &cx))).await;
            let (span, warnings) = (Span::After(cx.cloud_duration()), cx.take_warnings());
            Turn { index, result, span, elapsed: began.elapsed(), warnings, activity: cx.activity() }
        });
    }

    fn end(&mut self, turn: Turn<UndoOutcome>) -> Result<(), JournalError> {
        let Turn { index, result, span, elapsed, warnings, activity } = turn;
        let details = Details::of_turn(activity.clone());
        self.walk.spans[index] = span;
        self.walk.warned(index, warnings);
        match result {
            Ok(UndoOutcome::InProgress) => {
                self.walk.deferred = true;
                self.teardown_states.set(index, TeardownState::Deleting);
                self.emit(index, UndoOutcome::InProgress);
                for waiting in self.walk.schedule.fail(index) {
                    self.defer(waiting);
                }
            }
            Ok(undone) => {
                self.walk.schedule.finish(index);
                match undone {
                    UndoOutcome::DeletedWithParent => {
                        self.teardown_states.set(index, TeardownState::AwaitsParent)
                    }
                    undone => {
                        let teardown_state =
                            if undone.is_deleted() { TeardownState::Deleted } else { TeardownState::Kept };
                        self.teardown_states.set(index, teardown_state);
                        self.record(index, undone, details)?;
                    }
                }
            }
            Err(mut error) => {
                let interrupted = error.kind == Kind::Interrupted;
                // A refusal leaves nothing new, but the resource to delete still exists.
                if error.leftover == Leftover::Nothing {
                    error.leftover = Leftover::Something;
                }
                let blocked = self.walk.failed(index, error, elapsed, activity)?;
                if !interrupted {
                    self.teardown_states.set(index, TeardownState::Failed { by: index });
                }
                for blocked in blocked {
                    self.mark_failed(blocked, index);
                }
            }
        }
        Ok(())
    }

    /// Records what was deleted with its parent, or stays with it, as far as it is decided now.
    fn resolve(&mut self) -> Result<(), JournalError> {
        for resolved in self.teardown_states.resolve() {
            match resolved {
                Resolved::Deleted { step } => {
                    self.record(step, UndoOutcome::DeletedWithParent, Details::default())?
                }
                Resolved::Kept { step, with } => {
                    let why = format!("it is part of {}, which is kept", self.walk.graph.nodes[with].title());
                    self.record(step, UndoOutcome::Kept { why }, Details::default())?;
                }
                Resolved::Failed { step, by } => self.walk.blocked(step, by),
            }
        }
        Ok(())
    }

    fn record(&mut self, index: usize, undone: UndoOutcome, details: Details) -> Result<(), JournalError> {
        let step = self.walk.graph.nodes[index].id().to_owned();
        self.walk.run.journal.append(Entry::Undone { step, undone: undone.clone() }.with(details))?;
        self.emit(index, undone);
        Ok(())
    }

    fn emit(&mut self, index: usize, undone: UndoOutcome) {
        let node = &self.walk.graph.nodes[index];
        let (step, title) = (node.id(), node.title());
        self.walk.run.emit(EventKind::Undone { step, title, undone: undone.clone() });
        self.walk.report.undone.push((step.to_owned(), undone));
    }

    /// Dependencies of a resource whose deletion is in progress wait for a later run.
    fn defer(&mut self, index: usize) {
        if self.teardown_states.of(index) != TeardownState::NotOwned {
            self.walk.report.waiting.push(self.walk.graph.nodes[index].id().to_owned());
        }
    }

    fn mark_failed(&mut self, index: usize, by: usize) {
        // A foreign resource would not be touched anyway, so there is nothing to report.
        if self.teardown_states.of(index) != TeardownState::NotOwned {
            self.teardown_states.set(index, TeardownState::Failed { by });
            self.walk.blocked(index, by);
        }
    }

    /// Removes the record of a found resource that is part of a deleted one: it is gone too. A resource that
    /// outlives its parent, such as a DNS record, stays in the journal, so that a later run can still adopt
    /// it.
    fn forget_found(&mut self) -> Result<(), JournalError> {
        let graph = self.walk.graph;
        let containers = containers(graph);
        let mut deleted: Vec<bool> = (0..graph.nodes.len())
            .map(|index| self.teardown_states.of(index) == TeardownState::Deleted)
            .collect();
        for (index, node) in graph.nodes.iter().enumerate() {
            let step_state = self.known.journal_state.step_state(node.id());
            let output = step_state
                .and_then(|step_state| step_state.output.as_ref())
                .filter(|_| self.teardown_states.of(index) == TeardownState::NotOwned);
            let is_deleted = output.is_some_and(|output| !node.outlives_parent(output));
            if is_deleted && containers[index].iter().any(|&container| deleted[container]) {
                deleted[index] = true;
                let entry = Entry::Undone { step: node.id().into(), undone: UndoOutcome::DeletedWithParent };
                self.walk.run.journal.append(entry)?;
            }
        }
        Ok(())
    }

    async fn close(mut self) -> Result<Report, JournalError> {
        self.forget_found()?;
        self.walk.report.left_behind = self.known.journal_state.left_behind(self.walk.graph);
        for index in self.teardown_states.awaiting_parent() {
            if self.walk.deferred {
                self.defer(index);
                continue;
            }
            self.walk.run.emit(EventKind::Interrupted { step: self.walk.graph.nodes[index].id() });
        }
        self.walk.close().await
    }
}

/// Returns, for each step, the steps whose resources may contain its own.
fn containers(graph: &Graph) -> Vec<Vec<usize>> {
    let containers = |(node, parents): (&Arc<dyn Node>, &Vec<usize>)| match node.parent() {
        None => parents.clone(),
        Some(container) => {
            parents.iter().copied().filter(|&parent| graph.nodes[parent].id() == container).collect()
        }
    };
    graph.nodes.iter().zip(&graph.parents).map(containers).collect()
}

/// The data that the deletion of a step's resource needs.
pub(super) struct DeletionContext {
    nodes: Vec<Arc<dyn Node>>,
    parents: Vec<Vec<usize>>,
    optional_sources: Vec<Vec<usize>>,
    journal_state: JournalState,
    run: Run,
}

impl DeletionContext {
    /// Returns the context for the resources that the journal records now.
    pub(super) fn new(graph: &Graph, run: &Run) -> Self {
        Self {
            nodes: graph.nodes.clone(),
            parents: graph.parents.clone(),
            optional_sources: graph.optional_sources.clone(),
            journal_state: run.journal.journal_state(),
            run: run.clone(),
        }
    }

    /// Deletes the resource of the last output, and what a later attempt may have created in addition: it may
    /// have another id. A resource that was only found is never touched.
    pub(super) async fn delete(&self, index: usize, cx: &Context) -> Result<UndoOutcome, StepError> {
        let node = &self.nodes[index];
        let step_state = self.journal_state.step_state(node.id()).expect("only what is ours is taken away");
        let Some(node_output) = step_state.owned_output().and_then(|value| node.decode(value)) else {
            return match self.find(index, cx).await? {
                None => Ok(UndoOutcome::AlreadyDeleted),
                Some(node_output) => self.undo(index, cx, node_output).await,
            };
        };
        let undone = self.undo(index, cx, node_output).await?;
        let is_deleted_itself = matches!(undone, UndoOutcome::Deleted | UndoOutcome::AlreadyDeleted);
        if !(is_deleted_itself && step_state.output_may_be_stale()) {
            return Ok(undone);
        }
        match self.find(index, cx).await? {
            None => Ok(undone),
            Some(newer) => match self.undo(index, cx, newer).await? {
                UndoOutcome::AlreadyDeleted => Ok(undone),
                newer => Ok(newer),
            },
        }
    }

    async fn undo(
        &self,
        index: usize,
        cx: &Context,
        node_output: NodeOutput,
    ) -> Result<UndoOutcome, StepError> {
        let node = &self.nodes[index];
        if cx.stop.level() >= StopLevel::Graceful {
            return Err(StepError::new(Kind::Interrupted, format!("start to delete {}", node.title())));
        }
        cx.note("deleting it");
        node.undo(cx, node_output).await
    }

    /// Searches for a step's resource, with inputs that are recorded or found in turn; `None` if nothing of
    /// it exists.
    async fn find(&self, index: usize, cx: &Context) -> Result<Option<NodeOutput>, StepError> {
        let node = &self.nodes[index];
        let mut outputs = Outputs(vec![None; self.nodes.len()]);
        for &parent in &self.parents[index] {
            let Some(node_output) = self.resolve_output(parent, cx).await? else {
                return Err(self.unknown_parent(index, parent));
            };
            outputs.0[parent] = Some(node_output.produced);
        }
        for &source in &self.optional_sources[index] {
            outputs.0[source] = self.recorded_output(source).map(|node_output| node_output.produced);
        }
        let cx = cx.for_search(node.id());
        cx.emit(EventKind::Checking { step: node.id() });
        node.recover(&cx, &outputs).await
    }

    /// Returns the output of a step as an input of another one: recorded, or found by a search.
    fn resolve_output<'a>(
        &'a self,
        index: usize,
        cx: &'a Context,
    ) -> Boxed<'a, Result<Option<NodeOutput>, StepError>> {
        Box::pin(async move {
            match self.recorded_output(index) {
                Some(node_output) => Ok(Some(node_output)),
                None => self.find(index, cx).await,
            }
        })
    }

    fn recorded_output(&self, index: usize) -> Option<NodeOutput> {
        let node = &self.nodes[index];
        node.decode(self.journal_state.step_state(node.id())?.usable_output()?)
    }

    fn unknown_parent(&self, index: usize, parent: usize) -> StepError {
        let (title, parent) = (self.nodes[index].title(), self.nodes[parent].title());
        StepError::new(Kind::Failed, format!("find {title}"))
            .cause(format!("{parent} does not exist, and the journal does not show that landfall created it"))
            .hint("run landfall up first, then landfall down")
    }
}

impl JournalState {
    /// Returns the owned resources that no step of this graph can delete.
    fn left_behind(&self, graph: &Graph) -> Vec<LeftBehind> {
        let known = |step: &str| graph.nodes.iter().any(|node| node.id() == step);
        let left = self.0.iter().filter(|(step, step_state)| step_state.owned && !known(step));
        let emit = |(step, step_state): (&String, &crate::StepState)| LeftBehind {
            step: step.clone(),
            output: step_state.output.clone(),
            planned_name: step_state.planned_name.clone(),
        };
        left.map(emit).collect()
    }
}
