//! A wave in this process: its environments side by side, within limits.
//!
//! One loop owns the schedule. Each environment runs on a thread of its own, because the writes of its journal block; its
//! steps and requests run on the shared runtime.

use super::{
    journal_facts::SummaryOf,
    result::EnvironmentResult,
    runner::{FleetEvent, FleetRun},
    wave_progress::WaveProgress,
};
use crate::{run::RunControl, telemetry};
use std::collections::HashMap;
use tokio::{runtime::Handle, sync::mpsc, task::JoinSet};

impl FleetRun {
    /// Runs the environments of a wave. With more than `allowed` failures, nothing new starts; what runs ends.
    pub(super) async fn run_in_process(
        &self,
        mut waiting: Vec<usize>,
        allowed: usize,
        progress: &mut WaveProgress<'_>,
    ) {
        let mut running: JoinSet<(usize, EnvironmentResult)> = JoinSet::new();
        let mut by_subscription: HashMap<&str, usize> = HashMap::new();
        loop {
            while progress.failed() <= allowed && !self.is_stopped() && running.len() < self.limits.parallel {
                let has_room = |at: &usize| {
                    let subscription = self.fleet.environments[*at].subscription();
                    by_subscription.get(subscription).copied().unwrap_or(0)
                        < self.limits.parallel_per_subscription
                };
                let Some(next) = waiting.iter().position(has_room) else { break };
                let at = waiting.remove(next);
                *by_subscription.entry(self.fleet.environments[at].subscription()).or_default() += 1;
                self.start(at, &mut running);
            }
            let Some(ended) = running.join_next().await else { break };
            // The thread catches nothing: a panic of this program's own code ends the program.
            let (at, result) = ended.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()));
            let subscription = self.fleet.environments[at].subscription();
            by_subscription.entry(subscription).and_modify(|running| *running -= 1);
            progress.ended(at, result).await;
        }
    }

    fn start(&self, at: usize, running: &mut JoinSet<(usize, EnvironmentResult)>) {
        let environment = &self.fleet.environments[at];
        self.emit(FleetEvent::Started { environment: at });
        let (events, mut seen) = mpsc::unbounded_channel();
        let to = self.events.clone();
        let forwarded = tokio::spawn(async move {
            while let Some(event) = seen.recv().await {
                telemetry::record(&event);
                let _ = to.send(FleetEvent::Step { environment: at, event });
            }
        });
        let control = RunControl { stop: self.stop.clone(), events };
        let (task, config) = (self.task.clone(), environment.config.clone());
        let of = SummaryOf { command: task.name(), run: None, settings: environment.fingerprint.clone() };
        let cli_context = self.cli_context.for_environment(&environment.name);
        let runtime = Handle::current();
        running.spawn_blocking(move || {
            runtime.block_on(async {
                let result = task.run(&cli_context, config, control, &of).await;
                // The end of an environment is reported after its last event.
                let _ = forwarded.await;
                (at, result)
            })
        });
    }
}
