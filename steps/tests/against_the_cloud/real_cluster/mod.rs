//! The Kubernetes steps against a real API server, with the simulated Azure around it.
//!
//! `LANDFALL_TEST_KUBECONFIG` names a kubeconfig with an embedded credential (no plugin) and all permissions.
//! An API server alone is sufficient, because no pod has to run: [`fake_controllers::FakeControllers`] replaces the controllers of
//! AKS. It deletes everything that it installed; kinds that existed before stay. Without the variable the
//! tests do nothing.

mod definitions;
mod fake_controllers;

use crate::{fixture::Fixture, settings};
use fake_controllers::FakeControllers;
use futures::FutureExt;
use landfall_engine::Outcome;
use landfall_sim::{Options, Speed};
use std::panic::{AssertUnwindSafe, resume_unwind};

/// The simulated Azure must not be faster than a real API server, whose responses take real time.
const SPEED: f64 = 20.0;

#[tokio::test]
async fn every_kubernetes_step_works_against_another_api_server() {
    let Ok(file) = std::env::var("LANDFALL_TEST_KUBECONFIG") else {
        println!("skipped: LANDFALL_TEST_KUBECONFIG names no kubeconfig");
        return;
    };
    let kubeconfig = std::fs::read_to_string(file).unwrap();
    let other_server = Some(kubeconfig.clone());
    let options = Options { speed: Speed::Times(SPEED), kubeconfig: other_server, ..Options::default() };
    let fixture = Fixture::with(options).await;
    let fake_controllers = FakeControllers::new(&kubeconfig).await;
    let installed = fake_controllers.install().await;
    let controllers_task = tokio::spawn(fake_controllers.clone().run(settings::pfx("rsa.pfx")));
    let ended = AssertUnwindSafe(run_steps(&fixture, &fake_controllers)).catch_unwind().await;
    controllers_task.abort();
    // The leftovers of a failed run are deleted as well.
    fake_controllers.remove(&installed).await;
    if let Err(panic) = ended {
        resume_unwind(panic);
    }
}

async fn run_steps(fixture: &Fixture, fake_controllers: &FakeControllers) {
    let first = fixture.up_ready().await;
    assert!(first.report.created > 0, "{:#?}", first.report);
    let owned = fake_controllers.owned().await;
    assert!(owned.iter().any(|object| object.starts_with("Gateway ")), "{owned:?}");

    let again = fixture.up_ready().await;
    assert_eq!((again.report.created, again.report.changed), (0, 0), "a second run finds everything");

    fake_controllers.delete("echo-v2").await;
    let restored = fixture.up().await;
    assert_eq!(restored.report.outcome, Outcome::Ready, "{:#?}", restored.report.errors);
    assert_eq!(
        fake_controllers.owned().await,
        owned,
        "what somebody deleted is back, and nothing else is new"
    );

    fixture.down_ready().await;
    assert_eq!(fake_controllers.owned().await, Vec::<String>::new(), "nothing of ours is left");
}
