//! The DNS records.

use crate::{fixture::Fixture, settings};
use landfall_engine::{How, Kind, UndoOutcome};
use serde_json::{Value, json};

const HOSTS: [&str; 4] = ["httpbin", "echo", "echo-headers", "app"];

async fn zone_in(fixture: &Fixture, group: &str, name: &str) -> String {
    let group = fixture.path(&format!("/resourceGroups/{group}"));
    fixture.put(&group, json!({ "location": "eastus" })).await;
    let id = format!("{group}/providers/Microsoft.Network/dnszones/{name}");
    fixture.put(&id, json!({ "location": "global" })).await;
    id
}

async fn zone(fixture: &Fixture) -> String {
    zone_in(fixture, "rg-names", settings::DOMAIN).await
}

/// Creates a foreign record.
async fn record(fixture: &Fixture, zone: &str, name: &str, address: &str) {
    let properties = json!({ "TTL": 3600, "ARecords": [{ "ipv4Address": address }] });
    fixture.put(&format!("{zone}/A/{name}"), json!({ "properties": properties })).await;
}

#[tokio::test]
async fn four_records_with_the_ownership_mark_are_put_once_each() {
    let fixture = Fixture::instant().await;
    let zone = zone(&fixture).await;
    let mark = fixture.mark();
    let result = fixture.up_ready().await;
    assert_eq!(result.how("dns"), Some(How::Created));
    assert_eq!(fixture.writes_at(mark, "dnszones").len(), 4);
    for host in HOSTS {
        let record = fixture.get(&format!("{zone}/A/{host}")).await;
        assert_eq!(record["properties"]["TTL"], 300, "{record}");
        let mark = record["properties"]["metadata"]["landfall"].as_str().unwrap();
        assert!(mark.ends_with("/default"), "{mark}");
        assert_eq!(record["properties"]["ARecords"].as_array().unwrap().len(), 1);
    }
    assert_eq!(fixture.up_ready().await.counts(), (17, 0, 0));
    assert_eq!(fixture.writes_at(mark, "dnszones").len(), 4);
}

#[tokio::test]
async fn the_nearest_zone_above_the_domain_gets_the_records() {
    let fixture = Fixture::instant().await;
    let zone = zone_in(&fixture, "rg-names", "example.com").await;
    fixture.up_ready().await;
    assert_ne!(fixture.get(&format!("{zone}/A/httpbin.demo")).await, Value::Null);
}

#[tokio::test]
async fn a_foreign_record_is_refused_and_nothing_is_written() {
    let fixture = Fixture::instant().await;
    let zone = zone(&fixture).await;
    record(&fixture, &zone, "echo", "203.0.113.9").await;
    let mark = fixture.mark();
    let result = fixture.up().await;
    assert_eq!(result.error("dns").kind, Kind::Foreign);
    assert!(result.error("dns").causes[0].contains("203.0.113.9"));
    assert_eq!(fixture.writes_at(mark, "dnszones"), [""; 0]);
    fixture.down_ready().await;
    assert_eq!(fixture.writes_at(mark, "dnszones"), [""; 0]);
}

#[tokio::test]
async fn a_foreign_record_with_the_owned_address_is_unchanged() {
    let fixture = Fixture::instant().await;
    fixture.up_ready().await;
    let output = fixture.journal_state().step_state("dns").unwrap().output.clone().unwrap();
    let address = output["records"][0][1].as_str().unwrap();
    let zone = zone(&fixture).await;
    record(&fixture, &zone, "httpbin", address).await;
    let mark = fixture.mark();
    let result = fixture.up_ready().await;
    assert_eq!(result.how("dns"), Some(How::Created), "the other three are ours");
    assert_eq!(fixture.writes_at(mark, "dnszones").len(), 3);
    let result = fixture.down_ready().await;
    // It still leads to the owned address, so it stays recorded, for an `--adopt`.
    assert!(matches!(result.undone("dns"), Some(UndoOutcome::Kept { .. })), "{:?}", result.report.undone);
    assert_eq!(fixture.get(&format!("{zone}/A/httpbin")).await["properties"]["TTL"], 3600);
    for host in &HOSTS[1..] {
        assert_eq!(fixture.get(&format!("{zone}/A/{host}")).await, Value::Null);
    }
}

#[tokio::test]
async fn a_record_that_changes_between_check_and_apply_is_checked_again() {
    let fixture = Fixture::instant().await;
    let zone = zone(&fixture).await;
    fixture.up_ready().await;
    // The record is owned, but has an old address. The response to the first repairing PUT is lost, so that
    // the second meets an ETag mismatch.
    let mut body = fixture.get(&format!("{zone}/A/echo")).await;
    body["properties"]["ARecords"] = json!([{ "ipv4Address": "203.0.113.9" }]);
    fixture.put(&format!("{zone}/A/echo"), body).await;
    let mark = fixture.mark();
    let armed = fixture.sim.change(|state, _| {
        let fault = landfall_sim::fault::Armed::read("reset-after@PUT a/echo").unwrap();
        state.faults.armed.push(fault);
    });
    armed.unwrap();
    let result = fixture.up_ready().await;
    assert_eq!(result.how("dns"), Some(How::Changed));
    let puts = fixture.writes_at(mark, "A/echo");
    let puts: Vec<_> = puts.iter().map(|line| line.split(' ').nth(1).unwrap()).collect();
    assert_eq!(puts, ["0", "412"], "the first was carried out, the second refused");
    let record = fixture.get(&format!("{zone}/A/echo")).await;
    assert_ne!(record["properties"]["ARecords"][0]["ipv4Address"], "203.0.113.9");
}

#[tokio::test]
async fn two_zones_of_one_name_are_distinguished_by_their_group() {
    let mut fixture = Fixture::instant().await;
    let one = zone_in(&fixture, "rg-names", settings::DOMAIN).await;
    let other = zone_in(&fixture, "rg-other", settings::DOMAIN).await;
    let result = fixture.up().await;
    assert!(result.error("dns").hint.as_deref().unwrap().contains("dns.resource_group"));
    fixture.settings.dns.resource_group = Some("RG-Other".to_owned());
    fixture.up_ready().await;
    assert_eq!(fixture.get(&format!("{one}/A/echo")).await, Value::Null);
    assert_ne!(fixture.get(&format!("{other}/A/echo")).await, Value::Null);
}

#[tokio::test]
async fn down_deletes_owned_records_that_still_have_the_owned_address() {
    let fixture = Fixture::instant().await;
    let zone = zone(&fixture).await;
    fixture.up_ready().await;
    let mut moved = fixture.get(&format!("{zone}/A/echo")).await;
    moved["properties"]["ARecords"] = json!([{ "ipv4Address": "203.0.113.9" }]);
    fixture.put(&format!("{zone}/A/echo"), moved).await;
    let mark = fixture.mark();
    let result = fixture.down_ready().await;
    assert_eq!(result.undone("dns"), Some(&UndoOutcome::Deleted));
    assert_eq!(fixture.writes_at(mark, "dnszones").len(), 3);
    assert_ne!(fixture.get(&format!("{zone}/A/echo")).await, Value::Null);
    assert_ne!(fixture.get(&zone).await, Value::Null);
}
