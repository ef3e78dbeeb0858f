//! What happens around the serving of a request when a fault is armed for it.

use super::{Fault, lag};
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
                return reply;
            }
            Bite::Instead(answer) => {
                if let Some(reply) = answer(world, scene) {
                    world.faults.spend(at, scene.now, scene.timing);
                    return reply;
                }
            }
            Bite::Before(plant) => {
                if plant(world, scene) {
                    world.faults.spend(at, scene.now, scene.timing);
                    return serve(world, scene);
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
            break;
        }
    }
    reply
}
