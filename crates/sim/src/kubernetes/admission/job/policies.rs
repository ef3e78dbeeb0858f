//! Validation of the policies of a Job: what its failed pods mean, and when it succeeds.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::super::{each, names};
use crate::kubernetes::status::FieldError;

const RULES_MAX: u64 = 20;
const EXIT_CODES_MAX: u64 = 255;
const CONDITIONS_MAX: u64 = 20;
const ACTIONS: [&str; 4] = ["Count", "FailIndex", "FailJob", "Ignore"];
const OPERATORS: [&str; 2] = ["In", "NotIn"];
const STATUSES: [&str; 3] = ["False", "True", "Unknown"];

/// Returns the validation errors of the failure policy in a Job's spec.
pub(super) fn failure_errors(spec: &Value, path: &str) -> Vec<FieldError> {
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
    let mut known =
        each(spec, "/template/spec/containers").chain(each(spec, "/template/spec/initContainers"));
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

/// Returns the validation errors of the success policy in the spec of an Indexed Job.
pub(super) fn success_errors(spec: &Value, path: &str) -> Vec<FieldError> {
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
            return Err(format!(
                "the fragment {part:?} violates the requirement that an index interval can have at most two parts separated by '-'"
            ));
        }
        let index = |text: &str| {
            let index: i64 =
                text.parse().map_err(|_| format!("cannot convert string to integer for index: {text:?}"))?;
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
