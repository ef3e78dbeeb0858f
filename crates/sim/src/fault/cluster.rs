//! Clusters that are not quite what their state says.

use super::around::{Bite, Scene};
use super::{Fault, Kind, Row};
use crate::aks::Controllers;
use crate::arm::clusters::{Fate, intervention};
use crate::request::Reply;

const CLUSTER: &str = "/managedclusters/";

const fn row(
    fault: Fault,
    name: &'static str,
    place: (&'static str, &'static str),
    texts: (&'static str, &'static str),
    heals: bool,
    bite: Bite,
) -> Row {
    let ((method, path), (what, client)) = (place, texts);
    Row { fault, name, kind: Kind::World, method, path, what, client, heals, bite }
}

/// The rows of the topic.
pub(super) const ROWS: &[Row] = &[
    row(
        Fault::ClassLate,
        "class-late",
        ("PUT", CLUSTER),
        (
            "the class of gateways is accepted 180 s of cloud time later than usual after the cluster's success",
            "waits for the class, not for the cluster alone",
        ),
        true,
        Bite::After(|world, scene, reply| {
            accepted(scene, reply) && intervention::steer(world, &scene.id(), Controllers::delay_classes)
        }),
    ),
    row(
        Fault::IdentityLate,
        "identity-late",
        ("PUT", CLUSTER),
        (
            "the write succeeds, and the Key Vault add-on has no identity until another write",
            "looks a short while, then writes the same again",
        ),
        true,
        Bite::After(|world, scene, reply| {
            let bites = accepted(scene, reply);
            if bites {
                world.clusters.withhold_identity();
            }
            bites
        }),
    ),
    row(
        Fault::PoolFailed,
        "pool-failed",
        ("PUT", CLUSTER),
        (
            "the cluster is `Succeeded`, its first node pool `Failed`",
            "looks at the pools too, and writes the same again",
        ),
        true,
        Bite::After(|world, scene, reply| {
            accepted(scene, reply) && intervention::decide(world, &scene.id(), Fate::LosesPool)
        }),
    ),
    row(
        Fault::ClusterStopped,
        "cluster-stopped",
        ("GET", CLUSTER),
        (
            "somebody has stopped the cluster: `powerState` is `Stopped`, its API is gone, writes get 409 `OperationNotAllowed`",
            "says that it is stopped and how it is started",
        ),
        false,
        Bite::Before(|world, scene| intervention::stop(world, &scene.id())),
    ),
    row(
        Fault::AddressLate,
        "address-late",
        ("PATCH", "/gateways/"),
        (
            "the next load balancer of the cluster gets its address 120 s of cloud time later than usual",
            "waits for the address of the gateway",
        ),
        true,
        Bite::Before(|world, scene| {
            uid(scene).is_some_and(|uid| intervention::steer_inside(world, &uid, Controllers::delay_address))
        }),
    ),
];

/// Whether the write of a cluster was taken on.
fn accepted(scene: &Scene<'_>, reply: &Reply) -> bool {
    reply.status.is_success() && scene.request.segments().len() == 8
}

/// The resource UID in the URL of a cluster's API.
pub(super) fn uid(scene: &Scene<'_>) -> Option<String> {
    let rest = scene.request.path.strip_prefix("/kubernetes/")?;
    rest.split('/').next().map(str::to_owned)
}
