//! Existing or incomplete resources: networks, groups, zones, and names in another case.

use super::*;
use crate::environment::replayable;
use landfall_engine::Kind;
use serde_json::json;

/// Point 11: a PUT of a network replaces its subnets; the group is being deleted; the region is another one.
#[test]
fn a_network_keeps_foreign_subnets_and_a_group_in_deletion_is_waited_for() {
    replayable(1, async {
        let env = env(SPEED_60X);
        env.arm(&["group-deprovisioned"]);
        run_up(&env).await;
    });
    for (region, refused) in [("eastus", false), ("westeurope", true)] {
        replayable(1, async {
            let env = env(SPEED_60X);
            let group = env.clients().azure.path("/resourceGroups/rg-demo");
            put(&env, &group, arm::group::API, &json!({ "location": "eastus" })).await;
            let body = json!({
                "location": region,
                "properties": {
                    "addressSpace": { "addressPrefixes": ["10.0.0.0/16"] },
                    "subnets": [{ "name": "theirs", "properties": { "addressPrefix": "10.0.64.0/24" } }],
                },
            });
            put(&env, &network(&env), arm::network::API, &body).await;
            let names = |body: Value| {
                let subnets = body["properties"]["subnets"].as_array().cloned().unwrap_or_default();
                subnets.iter().map(|subnet| subnet["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
            };
            let foreign = get(&env, &network(&env), arm::network::API).await;
            if refused {
                let mark = env.sim.request_log().len();
                assert_eq!(run_refused(&env, "network").await.kind, Kind::Foreign);
                assert!(writes(&env, mark).iter().all(|line| !line.contains("virtualNetworks")));
                return;
            }
            run_up(&env).await;
            assert_eq!(names(get(&env, &network(&env), arm::network::API).await), ["theirs", "snet-aks"]);
            assert_no_changes(&env).await;
            run_to_success(&env, Command::Down).await;
            assert_eq!(names(get(&env, &network(&env), arm::network::API).await), names(foreign));
        });
    }
}

/// Creates a zone for the domain in a group of its own.
async fn zone(env: &Environment, group: &str) -> String {
    let azure = env.clients().azure;
    let group = azure.path(&format!("/resourceGroups/{group}"));
    put(env, &group, arm::group::API, &json!({ "location": "eastus" })).await;
    let zone = format!("{group}/providers/Microsoft.Network/dnszones/{}", settings::DOMAIN);
    put(env, &zone, arm::dns::API, &json!({ "location": "global" })).await;
    zone
}

async fn addresses(env: &Environment, record: &str) -> usize {
    let body = get(env, record, arm::dns::API).await;
    body["properties"]["ARecords"].as_array().map_or(0, Vec::len)
}

/// Point 17: a PUT replaces the record set, others write concurrently, lists have pages, zones share a name.
#[test]
fn every_record_has_one_address_despite_concurrent_writes_and_paging() {
    replayable(1, async {
        let mut env = env(SPEED_60X);
        let first = zone(&env, "rg-names").await;
        let filler = json!({ "properties": { "TTL": 60, "ARecords": [{ "ipv4Address": "203.0.113.9" }] } });
        for number in 0..110 {
            put(&env, &format!("{first}/A/a{number:03}"), arm::dns::API, &filler).await;
        }
        let other = zone(&env, "rg-other").await;
        let mark = env.sim.request_log().len();
        let error = run_refused(&env, "preflight").await;
        assert!(error.hint.unwrap().contains("dns.resource_group"));
        assert!(writes(&env, mark).iter().all(|line| !line.contains("dnszones")));

        env.settings.dns.resource_group = Some("rg-names".to_owned());
        run_to_success(&env, Command::Up).await;
        assert_eq!(addresses(&env, &format!("{other}/A/echo")).await, 0);
        assert_no_changes(&env).await;

        // Others append an address, and write between our read and our write.
        env.arm(&["dns-stale@GET A/echo"]);
        assert_eq!(addresses(&env, &format!("{first}/A/echo")).await, 2);
        env.arm(&["dns-race@PUT A/echo"]);
        let mark = requests(&env, "PUT", "/A/echo").len();
        let done = run_to_success(&env, Command::Up).await;
        assert_eq!(done.how("dns"), Some(How::Changed));
        assert_eq!(statuses(&env, "PUT", "/A/echo")[mark..], [412, 200]);
        assert_eq!(addresses(&env, &format!("{first}/A/echo")).await, 1);
        assert_no_changes(&env).await;
        run_to_success(&env, Command::Down).await;
        assert_eq!(addresses(&env, &format!("{first}/A/echo")).await, 0);
        assert_eq!(addresses(&env, &format!("{first}/A/a001")).await, 1);
    });
}

/// Point 19: ids come back in another case, and with fields that no request contained.
#[test]
fn other_case_and_added_fields_are_no_drift() {
    replayable(1, async {
        let env = env(SPEED_60X);
        run_up(&env).await;
        let mut body = get(&env, &cluster(&env), arm::cluster::API).await;
        let pool = &mut body["properties"]["agentPoolProfiles"][0];
        let subnet = pool["vnetSubnetID"].as_str().unwrap().to_ascii_lowercase();
        assert_ne!(pool["vnetSubnetID"], subnet.as_str());
        pool["vnetSubnetID"] = json!(subnet);
        body["properties"]["autoUpgradeProfile"] = json!({ "nodeOSUpgradeChannel": "NodeImage" });
        for property in ["provisioningState", "powerState"] {
            body["properties"].as_object_mut().unwrap().remove(property);
        }
        put(&env, &cluster(&env), arm::cluster::API, &body).await;
        let there = get(&env, &cluster(&env), arm::cluster::API).await;
        assert_eq!(there["properties"]["agentPoolProfiles"][0]["vnetSubnetID"], subnet.as_str());
        assert_no_changes(&env).await;
    });
}
