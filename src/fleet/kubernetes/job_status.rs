//! The status of an Indexed Job.

use super::index_set;
use landfall_cloud::kubernetes::DynamicObject;
use serde_json::Value;
use std::collections::BTreeSet;

/// The status of a Job, as far as a run needs it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct JobStatus {
    /// The pods that run or end.
    pub active: u64,
    /// Those of them that are ready.
    pub ready: u64,
    /// The indexes that have succeeded.
    pub completed: BTreeSet<usize>,
    /// The indexes that have failed for good.
    pub failed: BTreeSet<usize>,
    /// True while it is suspended.
    pub suspended: bool,
    /// True if it has ended, with all its pods.
    pub ended: bool,
    /// The reason of a Job that has failed.
    pub reason: Option<String>,
    /// True if the Job does not exist any more.
    pub is_gone: bool,
}

impl JobStatus {
    /// Returns the status of a Job.
    pub fn of(job: &DynamicObject) -> Self {
        let (spec, status) = (&job.data["spec"], &job.data["status"]);
        let number = |field: &str| status[field].as_u64().unwrap_or(0);
        let indexes =
            |field: &str| index_set::parse(status[field].as_str().unwrap_or_default()).unwrap_or_default();
        let condition = |kind: &str| -> Option<&Value> {
            let conditions = status["conditions"].as_array()?;
            conditions.iter().find(|condition| condition["type"] == kind && condition["status"] == "True")
        };
        let failed = condition("Failed");
        Self {
            active: number("active") + number("terminating"),
            ready: number("ready"),
            completed: indexes("completedIndexes"),
            failed: indexes("failedIndexes"),
            suspended: spec["suspend"].as_bool().unwrap_or_default(),
            ended: failed.or(condition("Complete")).is_some(),
            reason: failed.and_then(|failed| failed["reason"].as_str()).map(str::to_owned),
            is_gone: false,
        }
    }

    /// Returns the status of the only Job of a watch.
    pub fn of_watched(jobs: &[DynamicObject]) -> Self {
        jobs.first().map_or_else(|| Self { is_gone: true, ..Self::default() }, Self::of)
    }

    /// Returns whether no pod runs any more, and none will.
    pub fn is_over(&self) -> bool {
        self.ended || self.is_gone || (self.suspended && self.active == 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn status(fields: Value) -> JobStatus {
        let object = json!({
            "apiVersion": "batch/v1", "kind": "Job", "metadata": { "name": "j" }, "spec": { "suspend": true },
            "status": fields,
        });
        JobStatus::of(&serde_json::from_value(object).unwrap())
    }

    #[test]
    fn a_suspended_job_is_over_when_its_last_pod_has_ended() {
        assert!(!status(json!({ "active": 0, "terminating": 1 })).is_over());
        assert!(status(json!({ "conditions": [{ "type": "Suspended", "status": "True" }] })).is_over());
    }

    #[test]
    fn a_failed_job_has_a_reason_and_its_indexes() {
        let failed = status(json!({
            "completedIndexes": "0,2-4", "failedIndexes": "1", "conditions": [
                { "type": "FailureTarget", "status": "True", "reason": "FailedIndexes" },
                { "type": "Failed", "status": "True", "reason": "FailedIndexes" },
            ],
        }));
        assert!(failed.ended && failed.completed.len() == 4 && failed.failed.contains(&1));
        assert_eq!(failed.reason.as_deref(), Some("FailedIndexes"));
        // Pods of a Job that is about to fail may still run.
        let failing = json!({ "active": 1, "conditions": [{ "type": "FailureTarget", "status": "True" }] });
        assert!(!status(failing).is_over());
    }
}
