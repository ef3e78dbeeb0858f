//! Changes of resource providers and preview features.

use super::around::{Bite, Scene};
use super::{Fault, Kind, Row};
use crate::arm::providers;
use crate::world::World;

const FEATURES: &str = "/microsoft.features/providers/";

const fn row(
    fault: Fault,
    name: &'static str,
    place: (&'static str, &'static str),
    what: &'static str,
    client: &'static str,
    bite: fn(&mut World, &Scene<'_>) -> bool,
) -> Row {
    let (method, path) = place;
    Row { fault, name, kind: Kind::World, method, path, what, client, heals: true, bite: Bite::Before(bite) }
}

/// The rows of this topic.
pub(super) const ROWS: &[Row] = &[
    row(
        Fault::FeatureVanished,
        "feature-vanished",
        ("", FEATURES),
        "the preview feature no longer exists, as after general availability: 404 `FeatureNotFound`",
        "continues without it",
        |world, scene| feature(scene).is_some_and(|name| world.features.take_away(&name)),
    ),
    row(
        Fault::FeatureThere,
        "feature-there",
        ("", FEATURES),
        "the preview feature exists, not registered: a cluster that uses it is refused until it is",
        "registers it, waits, and registers the provider again",
        |world, scene| feature(scene).is_some_and(|name| world.features.bring_back(&name)),
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
fn feature(scene: &Scene<'_>) -> Option<String> {
    Some(format!("{}/{}", scene.after("providers")?, scene.after("features")?))
}

fn unregistered(world: &mut World, scene: &Scene<'_>) -> bool {
    scene.after("providers").is_some_and(|namespace| providers::lapse(world, &namespace))
}

#[cfg(test)]
mod tests {
    use super::super::bench::{arm, network, network_body, put_cluster};
    use crate::test_cloud::{TestCloud, code};
    use http::Method;

    const FEATURE: &str = "/providers/Microsoft.Features/providers/Microsoft.ContainerService/features/ManagedGatewayAPIPreview";

    #[test]
    fn a_feature_comes_back_and_goes_again() {
        let mut cloud = TestCloud::new();
        let show = cloud.path(&format!("{FEATURE}?api-version=2021-07-01"));
        arm(&mut cloud, "feature-there");
        assert_eq!(cloud.get(&show).value()["properties"]["state"], "NotRegistered");
        let refused = put_cluster(&mut cloud);
        assert_eq!(refused.status, 400, "the cluster needs it now: {refused:?}");
        let register = cloud.path(&format!("{FEATURE}/register?api-version=2021-07-01"));
        let register = cloud.request(Method::POST, &register);
        assert_eq!(cloud.send(&register).status, 200);
        cloud.pass(301.0);
        assert_eq!(put_cluster(&mut cloud).status, 201);
        arm(&mut cloud, "feature-vanished");
        let gone = cloud.get(&show);
        assert_eq!((gone.status.as_u16(), code(&gone).as_str()), (404, "FeatureNotFound"));
    }

    #[test]
    fn a_provider_of_which_nothing_is_there_may_be_unregistered() {
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
        cloud.pass(61.0);
        assert_eq!(cloud.put(&at, &body).status, 200, "it is in use");
    }
}
