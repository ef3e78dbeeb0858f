//! The schema of the affinity of pods to nodes and to other pods.

use serde_json::Value;

use super::build::{Constrain, integer, label_selector, list, object, string};

/// The schema of an affinity.
pub fn affinity() -> Value {
    object(&[("nodeAffinity", nodes()), ("podAffinity", pods()), ("podAntiAffinity", pods())])
}

fn nodes() -> Value {
    let requirement = || object(&[("key", string()), ("operator", string()), ("values", list(string()))]);
    let term = || {
        let requirements = || list(requirement().required(&["key", "operator"]));
        object(&[("matchExpressions", requirements()), ("matchFields", requirements())]).atomic_map()
    };
    let preferred = object(&[("weight", integer().range(1, 100)), ("preference", term())]);
    let required = object(&[("nodeSelectorTerms", list(term()))]).required(&["nodeSelectorTerms"]);
    object(&[
        ("requiredDuringSchedulingIgnoredDuringExecution", required.atomic_map()),
        (
            "preferredDuringSchedulingIgnoredDuringExecution",
            list(preferred.required(&["weight", "preference"])),
        ),
    ])
}

fn pods() -> Value {
    let term = || {
        object(&[
            ("labelSelector", label_selector()),
            ("namespaces", list(string())),
            ("topologyKey", string()),
            ("namespaceSelector", label_selector()),
            ("matchLabelKeys", list(string())),
            ("mismatchLabelKeys", list(string())),
        ])
        .required(&["topologyKey"])
    };
    let preferred = object(&[("weight", integer().range(1, 100)), ("podAffinityTerm", term())]);
    object(&[
        ("requiredDuringSchedulingIgnoredDuringExecution", list(term())),
        (
            "preferredDuringSchedulingIgnoredDuringExecution",
            list(preferred.required(&["weight", "podAffinityTerm"])),
        ),
    ])
}
