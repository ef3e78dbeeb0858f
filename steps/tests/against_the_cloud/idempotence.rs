//! A complete environment: a check finds it, and another apply changes nothing.

use crate::fixture::Fixture;
use landfall_engine::{Check, Context, Kind, Outcome, Step, StepError, UndoOutcome};
use landfall_steps::{Wrap, deployment_with};
use serde_json::Value;
use std::time::Duration;

#[tokio::test]
async fn a_second_run_finds_everything_in_sync_and_writes_nothing() {
    let fixture = Fixture::instant().await;
    let first = fixture.up_ready().await;
    assert!(first.report.created >= 12, "{:?}", first.counts());
    let features =
        fixture.sim.request_log().into_iter().filter(|line| line.path.contains("Microsoft.Features"));
    assert_eq!(features.count(), 0, "no flag is asked for that the service does not ask for");
    let names = fixture.journal_state().step_state("dns").unwrap().output.clone().unwrap();
    assert_eq!(
        names["records"].as_array().unwrap().len(),
        4,
        "without a zone they are for the person to enter"
    );
    let mark = fixture.mark();
    let second = fixture.up_ready().await;
    assert_eq!(second.counts(), (19, 0, 0));
    assert_eq!(fixture.writes(mark), [""; 0]);
}

#[tokio::test]
async fn a_run_without_its_journal_finds_everything_and_owns_nothing() {
    let fixture = Fixture::instant().await;
    fixture.up_ready().await;
    std::fs::remove_dir_all(fixture.home.path().join("state")).unwrap();
    let mark = fixture.mark();
    assert_eq!(fixture.up_ready().await.counts(), (19, 0, 0));
    assert!(fixture.down_ready().await.report.undone.is_empty());
    assert_eq!(fixture.writes(mark), [""; 0]);
}

#[tokio::test]
async fn every_step_is_in_sync_before_and_after_a_forced_apply() {
    let fixture = Fixture::instant().await;
    fixture.up_ready().await;
    let (before, mark) = (state(&fixture), fixture.mark());
    let (forced_graph, _) =
        deployment_with(&fixture.clients, &fixture.settings, &fixture.teardown, &ForceApply);
    let result = fixture.run_graph(&forced_graph, |_| false).await;
    assert_eq!(result.report.outcome, Outcome::Ready, "{:#?}", result.report.errors);
    assert_eq!(result.started().len(), 19);
    let created: Vec<String> =
        fixture.writes(mark).into_iter().filter(|line| line.contains(" 201 ")).collect();
    assert_eq!(created, [""; 0], "nothing is made twice");
    for part in ["managedClusters", "virtualNetworks", "vaults/kv", "dnszones", "/certificates/", "rg-demo?"]
    {
        let puts = fixture.writes_at(mark, part);
        let puts: Vec<_> = puts.iter().filter(|line| !line.contains("roleAssignments")).collect();
        assert!(puts.is_empty(), "{puts:#?}");
    }
    assert_eq!(state(&fixture), before);
}

/// Returns all lasting state of the simulated cloud, by family; the progress of the clusters' controllers
/// depends on the clock and is left out.
fn state(fixture: &Fixture) -> Vec<(String, Value)> {
    let mut all = fixture.sim.read(|state| serde_json::to_value(state).unwrap());
    for cluster in all["clusters"]["all"].as_object_mut().unwrap().values_mut() {
        for transient in ["seen", "settled", "agenda"] {
            cluster["controllers"].as_object_mut().unwrap().remove(transient);
        }
    }
    let families = ["groups", "roles", "tracked", "dns", "vaults", "clusters", "providers"];
    families.iter().map(|family| ((*family).to_owned(), all[family].clone())).collect()
}

/// A step whose apply runs although its resource exists.
struct ForcedApply<S>(S);

impl<S: Step> Step for ForcedApply<S> {
    type Input = S::Input;
    type Output = S::Output;

    fn title(&self) -> String {
        self.0.title()
    }

    fn deadline(&self) -> Duration {
        self.0.deadline()
    }

    async fn check(&self, _: &Context, _: &S::Input) -> Result<Check<S::Output>, StepError> {
        Ok(Check::InProgress)
    }

    async fn apply(&self, cx: &Context, input: &S::Input) -> Result<S::Output, StepError> {
        self.assert_in_sync(cx, input, "before").await?;
        self.0.apply(cx, input).await?;
        self.assert_in_sync(cx, input, "after").await
    }

    async fn undo(&self, _: &Context, _: S::Output) -> Result<UndoOutcome, StepError> {
        unreachable!("nobody takes it down")
    }
}

impl<S: Step> ForcedApply<S> {
    async fn assert_in_sync(
        &self,
        cx: &Context,
        input: &S::Input,
        when: &str,
    ) -> Result<S::Output, StepError> {
        let wrong =
            |what: &str| StepError::new(Kind::Bug, format!("find {} ready {when}", self.title())).cause(what);
        match self.0.check(cx, input).await? {
            Check::InSync(output) => Ok(output),
            Check::Missing => Err(wrong("missing")),
            Check::Partial { changes } | Check::Drifted { changes } => Err(wrong(&format!("{changes:?}"))),
            Check::InProgress => Err(wrong("underway")),
            Check::Failed { why } | Check::NotOwned { why } => Err(wrong(&why)),
            Check::Refused { error } => Err(error),
        }
    }
}

/// The adapter for a forced apply of every step.
struct ForceApply;

impl Wrap for ForceApply {
    fn wrap<S: Step>(&self, step: S) -> impl Step<Input = S::Input, Output = S::Output> {
        ForcedApply(step)
    }
}
