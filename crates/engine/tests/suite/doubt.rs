//! An output older than the last attempt: teardown deletes both its resource and that of the attempt.

use crate::world::{Desk, World, root};
use landfall_engine::{Check, Context, Graph, Outcome, Step, StepError, Undone};
use serde_json::{Value, json};
use std::{future::pending, time::Duration};

/// A resource that gets another id with every apply, like a version.
struct Numbered {
    world: World,
    /// Its name.
    name: &'static str,
    id: &'static str,
    answers: bool,
}

fn numbered(world: &World, name: &'static str, id: &'static str, answers: bool) -> Graph {
    let mut graph = Graph::new();
    graph.add("lake", Numbered { world: world.clone(), name, id, answers }, ());
    graph
}

impl Step for Numbered {
    type Input = ();
    type Output = String;
    fn title(&self) -> String {
        format!("the {}", self.name)
    }
    fn named(&self) -> Option<Value> {
        Some(json!({ "name": self.name }))
    }
    fn deadline(&self) -> Duration {
        Duration::from_secs(60)
    }
    async fn check(&self, _: &Context, (): &()) -> Result<Check<String>, StepError> {
        let mine = |id: &String| id.starts_with(self.name);
        Ok(self.world.names().into_iter().find(mine).map_or(Check::Missing, Check::Ready))
    }
    async fn apply(&self, _: &Context, (): &()) -> Result<String, StepError> {
        self.world.put(self.id);
        self.world.call(format!("make {}", self.id));
        if self.answers { Ok(self.id.to_owned()) } else { pending().await }
    }
    async fn undo(&self, _: &Context, id: String) -> Result<Undone, StepError> {
        self.world.call(format!("delete {id}"));
        Ok(if self.world.remove(&id) { Undone::Deleted } else { Undone::AlreadyGone })
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_killed_run_made_anew_goes_though_only_the_older_id_is_remembered() {
    let (desk, world) = (Desk::new(), World::default());
    desk.up(&numbered(&world, "lake", "lake-1", true)).await;
    world.remove("lake-1");
    let second = numbered(&world, "lake", "lake-2", false);
    desk.up_killed_at(&second, &world, "make lake-2").await;
    assert_eq!(desk.memory().past("lake").unwrap().output, Some(json!("lake-1")));
    let report = desk.down(&second).await.report;
    assert_eq!(report.outcome, Outcome::Ready);
    assert!(world.is_empty(), "{:?}", world.names());
    assert_eq!(report.undone, [("lake".to_owned(), Undone::Deleted)]);
    assert!(!desk.memory().past("lake").unwrap().ours);
}

#[tokio::test(start_paused = true)]
async fn what_was_only_found_stays_though_we_began_to_make_our_own_under_another_name() {
    let (desk, world) = (Desk::new(), World::default());
    world.put("theirs-1");
    desk.up(&numbered(&world, "theirs", "theirs-2", true)).await;
    let ours = numbered(&world, "ours", "ours-1", false);
    desk.up_killed_at(&ours, &world, "make ours-1").await;
    let past = desk.memory().past("lake").unwrap().clone();
    assert_eq!((past.ours, past.output), (true, Some(json!("theirs-1"))));
    assert_eq!(past.named, Some(json!({ "name": "ours" })), "from the first write on");
    assert_eq!(desk.down(&ours).await.report.outcome, Outcome::Ready);
    assert_eq!(world.names(), ["theirs-1"]);
    assert_eq!(world.count("delete theirs-1"), 0);
}

#[tokio::test(start_paused = true)]
async fn what_is_made_after_a_taking_down_is_known_by_its_own_names() {
    let (desk, world) = (Desk::new(), World::default());
    desk.up(&numbered(&world, "lake", "lake-1", true)).await;
    desk.down(&numbered(&world, "lake", "lake-1", true)).await;
    let other = numbered(&world, "pond", "pond-1", false);
    desk.up_killed_at(&other, &world, "make pond-1").await;
    let past = desk.memory().past("lake").unwrap().clone();
    assert_eq!((past.output, past.named), (None, Some(json!({ "name": "pond" }))));
    desk.down(&other).await;
    assert!(world.is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_this_graph_has_no_step_for_is_told_and_not_forgotten() {
    let (desk, world) = (Desk::new(), World::default());
    let mut before = Graph::new();
    root(&mut before, &world, "mill");
    root(&mut before, &world, "lake");
    world.put("road");
    root(&mut before, &world, "road");
    desk.up(&before).await;
    let mut after = Graph::new();
    root(&mut after, &world, "lake");
    for _ in 0..2 {
        let report = desk.down(&after).await.report;
        let [left] = &report.left_behind[..] else { panic!("{:?}", report.left_behind) };
        assert_eq!((left.step.as_str(), &left.output), ("mill", &Some(json!("mill"))));
        assert_eq!(world.names(), ["mill", "road"]);
        assert!(desk.memory().past("mill").unwrap().ours, "whoever has the step can take it away");
    }
    assert!(desk.down(&before).await.report.left_behind.is_empty());
    assert_eq!(world.names(), ["road"]);
}
