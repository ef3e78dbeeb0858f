//! Speculative checks: if nothing has changed, one round of concurrent checks proves it.
//!
//! If the outputs of all sources are recorded, a step's check can run before those of its sources, with the
//! recorded values. Its result counts only if those values turn out to be current, and only if it is "ready":
//! a second check would then return the same.

use crate::{
    activity::StepActivity,
    context::Context,
    graph::Graph,
    handle::Outputs,
    journal::JournalState,
    node::NodeOutput,
    run_context::Run,
    step_types::{Check, How},
};
use futures::FutureExt;
use serde_json::Value;
use std::{
    panic::AssertUnwindSafe,
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};
use tokio::{task::JoinHandle, time::Instant};

/// The speculative checks of a run.
pub(super) struct SpeculativeChecks {
    checks: Vec<Option<SpeculativeCheck>>,
    /// The outputs that the checks received, from the journal.
    recorded: Vec<Option<Value>>,
}

/// A speculative check of one step. Dropping it cancels it.
pub(super) struct SpeculativeCheck(JoinHandle<Option<SpeculativeResult>>);

/// The result of a speculative check that found its resource in sync.
pub(super) struct SpeculativeResult {
    /// The output of the step.
    pub(super) node_output: NodeOutput,
    /// The duration of the check.
    pub(super) elapsed: Duration,
    /// The requests and retries of the check.
    pub(super) activity: StepActivity,
    /// The warnings of the check, which the step has yet to emit.
    pub(super) warnings: Vec<String>,
}

impl SpeculativeChecks {
    /// Starts all possible speculative checks concurrently.
    pub(super) fn begin(
        graph: &Graph,
        run: &Run,
        journal_state: &JournalState,
        run_requests: &Arc<AtomicU64>,
    ) -> Self {
        // With `again` every step is applied regardless of its check.
        if graph.always_apply {
            let steps = graph.nodes.len();
            return Self { checks: (0..steps).map(|_| None).collect(), recorded: vec![None; steps] };
        }
        let decoded = |index: usize| {
            // A step that is switched off gives no value.
            let node = graph.nodes.get(index).filter(|_| !graph.is_disabled(index))?;
            node.decode(journal_state.step_state(node.id())?.output.as_ref()?)
        };
        let node_outputs: Vec<Option<NodeOutput>> = (0..graph.nodes.len()).map(decoded).collect();
        let outputs = Outputs(
            node_outputs.iter().map(|node_output| node_output.as_ref().map(|m| m.produced.clone())).collect(),
        );
        let checks = (0..graph.nodes.len())
            .map(|index| {
                let mut sources =
                    graph.sources[index].iter().filter(|&&source| !graph.is_disabled(source)).peekable();
                // A step without sources is scheduled at once, so a speculative check gains nothing.
                let known = sources.peek().is_some() && sources.all(|&source| node_outputs[source].is_some());
                (known && !graph.is_disabled(index))
                    .then(|| SpeculativeCheck::begin(graph, run, index, outputs.clone(), run_requests))
            })
            .collect();
        Self {
            checks,
            recorded: node_outputs.into_iter().map(|node_output| node_output.map(|m| m.value)).collect(),
        }
    }

    /// Returns the check of a scheduled step if its inputs were current: every source was found, with the
    /// recorded output.
    pub(super) fn take(
        &mut self,
        index: usize,
        sources: &[usize],
        ended: &[Option<(How, Value)>],
    ) -> Option<SpeculativeCheck> {
        let check = self.checks[index].take()?;
        let held = |&source: &usize| {
            // A disabled source has no result, and gives no value.
            let Some((how, value)) = &ended[source] else { return true };
            *how == How::Found && self.recorded[source].as_ref() == Some(value)
        };
        sources.iter().all(held).then_some(check)
    }
}

impl SpeculativeCheck {
    fn begin(
        graph: &Graph,
        run: &Run,
        index: usize,
        outputs: Outputs,
        run_requests: &Arc<AtomicU64>,
    ) -> Self {
        let node = graph.nodes[index].clone();
        let cx = Context::silent(node.id(), run, run_requests);
        Self(tokio::spawn(async move {
            let began = Instant::now();
            // An error or a panic here is ignored: the step is checked again when it is scheduled.
            let check = AssertUnwindSafe(node.check(&cx, &outputs)).catch_unwind();
            match cx.counted(check).await.ok()?.ok()? {
                Check::InSync(node_output) => Some(SpeculativeResult {
                    node_output,
                    elapsed: began.elapsed(),
                    activity: cx.activity(),
                    warnings: cx.take_warnings(),
                }),
                _ => None,
            }
        }))
    }

    /// Waits for the check, and returns its result; `None` unless it was ready.
    pub(super) async fn ready(mut self) -> Option<SpeculativeResult> {
        (&mut self.0).await.ok().flatten()
    }
}

impl Drop for SpeculativeCheck {
    fn drop(&mut self) {
        self.0.abort();
    }
}
