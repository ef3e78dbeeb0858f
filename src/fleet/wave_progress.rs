//! The results of a wave: each is recorded in the fleet's journal, then reported.

use super::{
    record::Entry,
    result::EnvironmentResult,
    runner::{FleetEvent, FleetRun},
};
use crate::failure::Failure;
use std::collections::BTreeMap;

/// The results of a wave so far.
pub struct WaveProgress<'a> {
    run: &'a FleetRun,
    results: &'a mut BTreeMap<usize, EnvironmentResult>,
    failures: usize,
    /// The first error of the fleet's journal.
    unrecorded: Option<Failure>,
}

impl<'a> WaveProgress<'a> {
    /// Begins a wave; `results` are those of the whole run.
    pub fn new(run: &'a FleetRun, results: &'a mut BTreeMap<usize, EnvironmentResult>) -> Self {
        Self { run, results, failures: 0, unrecorded: None }
    }

    /// Adds the result of an environment that the interrupted run has completed.
    pub fn earlier(&mut self, at: usize, result: EnvironmentResult) {
        self.add(at, result, true);
    }

    /// Records and adds the result of an environment. If it cannot be recorded, the run stops; what runs has its own
    /// journal, and ends.
    pub async fn ended(&mut self, at: usize, result: EnvironmentResult) {
        self.record(at, &result).await;
        self.failures += usize::from(result.outcome.is_failure());
        self.add(at, result, false);
    }

    /// Records and adds a result that pods of the interrupted run have left.
    pub async fn ended_earlier(&mut self, at: usize, result: EnvironmentResult) {
        self.record(at, &result).await;
        self.add(at, result, true);
    }

    /// Returns the number of failures so far.
    pub fn failed(&self) -> usize {
        self.failures
    }

    /// Returns whether an environment has a result.
    pub fn has(&self, at: usize) -> bool {
        self.results.contains_key(&at)
    }

    /// Ends the wave; returns the number of its failures.
    ///
    /// # Errors
    /// The first error of the fleet's journal.
    pub fn failures(self) -> Result<usize, Failure> {
        self.unrecorded.map_or(Ok(self.failures), Err)
    }

    async fn record(&mut self, at: usize, result: &EnvironmentResult) {
        let environment = &self.run.fleet.environments[at];
        let entry = || Entry::EnvironmentEnded {
            environment: environment.name.clone(),
            settings: environment.fingerprint.clone(),
            result: result.clone(),
        };
        if let Err(failure) = self.run.append(entry).await {
            self.run.stop.graceful();
            self.unrecorded.get_or_insert(failure);
        }
    }

    fn add(&mut self, at: usize, result: EnvironmentResult, earlier: bool) {
        self.run.emit(FleetEvent::Ended { environment: at, result: result.clone(), earlier });
        self.results.insert(at, result);
    }
}
