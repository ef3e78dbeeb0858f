use serde_json::json;

use super::*;

fn object(value: Value) -> DynamicObject {
    serde_json::from_value(value).unwrap()
}

fn status_condition(name: &str, status: &str, reason: &str, message: &str, generation: i64) -> Value {
    json!({"type": name, "status": status, "reason": reason, "message": message, "observedGeneration": generation,
        "lastTransitionTime": "2026-01-01T00:00:10Z"})
}

fn good(name: &str) -> Value {
    status_condition(name, "True", name, "", 3)
}

/// Returns a ready gateway at generation 3.
fn ready_gateway() -> Value {
    json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway",
        "metadata": {"name": "gw", "generation": 3},
        "spec": {"listeners": [{"name": "http"}, {"name": "https"}]},
        "status": {
            "addresses": [{"type": "IPAddress", "value": "20.1.2.3"}],
            "conditions": [good("Accepted"), good("Programmed")],
            "listeners": [
                {"name": "http", "conditions": [good("Accepted"), status_condition("Conflicted", "False", "NoConflicts", "", 3), good("Programmed"), good("ResolvedRefs")]},
                {"name": "https", "conditions": [good("Accepted"), status_condition("Conflicted", "False", "NoConflicts", "", 3), good("Programmed"), good("ResolvedRefs")]},
            ],
        },
    })
}

/// Changes one condition of a gateway: of a listener, or of itself.
fn with(mut gateway: Value, listener: Option<usize>, condition: Value) -> DynamicObject {
    let part = match listener {
        Some(index) => &mut gateway["status"]["listeners"][index],
        None => &mut gateway["status"],
    };
    let conditions = part["conditions"].as_array_mut().unwrap();
    conditions.retain(|known| known["type"] != condition["type"]);
    conditions.push(condition);
    object(gateway)
}

#[test]
fn a_gateway_is_ready_with_its_address() {
    let ready = object(ready_gateway());
    assert_eq!(gateway(&ready), Ready(vec!["20.1.2.3".to_owned()]));
    let since = gateway_since(&ready).unwrap();
    assert_eq!(since, SystemTime::from("2026-01-01T00:00:10Z".parse::<Timestamp>().unwrap()));
}

#[test]
fn a_programmed_gateway_waits_while_a_listener_has_no_certificate() {
    let detail = "invalid certificate reference /Secret/tls, secret demo/tls not found";
    let found = with(
        ready_gateway(),
        Some(1),
        status_condition("ResolvedRefs", "False", "InvalidCertificateRef", detail, 3),
    );
    assert_eq!(
        gateway(&found),
        Waiting(format!("listener https: ResolvedRefs: InvalidCertificateRef: {detail}"))
    );
    assert_eq!(gateway_since(&found), None);
}

#[test]
fn each_state_of_a_pending_gateway_is_reported_with_the_controllers_message() {
    let cases: [(Option<usize>, Value, &str); 8] = [
        (
            None,
            status_condition("Accepted", "Unknown", "Pending", "Waiting for controller", 3),
            "Accepted: Pending: Waiting",
        ),
        (
            None,
            status_condition("Programmed", "False", "AddressNotAssigned", "address pending for hostname", 3),
            "Programmed: AddressNotAssigned: address pending",
        ),
        (
            None,
            status_condition("Programmed", "False", "AddressNotUsable", "hostname not found", 3),
            "Programmed: AddressNotUsable",
        ),
        (
            None,
            status_condition("Accepted", "False", "ListenersNotValid", "", 3),
            "Accepted: ListenersNotValid",
        ),
        (
            None,
            status_condition("Programmed", "True", "Programmed", "", 2),
            "Programmed is outdated: the last change is not reconciled",
        ),
        (
            Some(0),
            status_condition("Programmed", "False", "Invalid", "Bad TLS configuration", 3),
            "listener http: Programmed: Invalid: Bad TLS",
        ),
        (
            Some(1),
            status_condition("ResolvedRefs", "True", "ResolvedRefs", "", 2),
            "listener https: ResolvedRefs is outdated",
        ),
        (
            Some(1),
            status_condition("ResolvedRefs", "False", "RefNotPermitted", "missing a ReferenceGrant?", 3),
            "listener https: ResolvedRefs: RefNotPermitted",
        ),
    ];
    for (listener, condition, begins) in cases {
        let judged = gateway(&with(ready_gateway(), listener, condition.clone()));
        let Waiting(why) = judged else { panic!("{condition} gave {judged:?}") };
        assert!(why.starts_with(begins), "{why:?} does not begin with {begins:?}");
    }
}

