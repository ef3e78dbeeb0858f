//! Computed cells of Jobs and CronJobs.

use serde_json::{Value, json};

use super::age;
use super::cell::{NONE, each, joined, or_none, text};
use crate::clock::SimTime;

/// Returns a cell of a Job.
pub(super) fn job(what: &str, job: &Value, now: SimTime) -> Value {
    match what {
        "status" => json!(status(job)),
        "completions" => json!(completions(job)),
        _ => {
            let (start, end) = (text(job, "/status/startTime"), text(job, "/status/completionTime"));
            let until = end.parse::<jiff::Timestamp>().map_or(now, |end| SimTime(end.as_millisecond()));
            json!(if start.is_empty() { String::new() } else { age(start, until) })
        }
    }
}

fn status(job: &Value) -> &'static str {
    let holds = |name: &str| {
        each(job, "/status/conditions").any(|line| line["type"] == *name && line["status"] == "True")
    };
    if holds("Complete") {
        "Complete"
    } else if holds("Failed") {
        "Failed"
    } else if job["metadata"]["deletionTimestamp"].is_string() {
        "Terminating"
    } else if holds("Suspended") {
        "Suspended"
    } else {
        "Running"
    }
}

fn completions(job: &Value) -> String {
    let succeeded = job["status"]["succeeded"].as_i64().unwrap_or(0);
    match (job["spec"]["completions"].as_i64(), job["spec"]["parallelism"].as_i64()) {
        (Some(wanted), _) => format!("{succeeded}/{wanted}"),
        (None, Some(parallel)) if parallel > 1 => format!("{succeeded}/1 of {parallel}"),
        (None, _) => format!("{succeeded}/1"),
    }
}

/// Returns a cell of a CronJob.
pub(super) fn cron_job(what: &str, cron: &Value, now: SimTime) -> Value {
    let containers = |field: &str| {
        let all = each(cron, "/spec/jobTemplate/spec/template/spec/containers");
        joined(all.map(|container| text(container, field).to_owned()))
    };
    match what {
        "zone" => or_none(cron, "/spec/timeZone"),
        "suspend" => json!(if cron["spec"]["suspend"] == json!(true) { "True" } else { "False" }),
        "active" => json!(each(cron, "/status/active").count()),
        "containers" => containers("/name"),
        "images" => containers("/image"),
        _ => match text(cron, "/status/lastScheduleTime") {
            "" => json!(NONE),
            time => json!(age(time, now)),
        },
    }
}
