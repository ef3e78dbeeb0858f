//! The simulated cloud as a whole: its new state, and the services that answer requests.

use crate::acme;
use crate::acme::ca::{CaName, PRODUCTION_HOST, STAGING_HOST};
use crate::arm::clusters::{issuer, kubernetes_api};
use crate::arm::features::Features;
use crate::arm::provider_registration::{self, Providers};
use crate::arm::{middleware, roles};
use crate::blob;
use crate::clock::{SimTime, Timing};
use crate::entra::{Directory, authority};
use crate::fault::{self, RequestContext};
use crate::graph;
use crate::names::{kubernetes_path, service_name};
use crate::options::Options;
use crate::registry::REGISTRY;
use crate::request::{Reply, Request};
use crate::state::CloudState;
use crate::vault;

impl CloudState {
    /// Creates a new state at `now`.
    pub fn new(options: &Options, seed: u64, now: SimTime) -> Self {
        let mut state = Self::empty(&REGISTRY, seed);
        state.locations.clone_from(&options.locations);
        state.providers = Providers::new(&options.unregistered, provider_registration::namespaces(&REGISTRY));
        state.features = Features::new(&options.preview_features);
        state.subscription = state.uuid("subscription");
        let directory = Directory::new(|purpose| state.uuid(purpose), options.token_lifetime_real);
        state.directory = directory;
        for owner in [state.directory.owner(), state.directory.user()].map(|one| one.object_id.clone()) {
            roles::own_subscription(&mut state, &owner, now);
        }
        state
    }

    /// Answers a request, with fault injection. All due changes must have been applied.
    pub fn handle(&mut self, request: &Request, now: SimTime, timing: &Timing) -> Reply {
        fault::inject(self, &RequestContext { request, now, timing, serve })
    }
}

/// Answers a request without fault injection.
fn serve(state: &mut CloudState, request: &Request, now: SimTime, timing: &Timing) -> Reply {
    if let Some((uid, below)) = kubernetes_path(&request.path) {
        let below = Request { path: below, ..request.clone() };
        return kubernetes_api::serve(state, &uid, &below, now, timing);
    }
    let host = service_name(&request.host).unwrap_or_default();
    match host.split_once('.') {
        None if host == "login" => authority::serve(state, request, now),
        None if host == "management" => middleware::serve(state, request, now, timing),
        None if host == "graph" => graph::serve(state, request, now),
        None if host == PRODUCTION_HOST => acme::serve(state, CaName::Production, request, now, timing),
        None if host == STAGING_HOST => acme::serve(state, CaName::Staging, request, now, timing),
        Some((_, "oic")) => issuer::serve(state, request),
        Some((name, "blob")) => blob::serve::serve(state, name, request, now),
        Some((name, "vault")) => vault::serve::serve(state, name, request, now, timing),
        _ => Reply::text(404, format!("nothing of this cloud is called {}\n", request.host)),
    }
}
