//! Review kinds, which the server answers and never stores: the rights and the identity of a user.
//!
//! Contract: the authentication.k8s.io/v1 and authorization.k8s.io/v1 reference.

use serde_json::{Value, json};

use super::authorization::{Action, User};
use super::decode;
use super::query::WriteOptions;
use super::status::{FieldError, StatusError};
use super::store::Store;
use super::verbs::ApiCall;
use crate::request::Reply;

/// Answers a review of an authenticated user about itself.
///
/// # Errors
/// 405 for other methods than POST, 422 for a review without its attributes, and the errors of any create.
pub fn reply(store: &Store, call: &ApiCall<'_>, user: &User) -> Result<Reply, StatusError> {
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
        "SelfSubjectReview" => json!({"userInfo": {"username": user.name, "groups": user.groups}}),
        // Neither authorizer lists the rules of a user who is no master.
        "SelfSubjectRulesReview" if !user.is_master() => json!({
            "resourceRules": [], "nonResourceRules": [], "incomplete": true,
            "evaluationError": "webhook authorizer does not support user rule resolution",
        }),
        "SelfSubjectRulesReview" => json!({
            "resourceRules": [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}],
            "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}],
            "incomplete": false,
        }),
        _ => allowed(store, &object, user)?,
    };
    Ok(call.reply(201, &object, &warnings))
}

fn allowed(store: &Store, object: &Value, user: &User) -> Result<Value, StatusError> {
    let about = |field: &str| object["spec"][field].is_object();
    if about("resourceAttributes") == about("nonResourceAttributes") {
        let why = "exactly one of nonResourceAttributes or resourceAttributes must be specified";
        let error =
            FieldError::invalid("spec.resourceAttributes", &object["spec"]["resourceAttributes"], why);
        return Err(StatusError::invalid("SelfSubjectAccessReview", "authorization.k8s.io", "", &[error]));
    }
    let attributes = &object["spec"]["resourceAttributes"];
    let text = |field: &str| attributes[field].as_str().unwrap_or_default();
    let resource = match text("subresource") {
        "" => text("resource").to_owned(),
        part => format!("{}/{part}", text("resource")),
    };
    let namespace = Some(text("namespace")).filter(|namespace| !namespace.is_empty());
    let action = Action { verb: text("verb"), group: text("group"), resource: &resource, namespace };
    // A user who is no master may only discover: that is all that its non-resource URLs cover.
    let allowed = match attributes.is_object() {
        true => user.may(store, action),
        false => user.is_master() || object["spec"]["nonResourceAttributes"]["verb"] == "get",
    };
    Ok(match allowed {
        true => json!({"allowed": true}),
        false if user.azure.is_some() => json!({
            "allowed": false,
            "reason": "User does not have access to the resource in Azure. Update role assignment to allow access.",
        }),
        false => json!({"allowed": false}),
    })
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
