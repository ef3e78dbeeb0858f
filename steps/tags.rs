//! Tags of Azure resources. Their names are case-insensitive, and a resource keeps the spelling that it has.
//!
//! Source: <https://learn.microsoft.com/azure/azure-resource-manager/management/tag-resources>, limitations.

use landfall_engine::Change;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Tags by name.
pub(crate) type Tags = BTreeMap<String, String>;

/// Returns the tags of a resource.
pub(crate) fn of(body: &Value) -> Tags {
    serde_json::from_value(body["tags"].clone()).unwrap_or_default()
}

/// Returns the value of a tag, whatever the spelling of its name.
pub(crate) fn get<'a>(tags: &'a Tags, name: &str) -> Option<&'a String> {
    tags.get(name).or_else(|| Some(tags.iter().find(|(known, _)| known.eq_ignore_ascii_case(name))?.1))
}

/// Lists the tags that a resource lacks or has with another value. Foreign tags are no difference.
pub(crate) fn differences(body: &Value, wanted: &Tags) -> Vec<Change> {
    let is = of(body);
    wanted
        .iter()
        .filter(|(name, value)| get(&is, name) != Some(value))
        .map(|(name, value)| Change {
            field: format!("tags.{name}"),
            is: get(&is, name).map_or(Value::Null, |value| json!(value)),
            wanted: json!(value),
        })
        .collect()
}

/// Returns the tags of a resource with the desired values. Foreign tags stay, and so does the existing spelling of
/// a name.
pub(crate) fn merged(body: &Value, wanted: &Tags) -> Tags {
    let mut tags = of(body);
    for (name, value) in wanted {
        let known = tags.keys().find(|known| known.eq_ignore_ascii_case(name)).cloned();
        tags.insert(known.unwrap_or_else(|| name.clone()), value.clone());
    }
    tags
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(name: &str, value: &str) -> Tags {
        BTreeMap::from([(name.to_owned(), value.to_owned())])
    }

    #[test]
    fn a_foreign_tag_is_no_difference() {
        let body = json!({ "tags": { "Environment": "Demo", "CostCentre": "42" } });
        assert!(differences(&body, &tags("Environment", "Demo")).is_empty());
        assert_eq!(differences(&body, &tags("Environment", "Test"))[0].field, "tags.Environment");
    }

    #[test]
    fn another_spelling_is_the_same_tag_and_stays() {
        let body = json!({ "tags": { "environment": "Demo" } });
        assert!(differences(&body, &tags("Environment", "Demo")).is_empty());
        let drifted = differences(&body, &tags("Environment", "Test"));
        assert_eq!((drifted.len(), &drifted[0].is), (1, &json!("Demo")));
        assert_eq!(merged(&body, &tags("Environment", "Test")), tags("environment", "Test"));
        assert_eq!(get(&of(&body), "ENVIRONMENT").map(String::as_str), Some("Demo"));
    }
}
