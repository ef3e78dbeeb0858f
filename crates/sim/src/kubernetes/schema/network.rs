//! The endpoints of services: EndpointSlices of discovery.k8s.io/v1.

use serde_json::{Value, json};

use super::build::{Constrain, boolean, list, map, object, port, string};
use crate::kubernetes::definition::{Column, Definition};

/// Returns the kinds of discovery.k8s.io/v1.
pub fn kinds() -> Vec<Definition> {
    vec![
        Definition::new("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices", slice())
            .generation()
            .columns(vec![
                Column::new("AddressType", "string", ".addressType"),
                Column::new("Ports", "string", "=slice.ports"),
                Column::new("Endpoints", "string", "=slice.endpoints"),
                Column::new("Age", "date", ".metadata.creationTimestamp"),
            ]),
    ]
}

fn slice() -> Value {
    let conditions = object(&[("ready", boolean()), ("serving", boolean()), ("terminating", boolean())]);
    let target = object(&[
        ("apiVersion", string()),
        ("kind", string()),
        ("namespace", string()),
        ("name", string()),
        ("uid", string()),
        ("resourceVersion", string()),
        ("fieldPath", string()),
    ])
    .atomic_map();
    let zone = object(&[("name", string())]).required(&["name"]);
    let endpoint = object(&[
        ("addresses", list(string())),
        ("conditions", conditions),
        ("hostname", string()),
        ("targetRef", target),
        ("deprecatedTopology", map(string())),
        ("nodeName", string()),
        ("zone", string()),
        ("hints", object(&[("forZones", list(zone))])),
    ])
    .required(&["addresses"]);
    let endpoint_port = object(&[
        ("name", string().default(json!(""))),
        ("protocol", string().default(json!("TCP"))),
        ("port", port()),
        ("appProtocol", string()),
    ])
    .atomic_map();
    object(&[
        ("addressType", string().one_of(&["IPv4", "IPv6", "FQDN"])),
        ("endpoints", list(endpoint)),
        ("ports", list(endpoint_port)),
    ])
    .required(&["addressType", "endpoints"])
}