#[test]
fn a_permanent_error_is_broken_even_while_other_parts_are_pending() {
    let mut pending = ready_gateway();
    pending["status"]["addresses"] = json!([]);
    let conflicted = with(
        pending.clone(),
        Some(0),
        status_condition("Conflicted", "True", "HostnameConflict", "twice", 3),
    );
    assert_eq!(gateway(&conflicted), Broken("listener http: Conflicted: HostnameConflict: twice".to_owned()));
    let refused =
        with(pending, None, status_condition("Accepted", "False", "InvalidParameters", "no such", 3));
    assert_eq!(gateway(&refused), Broken("Accepted: InvalidParameters: no such".to_owned()));
}

#[test]
fn a_gateway_needs_an_address_and_a_status_of_every_listener() {
    let mut no_address = ready_gateway();
    no_address["status"]["addresses"] = json!([]);
    assert_eq!(gateway(&object(no_address)), Waiting("it has no address".to_owned()));
    let mut new_listener = ready_gateway();
    new_listener["spec"]["listeners"].as_array_mut().unwrap().push(json!({"name": "more"}));
    assert_eq!(
        gateway(&object(new_listener)),
        Waiting("listener more: no controller has reconciled it".to_owned())
    );
    let mut fresh = ready_gateway();
    fresh.as_object_mut().unwrap().remove("status");
    assert!(matches!(gateway(&object(fresh)), Waiting(_)));
}

fn a_route(parents: Value) -> DynamicObject {
    object(json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
        "metadata": {"name": "r", "generation": 3}, "status": {"parents": parents}}))
}

#[test]
fn a_route_that_no_controller_claims_is_not_ready() {
    for parents in [
        json!([]),
        Value::Null,
        json!([{"parentRef": {"name": "other"}, "conditions": [good("Accepted"), good("ResolvedRefs")]}]),
    ] {
        let judged = route(&a_route(parents), "gw");
        assert_eq!(judged, Waiting("no controller has accepted it for gateway gw".to_owned()));
    }
}

#[test]
fn a_route_is_evaluated_by_all_its_parents_for_the_gateway() {
    let entry = |section: &str, conditions: Value| json!({"parentRef": {"name": "gw", "sectionName": section}, "conditions": conditions});
    let fine = json!([good("Accepted"), good("ResolvedRefs")]);
    let both = a_route(json!([entry("http", fine.clone()), entry("https", fine.clone())]));
    assert_eq!(route(&both, "gw"), Ready(()));
    assert!(route_since(&both, "gw").is_some());

    let missing = status_condition(
        "ResolvedRefs",
        "False",
        "BackendNotFound",
        "backend(x.ns.svc.cluster.local) not found",
        3,
    );
    let one =
        a_route(json!([entry("http", fine.clone()), entry("https", json!([good("Accepted"), missing]))]));
    assert!(
        matches!(route(&one, "gw"), Waiting(why) if why.starts_with("listener https: ResolvedRefs: BackendNotFound"))
    );

    let stale = a_route(json!([entry(
        "http",
        json!([status_condition("Accepted", "True", "Accepted", "", 2), good("ResolvedRefs")])
    )]));
    assert!(matches!(route(&stale, "gw"), Waiting(why) if why.contains("is outdated")));

    let refused = status_condition("Accepted", "False", "NotAllowedByListeners", "", 3);
    let refused = a_route(json!([entry("http", json!([refused, good("ResolvedRefs")]))]));
    assert!(matches!(route(&refused, "gw"), Waiting(why) if why.contains("NotAllowedByListeners")));
}

#[test]
fn a_class_is_ready_when_its_controller_accepts_the_current_generation() {
    let class = |conditions: Value| {
        object(json!({"metadata": {"name": "c", "generation": 3}, "status": {"conditions": conditions}}))
    };
    assert_eq!(gateway_class(&class(json!([good("Accepted")]))), Ready(()));
    assert!(gateway_class_since(&class(json!([good("Accepted")]))).is_some());
    assert!(matches!(gateway_class(&class(json!([]))), Waiting(_)));
    let unknown = status_condition("Accepted", "Unknown", "Pending", "Waiting for controller", 3);
    assert!(matches!(gateway_class(&class(json!([unknown]))), Waiting(_)));
    let refused = status_condition("Accepted", "False", "InvalidParameters", "", 3);
    assert!(matches!(gateway_class(&class(json!([refused]))), Broken(_)));
}

