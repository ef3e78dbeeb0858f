//! An output older than the last attempt: teardown deletes both its resource and that of the attempt.

use crate::cloud::{Cloud, Runner, root};
use landfall_engine::{Check, Context, Graph, Outcome, Step, StepError, UndoOutcome};
use serde_json::{Value, json};
use std::{future::pending, time::Duration};

/// A resource that gets another id with every apply, like a version.
struct Numbered {
    cloud: Cloud,
    /// Its name.
    name: &'static str,
    id: &'static str,
    responds: bool,
}

fn numbered(cloud: &Cloud, name: &'static str, id: &'static str, responds: bool) -> Graph {
    let mut graph = Graph::new();
    graph.add("lake", Numbered { cloud: cloud.clone(), name, id, responds }, ());
    graph
}

impl Step for Numbered {
    type Input = ();
    type Output = String;
    fn title(&self) -> String {
        format!("the {}", self.name)
    }
    fn planned_name(&self) -> Option<Value> {
        Some(json!({ "name": self.name }))
    }
    fn deadline(&self) -> Duration {
        Duration::from_secs(60)
    }
    async fn check(&self, _: &Context, (): &()) -> Result<Check<String>, StepError> {
        let own = |id: &String| id.starts_with(self.name);
        Ok(self.cloud.names().into_iter().find(own).map_or(Check::Missing, Check::InSync))
    }
    async fn apply(&self, _: &Context, (): &()) -> Result<String, StepError> {
        self.cloud.put(self.id);
        self.cloud.call(format!("make {}", self.id));
        if self.responds { Ok(self.id.to_owned()) } else { pending().await }
    }
    async fn undo(&self, _: &Context, id: String) -> Result<UndoOutcome, StepError> {
        self.cloud.call(format!("delete {id}"));
        Ok(if self.cloud.remove(&id) { UndoOutcome::Deleted } else { UndoOutcome::AlreadyDeleted })
    }
}

#[tokio::test(start_paused = true)]
async fn a_resource_recreated_by_a_killed_run_is_deleted_although_only_the_old_id_is_recorded() {
    let (runner, cloud) = (Runner::new(), Cloud::default());
    runner.up(&numbered(&cloud, "lake", "lake-1", true)).await;
    cloud.remove("lake-1");
    let second = numbered(&cloud, "lake", "lake-2", false);
    runner.up_killed_at(&second, &cloud, "make lake-2").await;
    assert_eq!(runner.journal_state().step_state("lake").unwrap().output, Some(json!("lake-1")));
    let report = runner.down(&second).await.report;
    assert_eq!(report.outcome, Outcome::Ready);
    assert!(cloud.is_empty(), "{:?}", cloud.names());
    assert_eq!(report.undone, [("lake".to_owned(), UndoOutcome::Deleted)]);
    assert!(!runner.journal_state().step_state("lake").unwrap().owned);
}

#[tokio::test(start_paused = true)]
async fn a_found_resource_stays_although_creation_of_another_one_started() {
    let (runner, cloud) = (Runner::new(), Cloud::default());
    cloud.put("theirs-1");
    runner.up(&numbered(&cloud, "theirs", "theirs-2", true)).await;
    let owned = numbered(&cloud, "ours", "ours-1", false);
    runner.up_killed_at(&owned, &cloud, "make ours-1").await;
    let step_state = runner.journal_state().step_state("lake").unwrap().clone();
    assert_eq!((step_state.owned, step_state.output), (true, Some(json!("theirs-1"))));
    assert_eq!(step_state.planned_name, Some(json!({ "name": "ours" })), "from the first write on");
    assert_eq!(runner.down(&owned).await.report.outcome, Outcome::Ready);
    assert_eq!(cloud.names(), ["theirs-1"]);
    assert_eq!(cloud.count("delete theirs-1"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_resource_created_after_teardown_has_its_own_planned_names() {
    let (runner, cloud) = (Runner::new(), Cloud::default());
    runner.up(&numbered(&cloud, "lake", "lake-1", true)).await;
    runner.down(&numbered(&cloud, "lake", "lake-1", true)).await;
    let other = numbered(&cloud, "pond", "pond-1", false);
    runner.up_killed_at(&other, &cloud, "make pond-1").await;
    let step_state = runner.journal_state().step_state("lake").unwrap().clone();
    assert_eq!((step_state.output, step_state.planned_name), (None, Some(json!({ "name": "pond" }))));
    runner.down(&other).await;
    assert!(cloud.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_resource_without_a_step_is_reported_and_stays_recorded() {
    let (runner, cloud) = (Runner::new(), Cloud::default());
    let mut before = Graph::new();
    root(&mut before, &cloud, "mill");
    root(&mut before, &cloud, "lake");
    cloud.put("road");
    root(&mut before, &cloud, "road");
    runner.up(&before).await;
    let mut after = Graph::new();
    root(&mut after, &cloud, "lake");
    for _ in 0..2 {
        let report = runner.down(&after).await.report;
        let [left] = &report.left_behind[..] else { panic!("{:?}", report.left_behind) };
        assert_eq!((left.step.as_str(), &left.output), ("mill", &Some(json!("mill"))));
        assert_eq!(cloud.names(), ["mill", "road"]);
        assert!(
            runner.journal_state().step_state("mill").unwrap().owned,
            "whoever has the step can take it away"
        );
    }
    assert!(runner.down(&before).await.report.left_behind.is_empty());
    assert_eq!(cloud.names(), ["road"]);
}
