//! Resource Manager: resources, lists, writes and operations.

use super::{Counts, Row, player::Player, rows};
use crate::arm::{Condition, Operation, Progress, ResourceId, State, Style, Verb, WriteResult};
use serde_json::{Value, json};

/// Returns the state that a body has by the rules of Resource Manager, read without the client.
fn state_of(body: &Value) -> State {
    match body["properties"]["provisioningState"].as_str() {
        None | Some("Succeeded") => State::Succeeded,
        Some("Failed") => State::Failed,
        Some("Canceled") => State::Canceled,
        Some("Deleting") => State::Deleting,
        Some(other) => State::Running(other.to_owned()),
    }
}

fn path_of(row: &Row) -> String {
    row.uri.path().to_owned()
}

fn check_resource(body: &Value, place: &str, counts: &mut Counts) {
    let state = State::of(body);
    assert_eq!(state, state_of(body), "{place}");
    counts.add(format!("state {state:?}"));
    let (Some(id), Some(name)) = (body["id"].as_str(), body["name"].as_str()) else { return };
    let id = ResourceId::new(id);
    assert!(id.name().eq_ignore_ascii_case(name) || name.contains('/'), "{place}: {id} {name}");
    if id.as_str().to_ascii_lowercase().contains("/resourcegroups/") {
        let group = id.resource_group().expect(place);
        let scope = format!("/SUBSCRIPTIONS/{}/resourcegroups/{group}", id.subscription().expect(place));
        assert!(id.is_within(&scope), "{place}");
    }
    counts.add("id");
}

#[tokio::test]
async fn recorded_reads_are_parsed() {
    let Some(rows) = rows() else { return };
    let (player, mut counts) = (Player::new(), Counts::default());
    for row in rows.iter().filter(|row| row.is_of_arm() && row.method == "GET" && !row.is_poll()) {
        let (place, api) = (row.place(), row.api_version());
        if row.status >= Some(400) {
            player.set(row);
            assert_eq!(player.arm.get(&path_of(row), &api).await.expect(&place), None, "{place}");
            counts.add("missing");
        } else if let Some(listed) = row.answer["value"].as_array() {
            player.set_then(row, (200, json!({ "value": [] })));
            let read = player.arm.list(&path_of(row), &api, &[]).await.expect(&place);
            assert_eq!(&read, listed, "{place}");
            let linked = row.answer["nextLink"].as_str().is_some_and(|link| !link.is_empty());
            assert_eq!(player.urls().len(), if linked { 2 } else { 1 }, "{place}");
            read.iter().for_each(|one| check_resource(one, &place, &mut counts));
            counts.add(if linked { "list with a next page" } else { "list" });
        } else {
            player.set(row);
            let read = player.arm.get(&path_of(row), &api).await.expect(&place);
            let read = read.unwrap_or_else(|| panic!("{place}: nothing was read"));
            assert_eq!(read, row.answer, "{place}");
            check_resource(&read, &place, &mut counts);
            counts.add("resource");
        }
    }
    counts.print("reads");
}

/// Returns the path and query of a header with a URL.
fn local(row: &Row, header: &str) -> Option<String> {
    let url = row.uri.join(row.header(header)?).expect("a URL");
    Some(format!("{}?{}", url.path(), url.query().unwrap_or_default()))
}

#[tokio::test]
async fn recorded_writes_are_parsed() {
    let Some(rows) = rows() else { return };
    let (player, mut counts) = (Player::new(), Counts::default());
    let writes = rows.iter().filter(|row| row.is_of_arm() && row.method != "GET" && row.status < Some(400));
    for row in writes {
        let (place, api, path) = (row.place(), row.api_version(), path_of(row));
        player.set(row);
        let (verb, written) = match row.method.as_str() {
            "PUT" => (Verb::Put, player.arm.put(&path, &api, &json!({}), Condition::None).await),
            "POST" => (Verb::Post, player.arm.post(&path, &api, None).await),
            "DELETE" => (Verb::Delete, player.arm.delete(&path, &api).await),
            other => panic!("{place}: the client sends no {other}"),
        };
        let written = written.expect(&place);
        assert_eq!(written.value().unwrap_or(&Value::Null), &row.answer, "{place}");
        let status_url = local(row, "azure-asyncoperation");
        let location = local(row, "location").filter(|_| row.status == Some(202));
        let is_running = verb == Verb::Put && matches!(state_of(&row.answer), State::Running(_));
        let expected = match (&status_url, &location) {
            (Some(url), _) => Some((Style::AsyncOperation, url.clone())),
            (None, Some(url)) => Some((Style::Location, url.clone())),
            (None, None) if is_running || row.status == Some(202) => {
                Some((Style::ProvisioningState, format!("{path}?api-version={api}")))
            }
            (None, None) => None,
        };
        match (written, expected) {
            (WriteResult::Done(_), None) => counts.add(format!("{} done at once", row.method)),
            (WriteResult::Accepted { operation, .. }, Some((style, url))) => {
                assert_eq!(
                    (operation.style, operation.verb, operation.resource),
                    (style, verb, path),
                    "{place}"
                );
                assert_eq!(operation.path_and_query, url, "{place}");
                let result = location.filter(|_| verb == Verb::Post && style == Style::AsyncOperation);
                assert_eq!(operation.result, result, "{place}");
                counts.add(format!("{} polled by {style:?}", row.method));
            }
            (written, expected) => panic!("{place}: {written:?}, but expected {expected:?}"),
        }
    }
    counts.print("writes");
}

#[tokio::test]
async fn recorded_polls_are_parsed() {
    let Some(rows) = rows() else { return };
    let (player, mut counts) = (Player::new(), Counts::default());
    let resource = json!({ "properties": { "provisioningState": "Succeeded" } });
    for row in rows.iter().filter(|row| row.is_poll()) {
        let place = row.place();
        let at_location = row.uri.path().to_ascii_lowercase().contains("/operationresults/");
        let style = if at_location { Style::Location } else { Style::AsyncOperation };
        for verb in [Verb::Put, Verb::Post, Verb::Delete] {
            let operation = Operation {
                style,
                verb,
                path_and_query: format!("{}?{}", row.uri.path(), row.uri.query().unwrap_or_default()),
                resource: "/subscriptions/s/resourceGroups/rg/providers/Contoso.Test/widgets/gear".to_owned(),
                api_version: "2024-01-01".to_owned(),
                result: None,
            };
            player.set_then(row, (200, resource.clone()));
            let progress = player.arm.poll(&operation).await.expect(&place);
            let word = row.answer["status"].as_str();
            let ended = if at_location { row.status != Some(202) } else { word == Some("Succeeded") };
            match progress {
                Progress::Succeeded { value, ended_at, .. } if ended => {
                    let document_has_end =
                        style == Style::AsyncOperation && row.answer["endTime"].is_string();
                    assert_eq!(ended_at.is_some(), document_has_end, "{place}");
                    if verb == Verb::Put && style == Style::AsyncOperation {
                        assert_eq!(value.as_ref(), Some(&resource), "{place}");
                    }
                }
                Progress::Running { state, .. } if !ended => {
                    assert_eq!(state, word.unwrap_or("InProgress"), "{place}");
                }
                other => panic!("{place}: {other:?}"),
            }
        }
        counts.add(format!("{style:?} {}", row.answer["status"].as_str().unwrap_or("without a document")));
    }
    counts.print("polls");
}
