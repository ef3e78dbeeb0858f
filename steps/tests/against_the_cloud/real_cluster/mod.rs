//! The Kubernetes steps against a real API server, with the simulated Azure around it.
//!
//! `LANDFALL_TEST_KUBECONFIG` names a kubeconfig with an embedded credential (no plugin) and all permissions.
//! An API server alone is sufficient, because no pod has to run: [`hand::Hand`] replaces the controllers of
//! AKS. It deletes everything that it installed; kinds that existed before stay. Without the variable the
//! tests do nothing.

mod definitions;
mod hand;

use crate::{bench::Bench, settings};
use futures::FutureExt;
use hand::Hand;
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
    let elsewhere = Some(kubeconfig.clone());
    let options = Options { speed: Speed::Times(SPEED), kubeconfig: elsewhere, ..Options::default() };
    let bench = Bench::with(options).await;
    let hand = Hand::new(&kubeconfig).await;
    let installed = hand.install().await;
    let acting = tokio::spawn(hand.clone().act(settings::pfx("rsa.pfx")));
    let ended = AssertUnwindSafe(live(&bench, &hand)).catch_unwind().await;
    acting.abort();
    // The leftovers of a failed run are deleted as well.
    hand.remove(&installed).await;
    if let Err(panic) = ended {
        resume_unwind(panic);
    }
}

async fn live(bench: &Bench, hand: &Hand) {
    let first = bench.up_ready().await;
    assert!(first.report.created > 0, "{:#?}", first.report);
    let ours = hand.ours().await;
    assert!(ours.iter().any(|object| object.starts_with("Gateway ")), "{ours:?}");

    let again = bench.up_ready().await;
    assert_eq!((again.report.created, again.report.changed), (0, 0), "a second run finds everything");

    hand.delete("echo-v2").await;
    let mended = bench.up().await;
    assert_eq!(mended.report.outcome, Outcome::Ready, "{:#?}", mended.report.errors);
    assert_eq!(hand.ours().await, ours, "what somebody deleted is back, and nothing else is new");

    bench.down_ready().await;
    assert_eq!(hand.ours().await, Vec::<String>::new(), "nothing of ours is left");
}
