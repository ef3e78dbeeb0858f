//! The teardown: deletes only owned resources, each after everything that depends on it.

use super::{
    Turn, Walk, bounded,
    fate::{Fate, Fates, Resolved},
    report::{LeftBehind, Report, Span},
};
use crate::{
    context::Context,
    error::{Kind, Residue, StepError},
    event::What,
    graph::Graph,
    handle::Outputs,
    journal::{Entry, JournalError, Memory},
    node::{Boxed, Made, Node},
    run_context::Run,
    schedule::Schedule,
    step_types::{Act, Undone},
    stop::Level,
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
    loop {
        down.start_what_may()?;
        let Some(turn) = down.walk.next().await else { return down.close() };
        down.end(turn)?;
        down.resolve()?;
    }
}

struct Down<'a> {
    walk: Walk<'a, Undone>,
    known: Arc<Known>,
    fates: Fates,
}

impl<'a> Down<'a> {
    fn begin(graph: &'a Graph, run: &'a Run) -> Self {
        let memory = run.journal.memory();
        let ours = graph.nodes.iter().map(|node| memory.past(node.id()).is_some_and(|past| past.ours));
        let fates = Fates::new(wholes(graph), ours);
        let walk = Walk::begin(graph, run, Schedule::backward(graph.sources.clone()), graph.steps());
        let (nodes, parents) = (graph.nodes.clone(), graph.parents.clone());
        Self { walk, known: Arc::new(Known { nodes, parents, memory, run: run.clone() }), fates }
    }

    fn start_what_may(&mut self) -> Result<(), JournalError> {
        loop {
            let ready = self.walk.take_ready();
            if ready.is_empty() {
                return self.resolve();
            }
            for index in ready {
                match self.walk.graph.kept.get(&index) {
                    _ if self.fates.of(index) == Fate::NotOurs => self.walk.schedule.finish(index),
                    Some(why) => {
                        self.walk.schedule.finish(index);
                        self.fates.set(index, Fate::Kept);
                        self.record(index, Undone::Kept { why: why.clone() })?;
                    }
                    None => self.start(index),
                }
            }
        }
    }

    fn start(&mut self, index: usize) {
        let known = self.known.clone();
        self.walk.running.spawn(async move {
            let node = &*known.nodes[index];
            let cx = Context::new(node.id(), Act::Undo, &known.run);
            let began = Instant::now();
            cx.begin_acting();
            let result = bounded(node, &cx, known.take_away(index, &cx)).await;
            Turn { index, result, span: Span::After(cx.acted()), elapsed: began.elapsed() }
        });
    }

    fn end(&mut self, turn: Turn<Undone>) -> Result<(), JournalError> {
        let Turn { index, result, span, elapsed } = turn;
        self.walk.spans[index] = span;
        match result {
            Ok(Undone::Underway) => {
                self.walk.put_off = true;
                self.fates.set(index, Fate::Going);
                self.tell(index, Undone::Underway);
                for waiting in self.walk.schedule.fail(index) {
                    self.put_off(waiting);
                }
            }
            Ok(undone) => {
                self.walk.schedule.finish(index);
                match undone {
                    Undone::GoesWithParent => self.fates.set(index, Fate::Held),
                    undone => {
                        let fate = if undone.is_gone() { Fate::Gone } else { Fate::Kept };
                        self.fates.set(index, fate);
                        self.record(index, undone)?;
                    }
                }
            }
            Err(mut error) => {
                let interrupted = error.kind == Kind::Interrupted;
                // A refusal leaves nothing new, but the resource to delete still exists.
                if error.residue == Residue::Nothing {
                    error.residue = Residue::Something;
                }
                let blocked = self.walk.failed(index, error, elapsed)?;
                if !interrupted {
                    self.fates.set(index, Fate::Lost { by: index });
                }
                for blocked in blocked {
                    self.lose(blocked, index);
                }
            }
        }
        Ok(())
    }

    /// Records what was deleted with its parent, or stays with it, as far as it is decided now.
    fn resolve(&mut self) -> Result<(), JournalError> {
        for resolved in self.fates.resolve() {
            match resolved {
                Resolved::Went { step } => self.record(step, Undone::GoesWithParent)?,
                Resolved::Stays { step, with } => {
                    let why = format!("it is part of {}, which is kept", self.walk.graph.nodes[with].title());
                    self.record(step, Undone::Kept { why })?;
                }
                Resolved::Lost { step, by } => self.walk.blocked(step, by),
            }
        }
        Ok(())
    }

    fn record(&mut self, index: usize, undone: Undone) -> Result<(), JournalError> {
        let step = self.walk.graph.nodes[index].id().to_owned();
        self.walk.run.journal.append(Entry::Undone { step, undone: undone.clone() })?;
        self.tell(index, undone);
        Ok(())
    }

    fn tell(&mut self, index: usize, undone: Undone) {
        let node = &self.walk.graph.nodes[index];
        let (step, title) = (node.id(), node.title());
        self.walk.run.tell(What::Undone { step, title, undone: undone.clone() });
        self.walk.report.undone.push((step.to_owned(), undone));
    }

    /// Dependencies of a resource whose deletion is in progress wait for a later run.
    fn put_off(&mut self, index: usize) {
        if self.fates.of(index) != Fate::NotOurs {
            self.walk.report.waiting.push(self.walk.graph.nodes[index].id().to_owned());
        }
    }

    fn lose(&mut self, index: usize, by: usize) {
        // A foreign resource would not be touched anyway, so there is nothing to report.
        if self.fates.of(index) != Fate::NotOurs {
            self.fates.set(index, Fate::Lost { by });
            self.walk.blocked(index, by);
        }
    }

