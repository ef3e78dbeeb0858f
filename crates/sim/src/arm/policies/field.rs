//! The fields of a resource, as policies name them: tags, top-level fields and aliases of properties.
//!
//! Source: "Azure Policy definition structure", fields. An alias consists of the resource type and the path below
//! the properties: `Microsoft.KeyVault/vaults/networkAcls.defaultAction`.

use serde_json::Value;

/// Returns the path of a field in the body of a resource; `None` for an alias of another type.
pub(super) fn path(kind: &str, field: &str) -> Option<Vec<String>> {
    let plain = field.replace(['\'', '"', ']'], "").replacen('[', ".", 1);
    let owned = |parts: &[&str]| Some(parts.iter().map(|part| (*part).to_owned()).collect());
    if plain.eq_ignore_ascii_case("tags") {
        return owned(&["tags"]);
    }
    if let Some((tags, name)) = plain.split_once('.')
        && tags.eq_ignore_ascii_case("tags")
    {
        return owned(&["tags", name]);
    }
    let Some(alias) = field.get(kind.len()..).filter(|_| {
        field.get(..kind.len()).is_some_and(|of| of.eq_ignore_ascii_case(kind)) && field.contains('/')
    }) else {
        return if field.contains('/') { None } else { owned(&field.split('.').collect::<Vec<_>>()) };
    };
    let below: Vec<&str> = alias.trim_start_matches('/').split(['.', '/']).collect();
    owned(&[&["properties"], below.as_slice()].concat())
}

/// Returns the value at a path; names are case-insensitive, and tags among them.
pub(super) fn value<'a>(body: &'a Value, path: &[String]) -> &'a Value {
    path.iter().fold(body, |at, name| property(at, name))
}

/// Returns a property by its name, whatever its case.
pub(super) fn property<'a>(value: &'a Value, name: &str) -> &'a Value {
    let found =
        value.as_object().and_then(|fields| fields.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)));
    found.map_or(&Value::Null, |(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_of_a_field() {
        let of = |field: &str| path("Microsoft.KeyVault/vaults", field).map(|path| path.join("|"));
        assert_eq!(of("tags['a.b']").as_deref(), Some("tags|a.b"));
        assert_eq!(of("tags[Team]"), of("tags.Team"));
        assert_eq!(of("location").as_deref(), Some("location"));
        assert_eq!(of("properties.enableRBAC").as_deref(), Some("properties|enableRBAC"));
        assert_eq!(
            of("microsoft.keyvault/vaults/networkAcls.defaultAction").as_deref(),
            Some("properties|networkAcls|defaultAction")
        );
        assert_eq!(of("Microsoft.Network/virtualNetworks/x"), None);
    }
}
