//! The issuer of a cluster's service account tokens (`oidcIssuerProfile.issuerURL`), which the cloud serves
//! independently of the cluster's API.
//!
//! Source: "Create an OpenID Connect provider on Azure Kubernetes Service"; OpenID Connect Discovery 1.0.

use http::Method;
use serde_json::json;

use super::ManagedCluster;
use crate::request::{Reply, Request};
use crate::state::CloudState;

impl ManagedCluster {
    fn issuer(&self) -> &str {
        self.text("/properties/oidcIssuerProfile/issuerURL")
    }

    /// Lets the tokens of the cluster name its issuer.
    pub(super) fn trust_issuer(&mut self) {
        let issuer = self.issuer().to_owned();
        self.store.token_issuer.set_url(&issuer);
    }
}

/// Answers a request to the issuers: the discovery document and the keys of one cluster. The port of the simulated cloud
/// may differ from that in the issuer's URL, so only the path is compared.
pub fn serve(state: &mut CloudState, request: &Request) -> Reply {
    let segments = request.segments();
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    let (issuer, document) = match (&request.method, segments.as_slice()) {
        (&Method::GET, [tenant, own, document @ ..]) => (format!("/{tenant}/{own}/"), document.join("/")),
        _ => (String::new(), String::new()),
    };
    let of_path = |cluster: &&mut ManagedCluster| cluster.issuer().ends_with(&issuer);
    let mut all = state.clusters.all.values_mut();
    let found = all.find(of_path).filter(|_| !issuer.is_empty());
    let answer = found.and_then(|cluster| {
        cluster.trust_issuer();
        match document.as_str() {
            ".well-known/openid-configuration" => Some(cluster.store.token_issuer.discovery()),
            "openid/v1/jwks" => Some(cluster.store.token_issuer.keys()),
            _ => None,
        }
    });
    match answer {
        Some(answer) => {
            // The first request for the keys generates them.
            state.touch();
            Reply::json(200, &answer)
        }
        None => Reply::json(404, &json!({ "error": "not found" })),
    }
}

impl CloudState {
    /// Returns whether the issuer with that URL signed a token; `None` if no cluster has that issuer.
    pub fn issuer_has_signed(&self, issuer: &str, token: &str) -> Option<bool> {
        let mut all = self.clusters.all.values();
        let cluster = all.find(|cluster| !issuer.is_empty() && cluster.issuer() == issuer)?;
        Some(cluster.store.token_issuer.has_signed(token))
    }
}
