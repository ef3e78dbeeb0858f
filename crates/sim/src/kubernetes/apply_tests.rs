//! Tests of server-side apply.

use std::collections::{BTreeMap, BTreeSet};

use proptest::collection::{btree_map, vec};
use proptest::prelude::{ProptestConfig, any, proptest};
use serde_json::{Value, json};

use super::fixture::{
    CONFIG_MAPS, Cluster, DEPLOYMENTS, GATEWAYS, ROUTES, config_map, deployment, gateway, route,
};

fn owned_by(object: &Value, manager: &str) -> Value {
    let entries = object["metadata"]["managedFields"].as_array().cloned().unwrap_or_default();
    let entry = entries.into_iter().find(|entry| entry["manager"] == manager);
    entry.map(|mut entry| entry["fieldsV1"].take()).unwrap_or_default()
}

#[test]
fn applying_creates_and_applying_again_changes_nothing() {
    let listeners = json!([{"name": "http", "port": 80, "protocol": "HTTP"}]);
    let class = json!({
        "apiVersion": "secrets-store.csi.x-k8s.io/v1", "kind": "SecretProviderClass", "metadata": {"name": "kv"},
        "spec": {"provider": "azure", "parameters": {"keyvaultName": "kv"}, "secretObjects": [
            {"secretName": "tls", "type": "kubernetes.io/tls", "data": [{"objectName": "c", "key": "tls.key"}]},
        ]},
    });
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"},
        "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]},
    });
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "web"}});
    let classes = "/apis/secrets-store.csi.x-k8s.io/v1/namespaces/demo/secretproviderclasses/kv";
    let cases = [
        (format!("{CONFIG_MAPS}/a"), config_map("a", json!({"k": "v"})), 0),
        (format!("{DEPLOYMENTS}/web"), deployment(), 0),
        (format!("{ROUTES}/web"), route(), 0),
        (classes.to_owned(), class, 0),
        ("/api/v1/namespaces/demo/services/web".to_owned(), service, 0),
        ("/api/v1/namespaces/demo/serviceaccounts/web".to_owned(), account, 0),
        // Only the second write stores the defaulted status of a Gateway.
        (format!("{GATEWAYS}/gw"), gateway(listeners), 1),
    ];
    for (target, body, rise) in cases {
        let mut cluster = Cluster::new();
        let first = cluster.apply(&target, "landfall", &body);
        assert_eq!(first.status, 201, "{target}: {first:?}");
        let created = cluster.store.revision();
        let second = cluster.apply(&target, "landfall", &body);
        assert_eq!(second.status, 200, "{target}: {second:?}");
        assert_eq!(cluster.store.revision(), created + rise, "{target}");
        let third = cluster.apply(&target, "landfall", &body);
        assert_eq!(third.value(), second.value(), "{target}");
        assert_eq!(second.value()["metadata"]["generation"], first.value()["metadata"]["generation"]);
    }
}

#[test]
fn only_what_was_sent_is_owned() {
    let mut cluster = Cluster::new();
    let live = cluster.apply(&format!("{DEPLOYMENTS}/web"), "landfall", &deployment()).value();
    assert_eq!(live["spec"]["template"]["spec"]["containers"][0]["livenessProbe"]["periodSeconds"], 10);
    assert_eq!(
        owned_by(&live, "landfall"),
        json!({"f:spec": {
            "f:replicas": {},
            "f:selector": {},
            "f:template": {
                "f:metadata": {"f:labels": {"f:app": {}}},
                "f:spec": {"f:containers": {"k:{\"name\":\"web\"}": {
                    ".": {}, "f:image": {}, "f:livenessProbe": {"f:httpGet": {"f:path": {}, "f:port": {}}},
                    "f:name": {},
                    "f:ports": {"k:{\"containerPort\":80,\"protocol\":\"TCP\"}": {".": {}, "f:containerPort": {}}},
                }}},
            },
        }})
    );
}

