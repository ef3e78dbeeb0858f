//! Fault injection around the handling of a request.

use super::{Fault, lag};
use crate::arm;
use crate::clock::{Moment, Timing};
use crate::request::{Reply, Request};
use crate::world::World;

/// The request with its context for faults.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scene<'a> {
    /// The request.
    pub(crate) request: &'a Request,
    /// The current time.
    pub(crate) now: Moment,
    /// The scaling of durations.
    pub(crate) timing: &'a Timing,
}

impl Scene<'_> {
    /// Returns the path segment after the one with that name, decoded, in its original case.
    pub(crate) fn after(&self, name: &str) -> Option<String> {
        let segments = self.request.segments();
        let at = segments.iter().rposition(|segment| segment.eq_ignore_ascii_case(name))?;
        segments.get(at + 1).cloned()
    }

    /// Returns the decoded path without a trailing slash, like an id.
    pub(crate) fn id(&self) -> String {
        format!("/{}", self.request.segments().join("/"))
    }
}

/// The way to inject a fault. If a fault has no effect on a request, the request passes and the fault stays
/// armed.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Bite {
    /// Responds in place of the service.
    Instead(fn(&mut World, &Scene<'_>) -> Option<Reply>),
    /// Changes the state before the request is handled normally.
    Before(fn(&mut World, &Scene<'_>) -> bool),
    /// Changes the effect of the request, and optionally the response.
    After(fn(&mut World, &Scene<'_>, &mut Reply) -> bool),
    /// Changes only the delivery of the response.
    Spoil(fn(&mut Reply)),
}

/// Handles a request and injects at most one matching fault.
pub(crate) fn around(
    world: &mut World,
    scene: &Scene<'_>,
    serve: impl FnOnce(&mut World, &Scene<'_>) -> Reply,
) -> Reply {
    let reply = bitten(world, scene, serve);
    lag::count(world, &reply, scene.now);
    reply
}

fn bitten(
    world: &mut World,
    scene: &Scene<'_>,
    serve: impl FnOnce(&mut World, &Scene<'_>) -> Reply,
) -> Reply {
    let ripe = world.faults.ripe(scene.request, scene.now);
    if !ripe.is_empty() {
        world.touch();
    }
    let mut later: Vec<(usize, Fault)> = Vec::new();
    for (at, fault) in ripe {
        match fault.row().bite {
            Bite::After(_) => later.push((at, fault)),
            Bite::Spoil(spoil) => {
                world.faults.spend(at, scene.now, scene.timing);
                let mut reply = serve(world, scene);
                spoil(&mut reply);
                return reply.bitten_by(fault);
            }
            Bite::Instead(answer) => {
                if let Some(reply) = answer(world, scene) {
                    world.faults.spend(at, scene.now, scene.timing);
                    return dressed(world, scene, reply).bitten_by(fault);
                }
            }
            Bite::Before(plant) => {
                if plant(world, scene) {
                    world.faults.spend(at, scene.now, scene.timing);
                    return serve(world, scene).bitten_by(fault);
                }
            }
        }
    }
    let mut reply = serve(world, scene);
    for (at, fault) in later {
        if let Bite::After(change) = fault.row().bite
            && change(world, scene, &mut reply)
        {
            world.faults.spend(at, scene.now, scene.timing);
            return reply.bitten_by(fault);
        }
    }
    reply
}

/// Adds the common headers of Resource Manager to a response in its place.
fn dressed(world: &World, scene: &Scene<'_>, reply: Reply) -> Reply {
    match World::is_resource_manager(scene.request) && reply.delivery.is_answered() {
        true => arm::with_common_headers(world, scene.request, scene.now, reply),
        false => reply,
    }
}

#[cfg(test)]
mod tests {
    use super::super::bench::{arm, group};
    use super::Fault;
    use crate::ledger::Line;
    use crate::test_cloud::TestCloud;
    use http::Method;
    use serde_json::json;

    #[test]
    fn resource_manager_gives_every_answer_an_id_and_so_do_the_faults_in_its_place() {
        for fault in ["throttled", "throttled-silently", "server-error", "unavailable", "bad-gateway"] {
            let mut cloud = TestCloud::new();
            arm(&mut cloud, fault);
            let at = group(&cloud, "web");
            let bitten = cloud.get(&at);
            assert!(!bitten.status.is_success(), "{fault}");
            assert_eq!(bitten.headers["x-ms-request-id"].len(), 36, "{fault}");
            assert!(bitten.headers.contains_key("x-ms-correlation-request-id"), "{fault}");
        }
        let mut cloud = TestCloud::new();
        let at = group(&cloud, "rg");
        assert!(cloud.get(&at).headers.contains_key("x-ms-request-id"));
        assert!(cloud.get("/nowhere").headers.contains_key("x-ms-request-id"));
        arm(&mut cloud, "server-error@.vault.");
        cloud.make_vault("kv-demo");
        let reply = cloud.vault("kv-demo", Method::GET, "/certificates?api-version=7.4", None);
        assert!(!reply.headers.contains_key("x-ms-routing-request-id"), "a vault is not Resource Manager");
    }

    #[test]
    fn the_ledger_says_which_fault_bit_a_request_and_nothing_of_the_others() {
        // One fault per kind of injection: instead of the service, in the delivery, before and after the
        // service.
        for (text, fault) in [
            ("server-error@PUT web", Fault::ServerError),
            ("stalled-after@PUT web", Fault::StalledAfter),
            ("group-deprovisioned@PUT web", Fault::GroupDeprovisioned),
        ] {
            let mut cloud = TestCloud::new();
            arm(&mut cloud, text);
            let request = cloud.request(Method::GET, &group(&cloud, "web"));
            let reply = cloud.send(&request);
            assert_eq!(Line::of(&request, &reply, String::new(), cloud.now).fault, "", "{text}");
            let request =
                cloud.request(Method::PUT, &group(&cloud, "web")).with_json(&json!({ "location": "eastus" }));
            let reply = cloud.send(&request);
            assert_eq!(Line::of(&request, &reply, String::new(), cloud.now).fault, fault.name());
        }
    }
}
