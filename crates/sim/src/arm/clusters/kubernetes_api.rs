//! Access to the inside of a cluster: requests to its Kubernetes API, and the controllers that reconcile its
//! objects.

use super::{
    ManagedCluster, api_access, container_runtime, entra_access, node_resources, operations, public_addresses,
};
use crate::aks;
use crate::arm::dns::external_dns;
use crate::clock::{SimTime, Timing};
use crate::delays::DelaySubject;
use crate::kubernetes::{self, ANONYMOUS, Store, authorization::User, service_accounts, unauthorized};
use crate::request::{Delivery, Reply, Request};
use crate::state::CloudState;

/// Answers a request to the Kubernetes API of the cluster with that resource UID; `request.path` is below its
/// prefix.
///
/// The API server exists from the first successful write of the cluster on. Before that, and after the
/// deletion, its real name does not resolve; the simulated cloud closes the connection instead. It does the same
/// to a client outside of the networks that the cluster admits.
pub fn serve(state: &mut CloudState, uid: &str, request: &Request, now: SimTime, timing: &Timing) -> Reply {
    let mut all = state.clusters.all.values();
    let is_reachable =
        |cluster: &ManagedCluster| answers(cluster) && api_access::admits_client(cluster.properties());
    if !all.any(|cluster| cluster.uid() == uid && is_reachable(cluster)) {
        let mut reply = Reply::empty(503);
        reply.delivery = Delivery::Cut;
        return reply;
    }
    if state.delays.refuse(&DelaySubject::ApiServer(uid.to_owned()), now) {
        state.touch();
        return kubernetes::unavailable();
    }
    let mut all = state.clusters.all.iter();
    let (key, cluster) = all.find(|(_, cluster)| cluster.uid() == uid).expect("its store was just found");
    let Some(user) = user(state, cluster, request, now) else { return unauthorized() };
    let key = key.clone();
    let Some(cluster) = state.clusters.all.get_mut(&key) else { return unauthorized() };
    let answer = kubernetes::serve_as(&mut cluster.store, request, &user, now);
    let uid = uid.to_owned();
    // A watch does not hold the cluster: it finds its store by the UID at each poll, and ends with it.
    let reply = answer.into_reply(move |state| store(state.downcast_ref()?, &uid));
    // Controllers watch: they see a change at once, not at the next request.
    advance_to(state, &key, now, timing);
    reply
}

/// Returns the objects of the cluster with that resource UID, from its first successful write on.
pub fn store<'a>(state: &'a CloudState, uid: &str) -> Option<&'a Store> {
    let mut all = state.clusters.all.values();
    all.find(|cluster| cluster.uid() == uid && answers(cluster)).map(|cluster| &cluster.store)
}

/// Returns whether the API server of a cluster responds: from the first successful write on, unless it is
/// stopped.
fn answers(cluster: &ManagedCluster) -> bool {
    cluster.cluster_info.is_some() && !operations::is_stopped(cluster)
}

/// Returns the user of a request: a local account, an Entra principal, or the anonymous user without a token. `None` for a
/// token that the cluster does not accept.
fn user(state: &CloudState, cluster: &ManagedCluster, request: &Request, now: SimTime) -> Option<User> {
    let Some(token) = bearer(request) else { return Some(User::local(ANONYMOUS)) };
    let account = cluster.credential.user_of(token);
    let account = account.filter(|_| !entra_access::has_no_local_accounts(cluster.properties()));
    let account = account.map(User::local);
    let account = account.or_else(|| service_accounts::user(&cluster.store, token, now));
    account.or_else(|| entra_access::user(state, cluster, request, now))
}

fn bearer(request: &Request) -> Option<&str> {
    let (scheme, token) = request.header("authorization")?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Runs the due work of a cluster's controllers. They read the vaults in the state, so the cluster is removed
/// from the state meanwhile.
pub(super) fn advance_to(state: &mut CloudState, key: &str, until: SimTime, timing: &Timing) {
    if state.clusters.all.get(key).is_none_or(|cluster| cluster.cluster_info.is_none()) {
        return;
    }
    let Some(mut cluster) = state.clusters.all.remove(key) else { return };
    let left = public_addresses::left_for(state, &cluster);
    if let Some(cluster_info) = &mut cluster.cluster_info {
        cluster_info.public_ip_quota = left;
    }
    container_runtime::adapt(state, &mut cluster);
    let before = cluster.controllers.addresses_revision();
    if let Some(cluster_info) = &cluster.cluster_info {
        let vaults = (state.registry.vault_reader)(state);
        aks::advance_to(&mut cluster.store, &mut cluster.controllers, cluster_info, &*vaults, timing, until);
    }
    for run in cluster.controllers.record_syncs.take() {
        if !external_dns::sync(state, &run, timing) {
            cluster.controllers.fail_sync(&run.deployment, run.at);
        }
    }
    if cluster.controllers.addresses_revision() != before || !node_resources::exist(state, &cluster) {
        node_resources::sync(state, &cluster, until);
    }
    state.clusters.all.insert(key.to_owned(), cluster);
}
