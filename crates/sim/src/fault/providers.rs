//! Resource providers and preview features that are not as they were.

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

/// The rows of the topic.
pub(super) const ROWS: &[Row] = &[
    row(
        Fault::FeatureVanished,
        "feature-vanished",
        ("", FEATURES),
        "the preview feature is gone, as after general availability: 404 `FeatureNotFound`",
        "goes on without it",
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

/// The full name of the feature that a request is about.
fn feature(scene: &Scene<'_>) -> Option<String> {
    Some(format!("{}/{}", scene.after("providers")?, scene.after("features")?))
}

fn unregistered(world: &mut World, scene: &Scene<'_>) -> bool {
    scene.after("providers").is_some_and(|namespace| providers::lapse(world, &namespace))
}
