//! What happens around the serving of a request when a fault is armed for it.

use super::{Fault, lag};
use crate::arm;
use crate::clock::{Moment, Timing};
use crate::request::{Reply, Request};
use crate::world::World;

/// The request a fault may bite.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scene<'a> {
    /// The request.
    pub(crate) request: &'a Request,
    /// When.
    pub(crate) now: Moment,
    /// How durations bend.
    pub(crate) timing: &'a Timing,
}

impl Scene<'_> {
    /// Returns the segment of the path that follows that one, decoded, in the case it was sent.
    pub(crate) fn after(&self, name: &str) -> Option<String> {
        let segments = self.request.segments();
        let at = segments.iter().rposition(|segment| segment.eq_ignore_ascii_case(name))?;
        segments.get(at + 1).cloned()
    }

    /// Returns the decoded path without a trailing slash, as ids have it.
    pub(crate) fn id(&self) -> String {
        format!("/{}", self.request.segments().join("/"))
    }
}

/// How a fault bites. What finds nothing to do leaves the request alone and the fault armed.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Bite {
    /// It answers in place of the service.
    Instead(fn(&mut World, &Scene<'_>) -> Option<Reply>),
    /// It changes the world before the request is served by the ordinary rules.
    Before(fn(&mut World, &Scene<'_>) -> bool),
    /// It changes what the request has set going, and may change the answer.
    After(fn(&mut World, &Scene<'_>, &mut Reply) -> bool),
    /// It spoils the way the answer takes, and nothing else.
    Spoil(fn(&mut Reply)),
}

/// Serves a request with whatever is armed for it; at most one fault bites.
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

/// What answers in place of Resource Manager has its common headers, as whatever comes from its front door does.
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
        // One that answers itself, one that spoils the way, one before and one after the service.
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
