//! A complete environment: a check finds it, and another apply changes nothing.

use crate::bench::Bench;
use landfall_engine::{Check, Context, Kind, Outcome, Step, StepError, Undone};
use landfall_steps::{Wrap, deployment_with};
use serde_json::Value;
use std::time::Duration;

#[tokio::test]
async fn a_second_run_finds_all_of_it_and_writes_nothing() {
    let bench = Bench::instant().await;
    let first = bench.up_ready().await;
    assert!(first.report.created >= 12, "{:?}", first.counts());
    let features = bench.sim.ledger().into_iter().filter(|line| line.path.contains("Microsoft.Features"));
    assert_eq!(features.count(), 0, "no flag is asked for that the service does not ask for");
    let names = bench.memory().past("dns").unwrap().output.clone().unwrap();
    assert_eq!(
        names["records"].as_array().unwrap().len(),
        4,
        "without a zone they are for the person to enter"
    );
    let mark = bench.mark();
    let second = bench.up_ready().await;
    assert_eq!(second.counts(), (17, 0, 0));
    assert_eq!(bench.writes(mark), [""; 0]);
}

#[tokio::test]
async fn a_run_whose_journal_was_lost_finds_all_of_it_and_owns_nothing() {
    let bench = Bench::instant().await;
    bench.up_ready().await;
    std::fs::remove_dir_all(bench.home.path().join("state")).unwrap();
    let mark = bench.mark();
    assert_eq!(bench.up_ready().await.counts(), (17, 0, 0));
    assert!(bench.down_ready().await.report.undone.is_empty());
    assert_eq!(bench.writes(mark), [""; 0]);
}

#[tokio::test]
async fn every_step_is_ready_before_and_after_it_is_made_again() {
    let bench = Bench::instant().await;
    bench.up_ready().await;
    let (before, mark) = (world(&bench), bench.mark());
    let (again, _) = deployment_with(&bench.clouds, &bench.wish, &bench.teardown, &ForcedApply);
    let told = bench.walk(&again, |_| false).await;
    assert_eq!(told.report.outcome, Outcome::Ready, "{:#?}", told.report.errors);
    assert_eq!(told.started().len(), 17);
    let made: Vec<String> = bench.writes(mark).into_iter().filter(|line| line.contains(" 201 ")).collect();
    assert_eq!(made, [""; 0], "nothing is made twice");
    for part in ["managedClusters", "virtualNetworks", "vaults/kv", "dnszones", "/certificates/", "rg-demo?"]
    {
        let puts = bench.writes_at(mark, part);
        let puts: Vec<_> = puts.iter().filter(|line| !line.contains("roleAssignments")).collect();
        assert!(puts.is_empty(), "{puts:#?}");
    }
    assert_eq!(world(&bench), before);
}

/// Returns all lasting state of the simulated cloud, by family; the progress of the clusters' controllers
/// depends on the clock and is left out.
fn world(bench: &Bench) -> Vec<(String, Value)> {
    let mut all = bench.sim.read(|world| serde_json::to_value(world).unwrap());
    for cluster in all["clusters"]["all"].as_object_mut().unwrap().values_mut() {
        for passing in ["seen", "settled", "agenda"] {
            cluster["controllers"].as_object_mut().unwrap().remove(passing);
        }
    }
    let families = ["groups", "roles", "networks", "dns", "vaults", "clusters", "providers"];
    families.iter().map(|family| ((*family).to_owned(), all[family].clone())).collect()
}

/// A step whose apply runs although its resource exists.
struct Again<S>(S);

impl<S: Step> Step for Again<S> {
    type Input = S::Input;
    type Output = S::Output;

    fn title(&self) -> String {
        self.0.title()
    }

    fn deadline(&self) -> Duration {
        self.0.deadline()
    }

    async fn check(&self, _: &Context, _: &S::Input) -> Result<Check<S::Output>, StepError> {
        Ok(Check::Underway)
    }

    async fn apply(&self, cx: &Context, input: &S::Input) -> Result<S::Output, StepError> {
        self.is_ready(cx, input, "before").await?;
        self.0.apply(cx, input).await?;
        self.is_ready(cx, input, "after").await
    }

    async fn undo(&self, _: &Context, _: S::Output) -> Result<Undone, StepError> {
        unreachable!("nobody takes it down")
    }
}

impl<S: Step> Again<S> {
    async fn is_ready(&self, cx: &Context, input: &S::Input, when: &str) -> Result<S::Output, StepError> {
        let wrong =
            |what: &str| StepError::new(Kind::Bug, format!("find {} ready {when}", self.title())).cause(what);
        match self.0.check(cx, input).await? {
            Check::Ready(output) => Ok(output),
            Check::Missing => Err(wrong("missing")),
            Check::Differs { changes } => Err(wrong(&format!("{changes:?}"))),
            Check::Underway => Err(wrong("underway")),
            Check::Broken { why } | Check::Foreign { why } => Err(wrong(&why)),
            Check::Refused { error } => Err(error),
        }
    }
}

/// The adapter for a forced apply of every step.
struct ForcedApply;

impl Wrap for ForcedApply {
    fn wrap<S: Step>(&self, step: S) -> impl Step<Input = S::Input, Output = S::Output> {
        Again(step)
    }
}