#[test]
fn a_conflict_names_the_manager_and_the_field_and_force_takes_the_field() {
    let mut cluster = Cluster::new();
    let target = format!("{CONFIG_MAPS}/c");
    cluster.apply(&target, "a", &config_map("c", json!({"k": "1", "l": "1"})));
    let refused = cluster.apply(&target, "b", &config_map("c", json!({"k": "2"})));
    assert_eq!(
        refused.value(),
        json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": "Apply failed with 1 conflict: conflict with \"a\": .data.k", "reason": "Conflict",
            "details": {"causes": [{
                "reason": "FieldManagerConflict", "message": "conflict with \"a\"", "field": ".data.k",
            }]},
            "code": 409,
        })
    );
    let several = cluster.apply(&target, "b", &config_map("c", json!({"k": "2", "l": "2"})));
    assert_eq!(
        several.value()["message"],
        "Apply failed with 2 conflicts: conflicts with \"a\":\n- .data.k\n- .data.l"
    );
    let forced = cluster.apply(&target, "b&force=true", &config_map("c", json!({"k": "2"}))).value();
    assert_eq!(forced["data"], json!({"k": "2", "l": "1"}));
    assert_eq!(owned_by(&forced, "a"), json!({"f:data": {"f:l": {}}}));
    assert_eq!(owned_by(&forced, "b"), json!({"f:data": {"f:k": {}}}));
    let all = cluster.apply(&target, "b&force=true", &config_map("c", json!({"k": "2", "l": "2"}))).value();
    assert_eq!(owned_by(&all, "a"), Value::Null, "an owner of nothing has no entry");
}

#[test]
fn the_same_value_from_two_managers_belongs_to_both() {
    let mut cluster = Cluster::new();
    let target = format!("{CONFIG_MAPS}/c");
    cluster.apply(&target, "a", &config_map("c", json!({"k": "1"})));
    let both = cluster.apply(&target, "b", &config_map("c", json!({"k": "1"})));
    assert_eq!(both.status, 200);
    assert_eq!(owned_by(&both.value(), "a"), owned_by(&both.value(), "b"));
    let kept = cluster.apply(&target, "a", &config_map("c", json!({}))).value();
    assert_eq!(kept["data"], json!({"k": "1"}), "another still owns it");
    let disowned = cluster.apply(&target, "b", &config_map("c", json!({}))).value();
    assert_eq!(disowned["data"].get("k"), None, "nobody owns it any more");
}

#[test]
fn disowning_a_structure_removes_it_with_its_defaults() {
    let mut cluster = Cluster::new();
    let target = format!("{DEPLOYMENTS}/web");
    cluster.apply(&target, "a", &deployment());
    let mut less = deployment();
    let container = &mut less["spec"]["template"]["spec"]["containers"][0];
    container.as_object_mut().map(|map| map.shift_remove("livenessProbe"));
    let live = cluster.apply(&target, "a", &less).value();
    assert_eq!(live["spec"]["template"]["spec"]["containers"][0].get("livenessProbe"), None);
    assert_eq!(live["metadata"]["generation"], 2);
}

#[test]
fn items_of_keyed_lists_are_owned_one_by_one() {
    let mut cluster = Cluster::new();
    let target = format!("{GATEWAYS}/gw");
    let plain = json!({"name": "http", "port": 80, "protocol": "HTTP"});
    let other = json!({"name": "alt", "port": 8080, "protocol": "HTTP"});
    cluster.apply(&target, "a", &gateway(json!([plain])));
    let two = cluster.apply(&target, "b", &gateway(json!([other])));
    assert_eq!(two.status, 200, "{two:?}");
    let names = |object: &Value| -> Vec<String> {
        let listeners = object["spec"]["listeners"].as_array().cloned().unwrap_or_default();
        listeners.iter().map(|listener| listener["name"].as_str().unwrap_or_default().to_owned()).collect()
    };
    let mut both = names(&two.value());
    both.sort();
    assert_eq!(both, ["alt", "http"]);
    assert_eq!(two.value()["spec"]["listeners"][0]["allowedRoutes"]["namespaces"]["from"], "Same");
    let moved =
        cluster.apply(&target, "b", &gateway(json!([{"name": "new", "port": 81, "protocol": "HTTP"}])));
    let mut left = names(&moved.value());
    left.sort();
    assert_eq!(left, ["http", "new"]);
}

