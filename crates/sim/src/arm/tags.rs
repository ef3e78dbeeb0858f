//! The rules for tags in a request: their number, and their names and values.
//!
//! Source: "Use tags to organize your Azure resources", limitations. Names are case-insensitive: two spellings in one
//! request are one name twice. The code for too many tags is not documented.

use http::Method;
use serde_json::Value;

use super::Call;
use super::error::ArmError;

const TAGS_MAX: usize = 50;
const NAME_MAX: usize = 512;
const VALUE_MAX: usize = 256;
/// Characters that a name must not contain, besides control characters.
const RESERVED: &str = "<>%&\\?/";

/// Checks the tags of a PUT or PATCH.
///
/// # Errors
/// 400 with the first violated rule.
pub(super) fn check(call: &Call<'_>) -> Result<(), ArmError> {
    if call.request.method != Method::PUT && call.request.method != Method::PATCH {
        return Ok(());
    }
    // The provider refuses an invalid body.
    let Ok(body) = call.body() else { return Ok(()) };
    body["tags"].as_object().map_or(Ok(()), |tags| check_tags(tags.iter()))
}

fn check_tags<'a>(tags: impl ExactSizeIterator<Item = (&'a String, &'a Value)>) -> Result<(), ArmError> {
    let refused = |code: &str, why: String| Err(ArmError::gateway(400, code, why));
    if tags.len() > TAGS_MAX {
        let why = format!("The number of tags '{}' exceeds the maximum of '{TAGS_MAX}'.", tags.len());
        return refused("TooManyTags", why);
    }
    let mut names: Vec<String> = Vec::new();
    for (name, value) in tags {
        if names.contains(&name.to_lowercase()) {
            let why = format!("An item with the same key has already been added. Key: {name}");
            return Err(ArmError::invalid_body(&why));
        }
        if name.is_empty() || name.contains(|letter: char| letter.is_control() || RESERVED.contains(letter)) {
            let why = format!(
                "The tag names '{name}' have reserved characters '<,>,%,&,\\,?,/' or control characters."
            );
            return refused("InvalidTagNameCharacters", why);
        }
        if name.chars().count() > NAME_MAX {
            let why = format!(
                "Tag key too large. Following tag name '{name}' exceeded the maximum length. Maximum allowed length for \
                 tag name - '{NAME_MAX}' characters."
            );
            return refused("InvalidTagName", why);
        }
        if value.as_str().is_some_and(|value| value.chars().count() > VALUE_MAX) {
            let why = format!(
                "Tag value too large. Following tag value '{}' exceeded the maximum length. Maximum allowed length for \
                 tag value - '{VALUE_MAX}' characters.",
                value.as_str().unwrap_or_default()
            );
            return refused("InvalidTagValueLength", why);
        }
        names.push(name.to_lowercase());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::test_cloud::{TestCloud, code};
    use serde_json::{Map, Value, json};

    #[test]
    fn the_limits_of_tags_hold_for_groups_and_resources() {
        let many: Map<String, Value> = (0..51).map(|n| (format!("t{n}"), json!("x"))).collect();
        let one = |name: &str, value: &str| json!({ name: value });
        for (tags, wanted) in [
            (json!({ "environment": "a", "Environment": "b" }), "InvalidRequestContent"),
            (Value::Object(many), "TooManyTags"),
            (one("a/b", "x"), "InvalidTagNameCharacters"),
            (one(&"n".repeat(513), "x"), "InvalidTagName"),
            (one("n", &"v".repeat(257)), "InvalidTagValueLength"),
            (one(&"n".repeat(512), &"v".repeat(256)), ""),
        ] {
            let mut cloud = TestCloud::new();
            let group = cloud.path("/resourceGroups/web?api-version=2024-11-01");
            let reply = cloud.put(&group, &json!({ "location": "eastus", "tags": tags }));
            assert_eq!(code(&reply), wanted, "{tags}");
            let network = cloud.in_group("Microsoft.Network/virtualNetworks/vn?api-version=2025-07-01");
            let space = json!({ "addressSpace": { "addressPrefixes": ["10.0.0.0/16"] } });
            let body = json!({ "location": "eastus", "tags": tags, "properties": space });
            assert_eq!(code(&cloud.put(&network, &body)), wanted, "{tags}");
        }
    }
}
