//! Validation of Jobs, with the messages of the API server.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{each, names, pods, unchanged};
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
const RULES_MAX: u64 = 20;
const EXIT_CODES_MAX: u64 = 255;
const CONDITIONS_MAX: u64 = 20;
const MANAGER_MAX: u64 = 63;
const ACTIONS: [&str; 4] = ["Count", "FailIndex", "FailJob", "Ignore"];
const OPERATORS: [&str; 2] = ["In", "NotIn"];
const STATUSES: [&str; 3] = ["False", "True", "Unknown"];

/// Returns the validation errors of a Job.
pub fn field_errors(draft: &Draft, object: &Value) -> Vec<FieldError> {
    let spec = &object["spec"];
    let mut errors = selector_errors(object);
    errors.extend(spec_errors(spec, "spec"));
    let selected = selector::object_selector_matches(&spec["selector"], &spec["template"]["metadata"]["labels"]);
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
    (fixed(live) != fixed(object)).then(|| FieldError::invalid("spec.template", template, "field is immutable"))
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
    errors.extend(failure_policy_errors(spec, &at("podFailurePolicy")));
    if spec["successPolicy"].is_object() {
        if is_indexed {
            errors.extend(success_policy_errors(spec, &at("successPolicy.rules")));
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
    for (field, most) in [("parallelism", PARALLELISM_MAX_OF_MANY), ("maxFailedIndexes", FAILED_MAX_OF_MANY)] {
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

fn failure_policy_errors(spec: &Value, path: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let rules = each(spec, "/podFailurePolicy/rules");
    let count = rules.count();
    if count as u64 > RULES_MAX {
        errors.push(FieldError::too_many(&format!("{path}.rules"), count, RULES_MAX));
    }
    for (index, rule) in each(spec, "/podFailurePolicy/rules") {
        let at = format!("{path}.rules[{index}]");
        let action = format!("{at}.action");
        errors.extend(choice_error(&rule["action"], &action, &ACTIONS));
        if rule["action"] == "FailIndex" && spec["backoffLimitPerIndex"].is_null() {
            let why = "requires the backoffLimitPerIndex to be set";
            errors.push(FieldError::invalid(&action, &rule["action"], why));
        }
        let (codes, conditions) = (&rule["onExitCodes"], each(rule, "/onPodConditions").count());
        if codes.is_object() {
            errors.extend(exit_code_errors(spec, codes, &format!("{at}.onExitCodes")));
        }
        if conditions > 0 {
            errors.extend(condition_errors(rule, conditions, &format!("{at}.onPodConditions")));
        }
        let why = match (codes.is_object(), conditions > 0) {
            (true, true) => "specifying both OnExitCodes and OnPodConditions is not supported",
            (false, false) => "specifying one of OnExitCodes and OnPodConditions is required",
            _ => continue,
        };
        errors.push(FieldError::rule(&at, why));
    }
    errors
}

fn exit_code_errors(spec: &Value, codes: &Value, path: &str) -> Vec<FieldError> {
    let mut errors: Vec<FieldError> = Vec::new();
    errors.extend(choice_error(&codes["operator"], &format!("{path}.operator"), &OPERATORS));
    let container = &codes["containerName"];
    let mut known = each(spec, "/template/spec/containers").chain(each(spec, "/template/spec/initContainers"));
    if !container.is_null() && !known.any(|(_, one)| one["name"] == *container) {
        let why = "must be one of the container or initContainer names in the pod template";
        errors.push(FieldError::invalid(&format!("{path}.containerName"), container, why));
    }
    let values: Vec<i64> = each(codes, "/values").filter_map(|(_, value)| value.as_i64()).collect();
    let at = format!("{path}.values");
    if values.is_empty() {
        errors.push(FieldError::invalid(&at, &codes["values"], "at least one value is required"));
    } else if values.len() as u64 > EXIT_CODES_MAX {
        errors.push(FieldError::too_many(&at, values.len(), EXIT_CODES_MAX));
    }
    let mut unique = BTreeSet::new();
    for (index, value) in values.iter().enumerate() {
        let at = format!("{at}[{index}]");
        if codes["operator"] == "In" && *value == 0 {
            let why = "must not be 0 for the In operator";
            errors.push(FieldError::invalid(&at, &json!(value), why));
        }
        if !unique.insert(value) {
            errors.push(FieldError::duplicate(&at, &json!(value)));
        }
    }
    if !values.is_sorted() {
        errors.push(FieldError::invalid(&at, &codes["values"], "must be ordered"));
    }
    errors
}

fn condition_errors(rule: &Value, count: usize, path: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if count as u64 > CONDITIONS_MAX {
        errors.push(FieldError::too_many(path, count, CONDITIONS_MAX));
    }
    for (index, pattern) in each(rule, "/onPodConditions") {
        let at = format!("{path}[{index}]");
        let kind = pattern["type"].as_str().unwrap_or_default();
        errors.extend(names::errors(&format!("{at}.type"), kind, &names::qualified(kind)));
        errors.extend(choice_error(&pattern["status"], &format!("{at}.status"), &STATUSES));
    }
    errors
}

/// Returns an error if a value is missing or not one of the choices.
fn choice_error(value: &Value, field: &str, choices: &[&str]) -> Option<FieldError> {
    let text = value.as_str().unwrap_or_default();
    if text.is_empty() {
        let quoted: Vec<String> = choices.iter().map(|choice| format!("{choice:?}")).collect();
        return Some(FieldError::required(field, &format!("valid values: [{}]", quoted.join(" "))));
    }
    let all: Vec<Value> = choices.iter().map(|choice| json!(choice)).collect();
    (!choices.contains(&text)).then(|| FieldError::unsupported(field, value, &all))
}

fn success_policy_errors(spec: &Value, path: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let count = each(spec, "/successPolicy/rules").count();
    if count == 0 {
        let why = "at least one rules must be specified when the successPolicy is specified";
        errors.push(FieldError::required(path, why));
    }
    if count as u64 > RULES_MAX {
        errors.push(FieldError::too_many(path, count, RULES_MAX));
    }
    let completions = spec["completions"].as_i64().unwrap_or(0);
    for (index, rule) in each(spec, "/successPolicy/rules") {
        let at = format!("{path}[{index}]");
        let (indexes, wanted) = (&rule["succeededIndexes"], &rule["succeededCount"]);
        if indexes.is_null() && wanted.is_null() {
            let why = "at least one of succeededCount or succeededIndexes must be specified";
            errors.push(FieldError::required(&at, why));
        }
        let mut total = None;
        if let Some(text) = indexes.as_str() {
            match count_indexes(text, completions) {
                Ok(count) => total = Some(count),
                Err(why) => {
                    let why = format!("error parsing succeededIndexes: {why}");
                    errors.push(FieldError::invalid(&format!("{at}.succeededIndexes"), indexes, &why));
                }
            }
        }
        let Some(wanted) = wanted.as_i64() else { continue };
        for (most, of) in [
            (Some(completions), "number of specified completions"),
            (total, "number of indexes in the specified succeededIndexes field"),
        ] {
            if let Some(most) = most.filter(|most| wanted > *most) {
                let why = format!("must be less than or equal to {most} (the {of})");
                errors.push(FieldError::invalid(&format!("{at}.succeededCount"), &json!(wanted), &why));
            }
        }
    }
    errors
}

/// Returns the number of indexes in a text such as `1,3-5,7`.
fn count_indexes(text: &str, completions: i64) -> Result<i64, String> {
    let (mut total, mut last) = (0, None);
    if text.is_empty() {
        return Ok(0);
    }
    for part in text.split(',') {
        let ends: Vec<&str> = part.split('-').collect();
        if ends.len() > 2 {
            return Err(format!("the fragment {part:?} violates the requirement that an index interval can have at most two parts separated by '-'"));
        }
        let index = |text: &str| {
            let index: i64 = text
                .parse()
                .map_err(|_| format!("cannot convert string to integer for index: {text:?}"))?;
            if index >= completions {
                return Err(format!("too large index: {text:?}"));
            }
            Ok(index)
        };
        let first = index(ends[0])?;
        let end = ends.get(1).map_or(Ok(first), |text| index(text))?;
        if last.is_some_and(|last| last >= first) {
            return Err(format!("non-increasing order, previous: {}, current: {first}", last.unwrap_or(0)));
        }
        if ends.len() == 2 && first >= end {
            return Err(format!("non-increasing order, previous: {first}, current: {end}"));
        }
        total += end - first + 1;
        last = Some(end);
    }
    Ok(total)
}
