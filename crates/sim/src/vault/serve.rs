//! Requests to vaults: the checks, and the dispatch to the handlers.

use super::error::VaultError;
use super::route::Target;
use super::{VaultCall, access, firewall};
use crate::arm::versions::VAULT_CONTENTS as VERSIONS;
use crate::clock::{SimTime, Timing};
use crate::delays::DelaySubject;
use crate::entra;
use crate::request::{Delivery, Reply, Request};
use crate::state::{CloudState, uuid_from};

/// Answers a request to the host `{vault}.vault.landfall.localhost`.
///
/// On Azure, the name of an unknown or unfinished vault does not resolve; here the connection is closed.
pub fn serve(state: &mut CloudState, vault: &str, request: &Request, now: SimTime, timing: &Timing) -> Reply {
    let name = vault.to_ascii_lowercase();
    let Some(location) = state.vaults.reachable(&name, now).map(|vault| vault.location().to_owned()) else {
        return unreachable();
    };
    if state.delays.refuse(&DelaySubject::VaultName(name.clone()), now) {
        state.touch();
        return unreachable();
    }
    let call = VaultCall { vault: &name, request, now, timing };
    let reply = answer(state, &call).unwrap_or_else(|error| error.reply());
    let id = uuid_from(state.seed, "vault-request", request.number);
    let echoed = request.header("x-ms-client-request-id").unwrap_or(&id).to_owned();
    reply
        .with_header("x-ms-keyvault-region", &location)
        .with_header("x-ms-client-request-id", &echoed)
        .with_header("x-ms-request-id", &id)
        .with_header("x-ms-keyvault-service-version", "1.9.2000.1")
        .with_header("x-ms-keyvault-network-info", "conn_type=Ipv4;addr=127.0.0.1;act_addr_fam=InterNetwork;")
}

fn unreachable() -> Reply {
    Reply { delivery: Delivery::Cut, ..Reply::empty(503) }
}

fn answer(state: &mut CloudState, call: &VaultCall<'_>) -> Result<Reply, VaultError> {
    let audience = state.vault_audience();
    let caller = entra::bearer(state, call.request, &audience, call.now)
        .map_err(|why| VaultError::unauthorized(state, why))?;
    version(call.request)?;
    let target = Target::of(call.request)?;
    let vault = state.vaults.reachable(call.vault, call.now).expect("the caller has just found it");
    firewall::decide(vault, &caller, firewall::ClientLocation::Local)?;
    access::decide(state, vault, &caller, target.operation, target.collection, target.name(), call.now)?;
    target.serve(state, call)
}

fn version(request: &Request) -> Result<(), VaultError> {
    match request.query("api-version") {
        None => Err(VaultError::parameter("api-version must be specified")),
        Some(version) if VERSIONS.contains(&version) => Ok(()),
        Some(version) => {
            let message = format!(
                "The specified version ({version}) is not recognized. Consider using the latest supported version \
                 ({}).",
                VERSIONS[VERSIONS.len() - 1]
            );
            Err(VaultError::parameter(message))
        }
    }
}

/// Returns the api-versions of the data plane, newest last.
#[cfg(test)]
pub(crate) const fn accepted_versions() -> &'static [&'static str] {
    VERSIONS
}

/// Returns the `value` of an import with a new certificate that fits a policy.
#[cfg(test)]
pub(crate) fn certificate_of(policy: &serde_json::Value, now: SimTime) -> String {
    super::self_signed::make(policy, now).expect("a policy of the tests").material.secret
}
