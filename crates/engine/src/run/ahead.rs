//! Speculative checks: if nothing has changed, one round of concurrent checks proves it.
//!
//! If the outputs of all sources are recorded, a step's check can run before those of its sources, with the
//! recorded values. Its result counts only if those values turn out to be current, and only if it is "ready":
//! a second check would then return the same.

use crate::{
    context::Context,
    graph::Graph,
    handle::Outputs,
    journal::Memory,
    node::Made,
    run_context::Run,
    step_types::{Check, How},
};
use futures::FutureExt;
use serde_json::Value;
use std::{panic::AssertUnwindSafe, time::Duration};
use tokio::{task::JoinHandle, time::Instant};

/// The speculative checks of a run.
pub(super) struct LooksAhead {
    looks: Vec<Option<LookAhead>>,
    /// The outputs that the checks received, from the journal.
    remembered: Vec<Option<Value>>,
}

/// A speculative check of one step. Dropping it cancels it.
pub(super) struct LookAhead(JoinHandle<Option<(Made, Duration)>>);

impl LooksAhead {
    /// Starts all possible speculative checks concurrently.
    pub(super) fn begin(graph: &Graph, run: &Run, memory: &Memory) -> Self {
        // With `again` every step is applied regardless of its check.
        if graph.again {
            let steps = graph.nodes.len();
            return Self { looks: (0..steps).map(|_| None).collect(), remembered: vec![None; steps] };
        }
        let decoded = |index: usize| {
            let node = &graph.nodes[index];
            node.decode(memory.past(node.id())?.output.as_ref()?)
        };
        let made: Vec<Option<Made>> = (0..graph.nodes.len()).map(decoded).collect();
        let outputs = Outputs(made.iter().map(|made| made.as_ref().map(|m| m.produced.clone())).collect());
        let looks = (0..graph.nodes.len())
            .map(|index| {
                let mut sources =
                    graph.sources[index].iter().filter(|&&source| !graph.is_disabled(source)).peekable();
                // A step without sources is scheduled at once, so a speculative check gains nothing.
                let known = sources.peek().is_some() && sources.all(|&source| made[source].is_some());
                (known && !graph.is_disabled(index))
                    .then(|| LookAhead::begin(graph, run, index, outputs.clone()))
            })
            .collect();
        Self { looks, remembered: made.into_iter().map(|made| made.map(|m| m.value)).collect() }
    }

    /// Returns the check of a scheduled step if its inputs were current: every source was found, with the
    /// recorded output.
    pub(super) fn take(
        &mut self,
        index: usize,
        sources: &[usize],
        ended: &[Option<(How, Value)>],
    ) -> Option<LookAhead> {
        let look = self.looks[index].take()?;
        let held = |&source: &usize| {
            // A disabled source has no result, and gives no value.
            let Some((how, value)) = &ended[source] else { return true };
            *how == How::Found && self.remembered[source].as_ref() == Some(value)
        };
        sources.iter().all(held).then_some(look)
    }
}

impl LookAhead {
    fn begin(graph: &Graph, run: &Run, index: usize, outputs: Outputs) -> Self {
        let node = graph.nodes[index].clone();
        let cx = Context::silent(node.id(), run);
        Self(tokio::spawn(async move {
            let began = Instant::now();
            // An error or a panic here is ignored: the step is checked again when it is scheduled.
            let look = AssertUnwindSafe(node.check(&cx, &outputs)).catch_unwind();
            match look.await.ok()?.ok()? {
                Check::Ready(made) => Some((made, began.elapsed())),
                _ => None,
            }
        }))
    }

    /// Waits for the check, and returns the result and the duration; `None` unless it was ready.
    pub(super) async fn ready(mut self) -> Option<(Made, Duration)> {
        (&mut self.0).await.ok().flatten()
    }
}

impl Drop for LookAhead {
    fn drop(&mut self) {
        self.0.abort();
    }
}
