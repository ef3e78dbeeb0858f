//! Selectors: label and field selectors of queries, and label selectors inside objects.

use serde_json::Value;

use super::status::StatusError;

/// The selectors of a list or watch.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Selection {
    labels: Vec<Requirement>,
    fields: Vec<(String, bool, String)>,
}

#[derive(Debug, Clone, PartialEq)]
struct Requirement {
    key: String,
    rule: Rule,
}

#[derive(Debug, Clone, PartialEq)]
enum Rule {
    In(Vec<String>),
    NotIn(Vec<String>),
    Exists,
    Absent,
}

impl Selection {
    /// Parses the two selectors of a query.
    ///
    /// # Errors
    /// 400 for an invalid selector and for unsupported fields.
    pub fn parse(labels: &str, fields: &str, kind: &str) -> Result<Self, StatusError> {
        Ok(Self { labels: parse_labels(labels)?, fields: parse_fields(fields, kind)? })
    }

    /// Returns whether the selection matches everything.
    pub fn is_everything(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    /// Returns whether the selection matches an object.
    pub fn matches(&self, object: &Value) -> bool {
        let labels = &object["metadata"]["labels"];
        let by_field = |(path, equal, wanted): &(String, bool, String)| {
            let value = object.pointer(&format!("/{}", path.replace('.', "/")));
            let text = match value {
                Some(Value::String(text)) => text.clone(),
                Some(Value::Null) | None => String::new(),
                Some(other) => other.to_string(),
            };
            (text == *wanted) == *equal
        };
        self.labels.iter().all(|requirement| requirement.matches(labels)) && self.fields.iter().all(by_field)
    }
}

impl Requirement {
    fn matches(&self, labels: &Value) -> bool {
        let value = labels[self.key.as_str()].as_str();
        match &self.rule {
            Rule::In(values) => value.is_some_and(|value| values.iter().any(|wanted| wanted == value)),
            Rule::NotIn(values) => !value.is_some_and(|value| values.iter().any(|wanted| wanted == value)),
            Rule::Exists => value.is_some(),
            Rule::Absent => value.is_none(),
        }
    }
}

/// Returns whether labels match a LabelSelector of an object (`matchLabels`, `matchExpressions`).
pub fn object_selector_matches(selector: &Value, labels: &Value) -> bool {
    let by_label = selector["matchLabels"].as_object().into_iter().flatten();
    let by_expression = selector["matchExpressions"].as_array().into_iter().flatten();
    by_label.into_iter().all(|(key, value)| labels[key.as_str()] == *value)
        && by_expression.into_iter().all(|expression| {
            let values = expression["values"].as_array().into_iter().flatten().filter_map(Value::as_str);
            let values: Vec<String> = values.map(str::to_owned).collect();
            let rule = match expression["operator"].as_str() {
                Some("In") => Rule::In(values),
                Some("NotIn") => Rule::NotIn(values),
                Some("Exists") => Rule::Exists,
                _ => Rule::Absent,
            };
            let key = expression["key"].as_str().unwrap_or_default().to_owned();
            Requirement { key, rule }.matches(labels)
        })
}

fn parse_labels(text: &str) -> Result<Vec<Requirement>, StatusError> {
    split_outside_parentheses(text).into_iter().map(|part| parse_requirement(&part)).collect()
}

fn parse_requirement(part: &str) -> Result<Requirement, StatusError> {
    let bad = || {
        StatusError::bad_request(format!(
            "unable to parse requirement: found {part:?}, expected: a label requirement"
        ))
    };
    let (key, rule) = if let Some((key, value)) = part.split_once("!=") {
        (key, Rule::NotIn(vec![value.trim().to_owned()]))
    } else if let Some((key, value)) = part.split_once("==").or_else(|| part.split_once('=')) {
        (key, Rule::In(vec![value.trim().to_owned()]))
    } else if let Some((head, values)) = part.split_once('(') {
        let values = values.trim_end().strip_suffix(')').ok_or_else(bad)?;
        let values = values.split(',').map(|value| value.trim().to_owned()).collect();
        match head.trim().rsplit_once(char::is_whitespace) {
            Some((key, "in")) => (key, Rule::In(values)),
            Some((key, "notin")) => (key, Rule::NotIn(values)),
            _ => return Err(bad()),
        }
    } else if let Some(key) = part.strip_prefix('!') {
        (key, Rule::Absent)
    } else {
        (part, Rule::Exists)
    };
    let key = key.trim();
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
    if key.is_empty() || !key.chars().all(allowed) {
        return Err(bad());
    }
    let values_allowed = match &rule {
        Rule::In(values) | Rule::NotIn(values) => values.iter().all(|value| value.chars().all(allowed)),
        _ => true,
    };
    if values_allowed { Ok(Requirement { key: key.to_owned(), rule }) } else { Err(bad()) }
}

fn split_outside_parentheses(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut depth = 0_i32;
    for c in text.chars() {
        depth += i32::from(c == '(') - i32::from(c == ')');
        match (c, depth) {
            (',', 0) => parts.push(String::new()),
            _ => parts.last_mut().expect("it starts with one part").push(c),
        }
    }
    parts.into_iter().map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect()
}

/// Returns the selectable fields of a kind besides name and namespace.
fn selectable(kind: &str) -> &'static [&'static str] {
    match kind {
        "Event" => &[
            "involvedObject.kind",
            "involvedObject.namespace",
            "involvedObject.name",
            "involvedObject.uid",
            "involvedObject.apiVersion",
            "involvedObject.resourceVersion",
            "involvedObject.fieldPath",
            "reason",
            "reportingComponent",
            "source",
            "type",
        ],
        "Pod" => &[
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "status.phase",
            "status.podIP",
        ],
        "Secret" => &["type"],
        "Namespace" => &["status.phase"],
        "Node" => &["spec.unschedulable"],
        "ReplicaSet" => &["status.replicas"],
        _ => &[],
    }
}

