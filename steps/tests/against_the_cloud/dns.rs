//! The DNS records.

use crate::{bench::Bench, settings};
use landfall_engine::{How, Kind, Undone};
use serde_json::{Value, json};

const HOSTS: [&str; 4] = ["httpbin", "echo", "echo-headers", "app"];

async fn zone_in(bench: &Bench, group: &str, name: &str) -> String {
    let group = bench.path(&format!("/resourceGroups/{group}"));
    bench.put(&group, json!({ "location": "eastus" })).await;
    let id = format!("{group}/providers/Microsoft.Network/dnszones/{name}");
    bench.put(&id, json!({ "location": "global" })).await;
    id
}

async fn zone(bench: &Bench) -> String {
    zone_in(bench, "rg-names", settings::DOMAIN).await
}

/// Creates a foreign record.
async fn record(bench: &Bench, zone: &str, name: &str, address: &str) {
    let properties = json!({ "TTL": 3600, "ARecords": [{ "ipv4Address": address }] });
    bench.put(&format!("{zone}/A/{name}"), json!({ "properties": properties })).await;
}

#[tokio::test]
async fn four_records_with_our_mark_are_put_once_each() {
    let bench = Bench::instant().await;
    let zone = zone(&bench).await;
    let mark = bench.mark();
    let told = bench.up_ready().await;
    assert_eq!(told.how("dns"), Some(How::Created));
    assert_eq!(bench.writes_at(mark, "dnszones").len(), 4);
    for host in HOSTS {
        let record = bench.get(&format!("{zone}/A/{host}")).await;
        assert_eq!(record["properties"]["TTL"], 300, "{record}");
        let mark = record["properties"]["metadata"]["landfall"].as_str().unwrap();
        assert!(mark.ends_with("/default"), "{mark}");
        assert_eq!(record["properties"]["ARecords"].as_array().unwrap().len(), 1);
    }
    assert_eq!(bench.up_ready().await.counts(), (17, 0, 0));
    assert_eq!(bench.writes_at(mark, "dnszones").len(), 4);
}

#[tokio::test]
async fn the_nearest_zone_above_the_domain_gets_the_records() {
    let bench = Bench::instant().await;
    let zone = zone_in(&bench, "rg-names", "example.com").await;
    bench.up_ready().await;
    assert_ne!(bench.get(&format!("{zone}/A/httpbin.demo")).await, Value::Null);
}

#[tokio::test]
async fn a_strangers_record_is_refused_and_nothing_is_published() {
    let bench = Bench::instant().await;
    let zone = zone(&bench).await;
    record(&bench, &zone, "echo", "203.0.113.9").await;
    let mark = bench.mark();
    let told = bench.up().await;
    assert_eq!(told.error("dns").kind, Kind::Foreign);
    assert!(told.error("dns").causes[0].contains("203.0.113.9"));
    assert_eq!(bench.writes_at(mark, "dnszones"), [""; 0]);
    bench.down_ready().await;
    assert_eq!(bench.writes_at(mark, "dnszones"), [""; 0]);
}

#[tokio::test]
async fn a_strangers_record_that_holds_our_address_is_left_as_it_is() {
    let bench = Bench::instant().await;
    bench.up_ready().await;
    let output = bench.memory().past("dns").unwrap().output.clone().unwrap();
    let address = output["records"][0][1].as_str().unwrap();
    let zone = zone(&bench).await;
    record(&bench, &zone, "httpbin", address).await;
    let mark = bench.mark();
    let told = bench.up_ready().await;
    assert_eq!(told.how("dns"), Some(How::Created), "the other three are ours");
    assert_eq!(bench.writes_at(mark, "dnszones").len(), 3);
    let told = bench.down_ready().await;
    // It still leads to the owned address, so it stays recorded, for an `--adopt`.
    assert!(matches!(told.undone("dns"), Some(Undone::Kept { .. })), "{:?}", told.report.undone);
    assert_eq!(bench.get(&format!("{zone}/A/httpbin")).await["properties"]["TTL"], 3600);
    for host in &HOSTS[1..] {
        assert_eq!(bench.get(&format!("{zone}/A/{host}")).await, Value::Null);
    }
}

#[tokio::test]
async fn a_record_that_changes_between_the_look_and_the_act_is_looked_at_again() {
    let bench = Bench::instant().await;
    let zone = zone(&bench).await;
    bench.up_ready().await;
    // The record is owned, but has an old address. The response to the first repairing PUT is lost, so that
    // the second meets an ETag mismatch.
    let mut body = bench.get(&format!("{zone}/A/echo")).await;
    body["properties"]["ARecords"] = json!([{ "ipv4Address": "203.0.113.9" }]);
    bench.put(&format!("{zone}/A/echo"), body).await;
    let mark = bench.mark();
    let armed = bench.sim.change(|world, _| {
        let fault = landfall_sim::fault::Armed::read("reset-after@PUT a/echo").unwrap();
        world.faults.armed.push(fault);
    });
    armed.unwrap();
    let told = bench.up_ready().await;
    assert_eq!(told.how("dns"), Some(How::Changed));
    let puts = bench.writes_at(mark, "A/echo");
    let puts: Vec<_> = puts.iter().map(|line| line.split(' ').nth(1).unwrap()).collect();
    assert_eq!(puts, ["0", "412"], "the first was carried out, the second refused");
    let record = bench.get(&format!("{zone}/A/echo")).await;
    assert_ne!(record["properties"]["ARecords"][0]["ipv4Address"], "203.0.113.9");
}

#[tokio::test]
async fn two_zones_of_one_name_are_told_apart_by_their_group() {
    let mut bench = Bench::instant().await;
    let one = zone_in(&bench, "rg-names", settings::DOMAIN).await;
    let other = zone_in(&bench, "rg-other", settings::DOMAIN).await;
    let told = bench.up().await;
    assert!(told.error("dns").hint.as_deref().unwrap().contains("dns.resource_group"));
    bench.wish.dns.resource_group = Some("RG-Other".to_owned());
    bench.up_ready().await;
    assert_eq!(bench.get(&format!("{one}/A/echo")).await, Value::Null);
    assert_ne!(bench.get(&format!("{other}/A/echo")).await, Value::Null);
}

#[tokio::test]
async fn down_deletes_the_records_that_are_ours_and_still_hold_our_address() {
    let bench = Bench::instant().await;
    let zone = zone(&bench).await;
    bench.up_ready().await;
    let mut moved = bench.get(&format!("{zone}/A/echo")).await;
    moved["properties"]["ARecords"] = json!([{ "ipv4Address": "203.0.113.9" }]);
    bench.put(&format!("{zone}/A/echo"), moved).await;
    let mark = bench.mark();
    let told = bench.down_ready().await;
    assert_eq!(told.undone("dns"), Some(&Undone::Deleted));
    assert_eq!(bench.writes_at(mark, "dnszones").len(), 3);
    assert_ne!(bench.get(&format!("{zone}/A/echo")).await, Value::Null);
    assert_ne!(bench.get(&zone).await, Value::Null);
}
