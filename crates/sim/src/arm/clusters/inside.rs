//! Access to the inside of a cluster: requests to its Kubernetes API, and the controllers that reconcile its
//! objects.

use super::{ManagedCluster, addresses, power};
use crate::aks;
use crate::clock::{Moment, Timing};
use crate::fault::Held;
use crate::kubernetes::{self, ANONYMOUS, Store, unauthorized};
use crate::request::{Delivery, Reply, Request};
use crate::vault::VaultsOf;
use crate::world::World;

/// Answers a request to the Kubernetes API of the cluster with that resource UID; `request.path` is below its
/// prefix.
///
/// The API server exists from the first successful write of the cluster on. Before that, and after the
/// deletion, its real name does not resolve; the simulated cloud closes the connection instead.
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
    // A watch does not hold the cluster: it finds its store by the UID at each poll, and ends with it.
    let reply = answer.into_reply(move |world| store(world, &uid));
    // Controllers watch: they see a change at once, not at the next request.
    settle(world, &key, now, timing);
    reply
}

/// Returns the objects of the cluster with that resource UID, from its first successful write on.
pub fn store<'a>(world: &'a World, uid: &str) -> Option<&'a Store> {
    let mut all = world.clusters.all.values();
    all.find(|cluster| cluster.uid() == uid && answers(cluster)).map(|cluster| &cluster.store)
}

/// Returns whether the API server of a cluster responds: from the first successful write on, unless it is
/// stopped.
fn answers(cluster: &ManagedCluster) -> bool {
    cluster.facts.is_some() && !power::is_stopped(cluster)
}

fn bearer(request: &Request) -> Option<&str> {
    let (scheme, token) = request.header("authorization")?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Runs the due work of a cluster's controllers. They read the vaults in the state, so the cluster is removed
/// from the state meanwhile.
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
