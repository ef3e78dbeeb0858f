//! Diagnosis of an environment that does not work: one root cause, its evidence and its remedy.
//!
//! It reads everything concurrently and changes nothing (`snapshot`). Then `rules` runs the checks in order of
//! dependency: subscription, locks, cluster, access, control plane, certificate, gateway, route, responses
//! from outside, names. Each check passes, reports a cause, or could not run. The first cause is the root cause, and the
//! other findings follow it in the report. A failed read is not a cause: the checks that need it could not run,
//! the report lists it, and every finding is based on data that was read.
//!
//! To add a check, write it in the file of its resource and give its finding a code of its own. Then add a
//! case to `steps/tests/against_the_cloud/doctor` and a line to `docs/doctor.md`.

mod access;
mod certificate;
mod cluster;
mod gateway;
mod gateway_responses;
mod http_probe;
mod istio;
mod last_run;
mod names;
mod operator;
mod renewal;
mod route;
mod rules;
mod secret;
mod snapshot;
mod subscription;

pub use crate::rotation_diagnosis::Finding;
pub use last_run::FailedStep;
pub use renewal::{RenewalRecord, days_left};

use jiff::Timestamp;
use landfall_cloud::{AddressMap, Clients, environment_description::Environment};
use std::time::Duration;

/// The input of a diagnosis, and its timeouts.
pub struct DoctorContext<'a> {
    /// The clients.
    pub clients: &'a Clients,
    /// The environment, with its names at the time of creation.
    pub environment: &'a Environment,
    /// The address overrides of the gateways; `None` skips the requests to them.
    pub address_map: Option<&'a AddressMap>,
    /// The bounds.
    pub timeouts: DoctorTimeouts,
    /// The time at which certificate validity is evaluated.
    pub now: Timestamp,
    /// The steps that failed in the last run, in their order.
    pub failed: &'a [FailedStep],
}

/// Timeouts of one response, in real time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DoctorTimeouts {
    /// The timeout of an Azure or Kubernetes API, retries included.
    pub cloud: Duration,
    /// The timeout of a gateway.
    pub external: Duration,
}

impl Default for DoctorTimeouts {
    fn default() -> Self {
        Self { cloud: Duration::from_secs(30), external: Duration::from_secs(5) }
    }
}

/// The result of a diagnosis.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Diagnosis {
    /// The causes, the root cause first; empty if the environment works.
    pub findings: Vec<Finding>,
    /// The visible consequences of the causes: conditions, responses.
    pub symptoms: Vec<String>,
    /// The result of every check, in order of dependency.
    pub checks: Vec<CheckOutcome>,
    /// The reads that failed.
    pub failed_reads: Vec<String>,
    /// The number of objects read, by kind.
    pub read_counts: Vec<(usize, &'static str)>,
    /// True if the root cause is only a resource that `landfall up` has not created yet.
    pub not_created: bool,
}

/// The result of one check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckOutcome {
    /// The name of the check.
    pub check: &'static str,
    /// The result.
    pub result: CheckResult,
}

/// The result of a check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CheckResult {
    /// It found no problem.
    Ok,
    /// It reported at least one finding.
    Problem,
    /// It could not decide, for this reason: a failed read, or a problem upstream.
    NotRun(String),
}

impl Diagnosis {
    /// Returns whether every check ran and found no problem.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        let ran = self.checks.iter().all(|outcome| outcome.result == CheckResult::Ok);
        ran && self.findings.is_empty() && self.failed_reads.is_empty()
    }

    /// Returns the checks that could not run.
    pub fn not_run(&self) -> impl Iterator<Item = &CheckOutcome> {
        self.checks.iter().filter(|outcome| matches!(outcome.result, CheckResult::NotRun(_)))
    }

    /// Returns the root cause, which explains the other findings.
    #[must_use]
    pub fn root(&self) -> Option<&Finding> {
        self.findings.first()
    }
}

/// Reads the environment and returns its diagnosis. Changes nothing; ends within three times the timeouts.
pub async fn diagnose(context: &DoctorContext<'_>) -> Diagnosis {
    let snapshot = snapshot::Snapshot::take(context).await;
    let mut diagnosis = rules::evaluate(&snapshot);
    last_run::apply(&mut diagnosis, context.failed);
    diagnosis
}
