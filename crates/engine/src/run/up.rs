//! `up`: checks each step, then creates or updates what is not in sync.

use super::{
    Turn, Walk,
    report::{Report, Span},
    retirement,
    speculative::{SpeculativeCheck, SpeculativeChecks},
    with_deadline,
};
use crate::{
    context::Context,
    error::{Kind, Leftover, StepError},
    event::EventKind,
    graph::Graph,
    handle::Outputs,
    journal::{Details, Entry, JournalError},
    node::{Node, NodeOutput},
    run_context::Run,
    schedule::Schedule,
    step_types::{Change, Check, How, StepAction},
    stop::StopLevel,
};
use serde_json::Value;
use tokio::time::Instant;

/// Brings every step to ready, as concurrently as the edges allow.
///
/// At the end it deletes the resources that [`Graph::retire_after`] names.
///
/// A failed step blocks only its dependents. A second call resumes: it finds existing resources and attaches
/// to operations in progress.
///
/// # Errors
///
/// Fails if the journal cannot be written; the run ends immediately. If another process has taken the journal over,
/// the requests in flight end first.
pub async fn up(graph: &Graph, run: &Run) -> Result<Report, JournalError> {
    let mut up = Up::begin(graph, run);
    loop {
        up.start_ready();
        let Some(turn) = up.walk.next().await else { break };
        if let Err(error) = up.end(turn) {
            up.walk.drain(&error).await;
            return Err(error);
        }
    }
    let ended = up.ended;
    retirement::retire(&mut up.walk, |index| ended[index].is_some()).await?;
    up.walk.close().await
}

struct Up<'a> {
    walk: Walk<'a, (How, NodeOutput)>,
    speculative: SpeculativeChecks,
    outputs: Outputs,
    /// The result of each step, and its output as JSON.
    ended: Vec<Option<(How, Value)>>,
}

impl<'a> Up<'a> {
    fn begin(graph: &'a Graph, run: &'a Run) -> Self {
        let steps = graph.steps_of_run(&run.journal.journal_state());
        let walk = Walk::begin(graph, run, Schedule::forward(graph.sources.clone()), steps);
        let speculative =
            SpeculativeChecks::begin(graph, run, &run.journal.journal_state(), &walk.run_requests);
        let steps = graph.nodes.len();
        Self { walk, speculative, outputs: Outputs(vec![None; steps]), ended: vec![None; steps] }
    }

    fn start_ready(&mut self) {
        let (graph, run) = (self.walk.graph, self.walk.run);
        for index in self.take_enabled() {
            let node = graph.nodes[index].clone();
            let speculative = self.speculative.take(index, &graph.sources[index], &self.ended);
            let cx = Context::new(node.id(), StepAction::Apply, run, &self.walk.run_requests);
            let (outputs, always_apply) = (self.outputs.clone(), graph.always_apply);
            self.walk.running.spawn(async move {
                let began = Instant::now();
                let mut span = None;
                let ensured = ensure(&*node, &cx, &outputs, speculative, always_apply, &mut span);
                let result = cx.counted(with_deadline(&*node, &cx, ensured)).await;
                let span = span.unwrap_or_else(|| Span::After(cx.cloud_duration()));
                let (warnings, activity) = (cx.take_warnings(), cx.activity());
                Turn { index, result, span, elapsed: began.elapsed(), warnings, activity }
            });
        }
    }

    /// Returns the enabled steps whose turn it is. A disabled one counts as done.
    fn take_enabled(&mut self) -> Vec<usize> {
        let mut enabled = Vec::new();
        loop {
            let ready = self.walk.take_ready();
            if ready.is_empty() {
                return enabled;
            }
            for index in ready {
                match self.walk.graph.is_disabled(index) {
                    true => self.walk.schedule.finish(index),
                    false => enabled.push(index),
                }
            }
        }
    }

