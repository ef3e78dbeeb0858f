//! Compatibility of journals: a file of an earlier version opens with the same meaning, and a run continues
//! it.

use crate::cloud::{Cloud, Runner, root};
use landfall_engine::{Damage, Entry, Graph, Journal, JournalState, OpenError, StepStatus};
use serde_json::json;
use std::fs;

/// A journal from before the attempts contained their names.
const WITHOUT_NAMES: &str = include_str!("../fixtures/format-1.jsonl");
const WITH_NAMES: &str = include_str!("../fixtures/format-1-named.jsonl");
/// A whole environment, brought up by the last version that wrote no seals.
const ENVIRONMENT: &str = include_str!("../fixtures/format-1-environment.jsonl");

fn assert_same_meaning(journal_state: &JournalState) {
    let step_state = |step: &str| journal_state.step_state(step).cloned().unwrap_or_default();
    let (hill, wood, lake) = (step_state("hill"), step_state("wood"), step_state("lake"));
    assert_eq!((hill.owned, hill.output, hill.ticket_undoes), (true, Some(json!("hill")), true));
    assert_eq!((wood.owned, wood.output, wood.state), (false, Some(json!("wood")), StepStatus::Ready));
    assert_eq!((lake.owned, lake.ticket), (true, Some(json!({ "name": "operation lake" }))));
    let error = lake.error.unwrap();
    assert_eq!((error.message.as_str(), error.code.as_deref()), ("wait for it to fill", Some("TooSlow")));
    assert_eq!((step_state("sail").state, step_state("sail").owned), (StepStatus::NotStarted, false));
}

#[tokio::test(start_paused = true)]
async fn a_journal_of_an_earlier_version_opens_and_continues() {
    for text in [WITHOUT_NAMES, WITH_NAMES] {
        let (runner, cloud) = (Runner::new(), Cloud::default());
        fs::write(runner.path().join("journal.jsonl"), text).unwrap();
        assert_same_meaning(&runner.journal_state());
        let journal = runner.open();
        assert_same_meaning(&journal.journal_state());
        let planned_name = text == WITH_NAMES;
        assert_eq!(journal.step_state("lake").planned_name, planned_name.then(|| json!({ "name": "lake" })));
        journal.append(Entry::Closed { outcome: landfall_engine::Outcome::Interrupted }).unwrap();
        drop(journal);
        assert!(fs::read_to_string(runner.path().join("journal.jsonl")).unwrap().starts_with(text));

        let mut graph = Graph::new();
        for id in ["hill", "wood", "lake"] {
            cloud.put(id);
            root(&mut graph, &cloud, id);
        }
        runner.down(&graph).await;
        assert_eq!(cloud.names(), ["wood"], "what was only found stays");
    }
}

#[test]
fn a_journal_of_a_whole_environment_continues_with_sealed_lines() {
    let runner = Runner::new();
    let path = runner.path().join("journal.jsonl");
    fs::write(&path, ENVIRONMENT).unwrap();
    let (key, journal_state) = Journal::read(runner.path()).unwrap().unwrap();
    let owned =
        |journal_state: &JournalState| journal_state.0.values().filter(|step_state| step_state.owned).count();
    assert_eq!(
        (key.cloud.as_str(), owned(&journal_state)),
        ("sim", ENVIRONMENT.matches("\"making\":true").count())
    );
    for _ in 0..2 {
        let journal = Journal::open(runner.path(), "up", &key, "0.2.0").unwrap();
        assert_eq!(owned(&journal.journal_state()), owned(&journal_state));
    }
    let after = fs::read_to_string(&path).unwrap();
    assert!(after.starts_with(ENVIRONMENT), "what was there is not rewritten");
    let lines: Vec<&str> = after.split_inclusive('\n').collect();
    let plain = ENVIRONMENT.lines().count();
    for removed in [1, plain - 1, plain, plain + 1] {
        let mut left = lines.clone();
        left.remove(removed);
        fs::write(&path, left.concat()).unwrap();
        let refused = Journal::read(runner.path());
        let damaged = |how: &Damage| matches!(how, Damage::Moved { .. } | Damage::Cut { .. });
        assert!(
            matches!(&refused, Err(OpenError::Damaged { how, .. }) if damaged(how)),
            "{removed}: {refused:?}"
        );
    }
}
