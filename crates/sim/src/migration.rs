//! Migrations of the state file: each format to the next, on plain JSON.

use serde_json::{Map, Value, json};

/// The format version of the state file.
pub const FORMAT: u32 = 2;

/// Brings a state of an earlier format to the current one.
pub(crate) fn migrate(state: &mut Value) {
    if state["format"].as_u64().unwrap_or(0) < 2 {
        networks_are_declared_resources(state);
    }
    state["format"] = json!(FORMAT);
}

/// Format 2: virtual networks and subnets are resources of declared types. In format 1, a network contained its
/// subnets.
fn networks_are_declared_resources(state: &mut Value) {
    let Some(old) = state.as_object_mut().and_then(|state| state.remove("networks")) else { return };
    let mut resources = state["tracked"].as_object().cloned().unwrap_or_default();
    for (key, network) in old["networks"].as_object().into_iter().flatten() {
        let mut properties = network["properties"].as_object().cloned().unwrap_or_default();
        properties.insert("resourceGuid".to_owned(), network["guid"].clone());
        let id = network["id"].as_str().unwrap_or_default();
        let base = json!({
            "id": id, "kind": "Microsoft.Network/virtualNetworks", "location": network["location"],
            "tags": network["tags"], "properties": properties,
        });
        resources.insert(key.clone(), with_write(base, network, &network["done"], &network["doomed"]));
        for (position, subnet) in network["subnets"].as_array().into_iter().flatten().enumerate() {
            let name = subnet["name"].as_str().unwrap_or_default();
            let is_idle = subnet["state"] == "Succeeded" || subnet["state"] == "Failed";
            let done = if is_idle { &Value::Null } else { &network["done"] };
            let base = json!({
                "id": format!("{id}/subnets/{name}"), "kind": "Microsoft.Network/virtualNetworks/subnets",
                "properties": subnet["properties"], "position": position,
            });
            let subnet = with_write(base, subnet, done, &network["doomed"]);
            resources.insert(format!("{key}/subnets/{}", name.to_lowercase()), subnet);
        }
    }
    state["tracked"] = Value::Object(resources);
}

/// Adds the etag and the write in progress.
fn with_write(mut resource: Value, old: &Value, done: &Value, fails: &Value) -> Value {
    let added: Map<String, Value> = [
        ("etag", old["etag"].clone()),
        ("progress", old["state"].clone()),
        ("done", done.clone()),
        ("fails_on_completion", json!(*fails == true && done.is_i64())),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into_iter()
    .collect();
    if let Some(resource) = resource.as_object_mut() {
        resource.extend(added);
    }
    resource
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arm::networks;
    use crate::clock::SimTime;
    use crate::state::CloudState;
    use crate::test_cloud::TestCloud;

    #[test]
    fn the_networks_of_the_first_format_become_declared_resources() {
        let cloud = TestCloud::new();
        let id = cloud.in_group("Microsoft.Network/virtualNetworks/Vn");
        let mut old = serde_json::to_value(&cloud.state).unwrap();
        old["format"] = json!(1);
        old["networks"] = json!({ "networks": { id.to_lowercase(): {
            "id": id, "location": "eastus", "tags": { "a": "b" }, "etag": "e", "guid": "g", "state": "Updating", "done": 7,
            "properties": { "addressSpace": { "addressPrefixes": ["10.0.0.0/16"] } },
            "subnets": [
                { "name": "Web", "etag": "s", "state": "Deleting", "properties": { "addressPrefix": "10.0.0.0/24" } },
                { "name": "db", "etag": "t", "state": "Succeeded", "properties": { "addressPrefix": "10.0.1.0/24" } },
            ],
        } } });
        migrate(&mut old);
        let state: CloudState = serde_json::from_value(old).unwrap();
        assert_eq!(state.format, FORMAT);
        let subnet = networks::subnet(&state, &format!("{id}/subnets/web")).unwrap();
        assert_eq!((subnet.state.as_str(), subnet.location.as_str()), ("Deleting", "eastus"));
        let network = state.tracked.get(&id).unwrap();
        assert_eq!((network.text("resourceGuid"), network.busy_until(SimTime(0))), ("g", Some(SimTime(7))));
        let body = network.body(&state);
        assert_eq!(body["properties"]["subnets"][1]["name"], "db", "{body}");
    }
}
