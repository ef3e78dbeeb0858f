//! Field sets for field management: the format of `managedFields[].fieldsV1`.
//!
//! A set is a tree. An edge is a path element in its serialized form: `f:spec` (a field), `k:{"name":"a"}`
//! (an item of a keyed list), `v:"x"` (an item of a set). A node stores if the path ending there is a member.
//! Contract: the FieldsV1 format of `k8s.io/api` and the structured-merge-diff design.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// A path: its elements in serialized form.
pub type FieldPath = Vec<String>;

/// A set of field paths.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FieldSet {
    member: bool,
    children: BTreeMap<String, FieldSet>,
}

impl FieldSet {
    /// Parses the `fieldsV1` format; a value that is not an object is an empty set.
    pub fn from_fields_v1(value: &Value) -> Self {
        let mut set = Self::read(value);
        set.member = false;
        set
    }

    fn read(value: &Value) -> Self {
        let Some(map) = value.as_object() else { return Self::default() };
        let children = map.iter().filter(|(edge, _)| *edge != ".");
        Self {
            member: map.is_empty() || map.contains_key("."),
            children: children.map(|(edge, child)| (edge.clone(), Self::read(child))).collect(),
        }
    }

    /// Returns the set of these nodes without those that have no members; with `member`, it has the empty path too.
    pub fn of_children(member: bool, children: impl Iterator<Item = (String, Self)>) -> Self {
        let has_members = |set: &Self| set.member || !set.children.is_empty();
        Self { member, children: children.filter(|(_, child)| has_members(child)).collect() }
    }

    /// Returns the `fieldsV1` format.
    pub fn into_fields_v1(self) -> Value {
        let mut map = Map::new();
        if self.member && !self.children.is_empty() {
            map.insert(".".into(), Value::Object(Map::new()));
        }
        map.extend(self.children.into_iter().map(|(edge, child)| (edge, child.into_fields_v1())));
        Value::Object(map)
    }

    /// Returns whether the set is empty.
    pub fn is_empty(&self) -> bool {
        !self.member && self.children.values().all(Self::is_empty)
    }

    /// Adds a path.
    pub fn insert(&mut self, path: &[String]) {
        match path {
            [] => self.member = true,
            // Most paths of an object begin like the one before.
            [edge, rest @ ..] => match self.children.get_mut(edge) {
                Some(child) => child.insert(rest),
                None => self.children.entry(edge.clone()).or_default().insert(rest),
            },
        }
    }

    /// Adds the members of a set below a path.
    pub fn insert_set(&mut self, path: &[String], set: Self) {
        match path {
            [] => self.append(set),
            [edge, rest @ ..] => match self.children.get_mut(edge) {
                Some(child) => child.insert_set(rest, set),
                None => self.children.entry(edge.clone()).or_default().insert_set(rest, set),
            },
        }
    }

    /// Removes one path, but not the paths below it.
    pub fn remove(&mut self, path: &[&str]) {
        match path {
            [] => self.member = false,
            [edge, rest @ ..] => {
                if let Some(child) = self.children.get_mut(*edge) {
                    child.remove(rest);
                    if child.is_empty() {
                        self.children.remove(*edge);
                    }
                }
            }
        }
    }

    /// Removes everything at and below a path.
    pub fn remove_below(&mut self, path: &[&str]) {
        match path {
            [] => *self = Self::default(),
            [edge] => drop(self.children.remove(*edge)),
            [edge, rest @ ..] => {
                if let Some(child) = self.children.get_mut(*edge) {
                    child.remove_below(rest);
                    if child.is_empty() {
                        self.children.remove(*edge);
                    }
                }
            }
        }
    }

    /// Keeps only the paths below one edge.
    pub fn keep_only(&mut self, edge: &str) {
        self.children.retain(|name, _| name == edge);
    }

    /// Returns the node behind an edge.
    pub fn child(&self, edge: &str) -> Option<&Self> {
        self.children.get(edge)
    }

    /// Returns the nodes below this one, with their edges.
    pub fn children(&self) -> impl Iterator<Item = (&String, &Self)> {
        self.children.iter()
    }

    /// Returns the members of either.
    #[must_use]
    pub fn union(mut self, other: Self) -> Self {
        self.append(other);
        self
    }

    fn append(&mut self, other: Self) {
        self.member |= other.member;
        if self.children.is_empty() {
            self.children = other.children;
            return;
        }
        for (edge, child) in other.children {
            self.children.entry(edge).or_default().append(child);
        }
    }

