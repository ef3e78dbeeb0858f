//! `up`: checks each step, then creates or updates what is not in sync.

use super::{
    Turn, Walk,
    ahead::{LookAhead, LooksAhead},
    bounded,
    report::{Report, Span},
};
use crate::{
    context::Context,
    error::{Kind, Residue, StepError},
    event::What,
    graph::Graph,
    handle::Outputs,
    journal::{Entry, JournalError},
    node::{Made, Node},
    run_context::Run,
    schedule::Schedule,
    step_types::{Act, Check, How},
    stop::Level,
};
use serde_json::Value;
use tokio::time::Instant;

/// Brings every step to ready, as concurrently as the edges allow.
///
/// A failed step blocks only its dependents. A second call resumes: it finds existing resources and attaches
/// to operations in progress.
///
/// # Errors
///
/// Fails if the journal cannot be written; the run ends immediately.
pub async fn up(graph: &Graph, run: &Run) -> Result<Report, JournalError> {
    let mut up = Up::begin(graph, run);
    loop {
        up.start_what_may();
        let Some(turn) = up.walk.next().await else { return up.walk.close() };
        up.end(turn)?;
    }
}

struct Up<'a> {
    walk: Walk<'a, (How, Made)>,
    ahead: LooksAhead,
    outputs: Outputs,
    /// The result of each step, and its output as JSON.
    ended: Vec<Option<(How, Value)>>,
}

impl<'a> Up<'a> {
    fn begin(graph: &'a Graph, run: &'a Run) -> Self {
        let walk = Walk::begin(graph, run, Schedule::forward(graph.sources.clone()), graph.enabled_steps());
        let ahead = LooksAhead::begin(graph, run, &run.journal.memory());
        let steps = graph.nodes.len();
        Self { walk, ahead, outputs: Outputs(vec![None; steps]), ended: vec![None; steps] }
    }

    fn start_what_may(&mut self) {
        let (graph, run) = (self.walk.graph, self.walk.run);
        for index in self.take_enabled() {
            let node = graph.nodes[index].clone();
            let ahead = self.ahead.take(index, &graph.sources[index], &self.ended);
            let cx = Context::new(node.id(), Act::Make, run);
            let (outputs, again) = (self.outputs.clone(), graph.again);
            self.walk.running.spawn(async move {
                let began = Instant::now();
                let mut span = None;
                let ensured = ensure(&*node, &cx, &outputs, ahead, again, &mut span);
                let result = bounded(&*node, &cx, ensured).await;
                let span = span.unwrap_or_else(|| Span::After(cx.acted()));
                Turn { index, result, span, elapsed: began.elapsed() }
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

    fn end(&mut self, turn: Turn<(How, Made)>) -> Result<(), JournalError> {
        let Turn { index, result, span, elapsed } = turn;
        self.walk.spans[index] = span;
        match result {
            Ok((how, made)) => {
                let step = self.walk.graph.nodes[index].id();
                let entry = Entry::Finished { step: step.into(), how, output: made.value.clone() };
                self.walk.run.record(entry, What::Finished { step, how, elapsed })?;
                self.walk.report.count(how);
                self.walk.schedule.finish(index);
                self.outputs.0[index] = Some(made.produced);
                self.ended[index] = Some((how, made.value));
            }
            Err(error) => {
                for blocked in self.walk.failed(index, error, elapsed)? {
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
    ahead: Option<LookAhead>,
    again: bool,
    span: &mut Option<Span>,
) -> Result<(How, Made), StepError> {
    cx.tell(What::Looking { step: node.id() });
    // The creation started in an earlier run and never ended: whoever completes it has created the resource.
    let past = cx.past();
    let unfinished = past.ours && past.output.is_none();
    let how = |otherwise| if unfinished { How::Created } else { otherwise };
    if let Some(ahead) = ahead
        && let Some((made, took)) = ahead.ready().await
    {
        *span = Some(Span::FromStart(took));
        return Ok((how(How::Found), made));
    }
    cx.begin_acting();
    let looked = node.check(cx, outputs).await.map_err(|error| unless_claimed(cx, error))?;
    let (making, how) = match looked {
        Check::Ready(made) if !again => return Ok((how(How::Found), made)),
        Check::Ready(_) => {
            cx.note("it exists, and is recreated");
            (false, how(How::Changed))
        }
        Check::Missing => (true, How::Created),
        Check::Differs { changes } => {
            let changes: Vec<String> = changes.iter().map(ToString::to_string).collect();
            cx.note(format!("to update: {}", changes.join(", ")));
            (false, how(How::Changed))
        }
        Check::Underway => (false, how(How::Found)),
        Check::Broken { why } => {
            cx.note(format!("to repair: {why}"));
            (false, how(How::Changed))
        }
        Check::Foreign { why } => return Err(unless_claimed(cx, foreign(node, why))),
        Check::Refused { error } => return Err(unless_claimed(cx, error)),
    };
    if cx.stop.level() >= Level::Gently {
        return Err(
            StepError::new(Kind::Interrupted, format!("start {}", node.title())).residue(Residue::Nothing)
        );
    }
    node.may_make().map_err(|error| unless_claimed(cx, error))?;
    cx.start(node.title(), making, node.named())?;
    let made = node.apply(cx, outputs).await.map_err(|error| cx.with_what_is_left(error))?;
    Ok((how, made))
}

/// A turn that ended before any change left nothing, but an earlier attempt may have.
fn unless_claimed(cx: &Context, error: StepError) -> StepError {
    let past = cx.past();
    let unfinished = past.ours && (past.output.is_none() || past.output_in_doubt());
    match unfinished && error.residue == Residue::Nothing {
        true => error.residue(Residue::Unknown),
        false => error,
    }
}

fn foreign(node: &dyn Node, why: String) -> StepError {
    StepError::new(Kind::Foreign, format!("use {}", node.title()))
        .cause(why)
        .hint("choose another name, or delete the foreign resource yourself")
        .residue(Residue::Nothing)
}
