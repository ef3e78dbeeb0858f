//! Review kinds, which the server answers and never stores: the rights and the identity of a user.
//!
//! Contract: the authentication.k8s.io/v1 and authorization.k8s.io/v1 reference.

use serde_json::{Value, json};

use super::decode;
use super::query::WriteOptions;
use super::status::{FieldError, StatusError};
use super::verbs::ApiCall;
use crate::request::Reply;

/// The groups of every user with a token of the cluster.
const GROUPS: [&str; 2] = ["system:masters", "system:authenticated"];

/// Answers a review of an authenticated user, who has all rights.
///
/// # Errors
/// 405 for other methods than POST, 422 for a review without its attributes, and the errors of any create.
pub fn reply(call: &ApiCall<'_>, user: &str) -> Result<Reply, StatusError> {
    let definition = &call.resource_path.definition;
    if call.request.method != http::Method::POST || call.resource_path.name.is_some() {
        return Err(StatusError::method_not_allowed());
    }
    let options = WriteOptions::read(call.request, "Create")?;
    let mut object = decode::object(call.request)?;
    decode::check_identity(&call.resource_path, &mut object)?;
    let warnings = decode::drop_unknown_fields(definition, &mut object, options.validation)?;
    object["metadata"] = json!({"creationTimestamp": call.now.rfc3339()});
    object["status"] = match definition.kind.as_str() {
        "SelfSubjectReview" => json!({"userInfo": {"username": user, "groups": GROUPS}}),
        "SelfSubjectRulesReview" => json!({
            "resourceRules": [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}],
            "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}],
            "incomplete": false,
        }),
        _ => allowed(&object)?,
    };
    Ok(call.reply(201, &object, &warnings))
}

fn allowed(object: &Value) -> Result<Value, StatusError> {
    let about = |field: &str| object["spec"][field].is_object();
    if about("resourceAttributes") == about("nonResourceAttributes") {
        let why = "exactly one of nonResourceAttributes or resourceAttributes must be specified";
        let error =
            FieldError::invalid("spec.resourceAttributes", &object["spec"]["resourceAttributes"], why);
        return Err(StatusError::invalid("SelfSubjectAccessReview", "authorization.k8s.io", "", &[error]));
    }
    Ok(json!({"allowed": true}))
}

#[cfg(test)]
mod tests {
    use http::Method;
    use serde_json::{Value, json};

    use crate::kubernetes::dispatch::{ANONYMOUS, serve};
    use crate::kubernetes::fixture::{Cluster, T0};
    use crate::request::Request;

    const ACCESS: &str = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    const SELF: &str = "/apis/authentication.k8s.io/v1/selfsubjectreviews";

    fn may(attributes: Value) -> Value {
        json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "spec": attributes})
    }

    #[test]
    fn reviews_are_answered_and_not_stored() {
        let mut cluster = Cluster::new();
        let before = cluster.store.revision();
        let reply =
            cluster.post(ACCESS, &may(json!({"resourceAttributes": {"verb": "get", "resource": "pods"}})));
        assert_eq!((reply.status.as_u16(), &reply.value()["status"]), (201, &json!({"allowed": true})));
        let who = cluster
            .post(SELF, &json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}));
        assert_eq!(who.value()["status"]["userInfo"]["username"], "dev");
        assert_eq!(cluster.store.revision(), before);
        assert_eq!(cluster.get(SELF).status, 405);
    }

    #[test]
    fn an_empty_review_is_invalid_and_an_anonymous_one_is_forbidden() {
        let mut cluster = Cluster::new();
        assert_eq!(cluster.post(ACCESS, &may(json!({}))).status, 422);
        let request = Request::new(Method::POST, "c", SELF).with_json(&json!({}));
        let refused = serve(&mut cluster.store, &request, ANONYMOUS, T0).reply;
        assert_eq!(refused.status, 403);
    }

    #[test]
    fn discovery_lists_only_create_for_reviews() {
        let mut cluster = Cluster::new();
        let listed = cluster.get("/apis/authentication.k8s.io/v1").value();
        assert_eq!(listed["resources"][0]["verbs"], json!(["create"]));
        assert_eq!(
            cluster.post("/apis/resource.k8s.io/v1/namespaces/demo/resourceclaims", &json!({})).status,
            404
        );
    }
}