fn parse_fields(text: &str, kind: &str) -> Result<Vec<(String, bool, String)>, StatusError> {
    let mut fields = Vec::new();
    for part in text.split(',').filter(|part| !part.is_empty()) {
        let (field, equal, value) = if let Some((field, value)) = part.split_once("!=") {
            (field, false, value)
        } else if let Some((field, value)) = part.split_once("==").or_else(|| part.split_once('=')) {
            (field, true, value)
        } else {
            return Err(StatusError::bad_request(format!(
                "Unable to find \"\" that match label selector \"\", field selector {text:?}: invalid selector: '{part}'; can't understand '{part}'"
            )));
        };
        let known =
            field == "metadata.name" || field == "metadata.namespace" || selectable(kind).contains(&field);
        if !known {
            return Err(StatusError::bad_request(format!("field label not supported: {field}")));
        }
        fields.push((field.to_owned(), equal, value.to_owned()));
    }
    Ok(fields)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn chosen(labels: &str, fields: &str) -> bool {
        let object = json!({
            "metadata": {"name": "web", "namespace": "demo", "labels": {"app": "web", "tier": "front"}},
            "involvedObject": {"kind": "Pod"},
        });
        Selection::parse(labels, fields, "Event").expect("the selector is good").matches(&object)
    }

    #[test]
    fn label_selectors_match_as_kubectl_writes_them() {
        assert!(chosen("app=web,tier in (front, back),!gone,app", ""));
        assert!(chosen("app==web,tier notin (back),other!=x", ""));
        assert!(!chosen("app!=web", "") && !chosen("gone", "") && !chosen("tier in (back)", ""));
        assert!(Selection::parse("a b", "", "Pod").is_err());
        assert!(Selection::parse("a in (b", "", "Pod").is_err());
    }

    #[test]
    fn only_known_fields_can_be_selected_by() {
        assert!(chosen("", "metadata.name=web,involvedObject.kind=Pod"));
        assert!(!chosen("", "metadata.name!=web"));
        let status_error =
            Selection::parse("", "spec.nodeName=a", "ConfigMap").expect_err("it is no such field");
        assert_eq!(
            (status_error.code, status_error.message.as_str()),
            (400, "field label not supported: spec.nodeName")
        );
    }
}
