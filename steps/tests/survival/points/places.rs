//! Existing or incomplete resources: networks, groups, zones, and names in another case.

use super::*;
use crate::environment::replayable;
use landfall_engine::Kind;
use serde_json::json;

/// Point 11: a PUT of a network replaces its subnets; the group is being deleted; the region is another one.
#[test]
fn a_network_keeps_the_subnets_of_others_and_a_dying_group_is_waited_for() {
    replayable(1, async {
        let here = here(SIXTY);
        here.arm(&["group-deprovisioned"]);
        comes_up(&here).await;
    });
    for (region, refused) in [("eastus", false), ("westeurope", true)] {
        replayable(1, async {
            let here = here(SIXTY);
            let group = here.clouds().azure.path("/resourceGroups/rg-demo");
            put(&here, &group, arm::group::API, &json!({ "location": "eastus" })).await;
            let body = json!({
                "location": region,
                "properties": {
                    "addressSpace": { "addressPrefixes": ["10.0.0.0/16"] },
                    "subnets": [{ "name": "theirs", "properties": { "addressPrefix": "10.0.64.0/24" } }],
                },
            });
            put(&here, &network(&here), arm::network::API, &body).await;
            let names = |body: Value| {
                let subnets = body["properties"]["subnets"].as_array().cloned().unwrap_or_default();
                subnets.iter().map(|subnet| subnet["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
            };
            let theirs = get(&here, &network(&here), arm::network::API).await;
            if refused {
                let mark = here.world.ledger().len();
                assert_eq!(refuses(&here, "network").await.kind, Kind::Foreign);
                assert!(writes(&here, mark).iter().all(|line| !line.contains("virtualNetworks")));
                return;
            }
            comes_up(&here).await;
            assert_eq!(names(get(&here, &network(&here), arm::network::API).await), ["theirs", "snet-aks"]);
            has_nothing_to_do(&here).await;
            succeeds(&here, Command::Down).await;
            assert_eq!(names(get(&here, &network(&here), arm::network::API).await), names(theirs));
        });
    }
}

/// Creates a zone for the domain in a group of its own.
async fn zone(here: &Environment, group: &str) -> String {
    let azure = here.clouds().azure;
    let group = azure.path(&format!("/resourceGroups/{group}"));
    put(here, &group, arm::group::API, &json!({ "location": "eastus" })).await;
    let zone = format!("{group}/providers/Microsoft.Network/dnszones/{}", settings::DOMAIN);
    put(here, &zone, arm::dns::API, &json!({ "location": "global" })).await;
    zone
}

async fn addresses(here: &Environment, record: &str) -> usize {
    let body = get(here, record, arm::dns::API).await;
    body["properties"]["ARecords"].as_array().map_or(0, Vec::len)
}

/// Point 17: a PUT replaces the record set, others write concurrently, lists have pages, zones share a name.
#[test]
fn the_names_lead_to_one_address_each_whatever_others_write_and_however_long_the_zone_is() {
    replayable(1, async {
        let mut here = here(SIXTY);
        let first = zone(&here, "rg-names").await;
        let filler = json!({ "properties": { "TTL": 60, "ARecords": [{ "ipv4Address": "203.0.113.9" }] } });
        for number in 0..110 {
            put(&here, &format!("{first}/A/a{number:03}"), arm::dns::API, &filler).await;
        }
        let other = zone(&here, "rg-other").await;
        let mark = here.world.ledger().len();
        let error = refuses(&here, "dns").await;
        assert!(error.hint.unwrap().contains("dns.resource_group"));
        assert!(writes(&here, mark).iter().all(|line| !line.contains("dnszones")));

        here.wish.dns.resource_group = Some("rg-names".to_owned());
        succeeds(&here, Command::Up).await;
        assert_eq!(addresses(&here, &format!("{other}/A/echo")).await, 0);
        has_nothing_to_do(&here).await;

        // Others append an address, and write between our read and our write.
        here.arm(&["dns-stale@GET A/echo"]);
        assert_eq!(addresses(&here, &format!("{first}/A/echo")).await, 2);
        here.arm(&["dns-race@PUT A/echo"]);
        let mark = requests(&here, "PUT", "/A/echo").len();
        let done = succeeds(&here, Command::Up).await;
        assert_eq!(done.how("dns"), Some(How::Changed));
        assert_eq!(statuses(&here, "PUT", "/A/echo")[mark..], [412, 200]);
        assert_eq!(addresses(&here, &format!("{first}/A/echo")).await, 1);
        has_nothing_to_do(&here).await;
        succeeds(&here, Command::Down).await;
        assert_eq!(addresses(&here, &format!("{first}/A/echo")).await, 0);
        assert_eq!(addresses(&here, &format!("{first}/A/a001")).await, 1);
    });
}

/// Point 19: ids come back in another case, and with fields that no request contained.
#[test]
fn another_case_and_fields_that_the_service_adds_are_no_difference() {
    replayable(1, async {
        let here = here(SIXTY);
        comes_up(&here).await;
        let mut body = get(&here, &cluster(&here), arm::cluster::API).await;
        let pool = &mut body["properties"]["agentPoolProfiles"][0];
        let subnet = pool["vnetSubnetID"].as_str().unwrap().to_ascii_lowercase();
        assert_ne!(pool["vnetSubnetID"], subnet.as_str());
        pool["vnetSubnetID"] = json!(subnet);
        body["properties"]["autoUpgradeProfile"] = json!({ "nodeOSUpgradeChannel": "NodeImage" });
        for word in ["provisioningState", "powerState"] {
            body["properties"].as_object_mut().unwrap().remove(word);
        }
        put(&here, &cluster(&here), arm::cluster::API, &body).await;
        let there = get(&here, &cluster(&here), arm::cluster::API).await;
        assert_eq!(there["properties"]["agentPoolProfiles"][0]["vnetSubnetID"], subnet.as_str());
        has_nothing_to_do(&here).await;
    });
}