#[test]
fn a_second_manager_conflicts_over_lists_owned_whole_because_of_their_defaults() {
    let mut cluster = Cluster::new();
    let target = format!("{ROUTES}/web");
    assert_eq!(cluster.apply(&target, "a", &route()).status, 201);
    let refused = cluster.apply(&target, "b", &route());
    assert_eq!(refused.status, 409);
    assert_eq!(
        refused.value()["message"],
        "Apply failed with 2 conflicts: conflicts with \"a\":\n- .spec.parentRefs\n- .spec.rules"
    );
    let listeners = json!([{"name": "http", "port": 80, "protocol": "HTTP"}]);
    cluster.apply(&format!("{GATEWAYS}/gw"), "a", &gateway(listeners.clone()));
    assert_eq!(cluster.apply(&format!("{GATEWAYS}/gw"), "b", &gateway(listeners)).status, 200);
}

#[test]
fn other_writes_own_by_update_and_conflicts_name_their_version() {
    let mut cluster = Cluster::new();
    let target = format!("{DEPLOYMENTS}/web");
    cluster.post(&format!("{DEPLOYMENTS}?fieldManager=kubectl-create"), &deployment());
    let mut more = deployment();
    more["spec"]["replicas"] = json!(5);
    let refused = cluster.apply(&target, "landfall", &more).value();
    assert_eq!(
        refused["message"],
        "Apply failed with 1 conflict: conflict with \"kubectl-create\" using apps/v1: .spec.replicas"
    );
    let patched = cluster.merge(&target, &json!({"spec": {"replicas": 7}})).value();
    assert_eq!(owned_by(&patched, "unknown"), json!({"f:spec": {"f:replicas": {}}}));
}

#[test]
fn an_unknown_field_in_an_apply_is_a_500_without_a_reason() {
    let mut cluster = Cluster::new();
    let wrong = |field: &str, value: Value| {
        let mut body = deployment();
        body["spec"][field] = value;
        body
    };
    let target = format!("{DEPLOYMENTS}/web");
    for (body, what) in [
        (wrong("zzz", json!(1)), ".spec.zzz: field not declared in schema"),
        (wrong("replicas", json!("two")), ".spec.replicas: expected numeric (int or float), got string"),
        (wrong("paused", json!("yes")), ".spec.paused: expected boolean, got &{yes}"),
    ] {
        let refused = cluster.apply(&target, "a&fieldValidation=Strict", &body).value();
        let wanted =
            format!("failed to create typed patch object (demo/web; apps/v1, Kind=Deployment): {what}");
        assert_eq!(
            (refused["code"].as_i64(), refused["message"].as_str()),
            (Some(500), Some(wanted.as_str()))
        );
        assert_eq!(refused.get("reason"), None);
    }
    let twice =
        json!([{"name": "a", "port": 80, "protocol": "HTTP"}, {"name": "a", "port": 81, "protocol": "HTTP"}]);
    let refused = cluster.apply(&format!("{GATEWAYS}/gw"), "a", &gateway(twice));
    assert_eq!(refused.status, 500);
    assert!(
        refused.value()["message"].as_str().is_some_and(|text| text.contains("duplicate entries for key"))
    );
}

