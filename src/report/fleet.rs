//! The last runs of many environments: counts, failures by cause, and the slowest.

use super::{RunState, RunView};
use landfall_engine::How;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The summary of an environment's run. It is small, so that it can be collected from many machines.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EnvironmentRun {
    /// The name of the environment.
    pub environment: String,
    /// The cloud.
    pub cloud: String,
    /// The subscription.
    pub subscription: String,
    /// The number of the run.
    pub run: usize,
    /// The command.
    pub command: String,
    /// The state.
    pub state: EnvironmentState,
    /// The beginning, RFC 3339.
    pub began: String,
    /// The duration, in milliseconds.
    pub elapsed_ms: u64,
    /// The length of the critical path, in milliseconds.
    pub critical_path_ms: u64,
    /// The number of steps whose resource existed.
    pub found: usize,
    /// The number of steps that created their resource.
    pub created: usize,
    /// The number of steps that updated their resource.
    pub changed: usize,
    /// The number of requests.
    pub requests: u64,
    /// The number of retries.
    pub retries: u64,
    /// The step with the longest turn.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slowest: Option<SlowestStep>,
    /// The first error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<FailureCause>,
}

/// The state of an environment's run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EnvironmentState {
    /// A step failed.
    Failed,
    /// It was stopped before its end.
    Interrupted,
    /// It has no recorded end, and nothing runs it.
    NoEnd,
    /// A process is running it.
    Running,
    /// It has no run yet.
    #[default]
    Waiting,
    /// Every step succeeded.
    Ready,
}

impl EnvironmentState {
    /// Returns every state, the worst first.
    pub const ALL: [Self; 6] =
        [Self::Failed, Self::Interrupted, Self::NoEnd, Self::Running, Self::Waiting, Self::Ready];
}

/// The slowest step of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SlowestStep {
    /// The step.
    pub step: String,
    /// The duration of its turn, in milliseconds.
    pub elapsed_ms: u64,
}

/// The cause of a failure.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct FailureCause {
    /// The step.
    pub step: String,
    /// The service's error code, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The message; fits after "failed to".
    pub message: String,
    /// The nearest cause.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// The remedy.
    pub hint: String,
}

impl EnvironmentRun {
    /// Summarizes a run.
    pub fn new(view: &RunView) -> Self {
        Self {
            environment: view.key.environment.clone(),
            cloud: view.key.cloud.clone(),
            subscription: view.key.subscription.clone(),
            run: view.number,
            command: view.command.clone(),
            state: match view.state {
                RunState::Running => EnvironmentState::Running,
                RunState::Ready => EnvironmentState::Ready,
                RunState::Failed => EnvironmentState::Failed,
                RunState::Interrupted => EnvironmentState::Interrupted,
                RunState::NoEnd => EnvironmentState::NoEnd,
            },
            began: view.began.to_string(),
            elapsed_ms: view.elapsed_ms,
            critical_path_ms: view.critical_path_ms(),
            found: view.done(How::Found),
            created: view.done(How::Created),
            changed: view.done(How::Changed),
            requests: view.requests.unwrap_or_default(),
            retries: view.retries(),
            slowest: view
                .slowest()
                .map(|step| SlowestStep { step: step.id.clone(), elapsed_ms: step.elapsed_ms() }),
            error: view.errors().next().map(|(step, error)| FailureCause {
                step: step.id.clone(),
                code: error.code.clone(),
                message: error.message.clone(),
                cause: error.causes.first().cloned(),
                hint: crate::failure::hint(error),
            }),
        }
    }
}

/// The runs of many environments, evaluated for display.
#[derive(Debug)]
pub struct FleetView<'a> {
    /// The runs, by name.
    pub runs: &'a [EnvironmentRun],
}

/// Failures with the same cause.
#[derive(Debug, PartialEq, Eq)]
pub struct CauseGroup<'a> {
    /// The code and the step, which all of them share.
    pub cause: &'a FailureCause,
    /// The environments.
    pub environments: Vec<&'a str>,
}

impl<'a> FleetView<'a> {
    /// Returns the number of environments in a state.
    pub fn count(&self, state: EnvironmentState) -> usize {
        self.runs.iter().filter(|run| run.state == state).count()
    }

