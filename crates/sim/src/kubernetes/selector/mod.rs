//! Selectors: label and field selectors of queries, and label selectors inside objects.

mod labels;

use serde_json::Value;

use super::definition::Definition;
use super::status::StatusError;
use labels::{Requirement, Rule};

/// The selectors of a list or watch.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Selection {
    labels: Vec<Requirement>,
    fields: Vec<(String, bool, String)>,
}

impl Selection {
    /// Parses the two selectors of a query.
    ///
    /// # Errors
    /// 400 for an invalid selector and for unsupported fields.
    pub fn parse(labels: &str, fields: &str, definition: &Definition) -> Result<Self, StatusError> {
        let labels = labels::parse(labels).map_err(StatusError::bad_request)?;
        Ok(Self { labels, fields: parse_fields(fields, definition)? })
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

/// Returns the selectable fields of a kind besides name and namespace.
fn selectable(definition: &Definition) -> &'static [&'static str] {
    match definition.kind.as_str() {
        _ if definition.custom => &[],
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

fn parse_fields(text: &str, definition: &Definition) -> Result<Vec<(String, bool, String)>, StatusError> {
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
        let own = selectable(definition);
        if field != "metadata.name" && field != "metadata.namespace" && !own.contains(&field) {
            let why = if own.is_empty() && !definition.custom {
                format!(
                    "{field:?} is not a known field selector: only \"metadata.name\", \"metadata.namespace\""
                )
            } else {
                format!("field label not supported: {field}")
            };
            return Err(StatusError::bad_request(why));
        }
        fields.push((field.to_owned(), equal, value.to_owned()));
    }
    Ok(fields)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kubernetes::definition::built_in;
    use serde_json::json;

    fn chosen(labels: &str, fields: &str) -> bool {
        let object = json!({
            "metadata": {"name": "web", "namespace": "demo", "labels": {"app": "web", "tier": "front"}},
            "involvedObject": {"kind": "Pod"},
        });
        Selection::parse(labels, fields, &built_in()["events"])
            .expect("the selector is good")
            .matches(&object)
    }

    #[test]
    fn label_selectors_match_as_kubectl_writes_them() {
        assert!(chosen("app=web,tier in (front, back),!gone,app", ""));
        assert!(chosen("app==web,tier notin (back),other!=x", ""));
        assert!(!chosen("app!=web", "") && !chosen("gone", "") && !chosen("tier in (back)", ""));
        assert!(Selection::parse("a b", "", &built_in()["pods"]).is_err());
        assert!(Selection::parse("a in (b", "", &built_in()["pods"]).is_err());
    }

    #[test]
    fn only_known_fields_can_be_selected_by() {
        assert!(chosen("", "metadata.name=web,involvedObject.kind=Pod"));
        assert!(!chosen("", "metadata.name!=web"));
        for (kind, message) in [
            ("nodes", "field label not supported: spec.nodeName"),
            (
                "configmaps",
                "\"spec.nodeName\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\"",
            ),
        ] {
            let refused = Selection::parse("", "spec.nodeName=a", &built_in()[kind]);
            let status_error = refused.expect_err("the kind has no such field");
            assert_eq!((status_error.code, status_error.message.as_str()), (400, message));
        }
    }
}
