//! The owners of fields after a write other than apply.

use serde_json::Value;

use super::{Owner, Owners, compare};
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
    let sent = object["metadata"]["managedFields"].as_array().filter(|entries| !entries.is_empty());
    // A list with one empty entry requests the removal of all ownership.
    let mut owners = match sent {
        Some(_) => Owners::of(object),
        None => live.map(Owners::of).unwrap_or_default(),
    };
    owners.remove_from_others(owner, &difference);
    let own = owners.fields_of(owner).cloned().unwrap_or_default();
    let written = difference.written().difference(unowned);
    let own = own.difference(&difference.removed).union(&written);
    owners.set(owner, own, at);
    owners.write_into(object);
}
