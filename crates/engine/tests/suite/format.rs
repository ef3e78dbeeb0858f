//! Compatibility of journals: a file of an earlier version opens with the same meaning, and a run continues
//! it.

use crate::world::{Desk, World, root};
use landfall_engine::{Damage, Entry, Graph, Journal, Memory, OpenError, State};
use serde_json::json;
use std::fs;

/// A journal from before the attempts contained their names.
const WITHOUT_NAMES: &str = include_str!("../fixtures/format-1.jsonl");
const WITH_NAMES: &str = include_str!("../fixtures/format-1-named.jsonl");
/// A whole environment, brought up by the last version that wrote no seals.
const ENVIRONMENT: &str = include_str!("../fixtures/format-1-environment.jsonl");

fn means_what_it_meant(memory: &Memory) {
    let past = |step: &str| memory.past(step).cloned().unwrap_or_default();
    let (hill, wood, lake) = (past("hill"), past("wood"), past("lake"));
    assert_eq!((hill.ours, hill.output, hill.ticket_undoes), (true, Some(json!("hill")), true));
    assert_eq!((wood.ours, wood.output, wood.state), (false, Some(json!("wood")), State::Ready));
    assert_eq!((lake.ours, lake.ticket), (true, Some(json!({ "name": "operation lake" }))));
    let error = lake.error.unwrap();
    assert_eq!((error.message.as_str(), error.code.as_deref()), ("wait for it to fill", Some("TooSlow")));
    assert_eq!((past("sail").state, past("sail").ours), (State::Never, false));
}

#[tokio::test(start_paused = true)]
async fn the_journal_of_an_earlier_version_opens_and_is_gone_on_with() {
    for text in [WITHOUT_NAMES, WITH_NAMES] {
        let (desk, world) = (Desk::new(), World::default());
        fs::write(desk.path().join("journal.jsonl"), text).unwrap();
        means_what_it_meant(&desk.memory());
        let journal = desk.open();
        means_what_it_meant(&journal.memory());
        let named = text == WITH_NAMES;
        assert_eq!(journal.past("lake").named, named.then(|| json!({ "name": "lake" })));
        journal.append(Entry::Closed { outcome: landfall_engine::Outcome::Interrupted }).unwrap();
        drop(journal);
        assert!(fs::read_to_string(desk.path().join("journal.jsonl")).unwrap().starts_with(text));

        let mut graph = Graph::new();
        for id in ["hill", "wood", "lake"] {
            world.put(id);
            root(&mut graph, &world, id);
        }
        desk.down(&graph).await;
        assert_eq!(world.names(), ["wood"], "what was only found stays");
    }
}

#[test]
fn the_journal_of_a_whole_environment_is_gone_on_with_and_guarded_from_then_on() {
    let desk = Desk::new();
    let path = desk.path().join("journal.jsonl");
    fs::write(&path, ENVIRONMENT).unwrap();
    let (key, memory) = Journal::read(desk.path()).unwrap().unwrap();
    let ours = |memory: &Memory| memory.0.values().filter(|past| past.ours).count();
    assert_eq!((key.cloud.as_str(), ours(&memory)), ("sim", ENVIRONMENT.matches("\"making\":true").count()));
    for _ in 0..2 {
        let journal = Journal::open(desk.path(), "up", &key, "0.2.0").unwrap();
        assert_eq!(ours(&journal.memory()), ours(&memory));
    }
    let after = fs::read_to_string(&path).unwrap();
    assert!(after.starts_with(ENVIRONMENT), "what was there is not rewritten");
    let lines: Vec<&str> = after.split_inclusive('\n').collect();
    let plain = ENVIRONMENT.lines().count();
    for gone in [1, plain - 1, plain, plain + 1] {
        let mut left = lines.clone();
        left.remove(gone);
        fs::write(&path, left.concat()).unwrap();
        let refused = Journal::read(desk.path());
        let damaged = |how: &Damage| matches!(how, Damage::Moved { .. } | Damage::Cut { .. });
        assert!(
            matches!(&refused, Err(OpenError::Damaged { how, .. }) if damaged(how)),
            "{gone}: {refused:?}"
        );
    }
}