    /// Returns the members of both.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        self.combine(other, |left, right| left && right, false)
    }

    /// Returns the members of this one that are not in the other.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        self.combine(other, |left, right| left && !right, true)
    }

    fn combine(&self, other: &Self, member: fn(bool, bool) -> bool, keep_unmatched: bool) -> Self {
        let nothing = Self::default();
        let children = self.children.iter().filter_map(|(edge, child)| {
            let counterpart = other.children.get(edge);
            if counterpart.is_none() && !keep_unmatched {
                return None;
            }
            let combined = child.combine(counterpart.unwrap_or(&nothing), member, keep_unmatched);
            (!combined.is_empty()).then(|| (edge.clone(), combined))
        });
        Self { member: member(self.member, other.member), children: children.collect() }
    }

    /// Returns the members, parents before their children.
    pub fn paths(&self) -> Vec<FieldPath> {
        let mut paths = Vec::new();
        self.gather(&mut Vec::new(), &mut paths);
        paths
    }

    fn gather(&self, at: &mut FieldPath, paths: &mut Vec<FieldPath>) {
        if self.member {
            paths.push(at.clone());
        }
        for (edge, child) in &self.children {
            at.push(edge.clone());
            child.gather(at, paths);
            at.pop();
        }
    }
}

/// Returns a path in the format of error messages: `.spec.containers[name="a"].image`.
pub fn display_path(path: &[String]) -> String {
    path.iter().map(|edge| display_edge(edge)).collect()
}

fn display_edge(edge: &str) -> String {
    match edge.split_once(':') {
        Some(("f", name)) => format!(".{name}"),
        Some(("k", keys)) => match serde_json::from_str::<Value>(keys) {
            Ok(Value::Object(keys)) => {
                let pairs: Vec<String> = keys.iter().map(|(key, value)| format!("{key}={value}")).collect();
                format!("[{}]", pairs.join(","))
            }
            _ => format!("[{keys}]"),
        },
        Some(("v", value)) => format!("[={value}]"),
        _ => format!("[{edge}]"),
    }
}

/// Returns the edge of a field.
pub fn field_edge(name: &str) -> String {
    format!("f:{name}")
}

/// Returns the edge of an item of a set.
pub fn value_edge(value: &Value) -> String {
    format!("v:{value}")
}

/// Returns the edge of an item of a keyed list, with its keys in alphabetical order; absent keys get their
/// default. Returns `None` if a key is missing and has no default.
pub fn key_edge<'k>(
    item: &Value,
    keys: impl Iterator<Item = &'k str>,
    default: impl Fn(&str) -> Option<Value>,
) -> Result<String, String> {
    let mut pairs = BTreeMap::new();
    for key in keys {
        match item.get(key).filter(|value| !value.is_null()).cloned().or_else(|| default(key)) {
            Some(value) => pairs.insert(key.to_owned(), value),
            None => return Err(key.to_owned()),
        };
    }
    let map: Map<String, Value> = pairs.into_iter().collect();
    Ok(format!("k:{}", Value::Object(map)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_set_survives_being_written_and_read() {
        let written = json!({
            "f:metadata": {"f:labels": {".": {}, "f:app": {}}},
            "f:spec": {"f:ports": {"k:{\"containerPort\":80,\"protocol\":\"TCP\"}": {".": {}, "f:name": {}}}},
        });
        assert_eq!(FieldSet::from_fields_v1(&written).into_fields_v1(), written);
    }

    #[test]
    fn the_difference_of_a_set_with_itself_is_empty() {
        let set = FieldSet::from_fields_v1(&json!({"f:a": {".": {}, "f:b": {}}, "f:c": {}}));
        assert!(set.difference(&set).is_empty());
        assert_eq!(set.intersection(&set), set);
        assert_eq!(set.clone().union(set.clone()), set);
    }

    #[test]
    fn a_parent_can_be_removed_without_its_children() {
        let set = FieldSet::from_fields_v1(&json!({"f:a": {".": {}, "f:b": {}}}));
        let parent = FieldSet::from_fields_v1(&json!({"f:a": {}}));
        assert_eq!(set.difference(&parent).into_fields_v1(), json!({"f:a": {"f:b": {}}}));
    }

    #[test]
    fn paths_read_as_a_server_writes_them() {
        let set = FieldSet::from_fields_v1(
            &json!({"f:spec": {"k:{\"name\":\"a\"}": {"f:image": {}}, "v:\"x\"": {}}}),
        );
        let shown: Vec<String> = set.paths().iter().map(|path| display_path(path)).collect();
        assert_eq!(shown, [".spec[name=\"a\"].image", ".spec[=\"x\"]"]);
    }
}
