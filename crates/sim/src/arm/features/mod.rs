//! Preview features (Features REST API 2021-07-01). Most of them no longer exist once they are generally
//! available.

pub(crate) mod store;

use serde_json::{Value, json};

use crate::arm::error::ArmError;
use crate::arm::{Call, Provider, Route, versions};
use crate::clock::{SimTime, Timing};
use crate::durations;
use crate::request::Reply;
use crate::state::CloudState;

use store::Feature;
pub use store::Features;

const KIND: &str = "Microsoft.Features/providers/features";
const ALL: &str = "/subscriptions/{subscription}/providers/Microsoft.Features/features";
const OF_ONE: &str =
    "/subscriptions/{subscription}/providers/Microsoft.Features/providers/{namespace}/features";
const ONE: &str =
    "/subscriptions/{subscription}/providers/Microsoft.Features/providers/{namespace}/features/{feature}";
const REGISTER: &str = "/subscriptions/{subscription}/providers/Microsoft.Features/providers/{namespace}/features/{feature}/register";
const UNREGISTER: &str = "/subscriptions/{subscription}/providers/Microsoft.Features/providers/{namespace}/features/{feature}/unregister";

/// The resource family of features.
pub const PROVIDER: Provider = Provider { next_due, advance_to, ..Provider::stateless("features", routes) };

fn routes() -> Vec<Route> {
    vec![
        Route::new("GET", ALL, KIND, versions::FEATURES, list),
        Route::new("GET", OF_ONE, KIND, versions::FEATURES, list),
        Route::new("GET", ONE, KIND, versions::FEATURES, get),
        Route::new("POST", REGISTER, KIND, versions::FEATURES, register),
        Route::new("POST", UNREGISTER, KIND, versions::FEATURES, unregister),
    ]
}

fn body(state: &CloudState, feature: &Feature) -> Value {
    let (namespace, name) = feature.name.split_once('/').unwrap_or(("", &feature.name));
    json!({
        "id": format!("/subscriptions/{}/providers/Microsoft.Features/providers/{namespace}/features/{name}", state.subscription),
        "name": feature.name,
        "type": KIND,
        "properties": { "state": feature.state },
    })
}

fn key(call: &Call<'_>) -> String {
    format!("{}/{}", call.param("namespace"), call.param("feature")).to_ascii_lowercase()
}

fn not_found(call: &Call<'_>) -> ArmError {
    ArmError::new(
        404,
        "FeatureNotFound",
        format!("The feature '{}' could not be found.", call.param("feature")),
    )
}

fn list(state: &mut CloudState, call: &Call<'_>) -> Result<Reply, ArmError> {
    let prefix = match call.param("namespace") {
        "" => String::new(),
        namespace => format!("{}/", namespace.to_ascii_lowercase()),
    };
    let found = state.features.features.iter().filter(|(key, _)| key.starts_with(&prefix));
    let value: Vec<Value> = found.map(|(_, feature)| body(state, feature)).collect();
    Ok(Reply::json(200, &json!({ "value": value })))
}

fn get(state: &mut CloudState, call: &Call<'_>) -> Result<Reply, ArmError> {
    let feature = state.features.features.get(&key(call)).ok_or_else(|| not_found(call))?;
    Ok(Reply::json(200, &body(state, feature)))
}

fn register(state: &mut CloudState, call: &Call<'_>) -> Result<Reply, ArmError> {
    change(state, call, "Registered", "Registering")
}

fn unregister(state: &mut CloudState, call: &Call<'_>) -> Result<Reply, ArmError> {
    change(state, call, "Unregistered", "Unregistering")
}

fn change(state: &mut CloudState, call: &Call<'_>, end: &str, transition: &str) -> Result<Reply, ArmError> {
    let feature = state.features.features.get_mut(&key(call)).ok_or_else(|| not_found(call))?;
    let resting = end == "Unregistered" && feature.state == "NotRegistered";
    if feature.state != end && feature.state != transition && !resting {
        transition.clone_into(&mut feature.state);
        feature.done = Some(call.timing.after(call.now, durations::FEATURE_REGISTER));
    }
    let feature = feature.clone();
    Ok(Reply::json(200, &body(state, &feature)))
}

fn next_due(state: &CloudState) -> Option<SimTime> {
    state.features.features.values().filter_map(|feature| feature.done).min()
}

fn advance_to(state: &mut CloudState, due: SimTime, _timing: &Timing) {
    for feature in
        state.features.features.values_mut().filter(|feature| feature.done.is_some_and(|done| done <= due))
    {
        feature.done = None;
        feature.state = if feature.state == "Registering" { "Registered" } else { "Unregistered" }.to_owned();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_cloud::{TestCloud, code};
    use http::Method;

    #[test]
    fn a_feature_does_not_exist_after_general_availability_unless_configured() {
        let mut cloud = TestCloud::new();
        let at = cloud.path("/providers/Microsoft.Features/providers/Microsoft.ContainerService/features/ManagedGatewayAPIPreview");
        let (show, register) =
            (format!("{at}?api-version=2021-07-01"), format!("{at}/register?api-version=2021-07-01"));
        let register = cloud.request(Method::POST, &register);
        for reply in [cloud.get(&show), cloud.send(&register)] {
            assert_eq!((reply.status.as_u16(), code(&reply).as_str()), (404, "FeatureNotFound"));
            assert_eq!(
                reply.value()["error"]["message"],
                "The feature 'ManagedGatewayAPIPreview' could not be found."
            );
        }
        let name = "Microsoft.ContainerService/ManagedGatewayAPIPreview".to_owned();
        assert!(cloud.state.features.allows(&name));
        cloud.state.features = Features::new(std::slice::from_ref(&name));
        assert!(!cloud.state.features.allows(&name));
        assert_eq!(cloud.send(&register).value()["properties"]["state"], "Registering");
        cloud.advance(300.0);
        assert_eq!(cloud.get(&show).value()["properties"]["state"], "Registered");
        assert!(cloud.state.features.allows(&name));
    }
}
