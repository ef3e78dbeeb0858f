//! Changes of resource providers and preview features.

use super::row::{Injection, Kind, RequestContext, Row};
use super::variants::Fault;
use crate::arm::provider_registration;
use crate::state::CloudState;

const FEATURES: &str = "/microsoft.features/providers/";

const fn row(
    fault: Fault,
    name: &'static str,
    place: (&'static str, &'static str),
    what: &'static str,
    client: &'static str,
    injection: fn(&mut CloudState, &RequestContext<'_>) -> bool,
) -> Row {
    let (method, path) = place;
    Row {
        fault,
        name,
        kind: Kind::StateChange,
        method,
        path,
        what,
        client,
        heals: true,
        injection: Injection::Before(injection),
    }
}

/// The rows of this topic.
pub(super) const ROWS: &[Row] = &[
    row(
        Fault::FeatureVanished,
        "feature-vanished",
        ("", FEATURES),
        "the preview feature no longer exists, as after general availability: 404 `FeatureNotFound`",
        "continues without it",
        |state, context| feature(context).is_some_and(|name| state.features.remove(&name)),
    ),
    row(
        Fault::FeatureThere,
        "feature-there",
        ("", FEATURES),
        "the preview feature exists, not registered: a cluster that uses it is refused until it is",
        "registers it, waits, and registers the provider again",
        |state, context| feature(context).is_some_and(|name| state.features.restore(&name)),
    ),
    row(
        Fault::ProviderUnregistered,
        "provider-unregistered",
        ("PUT", "/providers/microsoft."),
        "the resource provider, of which nothing is there yet, was unregistered: 409 `MissingSubscriptionRegistration`",
        "registers the provider and writes again",
        unregistered,
    ),
];

/// Returns the full name of the feature in a request.
fn feature(context: &RequestContext<'_>) -> Option<String> {
    Some(format!("{}/{}", context.after("providers")?, context.after("features")?))
}

fn unregistered(state: &mut CloudState, context: &RequestContext<'_>) -> bool {
    context
        .after("providers")
        .is_some_and(|namespace| provider_registration::unregister_now(state, &namespace))
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{arm, network, network_body, put_cluster};
    use crate::test_cloud::{TestCloud, code};
    use http::Method;

    const FEATURE: &str = "/providers/Microsoft.Features/providers/Microsoft.ContainerService/features/ManagedGatewayAPIPreview";

    #[test]
    fn a_feature_is_restored_and_removed() {
        let mut cloud = TestCloud::new();
        let show = cloud.path(&format!("{FEATURE}?api-version=2021-07-01"));
        arm(&mut cloud, "feature-there");
        assert_eq!(cloud.get(&show).value()["properties"]["state"], "NotRegistered");
        let refused = put_cluster(&mut cloud);
        assert_eq!(refused.status, 400, "the cluster needs it now: {refused:?}");
        let register = cloud.path(&format!("{FEATURE}/register?api-version=2021-07-01"));
        let register = cloud.request(Method::POST, &register);
        assert_eq!(cloud.send(&register).status, 200);
        cloud.advance(301.0);
        assert_eq!(put_cluster(&mut cloud).status, 201);
        arm(&mut cloud, "feature-vanished");
        let deleted = cloud.get(&show);
        assert_eq!((deleted.status.as_u16(), code(&deleted).as_str()), (404, "FeatureNotFound"));
    }

    #[test]
    fn a_provider_without_resources_can_be_unregistered() {
        let mut cloud = TestCloud::new();
        arm(&mut cloud, "provider-unregistered");
        let (at, body) = (network(&cloud), network_body());
        let refused = cloud.put(&at, &body);
        assert_eq!(
            (refused.status.as_u16(), code(&refused).as_str()),
            (409, "MissingSubscriptionRegistration")
        );
        assert_eq!(refused.value()["error"]["details"][0]["target"], "Microsoft.Network");
        let register = cloud.path("/providers/Microsoft.Network/register?api-version=2024-11-01");
        let register = cloud.request(Method::POST, &register);
        assert_eq!(cloud.send(&register).status, 200);
        assert_eq!(cloud.put(&at, &body).status, 201);
        arm(&mut cloud, "provider-unregistered");
        cloud.advance(61.0);
        assert_eq!(cloud.put(&at, &body).status, 200, "it is in use");
    }
}
