//! Looking ahead: when nothing has changed, one round of concurrent looks tells so.
//!
//! A step whose sources are all remembered can look before they have looked, with the remembered
//! values. The verdict counts only when those values turn out to be true, and only when it is
//! "ready": then asking again would say the same.

use super::Run;
use crate::{
    context::Context,
    graph::{Graph, Outputs},
    journal::{How, Memory},
    node::Made,
    step::Check,
};
use futures::FutureExt;
use serde_json::Value;
use std::{panic::AssertUnwindSafe, time::Duration};
use tokio::{task::JoinHandle, time::Instant};

/// The looks that run ahead of their steps' turns.
pub(super) struct LooksAhead {
    looks: Vec<Option<LookAhead>>,
    /// The outputs they were given, as the journal had them.
    remembered: Vec<Option<Value>>,
}

/// A look that runs, or ran, ahead of its step's turn. Dropped, it is given up.
pub(super) struct LookAhead(JoinHandle<Option<(Made, Duration)>>);

impl LooksAhead {
    /// Starts every look that can run ahead, all at once.
    pub(super) fn begin(graph: &Graph, run: &Run, memory: &Memory) -> Self {
        // What is to be made again whatever a look says needs no look ahead.
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
                let sources = &graph.sources[index];
                // A step without sources has its turn at once: there is nothing to be ahead of.
                let known = !sources.is_empty() && sources.iter().all(|&source| made[source].is_some());
                known.then(|| LookAhead::begin(graph, run, index, outputs.clone()))
            })
            .collect();
        Self { looks, remembered: made.into_iter().map(|made| made.map(|m| m.value)).collect() }
    }

    /// Hands over the look of a step whose turn has come, if what it was given turned out true:
    /// every source was found, with the output that is remembered.
    pub(super) fn take(
        &mut self,
        index: usize,
        sources: &[usize],
        ended: &[Option<(How, Value)>],
    ) -> Option<LookAhead> {
        let look = self.looks[index].take()?;
        let held = |&source: &usize| {
            let (how, value) = ended[source].as_ref().expect("scheduled after its sources");
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
            // An error or a panic here says nothing: the step is asked again in its turn.
            let look = AssertUnwindSafe(node.check(&cx, &outputs)).catch_unwind();
            match look.await.ok()?.ok()? {
                Check::Ready(made) => Some((made, began.elapsed())),
                _ => None,
            }
        }))
    }

    /// Waits for the look, and returns what is there and how long looking took; `None` unless it
    /// was ready.
    pub(super) async fn ready(mut self) -> Option<(Made, Duration)> {
        (&mut self.0).await.ok().flatten()
    }
}

impl Drop for LookAhead {
    fn drop(&mut self) {
        self.0.abort();
    }
}