#[test]
fn status_is_written_only_through_its_own_url() {
    let mut cluster = Cluster::new();
    let target = format!("{GATEWAYS}/gw");
    let mut body = gateway(json!([{"name": "http", "port": 80, "protocol": "HTTP"}]));
    body["status"] = json!({"addresses": [{"type": "IPAddress", "value": "1.2.3.4"}]});
    let live = cluster.apply(&target, "a", &body).value();
    assert_eq!(live["status"].get("addresses"), None);
    assert_eq!(live["status"]["conditions"][1]["message"], "Waiting for controller");
    let status = cluster.merge(
        &format!("{target}/status?fieldManager=istio"),
        &json!({"spec": {"gatewayClassName": "other"}, "status": body["status"]}),
    );
    let live = status.value();
    assert_eq!(live["status"]["addresses"][0]["value"], "1.2.3.4");
    assert_eq!(live["spec"]["gatewayClassName"], "approuting-istio");
    assert_eq!(live["metadata"]["generation"], 1);
    let entry = live["metadata"]["managedFields"].as_array().and_then(|list| list.last().cloned());
    assert_eq!(entry.map(|entry| entry["subresource"].clone()), Some(json!("status")));
    let applied = cluster.apply(
        &format!("{target}/status"),
        "istio-2",
        &json!({"apiVersion": body["apiVersion"], "kind": "Gateway", "metadata": {"name": "gw"},
            "status": {"listeners": [{"name": "http", "attachedRoutes": 1, "conditions": []}]}}),
    );
    assert_eq!(applied.value()["status"]["listeners"][0]["attachedRoutes"], 1, "{applied:?}");
}

/// A model of the field ownership of a map: the value and the owners of each key.
type Model = BTreeMap<u8, (u8, BTreeSet<u8>)>;

/// Applies to the model; returns false on a conflict.
fn apply_to_model(model: &mut Model, manager: u8, config: &BTreeMap<u8, u8>, force: bool) -> bool {
    let clashes = |key: &u8, value: &u8| {
        model.get(key).is_some_and(|(is, owners)| is != value && owners.iter().any(|owner| *owner != manager))
    };
    if !force && config.iter().any(|(key, value)| clashes(key, value)) {
        return false;
    }
    for (key, value) in config {
        let slot = model.entry(*key).or_insert_with(|| (*value, BTreeSet::new()));
        if slot.0 != *value {
            *slot = (*value, BTreeSet::new());
        }
        slot.1.insert(manager);
    }
    for (key, (_, owners)) in model.iter_mut() {
        if !config.contains_key(key) {
            owners.remove(&manager);
        }
    }
    model.retain(|_, (_, owners)| !owners.is_empty());
    true
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn ownership_after_random_applies_equals_the_model(
        steps in vec((0_u8..3, btree_map(0_u8..4, 0_u8..3, 0..4), any::<bool>()), 1..12),
    ) {
        let mut cluster = Cluster::new();
        let target = format!("{CONFIG_MAPS}/m");
        let mut model = Model::new();
        for (manager, config, force) in steps {
            let data: BTreeMap<String, String> =
                config.iter().map(|(key, value)| (format!("k{key}"), format!("v{value}"))).collect();
            let field_manager = format!("m{manager}{}", if force { "&force=true" } else { "" });
            let mut body = config_map("m", json!(data));
            if config.is_empty() {
                // The server does not store an empty map, but a manager that applies one owns it.
                body.as_object_mut().unwrap().remove("data");
            }
            let reply = cluster.apply(&target, &field_manager, &body);
            let allowed = apply_to_model(&mut model, manager, &config, force);
            assert_eq!(reply.status.as_u16() == 409, !allowed, "{reply:?}");
            if allowed {
                let revision = cluster.store.revision();
                cluster.apply(&target, &field_manager, &body);
                assert_eq!(cluster.store.revision(), revision, "applying again changed something");
            }
            let live = cluster.get(&target).value();
            if live["kind"] == "ConfigMap" {
                let wanted: BTreeMap<String, String> =
                    model.iter().map(|(key, (value, _))| (format!("k{key}"), format!("v{value}"))).collect();
                let is = live["data"].as_object().cloned().unwrap_or_default();
                assert_eq!(json!(is), json!(wanted));
                for manager in 0..3 {
                    let owned = owned_by(&live, &format!("m{manager}"));
                    let keys: BTreeSet<String> = owned["f:data"].as_object().into_iter()
                        .flat_map(|map| map.keys()).filter(|key| *key != ".").cloned().collect();
                    let wanted: BTreeSet<String> = model.iter()
                        .filter(|(_, (_, owners))| owners.contains(&manager))
                        .map(|(key, _)| format!("f:k{key}")).collect();
                    assert_eq!(keys, wanted, "of m{manager}");
                }
            }
        }
    }
}
