//! The delays before failed pods are replaced: 10 s, 20 s, 40 s and so on, at most ten minutes.
//!
//! The documentation of Jobs says six minutes, the controller's constant ten. With `backoffLimitPerIndex` each index has
//! its own delay, from the annotations of its last failed pod; otherwise the whole Job has one, which a success resets.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::aks::object::{list, number, text};
use crate::clock::{SimTime, Timing};

/// The first and the longest delay, in seconds of cloud time.
const DELAY: (f64, f64) = (10.0, 600.0);

/// The failures of a Job's pods since the last success.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::aks) struct Failures {
    count: u32,
    last: SimTime,
}

impl Failures {
    /// Adds the end times of pods that succeeded or failed since the last call.
    pub fn add(&mut self, succeeded: &[SimTime], failed: &[SimTime]) {
        let last_success = succeeded.iter().max();
        if last_success.is_some() {
            *self = Self::default();
        }
        for end in failed.iter().filter(|end| last_success.is_none_or(|success| *end > success)) {
            self.count += 1;
            self.last = self.last.max(*end);
        }
    }

    /// Returns the time from which on the next pod may start.
    pub fn retry_at(&self, timing: &Timing) -> SimTime {
        retry_at(self.count, self.last, timing)
    }
}

/// Returns the time from which on a pod may follow after that many failures, the last one at `last`.
pub(super) fn retry_at(failures: u32, last: SimTime, timing: &Timing) -> SimTime {
    match failures {
        0 => last,
        failures => {
            let doubled = DELAY.0 * 2f64.powi((failures - 1).min(30) as i32);
            timing.after(last, doubled.min(DELAY.1))
        }
    }
}

/// Returns the time at which a pod finished: the end of its last container, or the time at which it became unready or
/// its deletion began.
pub(super) fn finish_time(pod: &Value) -> SimTime {
    let statuses = list(pod, "/status/containerStatuses");
    let ends: Option<Vec<SimTime>> =
        statuses.iter().map(|status| time(text(status, "/state/terminated/finishedAt"))).collect();
    let unready = || {
        let conditions = list(pod, "/status/conditions").iter();
        let mut unready = conditions.filter(|line| line["type"] == "Ready" && line["status"] == "False");
        time(text(unready.next()?, "/lastTransitionTime"))
    };
    let deleted = || {
        let grace = number(pod, "/metadata/deletionGracePeriodSeconds").unwrap_or(0);
        Some(time(text(pod, "/metadata/deletionTimestamp"))?.plus_ms(-grace * 1000))
    };
    let ended = ends.and_then(|ends| ends.into_iter().max());
    let created = || time(text(pod, "/metadata/creationTimestamp"));
    ended.or_else(unready).or_else(deleted).or_else(created).unwrap_or_default()
}

/// Parses an RFC 3339 time.
pub(super) fn time(text: &str) -> Option<SimTime> {
    let time: jiff::Timestamp = text.parse().ok()?;
    Some(SimTime(time.as_millisecond()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::clock::Speed;

    #[test]
    fn the_delay_doubles_up_to_ten_minutes() {
        let timing = Timing::new(Speed::Times(1.0));
        let waits: Vec<i64> =
            (0..9).map(|failures| retry_at(failures, SimTime(0), &timing).0 / 1000).collect();
        assert_eq!(waits, [0, 10, 20, 40, 80, 160, 320, 600, 600]);
    }

    #[test]
    fn a_success_resets_the_failures_before_it() {
        let timing = Timing::new(Speed::Times(1.0));
        let mut failures = Failures::default();
        failures.add(&[], &[SimTime(2_000), SimTime(1_000)]);
        assert_eq!(failures.retry_at(&timing), SimTime(22_000));
        failures.add(&[SimTime(3_000)], &[SimTime(2_500), SimTime(4_000)]);
        assert_eq!(failures.retry_at(&timing), SimTime(14_000));
        failures.add(&[SimTime(5_000)], &[]);
        assert_eq!(failures, Failures::default());
    }

    #[test]
    fn a_pod_finishes_with_its_last_container_or_with_its_readiness() {
        let at = |ms: i64| SimTime(ms).rfc3339();
        let ended = |ms: i64| json!({"state": {"terminated": {"finishedAt": at(ms)}}});
        let mut pod = json!({
            "metadata": {"creationTimestamp": at(1), "deletionTimestamp": at(31_000), "deletionGracePeriodSeconds": 30},
            "status": {"containerStatuses": [ended(5), ended(3)], "conditions": [
                {"type": "Ready", "status": "False", "lastTransitionTime": at(7)},
            ]},
        });
        assert_eq!(finish_time(&pod), SimTime(5));
        pod["status"]["containerStatuses"][0] = json!({"state": {"running": {}}});
        assert_eq!(finish_time(&pod), SimTime(7));
        pod["status"]["conditions"] = json!([]);
        assert_eq!(finish_time(&pod), SimTime(1_000));
    }
}