#[test]
fn a_deployment_is_ready_when_every_replica_is_new_and_available() {
    let deployment_of = |status: Value| {
        object(json!({"metadata": {"name": "d", "generation": 3}, "spec": {"replicas": 2}, "status": status}))
    };
    let counts = |observed: i64, replicas: i64, updated: i64, available: i64| {
        json!({"observedGeneration": observed, "replicas": replicas, "updatedReplicas": updated, "availableReplicas": available,
            "conditions": [
                {"type": "Available", "status": "True", "lastTransitionTime": "2026-01-01T00:00:10Z"},
                {"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable",
                 "lastTransitionTime": "2026-01-01T00:00:05Z", "lastUpdateTime": "2026-01-01T00:00:20Z"}]})
    };
    let ready = deployment_of(counts(3, 2, 2, 2));
    assert_eq!(deployment(&ready), Ready(()));
    assert_eq!(deployment_since(&ready), Some("2026-01-01T00:00:20Z".parse::<Timestamp>().unwrap().into()));
    for (status, why) in [
        (counts(2, 2, 2, 2), "its controller has not reconciled the last change"),
        (counts(3, 2, 1, 2), "1 of 2 replicas are up to date"),
        (counts(3, 3, 2, 3), "1 old replicas still exist"),
        (counts(3, 2, 2, 1), "1 of 2 replicas are available"),
        (json!({}), "its controller has not reconciled the last change"),
    ] {
        assert_eq!(deployment(&deployment_of(status)), Waiting(why.to_owned()));
    }
    let mut stuck = counts(3, 2, 1, 1);
    stuck["conditions"][1] = json!({"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "timed out"});
    assert_eq!(
        deployment(&deployment_of(stuck)),
        Broken("Progressing: ProgressDeadlineExceeded: timed out".to_owned())
    );
}

#[test]
fn a_definition_is_ready_when_it_is_established() {
    let evaluate = |conditions: serde_json::Value| {
        definition(
            &serde_json::from_value(json!({
                "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
                "metadata": {"name": "widgets.example.com"}, "status": {"conditions": conditions},
            }))
            .unwrap(),
        )
    };
    let accepted = json!({"type": "NamesAccepted", "status": "True"});
    assert!(matches!(evaluate(json!([])), Waiting(_)));
    assert!(matches!(evaluate(json!([accepted])), Waiting(_)));
    assert!(evaluate(json!([accepted, {"type": "Established", "status": "True"}])).is_ready());
    let conflict =
        json!([{"type": "NamesAccepted", "status": "False", "reason": "KindConflict", "message": "taken"}]);
    assert_eq!(evaluate(conflict), Broken("NamesAccepted: KindConflict: taken".to_owned()));
}

fn workload_of(kind: &str, spec: Value, status: Value) -> DynamicObject {
    object(json!({"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": "w", "generation": 2},
        "spec": spec, "status": status}))
}

#[test]
fn a_stateful_set_is_ready_when_its_replicas_above_the_partition_are_new() {
    let set = |partition: i64, strategy: &str, ready: i64, updated: i64| {
        workload(
            "StatefulSet",
            &workload_of(
                "StatefulSet",
                json!({"replicas": 3, "updateStrategy": {"type": strategy, "rollingUpdate": {"partition": partition}}}),
                json!({"observedGeneration": 2, "readyReplicas": ready, "updatedReplicas": updated}),
            ),
        )
    };
    assert_eq!(set(0, "RollingUpdate", 3, 3), Ready(()));
    assert_eq!(set(2, "RollingUpdate", 3, 1), Ready(()));
    assert_eq!(set(0, "OnDelete", 3, 0), Ready(()));
    assert_eq!(set(0, "RollingUpdate", 2, 3), Waiting("2 of 3 replicas are ready".to_owned()));
    assert_eq!(set(0, "RollingUpdate", 3, 1), Waiting("1 of 3 replicas are up to date".to_owned()));
    let old = workload_of("StatefulSet", json!({"replicas": 0}), json!({"observedGeneration": 1}));
    assert!(matches!(stateful_set(&old), Waiting(_)));
}

#[test]
fn a_daemon_set_is_ready_on_every_node_and_a_job_when_it_ends() {
    let set = |updated: i64, available: i64| {
        daemon_set(&workload_of(
            "DaemonSet",
            json!({}),
            json!({"observedGeneration": 2, "desiredNumberScheduled": 2, "updatedNumberScheduled": updated,
                "numberAvailable": available}),
        ))
    };
    assert_eq!(set(2, 2), Ready(()));
    assert_eq!(set(1, 2), Waiting("1 of 2 pods are up to date".to_owned()));
    assert_eq!(set(2, 1), Waiting("1 of 2 pods are available".to_owned()));

    let job_of = |suspend: bool, status: Value| job(&workload_of("Job", json!({"suspend": suspend}), status));
    let ended =
        |kind: &str| json!({"conditions": [{"type": kind, "status": "True", "reason": "R", "message": "m"}]});
    assert_eq!(job_of(false, ended("Complete")), Ready(()));
    assert_eq!(job_of(false, ended("Failed")), Broken("Failed: R: m".to_owned()));
    assert_eq!(job_of(true, json!({})), Ready(()), "nothing to wait for");
    assert_eq!(
        job_of(false, json!({"active": 1})),
        Waiting("1 pods are running, 0 have succeeded".to_owned())
    );
}
