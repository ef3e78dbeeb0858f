//! The doors into a cluster: requests to its Kubernetes API, and the controllers that move its objects.

use super::{ManagedCluster, addresses, power};
use crate::aks;
use crate::clock::{Moment, Timing};
use crate::fault::Held;
use crate::kubernetes::{self, ANONYMOUS, Store, unauthorized};
use crate::request::{Delivery, Reply, Request};
use crate::vault::VaultsOf;
use crate::world::World;

/// Answers a request to the Kubernetes API of the cluster with that resource UID; `request.path` is below its prefix.
///
/// The API server is there from the cluster's first success on; before, and after the cluster is gone, its name does not
/// resolve in life, and the connection is cut here.
pub fn serve_kubernetes(
    world: &mut World,
    uid: &str,
    request: &Request,
    now: Moment,
    timing: &Timing,
) -> Reply {
    if store(world, uid).is_none() {
        let mut reply = Reply::empty(503);
        reply.delivery = Delivery::Cut;
        return reply;
    }
    if world.lags.refuse(&Held::ApiServer(uid.to_owned()), now) {
        world.touch();
        return kubernetes::unavailable();
    }
    let mut all = world.clusters.all.iter();
    let (key, cluster) = all.find(|(_, cluster)| cluster.uid() == uid).expect("its store was just found");
    let user = match bearer(request) {
        None => ANONYMOUS,
        Some(token) => match cluster.credential.user_of(token) {
            Some(user) => user,
            None => return unauthorized(),
        },
    };
    let key = key.clone();
    let Some(cluster) = world.clusters.all.get_mut(&key) else { return unauthorized() };
    let answer = kubernetes::serve(&mut cluster.store, request, user, now);
    let uid = uid.to_owned();
    // A watch holds no cluster: it finds its store by the UID at each poll, and ends with it.
    let reply = answer.into_reply(move |world| store(world, &uid));
    // Controllers watch: what the request changed they see at once, not at the next request.
    settle(world, &key, now, timing);
    reply
}

/// The objects of the cluster with that resource UID, from the cluster's first success on.
pub fn store<'a>(world: &'a World, uid: &str) -> Option<&'a Store> {
    let mut all = world.clusters.all.values();
    all.find(|cluster| cluster.uid() == uid && answers(cluster)).map(|cluster| &cluster.store)
}

/// Whether the API server of a cluster is there: from the first success on, while it is not stopped.
fn answers(cluster: &ManagedCluster) -> bool {
    cluster.facts.is_some() && !power::is_stopped(cluster)
}

fn bearer(request: &Request) -> Option<&str> {
    let (scheme, token) = request.header("authorization")?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Lets the controllers of a cluster do what is due. They read the world's vaults, so the cluster is lifted out of the
/// world meanwhile.
pub(super) fn settle(world: &mut World, key: &str, upto: Moment, timing: &Timing) {
    if world.clusters.all.get(key).is_none_or(|cluster| cluster.facts.is_none()) {
        return;
    }
    let Some(mut cluster) = world.clusters.all.remove(key) else { return };
    let left = addresses::left_for(world, &cluster);
    if let Some(facts) = &mut cluster.facts {
        facts.public_ip_quota = left;
    }
    if let Some(facts) = &cluster.facts {
        let vaults = VaultsOf(world);
        aks::settle(&mut cluster.store, &mut cluster.controllers, facts, &vaults, timing, upto);
    }
    world.clusters.all.insert(key.to_owned(), cluster);
}
