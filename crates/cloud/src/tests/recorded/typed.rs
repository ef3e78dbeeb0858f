//! The typed lists and reads of Resource Manager.

use super::{Counts, Row, player::Player, rows};
use crate::arm::Zone;
use serde_json::{Value, json};

/// Returns the last part of the type in a list's path, in lower case.
fn listed_type(row: &Row) -> String {
    row.uri.path().trim_end_matches('/').rsplit('/').next().unwrap_or_default().to_ascii_lowercase()
}

fn count_of(answer: &Value) -> usize {
    answer["value"].as_array().map_or(0, Vec::len)
}

#[tokio::test]
async fn recorded_lists_lose_no_element() {
    let Some(rows) = rows() else { return };
    let (player, mut counts) = (Player::new(), Counts::default());
    for row in
        rows.iter().filter(|row| row.is_of_arm() && row.method == "GET" && row.answer["value"].is_array())
    {
        let (place, azure) = (row.place(), player.subscription(row));
        player.set_then(row, (200, json!({ "value": [] })));
        let path = row.uri.path();
        let parent = path.rsplit_once('/').map_or(path, |(parent, _)| parent).to_owned();
        let read = match listed_type(row).as_str() {
            "dnszones" => {
                let zones = azure.zones().await.expect(&place);
                assert!(zones.iter().all(|zone| !zone.resource_group().is_empty()), "{place}");
                zones.len()
            }
            "recordsets" => check_records(row, &azure.record_sets(&zone(&parent)).await.expect(&place)),
            "roleassignments" => {
                let scope = path.split("/providers/Microsoft.Authorization").next().unwrap_or_default();
                let assignments = azure.assignments_at(scope).await.expect(&place);
                for (assignment, body) in assignments.iter().zip(row.answer["value"].as_array().unwrap()) {
                    let role = body["properties"]["roleDefinitionId"].as_str().unwrap();
                    assert!(role.ends_with(&assignment.role), "{place}");
                    assert_eq!(
                        Some(assignment.scope.as_str()),
                        body["properties"]["scope"].as_str(),
                        "{place}"
                    );
                }
                assignments.len()
            }
            "locks" => {
                let locks = azure.locks("rg").await.expect(&place);
                let known = ["CanNotDelete", "ReadOnly"];
                assert!(
                    locks.iter().all(|one| known.contains(&one.level.as_str()) && one.covers(&one.scope))
                );
                locks.len()
            }
            _ => continue,
        };
        assert_eq!(read, count_of(&row.answer), "{place}");
        counts.add(format!("list of {}", listed_type(row)));
    }
    counts.print("typed lists");
}

fn zone(id: &str) -> Zone {
    Zone {
        id: id.to_owned(),
        name: id.rsplit('/').next().unwrap_or_default().to_owned(),
        name_servers: Vec::new(),
    }
}

fn check_records(row: &Row, records: &[crate::arm::Record]) -> usize {
    for (record, body) in records.iter().zip(row.answer["value"].as_array().into_iter().flatten()) {
        let (place, properties) = (row.place(), &body["properties"]);
        assert_eq!(Some(record.ttl), properties["TTL"].as_u64(), "{place}");
        assert_eq!(Some(record.etag.as_str()), body["etag"].as_str(), "{place}");
        assert!(body["type"].as_str().unwrap().ends_with(&format!("/{}", record.kind)), "{place}");
        assert_eq!(record.addresses.len(), properties["ARecords"].as_array().map_or(0, Vec::len), "{place}");
    }
    records.len()
}

#[tokio::test]
async fn recorded_versions_and_credentials_are_parsed() {
    let Some(rows) = rows() else { return };
    let (player, mut counts) = (Player::new(), Counts::default());
    for row in rows.iter().filter(|row| row.is_of_arm() && row.status == Some(200)) {
        let (place, azure) = (row.place(), player.subscription(row));
        player.set(row);
        match listed_type(row).as_str() {
            "kubernetesversions" => {
                let versions = azure.kubernetes_versions("eastus").await.expect(&place);
                assert_eq!(versions.len(), row.answer["values"].as_array().unwrap().len(), "{place}");
                let marked = row.answer["values"].as_array().unwrap().iter();
                let marked = marked.filter(|one| one["isDefault"] == true).count();
                assert_eq!(versions.iter().filter(|one| one.is_default).count(), marked, "{place}");
                assert!(versions.iter().all(|one| one.minor() > 20 && !one.patches.is_empty()), "{place}");
                counts.add("Kubernetes versions");
            }
            "listclusterusercredential" => {
                // The kubeconfig is shortened, so only its absence of a valid text is seen.
                assert!(row.answer["kubeconfigs"][0]["value"].is_string(), "{place}");
                counts.add("credential");
            }
            _ => {}
        }
    }
    counts.print("typed reads");
}
