//! The owners of fields after a write other than apply.

use serde_json::Value;

use super::{Difference, Entry, Owner, compare, write_entries};
use crate::clock::SimTime;
use crate::kubernetes::definition::Definition;
use crate::kubernetes::fields::{FieldPath, FieldSet};
use crate::kubernetes::schema::empty;
use crate::kubernetes::schema::traverse::{descend, parts};

/// Returns the fields of a Service that the server allocated because the request lacks them.
pub fn allocated(definition: &Definition, sent: &Value, object: &Value) -> FieldSet {
    let is_new = |sent: &Value, object: &Value, field: &str| {
        sent.get(field).is_none_or(Value::is_null) && object.get(field).is_some()
    };
    let mut set = FieldSet::default();
    let path = |edges: &[&str]| edges.iter().map(|edge| (*edge).to_owned()).collect::<FieldPath>();
    for field in ["clusterIP", "clusterIPs", "healthCheckNodePort", "ipFamilies", "ipFamilyPolicy"] {
        if is_new(&sent["spec"], &object["spec"], field) {
            set.insert(&path(&["f:spec", &format!("f:{field}")]));
        }
    }
    let ports_schema = &definition.schema["properties"]["spec"]["properties"]["ports"];
    let sent_ports = &sent["spec"]["ports"];
    for (edge, _, port) in parts(ports_schema, &object["spec"]["ports"]) {
        let nothing = Value::Null;
        let sent_port = descend(ports_schema, sent_ports, &edge).map_or(&nothing, |(_, port)| port);
        if is_new(sent_port, port, "nodePort") {
            set.insert(&path(&["f:spec", "f:ports", &edge, "f:nodePort"]));
        }
    }
    set
}

/// Records a write other than apply: the writer owns the fields it set, except the unowned ones, and all others
/// lose them.
pub fn record_update(
    definition: &Definition,
    live: Option<&Value>,
    object: &mut Value,
    owner: &Owner,
    unowned: &FieldSet,
    at: SimTime,
) {
    let difference = live
        .map_or_else(
            || compare(definition, &empty::object(definition), object),
            |live| compare(definition, live, object),
        )
        .through(&owner.subresource, definition.has_status);
    let recorded = live.map_or(&Value::Null, |live| &live["metadata"]["managedFields"]);
    let sent = &object["metadata"]["managedFields"];
    let (entries, is_recorded) = match sent.as_array().filter(|entries| !entries.is_empty()) {
        // A list with one empty entry requests the removal of all ownership.
        Some(_) => (sent, sent == recorded),
        None => (recorded, true),
    };
    let Difference { added, modified, removed } = difference;
    let written = added.union(modified);
    let changed = written.clone().union(removed.clone());
    let written = written.difference(unowned);
    // An entry without any of the changed fields stays as it is recorded. That is the larger part of most objects: the
    // fields of the specification, during writes of the status.
    let is_unaffected = |entry: &Value| {
        is_recorded && !changed.children().any(|(edge, _)| entry["fieldsV1"].get(edge).is_some())
    };
    let mut is_known = false;
    let mut after = Vec::new();
    for recorded in entries.as_array().into_iter().flatten() {
        let Some(known) = Entry::owner_of(recorded) else { continue };
        let is_own = known.is(owner) && !is_known;
        is_known |= is_own;
        if !is_own && is_unaffected(recorded) {
            after.push(recorded.clone());
        } else if let Some(mut entry) = Entry::read(recorded) {
            if is_own {
                let fields = entry.fields.difference(&removed).union(written.clone());
                entry.set(owner, fields, at);
            } else if !known.is(owner) {
                entry.fields = entry.fields.difference(&changed);
            }
            after.extend(entry.into_json());
        }
    }
    if !is_known {
        let entry = Entry { owner: owner.clone(), time: at.rfc3339(), fields: written };
        after.extend(entry.into_json());
    }
    write_entries(after, object);
}
