//! The self-review kinds of authentication.k8s.io/v1 and authorization.k8s.io/v1.

use serde_json::Value;

use super::build::{Constrain, anything, boolean, list, map, object, string};
use crate::kubernetes::definition::Definition;

/// Returns the review kinds.
pub fn kinds() -> Vec<Definition> {
    let as_review = |group: &str, kind: &str, plural: &str, schema: Value| {
        Definition::new(group, "v1", kind, plural, schema).as_review()
    };
    let authorization = "authorization.k8s.io";
    vec![
        as_review("authentication.k8s.io", "SelfSubjectReview", "selfsubjectreviews", review()),
        as_review(authorization, "SelfSubjectAccessReview", "selfsubjectaccessreviews", access()),
        as_review(authorization, "SelfSubjectRulesReview", "selfsubjectrulesreviews", rules()),
    ]
}

fn review() -> Value {
    let user = object(&[
        ("username", string()),
        ("uid", string()),
        ("groups", list(string())),
        ("extra", map(list(string()))),
    ]);
    object(&[("status", object(&[("userInfo", user)]))])
}

fn access() -> Value {
    let resource = object(&[
        ("namespace", string()),
        ("verb", string()),
        ("group", string()),
        ("version", string()),
        ("resource", string()),
        ("subresource", string()),
        ("name", string()),
        ("fieldSelector", anything()),
        ("labelSelector", anything()),
    ]);
    let other = object(&[("path", string()), ("verb", string())]);
    let spec = object(&[("resourceAttributes", resource), ("nonResourceAttributes", other)]);
    let status = object(&[
        ("allowed", boolean()),
        ("denied", boolean()),
        ("reason", string()),
        ("evaluationError", string()),
    ]);
    object(&[("spec", spec), ("status", status)]).required(&["spec"])
}

fn rules() -> Value {
    let status = object(&[
        ("resourceRules", list(anything())),
        ("nonResourceRules", list(anything())),
        ("incomplete", boolean()),
        ("evaluationError", string()),
    ]);
    object(&[("spec", object(&[("namespace", string())])), ("status", status)]).required(&["spec"])
}
