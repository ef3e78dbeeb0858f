//! Validation of Jobs, with the messages of the API server.

mod policies;
#[cfg(test)]
mod tests;

use serde_json::{Value, json};

use super::{names, pods, unchanged};
use crate::kubernetes::schema::validate::matches;
use crate::kubernetes::selector;
use crate::kubernetes::status::FieldError;
use crate::kubernetes::write::Draft;

/// The fields of a Job that an update cannot change, besides the completions and the template.
const IMMUTABLE: [&str; 6] =
    ["selector", "completionMode", "podFailurePolicy", "backoffLimitPerIndex", "managedBy", "successPolicy"];
/// The maximum parallelism of an Indexed Job, and the maximum number of its failed indexes.
const INDEXES_MAX: i64 = 100_000;
/// The number of completions above which a limit per index has these limits itself.
const COMPLETIONS_MANY: i64 = 100_000;
const PARALLELISM_MAX_OF_MANY: i64 = 10_000;
const FAILED_MAX_OF_MANY: i64 = 10_000;
const MANAGER_MAX: u64 = 63;

/// Returns the validation errors of a Job.
pub fn field_errors(draft: &Draft, object: &Value) -> Vec<FieldError> {
    let spec = &object["spec"];
    let mut errors = selector_errors(object);
    errors.extend(spec_errors(spec, "spec"));
    let selected =
        selector::object_selector_matches(&spec["selector"], &spec["template"]["metadata"]["labels"]);
    if !spec["selector"].is_null() && !selected {
        let labels = &spec["template"]["metadata"]["labels"];
        let why = "`selector` does not match template `labels`";
        errors.push(FieldError::invalid("spec.template.metadata.labels", labels, why));
    }
    errors.extend(host_name_error(object));
    let fixed = |field: &str, why: &str| {
        unchanged(draft, object, &format!("/spec/{field}"), &format!("spec.{field}"), why)
    };
    let immutable = |field: &str| fixed(field, "field is immutable");
    errors.extend(match spec["completionMode"] == "Indexed" {
        true if spec["completions"] == spec["parallelism"] => None,
        true => fixed("completions", "can only be modified in tandem with spec.parallelism"),
        false => immutable("completions"),
    });
    errors.extend(template_change(draft, object));
    errors.extend(IMMUTABLE.iter().filter_map(|field| immutable(field)));
    errors
}

/// Returns an error if the selector or the labels of the pods are not those that the server generated.
fn selector_errors(object: &Value) -> Vec<FieldError> {
    let (spec, uid, name) = (&object["spec"], &object["metadata"]["uid"], &object["metadata"]["name"]);
    if spec["selector"].is_null() {
        return vec![FieldError::required("spec.selector", "")];
    }
    if spec["manualSelector"] == json!(true) {
        return Vec::new();
    }
    let labels = &spec["template"]["metadata"]["labels"];
    let mut errors = Vec::new();
    let mut wanted = json!({});
    for prefix in ["", "batch.kubernetes.io/"] {
        for (label, value) in [("controller-uid", uid), ("job-name", name)] {
            let label = format!("{prefix}{label}");
            let field = format!("spec.template.metadata.labels[{label}]");
            let why = format!("must be '{}'", value.as_str().unwrap_or_default());
            if labels[&label].is_null() {
                errors.push(FieldError::required(&field, &why));
            } else if labels[&label] != *value {
                errors.push(FieldError::invalid(&field, labels, &why));
            }
            wanted[label] = value.clone();
        }
    }
    if !selector::object_selector_matches(&spec["selector"], &wanted) {
        errors.push(FieldError::invalid("spec.selector", &spec["selector"], "`selector` not auto-generated"));
    }
    errors
}

/// Returns an error if the name of the Job and an index are not a host name.
fn host_name_error(object: &Value) -> Option<FieldError> {
    let name = object["metadata"]["name"].as_str()?;
    let completions = object["spec"]["completions"].as_i64().filter(|count| *count > 0)?;
    let longest = format!("{name}-{}", completions - 1);
    let is_bad = object["spec"]["completionMode"] == "Indexed" && !names::dns_label(&longest).is_empty();
    let why = format!("will not able to create pod with invalid DNS label: {longest}");
    is_bad.then(|| FieldError::invalid("metadata.name", &json!(name), &why))
}

/// Returns an error if an update changes the template, except for where the pods of a Job run that has not started.
fn template_change(draft: &Draft, object: &Value) -> Option<FieldError> {
    const MUTABLE: [&str; 4] = ["affinity", "nodeSelector", "tolerations", "schedulingGates"];
    let live = draft.live.as_ref()?;
    let is_waiting = live["spec"]["suspend"] == json!(true) && live["status"]["startTime"].is_null();
    let fixed = |object: &Value| {
        let mut template = object["spec"]["template"].clone();
        if is_waiting {
            let spec = template.get_mut("spec").and_then(Value::as_object_mut);
            spec.into_iter().for_each(|spec| spec.retain(|field, _| !MUTABLE.contains(&field.as_str())));
            let metadata = template.get_mut("metadata").and_then(Value::as_object_mut);
            metadata.into_iter().for_each(|metadata| metadata.retain(|field, _| field == "name"));
        }
        template
    };
    let template = &object["spec"]["template"];
    (fixed(live) != fixed(object))
        .then(|| FieldError::invalid("spec.template", template, "field is immutable"))
}

