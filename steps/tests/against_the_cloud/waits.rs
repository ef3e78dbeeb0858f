//! Waits during an outage of the cloud: they continue until their own timeout.

use crate::fixture::{Fixture, RunResult};
use landfall_engine::{How, Outcome};
use landfall_sim::{Options, RequestRecord, Speed, fault::Armed};
use landfall_steps::{deployment, preflight::PreflightCheckId};
use serde_json::json;

/// More consecutive failures than the retries of one request.
const OUTAGE: u32 = 9;
/// So many that several consecutive polls fail, with heartbeats between them.
const LONG_OUTAGE: u32 = 24;

/// Arms a fault.
pub fn arm(fixture: &Fixture, text: &str) {
    fixture.sim.change(|state, _| state.faults.armed.push(Armed::read(text).unwrap())).unwrap();
}

/// Waits until the cloud has received this number of requests with this verb and a path that contains this,
/// without case.
async fn wait_for_requests(fixture: &Fixture, mark: usize, method: &str, part: &str, times: usize) {
    let part = part.to_ascii_lowercase();
    let fits = |line: &RequestRecord| {
        line.method == method && line.status < 400 && line.path.to_ascii_lowercase().contains(&part)
    };
    while fixture.sim.request_log().into_iter().skip(mark).filter(|line| fits(line)).count() < times {
        tokio::task::yield_now().await;
    }
}

/// Runs `up`, and lets the polls of a resource fail after this number of requests for it.
async fn up_with_outage(fixture: &Fixture, after: (&str, &str, usize), place: &str) -> RunResult {
    up_with_failures(fixture, after, place, OUTAGE).await
}

async fn up_with_failures(
    fixture: &Fixture,
    after: (&str, &str, usize),
    place: &str,
    failures: u32,
) -> RunResult {
    let mark = fixture.mark();
    let outage = async {
        wait_for_requests(fixture, mark, after.0, after.1, after.2).await;
        arm(fixture, &format!("server-error@GET {place}*{failures}"));
    };
    let (result, ()) = tokio::join!(fixture.up_ready(), outage);
    result
}

fn assert_outage_noted(result: &RunResult, step: &str) {
    let noted = result.notes(step).iter().any(|note| note.contains("cannot read the state now"));
    assert!(noted, "{:?}", result.notes(step));
}

#[tokio::test]
async fn waiting_for_a_vault_survives_an_outage() {
    let fixture = Fixture { whole: false, ..Fixture::at_speed(60.0).await };
    let vault = "vaults/kv-demo-4711";
    let result = up_with_outage(&fixture, ("PUT", vault, 1), vault).await;
    assert_eq!(result.how("key-vault"), Some(How::Created));
    assert_outage_noted(&result, "key-vault");
}

#[tokio::test]
async fn waiting_for_a_group_deletion_survives_an_outage() {
    let mut fixture = Fixture { whole: false, ..Fixture::at_speed(60.0).await };
    // Without preflight, the counted polls are the step's own.
    fixture.settings.skip_preflight = PreflightCheckId::ALL.into();
    let id = fixture.create_group("westeurope").await;
    let space = json!({ "addressSpace": { "addressPrefixes": ["10.9.0.0/16"] } });
    fixture.put(&fixture.network_id(), json!({ "location": "westeurope", "properties": space })).await;
    fixture.delete(&id).await;
    let result =
        up_with_outage(&fixture, ("GET", "resourcegroups/rg-demo", 2), "resourcegroups/rg-demo").await;
    assert_eq!(result.how("resource-group"), Some(How::Created));
    assert_outage_noted(&result, "resource-group");
}

#[tokio::test]
async fn waiting_for_providers_survives_an_outage() {
    let unregistered = vec!["Microsoft.ContainerService".to_owned(), "Microsoft.KeyVault".to_owned()];
    let options = Options { speed: Speed::Times(15.0), unregistered, ..Options::default() };
    let fixture = Fixture { whole: false, ..Fixture::with(options).await };
    let listed = format!("{}/providers", fixture.clients.azure.id());
    let result = up_with_failures(&fixture, ("POST", "/register", 2), &listed, LONG_OUTAGE).await;
    assert_outage_noted(&result, "features");
}

#[tokio::test]
async fn waiting_for_a_cluster_deletion_survives_an_outage() {
    let fixture = Fixture::at_speed(300.0).await;
    fixture.up_ready().await;
    let mark = fixture.mark();
    let outage = async {
        wait_for_requests(&fixture, mark, "DELETE", "managedClusters/aks-demo", 1).await;
        arm(&fixture, &format!("server-error@GET managedclusters/aks-demo*{OUTAGE}"));
    };
    tokio::join!(fixture.down_ready(), outage);
    assert_eq!(fixture.get(&fixture.cluster_id()).await, json!(null));
}

#[tokio::test]
async fn waiting_for_the_secret_survives_an_unreachable_cluster() {
    let fixture = Fixture::at_speed(120.0).await;
    let result =
        up_with_outage(&fixture, ("PATCH", "secretproviderclasses", 1), "namespaces/default/secrets").await;
    assert_eq!(result.how("tls-secret"), Some(How::Created));
}

#[tokio::test]
async fn a_late_provider_registration_delays_its_dependants() {
    let unregistered = vec!["Microsoft.Network".to_owned()];
    let fixture =
        Fixture::with(Options { speed: Speed::Times(60.0), unregistered, ..Options::default() }).await;
    let (mut graph, _) = deployment(&fixture.clients, &fixture.settings, &fixture.teardown);
    graph.only(&["resource-group", "network"]);
    // The registration arrives only after the service has refused the write without it.
    let register = async {
        let refused = |line: &RequestRecord| line.status == 409 && line.path.ends_with("/vnet-demo");
        while !fixture.sim.request_log().iter().any(refused) {
            tokio::task::yield_now().await;
        }
        fixture.clients.azure.register_provider("Microsoft.Network").await.unwrap();
    };
    let (result, _) = tokio::join!(fixture.run_graph(&graph, |_| false), register);
    assert_eq!(result.report.outcome, Outcome::Ready, "{:#?}", result.report.errors);
    assert_eq!(result.how("network"), Some(How::Created));
    assert!(
        result.notes("network").iter().any(|note| note.contains("registration")),
        "{:?}",
        result.notes("network")
    );
}
