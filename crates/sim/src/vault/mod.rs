//! The data plane of key vaults: `https://{vault}.vault.…`.
//!
//! The order of the checks is that of the service and matters to clients: name, token, api-version, firewall,
//! right, object. So a request without a token gets a challenge before its body is read. A caller without the
//! right does not learn if an object exists.

pub(crate) mod access;
pub(crate) mod certificate;
mod create;
mod deleted;
mod firewall;
mod import;
mod intervention;
pub(crate) mod material;
mod own_signed;
mod page;
mod policy;
mod reading;
pub(crate) mod refusal;
mod route;
mod shelf;

pub(crate) use intervention::lose_certificate;
pub(crate) use reading::VaultsOf;

use crate::clock::{Moment, Timing};
use crate::entra;
use crate::fault::Held;
use crate::request::{Delivery, Reply, Request};
use crate::world::{World, uuid_from};
use refusal::Refusal;
use route::Target;

/// The api-versions of the data plane.
const VERSIONS: &[&str] =
    &["7.0", "7.1", "7.2", "7.3", "7.4", "7.5", "7.6", "2025-06-01-preview", "2025-07-01"];

/// A request to a vault that has passed the checks.
struct Asked<'a> {
    /// The lower-case name of the vault.
    vault: &'a str,
    request: &'a Request,
    now: Moment,
    timing: &'a Timing,
}

/// Answers a request to the host `{vault}.vault.landfall.localhost`.
///
/// On Azure, the name of an unknown or unfinished vault does not resolve; here the connection is closed.
pub fn serve(world: &mut World, vault: &str, request: &Request, now: Moment, timing: &Timing) -> Reply {
    let name = vault.to_ascii_lowercase();
    let Some(location) = world.vaults.reachable(&name, now).map(|vault| vault.location().to_owned()) else {
        return unreachable();
    };
    if world.lags.refuse(&Held::VaultName(name.clone()), now) {
        world.touch();
        return unreachable();
    }
    let asked = Asked { vault: &name, request, now, timing };
    let reply = answer(world, &asked).unwrap_or_else(|refusal| refusal.reply());
    let id = uuid_from(world.seed, "vault-request", request.number);
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

fn answer(world: &mut World, asked: &Asked<'_>) -> Result<Reply, Refusal> {
    let audience = world.vault_audience();
    let caller = entra::bearer(world, asked.request, &audience, asked.now)
        .map_err(|why| Refusal::unauthorized(world, why))?;
    version(asked.request)?;
    let target = Target::of(asked.request)?;
    let vault = world.vaults.reachable(asked.vault, asked.now).expect("the caller has just found it");
    firewall::decide(vault, &caller, firewall::From::Here)?;
    access::decide(world, vault, &caller, target.wish, target.collection, target.name(), asked.now)?;
    target.serve(world, asked)
}

fn version(request: &Request) -> Result<(), Refusal> {
    match request.query("api-version") {
        None => Err(Refusal::parameter("api-version must be specified")),
        Some(version) if VERSIONS.contains(&version) => Ok(()),
        Some(version) => {
            let message = format!(
                "The specified version ({version}) is not recognized. Consider using the latest supported version \
                 ({}).",
                VERSIONS[VERSIONS.len() - 1]
            );
            Err(Refusal::parameter(message))
        }
    }
}

#[cfg(test)]
mod tests;
