//! The DNS records.

use crate::{fixture::Fixture, settings};
use landfall_engine::{Action, How, Kind, StepError, UndoOutcome};
use landfall_sim::{arm::roles::Assignment, state::CloudState};
use landfall_steps::preflight::PreflightCheckId;
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

/// Creates a foreign record set of another type.
async fn record_set(fixture: &Fixture, zone: &str, at: &str, field: &str, records: Value) {
    fixture.put(&format!("{zone}/{at}"), json!({ "properties": { "TTL": 3600, field: records } })).await;
}

/// Expects the same refusal of `plan` and `up`, before anything is written; returns it.
async fn refused(fixture: &Fixture) -> StepError {
    let mark = fixture.mark();
    let plan = fixture.plan().await;
    let planned = plan.steps.iter().find(|planned| planned.step == "preflight").unwrap();
    assert_eq!(planned.action, Action::Refuse, "{planned:#?}");
    let result = fixture.up().await;
    let error = result.error("preflight").clone();
    assert_eq!(planned.error.as_ref().map(|error| &error.causes), Some(&error.causes));
    assert_eq!(fixture.writes(mark), [""; 0]);
    assert_eq!(result.started(), [""; 0]);
    error
}

fn assert_words(error: &StepError, kind: Kind, words: &[&str]) {
    let text = format!("{}\n{}\n{}", error.message, error.causes.join("\n"), error.hint.as_deref().unwrap());
    assert_eq!(error.kind, kind, "{text}");
    for word in words {
        assert!(text.contains(word), "{word:?} is not in:\n{text}");
    }
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
    assert_eq!(fixture.up_ready().await.counts(), (19, 0, 0));
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
async fn a_foreign_record_is_refused_before_anything_is_created() {
    let fixture = Fixture::instant().await;
    let zone = zone(&fixture).await;
    record(&fixture, &zone, "Echo", "203.0.113.9").await;
    let error = refused(&fixture).await;
    let words = [
        "publish echo.demo.example.com",
        "A record Echo of zone demo.example.com is 203.0.113.9",
        "no owner mark",
    ];
    assert_words(
        &error,
        Kind::Refused,
        &[&words[..], &["delete the A record Echo", "another domain"]].concat(),
    );
}

#[tokio::test]
async fn every_record_set_in_the_way_is_reported_with_its_type_and_owner() {
    let fixture = Fixture::instant().await;
    let zone = zone_in(&fixture, "rg-names", "example.com").await;
    record_set(&fixture, &zone, "CNAME/echo.demo", "CNAMERecord", json!({ "cname": "old.example.net" }))
        .await;
    record(&fixture, &zone, "app.demo", "203.0.113.9").await;
    let registry = json!([{ "value": ["\"heritage=external-dns,external-dns/owner=blue\""] }]);
    record_set(&fixture, &zone, "TXT/a-app.demo", "TXTRecords", registry).await;
    let error = refused(&fixture).await;
    assert_eq!((error.kind, error.message.as_str()), (Kind::Refused, "pass 1 of 16 checks"));
    let [first, second] = &error.causes[..] else { panic!("{error:#?}") };
    assert!(
        first.starts_with("dns: CNAME record echo.demo of zone example.com leads to old.example.net"),
        "{first}"
    );
    assert!(first.contains("a name with a CNAME record can have no A record"), "{first}");
    assert!(
        second.contains("A record app.demo") && second.contains("ExternalDNS manages it, as blue"),
        "{second}"
    );
}

#[tokio::test]
async fn a_delegation_above_the_hosts_is_reported_once() {
    let fixture = Fixture::instant().await;
    let zone = zone_in(&fixture, "rg-names", "example.com").await;
    record_set(&fixture, &zone, "NS/demo", "NSRecords", json!([{ "nsdname": "ns1.elsewhere.net" }])).await;
    let words = [
        "publish httpbin.demo.example.com, echo.demo.example.com",
        "NS record demo of zone example.com delegates to ns1.elsewhere.net",
        "dns.zone (DNS_ZONE_NAME) to demo.example.com",
    ];
    assert_words(&refused(&fixture).await, Kind::Refused, &words);
}

#[tokio::test]
async fn record_sets_that_are_not_in_the_way_are_none_of_our_business() {
    let fixture = Fixture::instant().await;
    let zone = zone(&fixture).await;
    let elsewhere = json!({ "cname": "elsewhere.example.net" });
    for (at, field, records) in [
        ("TXT/echo", "TXTRecords", json!([{ "value": ["v=1"] }])),
        ("MX/app", "MXRecords", json!([{ "preference": 10, "exchange": "mail.example.net" }])),
        ("CAA/@", "caaRecords", json!([{ "flags": 0, "tag": "issue", "value": "ca.example.net" }])),
        ("CNAME/*", "CNAMERecord", elsewhere.clone()),
        ("CNAME/www", "CNAMERecord", elsewhere),
        ("NS/sub", "NSRecords", json!([{ "nsdname": "ns1.elsewhere.net" }])),
        ("AAAA/httpbin", "AAAARecords", json!([{ "ipv6Address": "2001:db8::1" }])),
    ] {
        record_set(&fixture, &zone, at, field, records).await;
    }
    let plan = fixture.plan().await;
    let preflight = plan.steps.iter().find(|planned| planned.step == "preflight").unwrap();
    assert_eq!(preflight.action, Action::Ok, "{preflight:#?}");
    let notes = preflight.notes.join("\n");
    assert!(notes.contains("AAAA record httpbin of zone demo.example.com is 2001:db8::1"), "{notes}");
    assert!(notes.contains("clients with IPv6"), "{notes}");
    assert_eq!(fixture.up_ready().await.how("dns"), Some(How::Created));
    assert!(fixture.plan().await.is_empty());
}

#[tokio::test]
async fn a_record_set_in_the_way_of_a_later_host_is_reported_by_the_step() {
    let fixture = Fixture::instant().await;
    let zone = zone(&fixture).await;
    fixture.up_ready().await;
    // The hosts are published, so preflight leaves the check to the step.
    fixture.delete(&format!("{zone}/A/echo")).await;
    record_set(&fixture, &zone, "CNAME/echo", "CNAMERecord", json!({ "cname": "old.example.net" })).await;
    let plan = fixture.plan().await;
    let planned = plan.steps.iter().find(|planned| planned.step == "dns").unwrap();
    assert_eq!(planned.action, Action::Refuse, "{planned:#?}");
    let mark = fixture.mark();
    let result = fixture.up().await;
    assert_words(result.error("dns"), Kind::Refused, &["CNAME record echo", "old.example.net"]);
    assert_eq!(fixture.writes_at(mark, "dnszones"), [""; 0]);
}

#[tokio::test]
async fn a_skipped_check_leaves_the_refusal_to_the_step() {
    let mut fixture = Fixture::instant().await;
    let zone = zone(&fixture).await;
    record(&fixture, &zone, "echo", "203.0.113.9").await;
    fixture.settings.skip_preflight = [PreflightCheckId::Dns].into();
    let mark = fixture.mark();
    let result = fixture.up().await;
    assert_words(result.error("dns"), Kind::Refused, &["203.0.113.9"]);
    assert_eq!(fixture.writes_at(mark, "dnszones"), [""; 0]);
    fixture.down_ready().await;
    assert_eq!(fixture.writes_at(mark, "dnszones"), [""; 0]);
}

#[tokio::test]
async fn a_wrong_zone_is_an_input_error_that_names_the_right_one() {
    let mut fixture = Fixture::instant().await;
    fixture.settings.dns.zone = Some(settings::DOMAIN.to_owned());
    let words = ["has no zone demo.example.com", "create it, or omit dns.zone (DNS_ZONE_NAME)"];
    assert_words(&refused(&fixture).await, Kind::Input, &words);
    zone_in(&fixture, "rg-names", "example.com").await;
    let words = ["has no zone demo.example.com", "set dns.zone (DNS_ZONE_NAME) to example.com"];
    assert_words(&refused(&fixture).await, Kind::Input, &words);
    zone_in(&fixture, "rg-names", "example.org").await;
    fixture.settings.dns.zone = Some("example.org".to_owned());
    let words = ["no host of the routes is in zone example.org", "a zone above demo.example.com"];
    assert_words(&refused(&fixture).await, Kind::Input, &words);
}

#[tokio::test]
async fn a_wrong_zone_group_is_an_input_error_that_names_the_right_one() {
    let mut fixture = Fixture::instant().await;
    fixture.settings.dns.resource_group = Some("rg-dnss".to_owned());
    let words = ["resource group rg-dnss does not exist", "dns.resource_group (DNS_ZONE_RG)"];
    assert_words(&refused(&fixture).await, Kind::Input, &words);
    zone_in(&fixture, "rg-dns", "example.com").await;
    let right =
        ["zone example.com is in resource group rg-dns", "dns.resource_group (DNS_ZONE_RG) to rg-dns"];
    let words = ["resource group rg-dnss does not exist", right[0], right[1]];
    assert_words(&refused(&fixture).await, Kind::Input, &words);
    zone_in(&fixture, "rg-dnss", "example.org").await;
    let words = ["resource group rg-dnss has no zone for demo.example.com", right[0], right[1]];
    assert_words(&refused(&fixture).await, Kind::Input, &words);
}

/// Moves the role of the signed-in principal from the subscription to some groups.
fn restrict(fixture: &Fixture, groups: &[&str]) {
    let scopes: Vec<String> =
        groups.iter().map(|group| fixture.path(&format!("/resourceGroups/{group}"))).collect();
    let owner = fixture.sim.connection().object_id.clone();
    let change = |state: &mut CloudState| {
        let own = state.roles.assignments.values().find(|one| one.principal_id == owner).cloned().unwrap();
        state.roles.assignments.retain(|_, one| one.principal_id != owner);
        for (at, scope) in scopes.iter().enumerate() {
            let name = format!("{}-{at}", own.name);
            let one = Assignment { name: name.clone(), scope: scope.clone(), ..own.clone() };
            state.roles.assignments.insert(name, one);
        }
    };
    fixture.sim.change(|state, _| change(state)).unwrap();
}

#[tokio::test]
async fn zones_that_cannot_be_listed_are_not_reported_as_missing() {
    let mut fixture = Fixture::without_cluster().await;
    zone(&fixture).await;
    fixture.create_group("eastus").await;
    restrict(&fixture, &["rg-demo"]);
    let preflight =
        |plan: landfall_engine::Plan| plan.steps.into_iter().find(|one| one.step == "preflight").unwrap();
    let planned = preflight(fixture.plan().await);
    assert_eq!(planned.action, Action::Ok, "{planned:#?}");
    let notes = planned.notes.join("\n");
    assert!(notes.contains("may not list the DNS zones of this subscription"), "{notes}");
    fixture.settings.dns.zone = Some(settings::DOMAIN.to_owned());
    let words = ["find the DNS zone of demo.example.com", "DNS Zone Contributor", "dns.resource_group"];
    assert_words(&refused(&fixture).await, Kind::Refused, &words);
    // A role at the zone's group is enough, if the settings name the group.
    fixture.settings.dns.resource_group = Some("rg-names".to_owned());
    restrict(&fixture, &["rg-demo", "rg-names"]);
    let planned = preflight(fixture.plan().await);
    assert_eq!(
        (planned.action, planned.notes.join("\n").contains("DNS")),
        (Action::Ok, false),
        "{planned:#?}"
    );
}

#[tokio::test]
async fn a_zone_that_cannot_be_read_now_is_noted() {
    let mut fixture = Fixture::without_cluster().await;
    fixture.settings.dns.zone = Some(settings::DOMAIN.to_owned());
    zone(&fixture).await;
    let armed = fixture.sim.change(|state, _| {
        let fault = landfall_sim::fault::Armed::read("server-error@GET recordsets*20").unwrap();
        state.faults.armed.push(fault);
    });
    armed.unwrap();
    let plan = fixture.plan().await;
    let preflight = plan.steps.iter().find(|planned| planned.step == "preflight").unwrap();
    assert_eq!(preflight.action, Action::Ok, "{preflight:#?}");
    assert!(preflight.notes.join("\n").contains("dns could not run"), "{preflight:#?}");
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
    let words =
        ["2 zones are called demo.example.com, in rg-names, rg-other", "dns.resource_group (DNS_ZONE_RG)"];
    assert_words(&refused(&fixture).await, Kind::Input, &words);
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
