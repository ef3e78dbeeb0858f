//! The batch group: Jobs and CronJobs.

use serde_json::{Value, json};

use super::build::{
    Constrain, anything, boolean, conditions, integer, label_selector, list, object, set, string, time,
};
use super::{metadata, pod};
use crate::kubernetes::definition::{Column, Definition};

/// Returns the kinds of batch/v1.
pub fn kinds() -> Vec<Definition> {
    let age = || Column::new("Age", "date", ".metadata.creationTimestamp");
    let wide = |name: &str, path: &str| Column::new(name, "string", path).wide();
    let kind = |kind: &str, plural: &str, schema: Value| {
        Definition::new("batch", "v1", kind, plural, schema).status().generation().categories(&["all"])
    };
    vec![
        kind("Job", "jobs", job()).columns(vec![
            Column::new("Status", "string", "=job.status"),
            Column::new("Completions", "string", "=job.completions"),
            Column::new("Duration", "string", "=job.duration"),
            age(),
            wide("Containers", "=workload.containers"),
            wide("Images", "=workload.images"),
            wide("Selector", "=workload.selector"),
        ]),
        kind("CronJob", "cronjobs", cron_job()).short(&["cj"]).columns(vec![
            Column::new("Schedule", "string", ".spec.schedule"),
            Column::new("Timezone", "string", "=cron.zone"),
            Column::new("Suspend", "string", "=cron.suspend"),
            Column::new("Active", "integer", "=cron.active"),
            Column::new("Last Schedule", "string", "=cron.last"),
            age(),
            wide("Containers", "=cron.containers"),
            wide("Images", "=cron.images"),
        ]),
    ]
}

/// Returns the schema of a Job's spec. The template of a CronJob has no defaults.
fn job_spec(with_defaults: bool) -> Value {
    let or = |schema: Value, default: Value| if with_defaults { schema.default(default) } else { schema };
    object(&[
        ("parallelism", integer().least(0)),
        ("completions", integer().least(0)),
        ("activeDeadlineSeconds", integer().least(0)),
        ("podFailurePolicy", failure_policy()),
        ("successPolicy", success_policy()),
        ("backoffLimit", or(integer().least(0), json!(6))),
        ("backoffLimitPerIndex", integer().least(0)),
        ("maxFailedIndexes", integer().least(0)),
        ("selector", label_selector()),
        ("manualSelector", boolean()),
        ("template", pod::template()),
        ("ttlSecondsAfterFinished", integer().least(0)),
        ("completionMode", or(string().one_of(&["Indexed", "NonIndexed"]), json!("NonIndexed"))),
        ("suspend", or(boolean(), json!(false))),
        (
            "podReplacementPolicy",
            or(string().one_of(&["Failed", "TerminatingOrFailed"]), json!("TerminatingOrFailed")),
        ),
        ("managedBy", string()),
    ])
    .required(&["template"])
}

/// The schema of a failure policy. What it requires is checked with the messages of the handwritten validation.
fn failure_policy() -> Value {
    let codes = object(&[("containerName", string()), ("operator", string()), ("values", set(integer()))]);
    let condition = object(&[("type", string()), ("status", string().default(json!("True")))]);
    let rule = object(&[("action", string()), ("onExitCodes", codes), ("onPodConditions", list(condition))]);
    object(&[("rules", list(rule))])
}

fn success_policy() -> Value {
    let rule = object(&[("succeededIndexes", string()), ("succeededCount", integer().least(0))]);
    object(&[("rules", list(rule))])
}

fn job() -> Value {
    let counted = || integer().least(0);
    let status = object(&[
        ("conditions", conditions()),
        ("startTime", time()),
        ("completionTime", time()),
        ("active", counted()),
        ("ready", counted()),
        ("terminating", counted()),
        ("succeeded", counted()),
        ("failed", counted()),
        ("completedIndexes", string()),
        ("failedIndexes", string()),
        ("uncountedTerminatedPods", anything()),
    ]);
    object(&[("spec", job_spec(true)), ("status", status.default(json!({})))]).required(&["spec"])
}

fn cron_job() -> Value {
    let template = object(&[("metadata", metadata()), ("spec", job_spec(false))]);
    let spec = object(&[
        ("schedule", string().with("minLength", json!(1))),
        ("timeZone", string()),
        ("startingDeadlineSeconds", integer().least(0)),
        ("concurrencyPolicy", string().one_of(&["Allow", "Forbid", "Replace"]).default(json!("Allow"))),
        ("suspend", boolean().default(json!(false))),
        ("jobTemplate", template),
        ("successfulJobsHistoryLimit", integer().least(0).default(json!(3))),
        ("failedJobsHistoryLimit", integer().least(0).default(json!(1))),
    ])
    .required(&["schedule", "jobTemplate"]);
    let status =
        object(&[("active", list(anything())), ("lastScheduleTime", time()), ("lastSuccessfulTime", time())]);
    object(&[("spec", spec), ("status", status.default(json!({})))]).required(&["spec"])
}