    /// Returns the failures by cause: the service's code, or else the message; the largest group first.
    pub fn causes(&self) -> Vec<CauseGroup<'a>> {
        let mut groups: BTreeMap<(&str, &str), CauseGroup<'a>> = BTreeMap::new();
        for run in self.runs {
            let Some(cause) = &run.error else { continue };
            let key = (cause.step.as_str(), cause.code.as_deref().unwrap_or(&cause.message));
            let group = groups.entry(key).or_insert_with(|| CauseGroup { cause, environments: Vec::new() });
            group.environments.push(&run.environment);
        }
        let mut groups: Vec<CauseGroup<'a>> = groups.into_values().collect();
        groups.sort_by_key(|group| std::cmp::Reverse(group.environments.len()));
        groups
    }

    /// Returns the slowest runs, the slowest first.
    pub fn slowest(&self, count: usize) -> Vec<&'a EnvironmentRun> {
        let ran = self.runs.iter().filter(|run| run.state != EnvironmentState::Waiting);
        let mut ran: Vec<&EnvironmentRun> = ran.collect();
        ran.sort_by_key(|run| std::cmp::Reverse(run.elapsed_ms));
        ran.truncate(count);
        ran
    }

    /// Returns the duration that this share of the ready runs did not exceed, in milliseconds; `None` without any.
    pub fn percentile(&self, share: f64) -> Option<u64> {
        let mut durations = self.durations();
        durations.sort_unstable();
        let last = durations.len().checked_sub(1)?;
        durations.get((last as f64 * share).round() as usize).copied()
    }

    /// Returns the number of ready runs per interval of duration: the upper bound in milliseconds, and the number.
    pub fn histogram(&self, intervals: u64) -> Vec<(u64, usize)> {
        let durations = self.durations();
        let Some(longest) = durations.iter().max() else { return Vec::new() };
        let width = (longest / intervals + 1).max(1);
        let number = |n: u64| durations.iter().filter(|ms| *ms / width == n).count();
        (0..intervals).map(|n| ((n + 1) * width, number(n))).collect()
    }

    fn durations(&self) -> Vec<u64> {
        let ready = self.runs.iter().filter(|run| run.state == EnvironmentState::Ready);
        ready.map(|run| run.elapsed_ms).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(name: &str, state: EnvironmentState, elapsed_ms: u64, code: Option<&str>) -> EnvironmentRun {
        let error = code.map(|code| FailureCause {
            step: "cluster".into(),
            code: Some(code.into()),
            message: format!("create cluster aks-{name}"),
            ..FailureCause::default()
        });
        EnvironmentRun { environment: name.into(), state, elapsed_ms, error, ..EnvironmentRun::default() }
    }

    #[test]
    fn failures_are_grouped_by_cause_and_runs_ranked_by_duration() {
        let runs = [
            run("a", EnvironmentState::Failed, 90, Some("SkuNotAvailable")),
            run("b", EnvironmentState::Failed, 10, Some("QuotaExceeded")),
            run("c", EnvironmentState::Ready, 70, None),
            run("d", EnvironmentState::Failed, 20, Some("QuotaExceeded")),
            run("e", EnvironmentState::Waiting, 0, None),
            run("f", EnvironmentState::Ready, 30, None),
        ];
        let fleet = FleetView { runs: &runs };
        let causes = fleet.causes();
        assert_eq!((causes[0].environments.as_slice(), causes.len()), (&["b", "d"][..], 2));
        assert_eq!(fleet.count(EnvironmentState::Failed), 3);
        let slowest: Vec<&str> = fleet.slowest(2).iter().map(|run| run.environment.as_str()).collect();
        assert_eq!(slowest, ["a", "c"]);
        assert_eq!((fleet.percentile(0.0), fleet.percentile(1.0)), (Some(30), Some(70)));
        let bars = fleet.histogram(5);
        assert_eq!(bars.iter().map(|(_, number)| number).sum::<usize>(), 2);
        assert_eq!(FleetView { runs: &[] }.percentile(0.5), None);
        assert!(FleetView { runs: &[] }.histogram(5).is_empty());
    }

    #[test]
    fn a_summary_survives_a_json_round_trip_and_unknown_fields() {
        let mut one = run("a", EnvironmentState::NoEnd, 90, Some("QuotaExceeded"));
        one.slowest = Some(SlowestStep { step: "cluster-ready".into(), elapsed_ms: 80 });
        let mut json = serde_json::to_value(&one).unwrap();
        json["wave"] = 3.into();
        assert_eq!(serde_json::from_value::<EnvironmentRun>(json).unwrap(), one);
    }
}
