//! Fuzz target: the kubeconfig, with any text. A merge is rejected, or preserves the contents of others. A
//! removal of landfall's entries restores the file: byte for byte after an edit in place, key for key after a
//! complete rewrite.

use landfall_cloud::kubeconfig::{Merged, differs, has_context, merge, remove};
use serde_json::{Map, Value};

const FROM_CLUSTER: &str = "apiVersion: v1
clusters:
- cluster:
    certificate-authority-data: LS0tLS1CRUdJTg==
    server: https://demo.hcp.eastus.azmk8s.io:443
  name: aks-demo
contexts:
- context:
    cluster: aks-demo
    user: clusterUser_rg-demo_aks-demo
  name: aks-demo
current-context: aks-demo
kind: Config
preferences: {}
users:
- name: clusterUser_rg-demo_aks-demo
  user:
    token: 0123456789abcdef
";
const CONTEXT: &str = "demo";
const LISTS: [&str; 3] = ["clusters", "contexts", "users"];

/// Checks one file of a user; the same bytes are also tried as the cluster's kubeconfig.
pub fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(merged) = merge(None, text, CONTEXT) {
        assert!(!differs(Some(&merged.text), text, CONTEXT), "{}", merged.text);
        assert_eq!(remove(&merged.text, &merged.added).ok().flatten(), None, "{}", merged.text);
    }
    // Lone carriage returns are data and not line ends, because no current editor writes them.
    if text.replace("\r\n", "").contains('\r') {
        return;
    }
    let Ok(Merged { text: merged_text, added }) = merge(Some(text), FROM_CLUSTER, CONTEXT) else { return };
    assert!(has_context(Some(&merged_text), CONTEXT) && !differs(Some(&merged_text), FROM_CLUSTER, CONTEXT));
    let again = merge(Some(&merged_text), FROM_CLUSTER, CONTEXT).expect("what we wrote we can read");
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(lines(&again.text), lines(&merged_text), "a second time changes nothing");
    let (before, during) = (read(text), read(&merged_text));
    if has_landfall_entries(&before, &added.cluster, &added.user) {
        return;
    }
    check_user_entries_kept(&before, &during);
    let left = remove(&merged_text, &added).expect("what we wrote we can take out");
    let left = left.unwrap_or_default();
    // An edit in place changes at least the current context, and records it; a complete rewrite records
    // nothing.
    let in_place = added.made || !added.replaced_lines.is_empty();
    if in_place {
        // In flow style an entry may be on a line of the user.
        if !text.contains(['{', '[']) {
            assert!(keeps_every_line(text, &merged_text), "a line is lost in:\n{merged_text}");
        }
        assert_eq!(left, text, "with ours it was:\n{merged_text}\n{added:?}");
    } else {
        assert_eq!(bare(read(&left)), bare(before), "with ours it was:\n{merged_text}");
    }
}

fn read(text: &str) -> Map<String, Value> {
    let options = serde_saphyr::options! { strict_booleans: true, legacy_octal_numbers: true };
    match serde_saphyr::from_str_with_options(text, options) {
        Ok(Value::Object(fields)) => fields,
        _ => Map::new(),
    }
}

/// Returns whether the file already has an entry with landfall's names. The merge replaces it, which is a
/// different guarantee.
fn has_landfall_entries(fields: &Map<String, Value>, cluster: &str, user: &str) -> bool {
    let names = [("clusters", cluster), ("contexts", CONTEXT), ("users", user)];
    names.iter().any(|(list, name)| items(fields, list).iter().any(|item| item["name"] == *name))
}

fn items<'a>(fields: &'a Map<String, Value>, list: &str) -> &'a [Value] {
    fields.get(list).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn check_user_entries_kept(before: &Map<String, Value>, during: &Map<String, Value>) {
    for list in LISTS {
        let (before, during) = (items(before, list), items(during, list));
        assert_eq!(during.len(), before.len() + 1, "{list}");
        assert_eq!(&during[..before.len()], before, "{list}");
    }
    for (key, value) in before.iter().filter(|(key, _)| !LISTS.contains(&key.as_str())) {
        assert!(key == "current-context" || during.get(key) == Some(value), "{key} was changed");
    }
}

/// Returns whether the new text contains every line of the user in order, except those of replaced keys.
fn keeps_every_line(old: &str, new: &str) -> bool {
    let is_replaced = |line: &str| {
        let Some((key, value)) = line.split_once(':') else { return false };
        let key = key.trim();
        let quoted = |quote: char| key.strip_prefix(quote).and_then(|key| key.strip_suffix(quote));
        let key = quoted('"').or_else(|| quoted('\'')).unwrap_or(key);
        let is_value = value.is_empty() || value.starts_with([' ', '\t', '\r']);
        is_value && (key == "current-context" || LISTS.contains(&key))
    };
    // A byte order mark belongs to no line.
    let mut new = new.trim_start_matches('\u{feff}').lines();
    old.trim_start_matches('\u{feff}')
        .lines()
        .filter(|line| !is_replaced(line))
        .all(|line| new.any(|other| other == line))
}

/// Removes empty lists, which are equivalent to missing ones.
fn bare(mut fields: Map<String, Value>) -> Map<String, Value> {
    fields.retain(|key, value| match value {
        Value::Null => !LISTS.contains(&key.as_str()) && key != "current-context",
        Value::Array(items) => !items.is_empty() || !LISTS.contains(&key.as_str()),
        Value::String(text) => !text.is_empty() || key != "current-context",
        _ => true,
    });
    fields
}
