//! A fleet whose environments share one subscription with request limits: one simulated cloud, served for all of them. Other
//! tests use the processors too, so the benchmark `fleet_budget` measures the time.

use crate::environment::TestEnvironment;
use landfall_sim::{Options, RegistrationOptions, Sim, Speed};
use serde_json::{Value, json};
use std::time::Duration;

/// The time scale of the cloud.
const SPEED: f64 = 120.0;

/// Returns an environment with a fleet of that size, and the served cloud of all its environments.
async fn served(size: usize) -> (Sim, TestEnvironment) {
    let env = TestEnvironment::at_speed(&SPEED.to_string()).with("LANDFALL_SIM_ENVIRONMENT", "cloud");
    let environments: String =
        (1..=size).map(|number| format!("[[environment]]\nname = \"shop-{number}\"\n")).collect();
    let defaults = "[defaults]\nresource_group = \"rg-{name}\"\ndomain = \"{name}.example.com\"\ncluster.name = \"aks-{name}\"\n";
    env.write("fleet.toml", format!("{defaults}{environments}"));
    let options = Options {
        speed: Speed::Times(SPEED),
        seed: Some(7_300),
        registration: Some(RegistrationOptions { kubeconfig: env.path().join("kubeconfig") }),
        traffic: true,
        ..Options::default()
    };
    let sim = Sim::open(&env.path().join(".landfall/cloud/sim"), options).await.unwrap();
    (sim, env.without("LANDFALL_SIM_SEED"))
}

/// Returns the time that the buckets of Resource Manager force on their requests, and the admitted and the refused requests.
fn forced(throttling: &Value) -> (Duration, f64, f64) {
    let limits = &throttling["limits"];
    let number = |value: &Value| value.as_f64().unwrap();
    let (mut seconds, mut all, mut refused): (f64, f64, f64) = (0.0, 0.0, 0.0);
    for (name, bucket) in throttling["buckets"].as_object().unwrap() {
        refused += number(&bucket["refused"]);
        all += number(&bucket["admitted"]);
        let rate = match name.split(' ').next() {
            Some("read") => &limits["reads"],
            Some("write") => &limits["writes"],
            Some("delete") => &limits["deletes"],
            _ => continue,
        };
        let admitted = number(&bucket["admitted"]);
        seconds = seconds.max((admitted - number(&rate["size"])) / number(&rate["per_second"]));
    }
    (Duration::from_secs_f64(seconds.max(0.0) / SPEED), all, refused)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fleet_keeps_to_its_request_limits() {
    let (sim, env) = served(4).await;
    let few =
        json!({ "reads": { "size": 40, "per_second": 0.5 }, "writes": { "size": 20, "per_second": 0.1 } });
    sim.change(|state, _| state.throttling.change(few)).unwrap().unwrap();
    let env = tokio::task::spawn_blocking(move || {
        let up = env.expect(0, &["fleet", "up"]);
        assert!(up.stderr.contains("4 ready"), "{}", up.stderr);
        env
    });
    let env = env.await.unwrap();
    let throttling = sim.read(|state| state.throttling.view());
    let (forced, admitted, refused) = forced(&throttling);
    // A busy machine answers late, and so does this cloud; the benchmark, which has the machine alone, allows none.
    assert!(refused * 20.0 < admitted, "{throttling:#}");
    assert!(forced > Duration::from_secs(2), "the limits matter: {forced:?} {throttling:#}");
    tokio::task::spawn_blocking(move || env.expect(0, &["fleet", "down", "--yes"])).await.unwrap();
    assert_eq!(sim.read(|state| state.clusters.running().count()), 0);
    sim.close().await;
}
