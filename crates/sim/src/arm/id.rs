//! Resource ids: compared case-insensitively, stored in their original case.

/// Returns the lookup key of an id: lower case, no trailing slash, one leading slash.
pub fn key(id: &str) -> String {
    format!("/{}", id.trim_matches('/').to_ascii_lowercase())
}

/// Returns whether two ids name the same resource.
pub fn same(one: &str, other: &str) -> bool {
    one.trim_matches('/').eq_ignore_ascii_case(other.trim_matches('/'))
}

/// Returns whether `id` is `scope` or lies below it; everything lies below `/`.
pub fn within(id: &str, scope: &str) -> bool {
    let (id, scope) = (key(id), key(scope));
    scope == "/" || id == scope || id.strip_prefix(&scope).is_some_and(|rest| rest.starts_with('/'))
}

/// Returns the last segment of an id, the name.
pub fn name(id: &str) -> &str {
    id.trim_end_matches('/').rsplit('/').next().unwrap_or("")
}

/// Returns the segment after `label` (`resourceGroups`, `virtualNetworks`), compared case-insensitively.
pub fn part<'a>(id: &'a str, label: &str) -> Option<&'a str> {
    let mut segments = id.split('/').filter(|segment| !segment.is_empty());
    segments.find(|segment| segment.eq_ignore_ascii_case(label))?;
    segments.next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_compare_without_case_and_scopes_end_at_a_slash() {
        assert!(same("/subscriptions/S/resourceGroups/rg", "/subscriptions/s/resourcegroups/RG/"));
        assert!(within(
            "/subscriptions/s/resourceGroups/rg/providers/x",
            "/Subscriptions/S/resourcegroups/RG"
        ));
        assert!(!within("/subscriptions/s/resourceGroups/rg2", "/subscriptions/s/resourceGroups/rg"));
        assert!(within("/subscriptions/s", "/"));
        assert_eq!(part("/subscriptions/s/resourcegroups/rg/x", "resourceGroups"), Some("rg"));
        assert_eq!(name("/a/b/"), "b");
    }
}
