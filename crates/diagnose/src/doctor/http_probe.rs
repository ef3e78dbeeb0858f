//! HTTP requests to the gateways from outside, as a browser sends them: by address, with the host's name, one
//! request each.

use super::{
    gateway_responses::{ProbeOutcome, ProbeResult},
    snapshot::Snapshot,
};
use crate::{
    http_probe::{Client, Endpoint, Limits, RequestError},
    object_fields::{list, name, space, text},
    route_model::{Gateway, Route},
    snapshot::ClusterSnapshot,
};
use futures::future::join_all;
use landfall_cloud::{AddressMap, kubernetes::DynamicObject};
use std::{net::IpAddr, time::Duration};
use tokio::{sync::Semaphore, time::timeout};

/// Requests `/` of every host on both ports of every gateway that has an address.
pub(super) async fn all(
    snapshot: &Snapshot<'_>,
    cluster_objects: &ClusterSnapshot,
    address_map: &AddressMap,
    at_most: Duration,
) -> Vec<ProbeResult> {
    // All requests run concurrently, so that the timeout of each one bounds them all.
    let limits = Limits { timeout: at_most, connections: Semaphore::MAX_PERMITS, user_agent: "landfall" };
    let client = Client::new(address_map.clone(), None, limits);
    let mut requests = Vec::new();
    for wanted in snapshot.gateways() {
        let Some(live) = ClusterSnapshot::find(&cluster_objects.gateways, space(wanted), name(wanted)) else {
            continue;
        };
        let addresses = list(&live.data, "/status/addresses").iter();
        let Some(address) = addresses.filter_map(|one| text(one, "/value").parse::<IpAddr>().ok()).next()
        else {
            continue;
        };
        for host in hosts(snapshot, wanted) {
            for listener in Gateway::read(live).listeners {
                let secure = listener.protocol == "HTTPS";
                let endpoint =
                    Endpoint { address, port: listener.port, secure, pinned: false, host: host.clone() };
                requests.push(send_request(&client, name(wanted), endpoint, at_most));
            }
        }
    }
    join_all(requests).await
}

/// Returns the hosts that the routes of a gateway name, without wildcards.
fn hosts(snapshot: &Snapshot<'_>, gateway: &DynamicObject) -> Vec<String> {
    let routes =
        snapshot.wanted("HTTPRoute").map(Route::read).filter(|route| route.has_parent(name(gateway)));
    let mut hosts: Vec<String> =
        routes.flat_map(|route| route.plain_hosts().cloned().collect::<Vec<_>>()).collect();
    hosts.sort();
    hosts.dedup();
    hosts
}

async fn send_request(client: &Client, gateway: &str, endpoint: Endpoint, at_most: Duration) -> ProbeResult {
    let outcome = match timeout(at_most, exchange(client, &endpoint)).await {
        Ok(outcome) => outcome.unwrap_or_else(|error| match error {
            RequestError::TimedOut(_) => ProbeOutcome::TimedOut(at_most),
            RequestError::NotHttp(_) => ProbeOutcome::ConnectionFailed("the response is not HTTP".to_owned()),
            RequestError::ConnectionFailed(why) | RequestError::Untrusted(why) => {
                ProbeOutcome::ConnectionFailed(why)
            }
        }),
        Err(_) => ProbeOutcome::TimedOut(at_most),
    };
    ProbeResult { gateway: gateway.to_owned(), host: endpoint.host, port: endpoint.port, outcome }
}

async fn exchange(client: &Client, endpoint: &Endpoint) -> Result<ProbeOutcome, RequestError> {
    let (opened, shown) = client.open(endpoint).await;
    let status = opened?.status().await?;
    let (leaf, chain_faults) = shown.map(|shown| (shown.leaf, shown.chain_faults)).unwrap_or_default();
    Ok(ProbeOutcome::Status { status, leaf, chain_faults })
}
