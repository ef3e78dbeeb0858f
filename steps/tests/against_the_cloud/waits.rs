//! Waits during an outage of the cloud: they continue until their own timeout.

use crate::bench::{Bench, Told};
use landfall_engine::{How, Outcome};
use landfall_sim::{Line, Options, Speed, fault::Armed};
use landfall_steps::{deployment, preflight::Concern};
use serde_json::json;

/// More consecutive failures than the retries of one request.
const SILENCE: u32 = 9;
/// So many that several consecutive polls fail, with heartbeats between them.
const LONG_SILENCE: u32 = 24;

/// Arms a fault.
pub fn arm(bench: &Bench, text: &str) {
    bench.sim.change(|world, _| world.faults.armed.push(Armed::read(text).unwrap())).unwrap();
}

/// Waits until the cloud has received this number of requests with this verb and a path that contains this,
/// without case.
async fn seen(bench: &Bench, mark: usize, method: &str, part: &str, times: usize) {
    let part = part.to_ascii_lowercase();
    let fits = |line: &Line| {
        line.method == method && line.status < 400 && line.path.to_ascii_lowercase().contains(&part)
    };
    while bench.sim.ledger().into_iter().skip(mark).filter(|line| fits(line)).count() < times {
        tokio::task::yield_now().await;
    }
}

/// Runs `up`, and lets the polls of a resource fail after this number of requests for it.
async fn up_with_silence(bench: &Bench, after: (&str, &str, usize), place: &str) -> Told {
    up_with_failures(bench, after, place, SILENCE).await
}

async fn up_with_failures(bench: &Bench, after: (&str, &str, usize), place: &str, failures: u32) -> Told {
    let mark = bench.mark();
    let silence = async {
        seen(bench, mark, after.0, after.1, after.2).await;
        arm(bench, &format!("server-error@GET {place}*{failures}"));
    };
    let (told, ()) = tokio::join!(bench.up_ready(), silence);
    told
}

fn says_so(told: &Told, step: &str) {
    let said = told.notes(step).iter().any(|note| note.contains("cannot read the state now"));
    assert!(said, "{:?}", told.notes(step));
}

#[tokio::test]
async fn a_vault_is_waited_for_through_a_silence() {
    let bench = Bench { whole: false, ..Bench::at_speed(60.0).await };
    let vault = "vaults/kv-demo-4711";
    let told = up_with_silence(&bench, ("PUT", vault, 1), vault).await;
    assert_eq!(told.how("key-vault"), Some(How::Created));
    says_so(&told, "key-vault");
}

#[tokio::test]
async fn a_group_that_is_going_away_is_waited_for_through_a_silence() {
    let mut bench = Bench { whole: false, ..Bench::at_speed(60.0).await };
    // Without preflight, the counted polls are the step's own.
    bench.wish.skip_preflight = Concern::ALL.into();
    let id = bench.make_group("westeurope").await;
    let space = json!({ "addressSpace": { "addressPrefixes": ["10.9.0.0/16"] } });
    bench.put(&bench.network_id(), json!({ "location": "westeurope", "properties": space })).await;
    bench.delete(&id).await;
    let told = up_with_silence(&bench, ("GET", "resourcegroups/rg-demo", 2), "resourcegroups/rg-demo").await;
    assert_eq!(told.how("resource-group"), Some(How::Created));
    says_so(&told, "resource-group");
}

#[tokio::test]
async fn providers_are_waited_for_through_a_silence() {
    let unregistered = vec!["Microsoft.ContainerService".to_owned(), "Microsoft.KeyVault".to_owned()];
    let options = Options { speed: Speed::Times(15.0), unregistered, ..Options::default() };
    let bench = Bench { whole: false, ..Bench::with(options).await };
    let listed = format!("{}/providers", bench.clouds.azure.id());
    let told = up_with_failures(&bench, ("POST", "/register", 2), &listed, LONG_SILENCE).await;
    says_so(&told, "features");
}

#[tokio::test]
async fn a_cluster_that_is_deleted_is_waited_for_through_a_silence() {
    let bench = Bench::at_speed(300.0).await;
    bench.up_ready().await;
    let mark = bench.mark();
    let silence = async {
        seen(&bench, mark, "DELETE", "managedClusters/aks-demo", 1).await;
        arm(&bench, &format!("server-error@GET managedclusters/aks-demo*{SILENCE}"));
    };
    tokio::join!(bench.down_ready(), silence);
    assert_eq!(bench.get(&bench.cluster_id()).await, json!(null));
}

#[tokio::test]
async fn the_secret_is_waited_for_while_the_cluster_does_not_answer() {
    let bench = Bench::at_speed(120.0).await;
    let told =
        up_with_silence(&bench, ("PATCH", "secretproviderclasses", 1), "namespaces/default/secrets").await;
    assert_eq!(told.how("tls-secret"), Some(How::Created));
}

#[tokio::test]
async fn a_provider_whose_registration_is_late_delays_what_needs_it() {
    let unregistered = vec!["Microsoft.Network".to_owned()];
    let bench = Bench::with(Options { speed: Speed::Times(60.0), unregistered, ..Options::default() }).await;
    let (mut graph, _) = deployment(&bench.clouds, &bench.wish, &bench.teardown);
    graph.only(&["resource-group", "network"]);
    // The registration arrives only after the service has refused the write without it.
    let register = async {
        let refused = |line: &Line| line.status == 409 && line.path.ends_with("/vnet-demo");
        while !bench.sim.ledger().iter().any(refused) {
            tokio::task::yield_now().await;
        }
        bench.clouds.azure.register_provider("Microsoft.Network").await.unwrap();
    };
    let (told, _) = tokio::join!(bench.walk(&graph, |_| false), register);
    assert_eq!(told.report.outcome, Outcome::Ready, "{:#?}", told.report.errors);
    assert_eq!(told.how("network"), Some(How::Created));
    assert!(
        told.notes("network").iter().any(|note| note.contains("registration")),
        "{:?}",
        told.notes("network")
    );
}