/// Returns the validation errors of a Job's spec at a path.
pub fn spec_errors(spec: &Value, path: &str) -> Vec<FieldError> {
    let number = |field: &str| spec[field].as_i64();
    let at = |field: &str| format!("{path}.{field}");
    let is_indexed = spec["completionMode"] == "Indexed";
    let mut errors = Vec::new();
    if spec["maxFailedIndexes"].is_number() && spec["backoffLimitPerIndex"].is_null() {
        let why = "when maxFailedIndexes is specified";
        errors.push(FieldError::required(&at("backoffLimitPerIndex"), why));
    }
    errors.extend(manager_errors(&spec["managedBy"], &at("managedBy")));
    if is_indexed {
        errors.extend(index_errors(spec, path));
    } else {
        for field in ["backoffLimitPerIndex", "maxFailedIndexes"] {
            if number(field).is_some() {
                let why = "requires indexed completion mode";
                errors.push(FieldError::invalid(&at(field), &spec[field], why));
            }
        }
    }
    errors.extend(policies::failure_errors(spec, &at("podFailurePolicy")));
    if spec["successPolicy"].is_object() {
        if is_indexed {
            errors.extend(policies::success_errors(spec, &at("successPolicy.rules")));
        } else {
            let why = "requires indexed completion mode";
            errors.push(FieldError::invalid(&at("successPolicy"), &spec["successPolicy"], why));
        }
    }
    let replacement = &spec["podReplacementPolicy"];
    if spec["podFailurePolicy"].is_object() && replacement.is_string() && replacement != "Failed" {
        errors.push(FieldError::unsupported(&at("podReplacementPolicy"), replacement, &[json!("Failed")]));
    }
    errors.extend(template_errors(spec, &at("template.spec")));
    errors
}

fn template_errors(spec: &Value, path: &str) -> Vec<FieldError> {
    let template = &spec["template"]["spec"];
    let mut errors = pods::errors(template, path);
    let (field, policy) = (format!("{path}.restartPolicy"), &template["restartPolicy"]);
    if !["OnFailure", "Never"].iter().any(|known| *policy == *known) {
        errors.push(FieldError::required(&field, "valid values: \"OnFailure\", \"Never\""));
    } else if spec["podFailurePolicy"].is_object() && policy != "Never" {
        let why = "only \"Never\" is supported when podFailurePolicy is specified";
        errors.push(FieldError::invalid(&field, policy, why));
    }
    errors
}

fn manager_errors(manager: &Value, field: &str) -> Vec<FieldError> {
    let Some(text) = manager.as_str() else { return Vec::new() };
    let mut errors = Vec::new();
    let (domain, rest) = text.split_once('/').unwrap_or((text, ""));
    if text.is_empty() {
        errors.push(FieldError::required(field, ""));
    } else if domain.is_empty() || rest.is_empty() {
        let why = "must be a domain-prefixed path (such as \"acme.io/foo\")";
        errors.push(FieldError::invalid(field, manager, why));
    } else {
        errors.extend(names::errors(field, text, &names::subdomain(domain)));
        let path = r"^[A-Za-z0-9/\-._~%!$&'()*+,;=:]+$";
        if !matches(path, rest) {
            errors.push(FieldError::invalid(field, &json!(rest), "Invalid path"));
        }
    }
    if text.len() as u64 > MANAGER_MAX {
        errors.push(FieldError::too_long(field, MANAGER_MAX));
    }
    errors
}

fn index_errors(spec: &Value, path: &str) -> Vec<FieldError> {
    let at = |field: &str| format!("{path}.{field}");
    let (completions, parallelism) = (spec["completions"].as_i64(), spec["parallelism"].as_i64());
    let failed = spec["maxFailedIndexes"].as_i64();
    let mut errors = Vec::new();
    if completions.is_none() {
        errors.push(FieldError::required(&at("completions"), "when completion mode is Indexed"));
    }
    if parallelism.is_some_and(|count| count > INDEXES_MAX) {
        let why = format!("must be less than or equal to {INDEXES_MAX} when completion mode is Indexed");
        errors.push(FieldError::invalid(&at("parallelism"), &spec["parallelism"], &why));
    }
    if let (Some(all), Some(failed)) = (completions, failed)
        && failed > all
    {
        let why = "must be less than or equal to completions";
        errors.push(FieldError::invalid(&at("maxFailedIndexes"), &json!(failed), why));
    }
    if failed.is_some_and(|failed| failed > INDEXES_MAX) {
        let why = format!("must be less than or equal to {INDEXES_MAX}");
        errors.push(FieldError::invalid(&at("maxFailedIndexes"), &spec["maxFailedIndexes"], &why));
    }
    let are_many = completions.is_some_and(|count| count > COMPLETIONS_MANY);
    if !are_many || spec["backoffLimitPerIndex"].is_null() {
        return errors;
    }
    if failed.is_none() {
        let why = format!("must be specified when completions is above {COMPLETIONS_MANY}");
        errors.push(FieldError::required(&at("maxFailedIndexes"), &why));
    }
    for (field, most) in [("parallelism", PARALLELISM_MAX_OF_MANY), ("maxFailedIndexes", FAILED_MAX_OF_MANY)]
    {
        if spec[field].as_i64().is_some_and(|count| count > most) {
            let why = format!(
                "must be less than or equal to {most} when completions are above {COMPLETIONS_MANY} and used with \
                 backoff limit per index"
            );
            errors.push(FieldError::invalid(&at(field), &spec[field], &why));
        }
    }
    errors
}
