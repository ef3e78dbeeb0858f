//! The fields that a configuration claims, and those in which two versions of an object differ.

use serde_json::Value;

use crate::field::in_map;
use crate::kubernetes::definition::Definition;
use crate::kubernetes::fields::{FieldPath, FieldSet, field_edge};
use crate::kubernetes::schema::traverse::{
    NodeKind, UNDESCRIBED, classify, descend, field, names_field, parts,
};

/// Server-managed fields, which have no owner.
const UNOWNED_FIELDS: [&[&str]; 12] = [
    &["f:apiVersion"],
    &["f:kind"],
    &["f:metadata", "f:name"],
    &["f:metadata", "f:namespace"],
    &["f:metadata", "f:creationTimestamp"],
    &["f:metadata", "f:selfLink"],
    &["f:metadata", "f:uid"],
    &["f:metadata", "f:generation"],
    &["f:metadata", "f:managedFields"],
    &["f:metadata", "f:resourceVersion"],
    &["f:metadata", "f:deletionTimestamp"],
    &["f:metadata", "f:deletionGracePeriodSeconds"],
];

/// Returns the fields that an applied configuration claims.
pub fn claimed(definition: &Definition, value: &Value) -> FieldSet {
    let mut set = claim(&definition.schema, value, false);
    strip(&mut set);
    set
}

/// Returns the claimed fields of a value; with `member`, the value itself is one of them.
fn claim(schema: &Value, value: &Value, member: bool) -> FieldSet {
    let keyed = match classify(schema, value) {
        NodeKind::Whole => return FieldSet::of_children(true, std::iter::empty()),
        NodeKind::Map(map) if map.is_empty() => return FieldSet::of_children(true, std::iter::empty()),
        NodeKind::Map(_) => false,
        NodeKind::List(_) => true,
    };
    let children = parts(schema, value).into_iter().map(|(edge, part_schema, part)| {
        let named = edge.strip_prefix("f:").is_some_and(|name| names_field(schema, name));
        // Items of lists and values of maps are members themselves; the fields of structures are not.
        let claimed = claim(part_schema, part, keyed || !named);
        (edge, claimed)
    });
    FieldSet::of_children(member, children)
}

/// The difference between two versions of an object.
#[derive(Debug, Clone, Default)]
pub struct Difference {
    /// The fields only in the new version.
    pub added: FieldSet,
    /// The fields in both versions, with different values.
    pub modified: FieldSet,
    /// The fields only in the old version.
    pub removed: FieldSet,
}

impl Difference {
    /// Returns the added and modified fields, and those with the removed ones.
    pub fn written_and_changed(self) -> (FieldSet, FieldSet) {
        let written = self.added.union(self.modified);
        let changed = written.clone().union(self.removed);
        (written, changed)
    }

    fn strip(mut self) -> Self {
        [&mut self.added, &mut self.modified, &mut self.removed].into_iter().for_each(strip);
        self
    }

    /// Limits the difference to the fields that a write through that subresource can own.
    pub(super) fn through(mut self, subresource: &str, has_status: bool) -> Self {
        for set in [&mut self.added, &mut self.modified, &mut self.removed] {
            match subresource {
                "status" => set.keep_only("f:status"),
                _ if has_status => set.remove_below(&["f:status"]),
                _ => {}
            }
        }
        self
    }
}

/// Compares two versions of an object field by field, in the granularity of ownership.
pub fn compare(definition: &Definition, before: &Value, after: &Value) -> Difference {
    let mut difference = Difference::default();
    walk(&definition.schema, Some(before), Some(after), &mut Vec::new(), &mut difference);
    difference.strip()
}

fn walk(
    schema: &Value,
    before: Option<&Value>,
    after: Option<&Value>,
    path: &mut FieldPath,
    difference: &mut Difference,
) {
    match (before, after) {
        (None, None) => {}
        (None, Some(value)) => difference.added.insert_set(path, gather(schema, value)),
        (Some(value), None) => difference.removed.insert_set(path, gather(schema, value)),
        (Some(old), Some(new)) if old == new => {}
        (Some(old), Some(new)) => match (classify(schema, old), classify(schema, new)) {
            (NodeKind::Map(old), NodeKind::Map(new)) => {
                let part_schema = |name: &str| field(schema, name).unwrap_or(&UNDESCRIBED);
                for (name, part) in old {
                    let counterpart = in_map(new, name);
                    if counterpart != Some(part) {
                        path.push(field_edge(name));
                        walk(part_schema(name), Some(part), counterpart, path, difference);
                        path.pop();
                    }
                }
                for (name, part) in new.iter().filter(|(name, _)| in_map(old, name).is_none()) {
                    path.push(field_edge(name));
                    walk(part_schema(name), None, Some(part), path, difference);
                    path.pop();
                }
            }
            (NodeKind::List(_), NodeKind::List(_)) => {
                for (edge, part_schema, part) in parts(schema, old) {
                    let counterpart = descend(schema, new, &edge).map(|(_, value)| value);
                    path.push(edge);
                    walk(part_schema, Some(part), counterpart, path, difference);
                    path.pop();
                }
                for (edge, part_schema, part) in parts(schema, new) {
                    if descend(schema, old, &edge).is_none() {
                        path.push(edge);
                        walk(part_schema, None, Some(part), path, difference);
                        path.pop();
                    }
                }
            }
            (NodeKind::Whole, NodeKind::Map(_) | NodeKind::List(_)) if old.is_null() => {
                for (edge, part_schema, part) in parts(schema, new) {
                    path.push(edge);
                    walk(part_schema, None, Some(part), path, difference);
                    path.pop();
                }
            }
            _ => difference.modified.insert(path),
        },
    }
}

/// Returns the paths of a value and of all its parts.
fn gather(schema: &Value, value: &Value) -> FieldSet {
    let parts = parts(schema, value).into_iter();
    FieldSet::of_children(true, parts.map(|(edge, part_schema, part)| (edge, gather(part_schema, part))))
}

fn strip(set: &mut FieldSet) {
    UNOWNED_FIELDS.iter().for_each(|path| set.remove_below(path));
    set.remove(&["f:metadata"]);
    set.remove(&[]);
}
