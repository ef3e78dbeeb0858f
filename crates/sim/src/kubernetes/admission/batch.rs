//! Defaults of Jobs, and validation of CronJobs.

use serde_json::{Value, json};

use super::defaults::fill;
use super::job;
use crate::kubernetes::status::FieldError;
use crate::kubernetes::write::Draft;

/// Fills in the number of pods, and the selector that the server generates for a new Job.
pub fn job_defaults(draft: &Draft, object: &mut Value) {
    let (name, uid) = (object["metadata"]["name"].clone(), object["metadata"]["uid"].clone());
    let Some(spec) = object.get_mut("spec").filter(|spec| spec.is_object()) else { return };
    if spec["completions"].is_null() && spec["parallelism"].is_null() {
        fill(spec, "completions", json!(1));
    }
    fill(spec, "parallelism", json!(1));
    if !spec["backoffLimitPerIndex"].is_null() {
        // The limit of each index replaces that of the Job.
        fill(spec, "backoffLimit", json!(i32::MAX));
    }
    if spec["podFailurePolicy"].is_object() {
        fill(spec, "podReplacementPolicy", json!("Failed"));
    }
    let is_manual = spec["manualSelector"] == json!(true);
    if draft.live.is_some() || is_manual || !spec["template"].is_object() || !spec["selector"].is_null() {
        return;
    }
    fill(&mut spec["template"], "metadata", json!({}));
    fill(&mut spec["template"]["metadata"], "labels", json!({}));
    let labels = &mut spec["template"]["metadata"]["labels"];
    if labels.is_object() {
        for (label, value) in [("controller-uid", &uid), ("job-name", &name)] {
            labels[label] = value.clone();
            labels[format!("batch.kubernetes.io/{label}")] = value.clone();
        }
    }
    spec["selector"] = json!({"matchLabels": {"batch.kubernetes.io/controller-uid": uid}});
}

/// Returns the validation errors of a CronJob.
pub fn cron_job_errors(object: &Value) -> Vec<FieldError> {
    let spec = &object["spec"];
    let mut errors = job::spec_errors(&spec["jobTemplate"]["spec"], "spec.jobTemplate.spec");
    let schedule = spec["schedule"].as_str().unwrap_or_default();
    if schedule.contains("TZ=") {
        let why = "cannot use TZ or CRON_TZ in schedule, use timeZone field instead";
        errors.push(FieldError::invalid("spec.schedule", &spec["schedule"], why));
    } else if let Some(why) = schedule_error(schedule) {
        errors.push(FieldError::invalid("spec.schedule", &spec["schedule"], &why));
    }
    errors
}

/// Returns the error of a schedule with a wrong number of fields or an unknown descriptor.
fn schedule_error(schedule: &str) -> Option<String> {
    if let Some(name) = schedule.strip_prefix('@') {
        let known = ["yearly", "annually", "monthly", "weekly", "daily", "midnight", "hourly"];
        let is_known = known.contains(&name) || name.starts_with("every ");
        return (!is_known).then(|| format!("unrecognized descriptor: {schedule}"));
    }
    let fields: Vec<&str> = schedule.split_whitespace().collect();
    let found = fields.len();
    let list = fields.join(" ");
    (found != 5).then(|| format!("expected exactly 5 fields, found {found}: [{list}]"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kubernetes::fixture::Cluster;

    const JOBS: &str = "/apis/batch/v1/namespaces/demo/jobs/once";

    fn job() -> Value {
        json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "once"}, "spec": {"template": {
            "spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "busybox:1"}]}}}})
    }

    #[test]
    fn a_job_gets_a_selector_and_its_template_never_changes() {
        let mut cluster = Cluster::new();
        assert_eq!(cluster.apply(JOBS, "me", &job()).status, 201);
        let live = cluster.get(JOBS).value();
        let uid = &live["metadata"]["uid"];
        assert_eq!(live["spec"]["selector"]["matchLabels"]["batch.kubernetes.io/controller-uid"], *uid);
        assert_eq!(live["spec"]["template"]["metadata"]["labels"]["job-name"], "once");
        assert_eq!((&live["spec"]["completions"], &live["spec"]["backoffLimit"]), (&json!(1), &json!(6)));
        assert_eq!(cluster.apply(JOBS, "me", &job()).status, 200, "the generated fields stay");
        let mut changed = job();
        changed["spec"]["template"]["spec"]["containers"][0]["image"] = json!("busybox:2");
        let refused = cluster.apply(JOBS, "me", &changed);
        assert_eq!(refused.status, 422);
        let message = refused.value()["message"].as_str().unwrap().to_owned();
        assert!(
            message.contains("spec.template: Invalid value") && message.contains("field is immutable"),
            "{message}"
        );
        let mut always = job();
        always["spec"]["template"]["spec"].as_object_mut().unwrap().shift_remove("restartPolicy");
        always["metadata"]["name"] = json!("other");
        assert_eq!(cluster.apply(&JOBS.replace("once", "other"), "me", &always).status, 422);
    }

    #[test]
    fn schedules_have_five_fields_or_a_name() {
        for good in ["*/5 * * * *", "0 3 * * mon", "@daily", "@every 1h"] {
            assert_eq!(schedule_error(good), None, "{good}");
        }
        assert_eq!(schedule_error("hourly").as_deref(), Some("expected exactly 5 fields, found 1: [hourly]"));
        assert!(schedule_error("@sometimes").is_some());
    }
}