    fn end(&mut self, turn: Turn<(How, NodeOutput)>) -> Result<(), JournalError> {
        let Turn { index, result, span, elapsed, warnings, activity } = turn;
        self.walk.spans[index] = span;
        self.walk.warned(index, warnings);
        match result {
            Ok((how, node_output)) => {
                let step = self.walk.graph.nodes[index].id();
                let entry = Entry::Finished { step: step.into(), how, output: node_output.value.clone() };
                let entry = entry.with(Details::of_turn(activity));
                self.walk.run.record(entry, EventKind::Finished { step, how, elapsed })?;
                self.walk.report.count(how);
                self.walk.schedule.finish(index);
                self.outputs.0[index] = Some(node_output.produced);
                self.ended[index] = Some((how, node_output.value));
            }
            Err(error) => {
                let mut blocked = self.walk.failed(index, error, elapsed, activity)?;
                blocked.retain(|&blocked| !self.walk.graph.is_disabled(blocked));
                for blocked in blocked {
                    self.walk.blocked(blocked, index);
                }
            }
        }
        Ok(())
    }
}

/// Checks, and creates or updates what is not in sync; with `again` also what is. `span` is set if the
/// speculative check was sufficient.
async fn ensure(
    node: &dyn Node,
    cx: &Context,
    outputs: &Outputs,
    speculative: Option<SpeculativeCheck>,
    always_apply: bool,
    span: &mut Option<Span>,
) -> Result<(How, NodeOutput), StepError> {
    cx.emit(EventKind::Checking { step: node.id() });
    // The creation started in an earlier run and never ended: the run that completes it has created the resource.
    let step_state = cx.step_state();
    let unfinished = step_state.owned && step_state.output.is_none();
    let how = |otherwise| if unfinished { How::Created } else { otherwise };
    if let Some(speculative) = speculative
        && let Some(ready) = speculative.ready().await
    {
        ready.warnings.into_iter().for_each(|warning| cx.warn(warning));
        cx.add_activity(&ready.activity);
        *span = Some(Span::FromStart(ready.elapsed));
        return Ok((how(How::Found), ready.node_output));
    }
    cx.begin_acting();
    let checked = node.check(cx, outputs).await.map_err(|error| with_claimed_leftover(cx, error))?;
    let (creating, how) = match checked {
        Check::InSync(node_output) if !always_apply => return Ok((how(How::Found), node_output)),
        Check::InSync(_) => {
            cx.note("it exists, and is recreated");
            (false, how(How::Changed))
        }
        Check::Missing => (true, How::Created),
        Check::Partial { changes } => {
            note_changes(cx, &changes);
            (true, How::Created)
        }
        Check::Drifted { changes } => {
            note_changes(cx, &changes);
            (false, how(How::Changed))
        }
        Check::InProgress => (false, how(How::Found)),
        Check::Failed { why } => {
            cx.note(format!("to repair: {why}"));
            (false, how(How::Changed))
        }
        Check::NotOwned { why } => return Err(with_claimed_leftover(cx, foreign(node, why))),
        Check::Refused { error } => return Err(with_claimed_leftover(cx, error)),
    };
    if cx.stop.level() >= StopLevel::Graceful {
        return Err(
            StepError::new(Kind::Interrupted, format!("start {}", node.title())).leftover(Leftover::Nothing)
        );
    }
    node.may_apply().map_err(|error| with_claimed_leftover(cx, error))?;
    cx.start(node.title(), creating, node.planned_name()).await?;
    let node_output = node.apply(cx, outputs).await.map_err(|error| cx.with_leftover(error))?;
    Ok((how, node_output))
}

fn note_changes(cx: &Context, changes: &[Change]) {
    if !changes.is_empty() {
        let changes: Vec<String> = changes.iter().map(ToString::to_string).collect();
        cx.note(format!("to update: {}", changes.join(", ")));
    }
}

/// A turn that ended before any change left nothing, but an earlier attempt may have.
fn with_claimed_leftover(cx: &Context, error: StepError) -> StepError {
    let step_state = cx.step_state();
    let unfinished = step_state.owned && (step_state.output.is_none() || step_state.output_may_be_stale());
    match unfinished && error.leftover == Leftover::Nothing {
        true => error.leftover(Leftover::Unknown),
        false => error,
    }
}

fn foreign(node: &dyn Node, why: String) -> StepError {
    StepError::new(Kind::Foreign, format!("use {}", node.title()))
        .cause(why)
        .hint("choose another name, or delete the existing resource, which landfall did not create")
        .leftover(Leftover::Nothing)
}
