//! The run of a fleet: waves one after the other, with their soak times. The environments of a wave run in this process
//! (`in_process`) or in pods (`kubernetes`).

use super::{
    amount::Amount,
    environment_run::Task,
    file::Fleet,
    kubernetes::wave_run::KubernetesRun,
    record::{Entry, Record, Unfinished},
    result::{EnvironmentOutcome, EnvironmentResult},
    wave_progress::WaveProgress,
    waves::Wave,
};
use crate::{cli_context::CliContext, failure::Failure, settings::file_schema::CloudName};
use jiff::Timestamp;
use landfall_engine::{Event, Stop, StopLevel, TimeScale};
use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::mpsc::UnboundedSender;

/// The interval of the events about a soak time.
const SOAK_NOTICE: Duration = Duration::from_secs(1);

/// An event of a fleet's run. Environments and waves are named by their index.
#[derive(Debug)]
pub enum FleetEvent {
    /// A wave begins.
    WaveBegun {
        /// The wave.
        wave: usize,
    },
    /// An environment begins.
    Started {
        /// The environment.
        environment: usize,
    },
    /// Something happened in a step of an environment.
    Step {
        /// The environment.
        environment: usize,
        /// The event of its run.
        event: Event,
    },
    /// An environment has ended.
    Ended {
        /// The environment.
        environment: usize,
        /// The result.
        result: EnvironmentResult,
        /// True if the run that this one continues has done it.
        earlier: bool,
    },
    /// A wave has ended.
    WaveEnded {
        /// The wave.
        wave: usize,
        /// The number of its failures.
        failures: usize,
        /// True if that is more than it may have.
        stopped: bool,
    },
    /// The next wave waits.
    Soaking {
        /// The wave that has ended.
        wave: usize,
        /// The real time until the next one.
        left: Duration,
    },
}

/// The limits of a run.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The environments that run at once.
    pub parallel: usize,
    /// The environments of one subscription that run at once.
    pub parallel_per_subscription: usize,
    /// The failures that a wave may have.
    pub max_failures: Amount,
}

/// A run of a fleet.
pub struct FleetRun {
    /// The fleet.
    pub fleet: Arc<Fleet>,
    /// What is done.
    pub task: Task,
    /// The waves.
    pub waves: Vec<Wave>,
    /// The limits.
    pub limits: Limits,
    /// The invocation of the program.
    pub cli_context: Arc<CliContext>,
    /// What stops it.
    pub stop: Stop,
    /// The receiver of the events.
    pub events: UnboundedSender<FleetEvent>,
    /// The journal of the fleet; `None` if nothing is changed.
    pub record: Option<Record>,
    /// The run that this one continues.
    pub unfinished: Option<Unfinished>,
    /// The pods that run the environments; `None` for this process.
    pub kubernetes: Option<KubernetesRun>,
    /// The receiver of sentences for a person.
    pub say: UnboundedSender<String>,
}

/// The result of a fleet's run.
#[derive(Debug, Default)]
pub struct FleetOutcome {
    /// The results by environment; one that is missing has not run.
    pub results: BTreeMap<usize, EnvironmentResult>,
    /// True if the run was stopped.
    pub interrupted: bool,
    /// The wave with too many failures.
    pub stopped_in: Option<usize>,
    /// The real time from beginning to end.
    pub elapsed: Duration,
}

impl FleetRun {
    /// Runs it. An environment that fails is a result, not an error.
    ///
    /// # Errors
    /// Fails if the journal of the fleet cannot be written.
    pub async fn run(self) -> Result<FleetOutcome, Failure> {
        let lease_ended = async {
            match &self.record {
                Some(record) => record.lease_ended().await,
                None => std::future::pending().await,
            }
            // Another process has the fleet: nothing new is started, and what runs ends.
            self.stop.graceful();
            std::future::pending().await
        };
        let outcome = tokio::select! {
            outcome = self.run_waves() => outcome,
            outcome = lease_ended => outcome,
        };
        let Some(record) = &self.record else { return outcome };
        let lost = record.lost().await;
        record.close().await;
        lost.map_or(outcome, Err)
    }

