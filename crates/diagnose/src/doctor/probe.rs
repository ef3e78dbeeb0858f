//! HTTP requests to the gateways from outside, as a browser sends them: by address, with the host's name, one
//! request each.

use super::{
    outside::{Answer, Came},
    picture::Picture,
};
use crate::{
    http_probe::{Client, Door, Limits, Lost},
    object_fields::{list, name, space, text},
    route_model::{Gate, Route},
    snapshot::ClusterSnapshot,
};
use futures::future::join_all;
use landfall_cloud::{Ways, kubernetes::DynamicObject};
use std::{net::IpAddr, time::Duration};
use tokio::{sync::Semaphore, time::timeout};

/// Requests `/` of every host on both ports of every gateway that has an address.
pub(super) async fn all(
    p: &Picture<'_>,
    inside: &ClusterSnapshot,
    ways: &Ways,
    at_most: Duration,
) -> Vec<Answer> {
    // All requests run concurrently, so that the timeout of each one bounds them all.
    let limits = Limits { timeout: at_most, connections: Semaphore::MAX_PERMITS, user_agent: "landfall" };
    let client = Client::new(ways.clone(), None, limits);
    let mut asked = Vec::new();
    for wanted in p.gateways() {
        let Some(live) = ClusterSnapshot::find(&inside.gateways, space(wanted), name(wanted)) else {
            continue;
        };
        let addresses = list(&live.data, "/status/addresses").iter();
        let Some(address) = addresses.filter_map(|one| text(one, "/value").parse::<IpAddr>().ok()).next()
        else {
            continue;
        };
        for host in hosts(p, wanted) {
            for listener in Gate::read(live).listeners {
                let secure = listener.protocol == "HTTPS";
                let door = Door { address, port: listener.port, secure, pinned: false, host: host.clone() };
                asked.push(ask(&client, name(wanted), door, at_most));
            }
        }
    }
    join_all(asked).await
}

/// Returns the hosts that the routes of a gateway name, without wildcards.
fn hosts(p: &Picture<'_>, gateway: &DynamicObject) -> Vec<String> {
    let routes = p.wanted("HTTPRoute").map(Route::read).filter(|route| route.has_parent(name(gateway)));
    let mut hosts: Vec<String> =
        routes.flat_map(|route| route.plain_hosts().cloned().collect::<Vec<_>>()).collect();
    hosts.sort();
    hosts.dedup();
    hosts
}

async fn ask(client: &Client, gateway: &str, door: Door, at_most: Duration) -> Answer {
    let came = match timeout(at_most, exchange(client, &door)).await {
        Ok(came) => came.unwrap_or_else(|lost| match lost {
            Lost::Silent(_) => Came::Nothing(at_most),
            Lost::NotHttp(_) => Came::Refused("the response is not HTTP".to_owned()),
            Lost::Broken(why) | Lost::Untrusted(why) => Came::Refused(why),
        }),
        Err(_) => Came::Nothing(at_most),
    };
    Answer { gateway: gateway.to_owned(), host: door.host, port: door.port, came }
}

async fn exchange(client: &Client, door: &Door) -> Result<Came, Lost> {
    let (opened, shown) = client.open(door).await;
    let status = opened?.status().await?;
    Ok(Came::Status { status, leaf: shown.and_then(|shown| shown.leaf) })
}