    /// Removes the record of a found resource that is part of a deleted one: it is gone too. A resource that
    /// outlives its parent, such as a DNS record, stays in the journal, so that a later run can still adopt
    /// it.
    fn forget_found(&mut self) -> Result<(), JournalError> {
        let graph = self.walk.graph;
        let wholes = wholes(graph);
        let mut gone: Vec<bool> =
            (0..graph.nodes.len()).map(|index| self.fates.of(index) == Fate::Gone).collect();
        for (index, node) in graph.nodes.iter().enumerate() {
            let past = self.known.memory.past(node.id());
            let output =
                past.and_then(|past| past.output.as_ref()).filter(|_| self.fates.of(index) == Fate::NotOurs);
            let goes = output.is_some_and(|output| !node.outlives_parent(output));
            if goes && wholes[index].iter().any(|&whole| gone[whole]) {
                gone[index] = true;
                let entry = Entry::Undone { step: node.id().into(), undone: Undone::GoesWithParent };
                self.walk.run.journal.append(entry)?;
            }
        }
        Ok(())
    }

    fn close(mut self) -> Result<Report, JournalError> {
        self.forget_found()?;
        self.walk.report.left_behind = self.known.memory.left_behind(self.walk.graph);
        for index in self.fates.held() {
            if self.walk.put_off {
                self.put_off(index);
                continue;
            }
            self.walk.run.tell(What::Interrupted { step: self.walk.graph.nodes[index].id() });
        }
        self.walk.close()
    }
}

/// Returns, for each step, the steps whose resources may contain its own.
fn wholes(graph: &Graph) -> Vec<Vec<usize>> {
    let wholes = |(node, parents): (&Arc<dyn Node>, &Vec<usize>)| match node.part_of() {
        None => parents.clone(),
        Some(whole) => parents.iter().copied().filter(|&parent| graph.nodes[parent].id() == whole).collect(),
    };
    graph.nodes.iter().zip(&graph.parents).map(wholes).collect()
}

/// The data that the deletion of a step's resource needs.
struct Known {
    nodes: Vec<Arc<dyn Node>>,
    parents: Vec<Vec<usize>>,
    memory: Memory,
    run: Run,
}

impl Known {
    /// Deletes the resource of the last output, and what a later attempt may have created in addition: it may
    /// have another id. A resource that was only found is never touched.
    async fn take_away(&self, index: usize, cx: &Context) -> Result<Undone, StepError> {
        let node = &self.nodes[index];
        let past = self.memory.past(node.id()).expect("only what is ours is taken away");
        let Some(made) = past.output_of_ours().and_then(|value| node.decode(value)) else {
            return match self.find(index, cx).await? {
                None => Ok(Undone::AlreadyGone),
                Some(made) => self.undo(index, cx, made).await,
            };
        };
        let undone = self.undo(index, cx, made).await?;
        let alone = matches!(undone, Undone::Deleted | Undone::AlreadyGone);
        if !(alone && past.output_in_doubt()) {
            return Ok(undone);
        }
        match self.find(index, cx).await? {
            None => Ok(undone),
            Some(newer) => match self.undo(index, cx, newer).await? {
                Undone::AlreadyGone => Ok(undone),
                newer => Ok(newer),
            },
        }
    }

    async fn undo(&self, index: usize, cx: &Context, made: Made) -> Result<Undone, StepError> {
        let node = &self.nodes[index];
        if cx.stop.level() >= Level::Gently {
            return Err(StepError::new(Kind::Interrupted, format!("start to delete {}", node.title())));
        }
        cx.note("deleting it");
        node.undo(cx, made).await
    }

    /// Searches for a step's resource, with inputs that are recorded or found in turn; `None` if nothing of
    /// it exists.
    async fn find(&self, index: usize, cx: &Context) -> Result<Option<Made>, StepError> {
        let node = &self.nodes[index];
        let mut outputs = Outputs(vec![None; self.nodes.len()]);
        for &parent in &self.parents[index] {
            let Some(made) = self.learn(parent, cx).await? else {
                return Err(self.unknown_parent(index, parent));
            };
            outputs.0[parent] = Some(made.produced);
        }
        let cx = cx.finding(node.id());
        cx.tell(What::Looking { step: node.id() });
        node.recover(&cx, &outputs).await
    }

    /// Returns the output of a step as an input of another one: recorded, or found by a search.
    fn learn<'a>(&'a self, index: usize, cx: &'a Context) -> Boxed<'a, Result<Option<Made>, StepError>> {
        Box::pin(async move {
            let node = &self.nodes[index];
            let remembered = self.memory.past(node.id()).and_then(|past| past.output_to_stand_on());
            match remembered.and_then(|value| node.decode(value)) {
                Some(made) => Ok(Some(made)),
                None => self.find(index, cx).await,
            }
        })
    }

    fn unknown_parent(&self, index: usize, parent: usize) -> StepError {
        let (title, parent) = (self.nodes[index].title(), self.nodes[parent].title());
        StepError::new(Kind::Failed, format!("find {title}"))
            .cause(format!("{parent} no longer exists, and the journal has no record of it"))
            .hint("run landfall up first, then landfall down")
    }
}

impl Memory {
    /// Returns the owned resources that no step of this graph can delete.
    fn left_behind(&self, graph: &Graph) -> Vec<LeftBehind> {
        let known = |step: &str| graph.nodes.iter().any(|node| node.id() == step);
        let left = self.0.iter().filter(|(step, past)| past.ours && !known(step));
        let tell = |(step, past): (&String, &crate::Past)| LeftBehind {
            step: step.clone(),
            output: past.output.clone(),
            named: past.named.clone(),
        };
        left.map(tell).collect()
    }
}
