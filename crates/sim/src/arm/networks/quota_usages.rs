//! Network usages of the subscription in a region (Network REST API, usages).

use serde_json::json;

use super::kinds::NETWORK;
use crate::arm::error::ArmError;
use crate::arm::quota::{self, PUBLIC_ADDRESSES};
use crate::arm::{Call, Route, clusters, subscriptions, versions};
use crate::request::Reply;
use crate::state::CloudState;

const KIND: &str = "Microsoft.Network/locations/usages";
const USAGES: &str = "/subscriptions/{subscription}/providers/Microsoft.Network/locations/{location}/usages";
/// The quota of virtual networks per region; tests do not reach it.
const NETWORKS_MAX: u64 = 1000;

pub(super) fn routes() -> Vec<Route> {
    vec![Route::new("GET", USAGES, KIND, versions::NETWORKS, list)]
}

/// Lists the number of networks and of public addresses that clusters hold.
fn list(state: &mut CloudState, call: &Call<'_>) -> Result<Reply, ArmError> {
    let location = subscriptions::region(state, call.param("location"), KIND)?;
    let id = format!(
        "/subscriptions/{}/providers/Microsoft.Network/locations/{location}/usages",
        state.subscription
    );
    let networks = state.tracked.of_kind(NETWORK).filter(|network| network.location == location).count();
    let addresses = clusters::public_addresses::public_addresses(state, &location);
    let limit = state.limits.of(&location, PUBLIC_ADDRESSES);
    // Basic addresses are retired, so all existing addresses count in both rows.
    let value = [
        quota::usage(&id, "VirtualNetworks", "Virtual Networks", networks as u64, NETWORKS_MAX),
        quota::usage(&id, PUBLIC_ADDRESSES, "Public IP Addresses", addresses, limit),
        quota::usage(
            &id,
            "StandardSkuPublicIpAddresses",
            "Standard SKU Public IP Addresses",
            addresses,
            limit,
        ),
    ];
    Ok(Reply::json(200, &json!({ "value": value })))
}