    async fn run_waves(&self) -> Result<FleetOutcome, Failure> {
        let began = Instant::now();
        let mut outcome = FleetOutcome::default();
        for (at, wave) in self.waves.iter().enumerate() {
            if self.is_stopped() {
                break;
            }
            self.emit(FleetEvent::WaveBegun { wave: at });
            self.append(|| Entry::WaveBegun { wave: wave.name.clone() }).await?;
            let allowed = self.limits.max_failures.of(wave.environments.len());
            let failures = self.run_wave(at, wave, allowed, &mut outcome.results).await?;
            let stopped = failures > allowed;
            self.emit(FleetEvent::WaveEnded { wave: at, failures, stopped });
            if stopped {
                outcome.stopped_in = Some(at);
            }
            if stopped || self.is_stopped() {
                break;
            }
            let left = self.end_wave(wave, &outcome.results).await?;
            if at + 1 < self.waves.len() {
                self.soak(at, left).await;
            }
        }
        let is_interrupted = |result: &EnvironmentResult| result.outcome == EnvironmentOutcome::Interrupted;
        outcome.interrupted = self.is_stopped() || outcome.results.values().any(is_interrupted);
        self.append(|| Entry::Closed { complete: !outcome.interrupted }).await?;
        outcome.elapsed = began.elapsed();
        Ok(outcome)
    }

    /// Returns whether the run was asked to stop.
    pub fn is_stopped(&self) -> bool {
        self.stop.level() >= StopLevel::Graceful
    }

    /// Returns whether another process has taken the fleet over.
    pub fn has_lost_lease(&self) -> bool {
        self.record.as_ref().is_some_and(Record::has_lost_lease)
    }

    /// Reports an event.
    pub fn emit(&self, event: FleetEvent) {
        // A display that has ended does not stop the run.
        let _ = self.events.send(event);
    }

    /// Writes an entry to the fleet's journal.
    ///
    /// # Errors
    /// Fails if it cannot be written.
    pub async fn append(&self, entry: impl FnOnce() -> Entry) -> Result<(), Failure> {
        match &self.record {
            Some(record) => record.append(entry()).await,
            None => Ok(()),
        }
    }

    /// Runs the environments of a wave, and returns the number of failures. With more than `allowed`, nothing new starts.
    async fn run_wave(
        &self,
        number: usize,
        wave: &Wave,
        allowed: usize,
        results: &mut BTreeMap<usize, EnvironmentResult>,
    ) -> Result<usize, Failure> {
        let mut progress = WaveProgress::new(self, results);
        let mut waiting: Vec<usize> = Vec::new();
        for at in &wave.environments {
            match self.earlier(*at) {
                Some(result) => progress.earlier(*at, result),
                None => waiting.push(*at),
            }
        }
        match &self.kubernetes {
            Some(kubernetes) => kubernetes.run_wave(self, number, wave, waiting, &mut progress).await?,
            None => self.run_in_process(waiting, allowed, &mut progress).await,
        }
        progress.failures()
    }

    /// Returns the result of the run that this one continues, if nothing is left to do.
    fn earlier(&self, at: usize) -> Option<EnvironmentResult> {
        let environment = &self.fleet.environments[at];
        let ended = self.unfinished.as_ref()?.ended.get(&environment.name)?;
        (ended.settings == environment.fingerprint && ended.result.outcome.is_good())
            .then(|| ended.result.clone())
    }

    /// Records the end of a wave, and returns the rest of its soak time.
    async fn end_wave(
        &self,
        wave: &Wave,
        results: &BTreeMap<usize, EnvironmentResult>,
    ) -> Result<Duration, Failure> {
        let soak = self.time_scale(wave).real(wave.soak);
        if let Some((at, changed)) = self.unfinished.as_ref().and_then(|run| run.waves.get(&wave.name)) {
            let since = Duration::try_from(Timestamp::now().duration_since(*at)).unwrap_or_default();
            return Ok(if *changed { soak.saturating_sub(since) } else { Duration::ZERO });
        }
        let is_changed =
            |at: &usize| results.get(at).is_some_and(|result| result.outcome == EnvironmentOutcome::Ready);
        let changed = wave.environments.iter().any(is_changed);
        self.append(|| Entry::WaveEnded { wave: wave.name.clone(), changed }).await?;
        // A wave that has changed nothing proves nothing.
        Ok(if changed { soak } else { Duration::ZERO })
    }

    /// Returns the time scale of a wave's clouds. A soak time is cloud time, so that it is in proportion in a simulated cloud.
    fn time_scale(&self, wave: &Wave) -> TimeScale {
        let first = wave.environments.first().map(|at| &self.fleet.environments[*at].config.place);
        match first.filter(|place| place.cloud == CloudName::Sim) {
            Some(place) => TimeScale::new(place.sim.speed.value),
            None => TimeScale::REAL,
        }
    }

    /// Waits before the next wave; a stop request ends the wait.
    async fn soak(&self, wave: usize, left: Duration) {
        let until = tokio::time::Instant::now() + left;
        loop {
            let left = until.saturating_duration_since(tokio::time::Instant::now());
            if left.is_zero() {
                return;
            }
            self.emit(FleetEvent::Soaking { wave, left });
            tokio::select! {
                biased;
                () = self.stop.requested(StopLevel::Graceful) => return,
                () = tokio::time::sleep(left.min(SOAK_NOTICE)) => {}
            }
        }
    }
}
