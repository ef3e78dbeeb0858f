//! The cluster: attached to, repaired, changed in place, refused.

use crate::{fixture::Fixture, waits};
use landfall_engine::{How, Kind, Outcome, StepStatus, UndoOutcome};
use landfall_sim::{Options, Speed, arm::clusters};
use landfall_steps::identity_mode::IdentityMode;
use serde_json::{Value, json};

/// Creates a foreign network, so that a test can create a cluster in it.
pub async fn network(fixture: &Fixture) -> String {
    fixture.create_group("eastus").await;
    let network = json!({
        "location": "eastus",
        "properties": {
            "addressSpace": { "addressPrefixes": ["10.0.0.0/16"] },
            "subnets": [
                { "name": "snet-aks", "properties": { "addressPrefix": "10.0.0.0/22" } },
                { "name": "snet-other", "properties": { "addressPrefix": "10.0.4.0/22" } },
            ],
        },
    });
    fixture.put(&fixture.network_id(), network).await;
    format!("{}/subnets/snet-aks", fixture.network_id())
}

/// Returns the body of a foreign cluster.
pub fn body(subnet: &str, gateways: bool) -> Value {
    let mut body = json!({
        "location": "eastus",
        "tags": { "Team": "other" },
        "sku": { "name": "Base", "tier": "Standard" },
        "identity": { "type": "SystemAssigned" },
        "properties": {
            "dnsPrefix": "theirs",
            "nodeResourceGroup": "rg-demo-nodes",
            "agentPoolProfiles": [{
                "name": "theirs", "mode": "System", "type": "VirtualMachineScaleSets", "osType": "Linux",
                "vmSize": "Standard_D4s_v5", "vnetSubnetID": subnet, "count": 2,
            }],
            "networkProfile": {
                "networkPlugin": "azure", "serviceCidr": "10.1.0.0/16", "dnsServiceIP": "10.1.0.10",
            },
        },
    });
    if gateways {
        body["properties"]["ingressProfile"] = json!({
            "gatewayAPI": { "installation": "Standard" },
            "webAppRouting": { "gatewayAPIImplementations": { "appRoutingIstio": { "mode": "Enabled" } } },
        });
        body["properties"]["addonProfiles"] = json!({ "azureKeyvaultSecretsProvider": {
            "enabled": true, "config": { "enableSecretRotation": "true", "rotationPollInterval": "2m" },
        } });
    }
    body
}

/// Returns the PUTs of the cluster itself, with their statuses.
fn puts(fixture: &Fixture, mark: usize) -> Vec<String> {
    let all = fixture.writes_at(mark, "managedClusters/aks-demo").into_iter();
    all.filter(|line| line.starts_with("PUT") && line.ends_with("/aks-demo")).collect()
}

#[tokio::test]
async fn a_foreign_cluster_in_creation_is_waited_for_and_stays_foreign() {
    let mut fixture = Fixture::at_speed(300.0).await;
    fixture.settings.identity = Some(IdentityMode::AddOn);
    let subnet = network(&fixture).await;
    fixture.begin(&fixture.cluster_id(), body(&subnet, true)).await;
    assert_eq!(fixture.get(&fixture.cluster_id()).await["properties"]["provisioningState"], "Creating");
    let mark = fixture.mark();
    let result = fixture.up_ready().await;
    assert_eq!(result.how("cluster"), Some(How::Found));
    assert!(
        result.notes("cluster-ready").iter().any(|note| note.contains("Creating")),
        "{:?}",
        result.events
    );
    assert_eq!(puts(&fixture, mark), [""; 0]);
    let mark = fixture.mark();
    let result = fixture.down_ready().await;
    assert_eq!(result.undone("cluster"), None);
    assert_eq!(result.undone("apps"), Some(&UndoOutcome::Deleted));
    let owned = |line: &&String| line.contains("managedClusters") && !line.contains("/subnets/");
    assert_eq!(fixture.writes(mark).iter().filter(owned).count(), 0);
    assert_eq!(fixture.get(&fixture.cluster_id()).await["properties"]["provisioningState"], "Succeeded");
}

#[tokio::test]
async fn a_cluster_in_creation_without_gateways_is_waited_for_and_updated() {
    let fixture = Fixture::at_speed(600.0).await;
    let subnet = network(&fixture).await;
    fixture.begin(&fixture.cluster_id(), body(&subnet, false)).await;
    let mark = fixture.mark();
    let result = fixture.up_ready().await;
    assert_eq!(result.how("cluster"), Some(How::Found));
    assert_eq!(puts(&fixture, mark).len(), 1, "{:?}", puts(&fixture, mark));
}

#[tokio::test]
async fn a_failed_cluster_is_repaired_by_one_put_that_keeps_unknown_fields() {
    let fixture = Fixture::at_speed(200.0).await;
    let subnet = network(&fixture).await;
    let mut requested = body(&subnet, true);
    requested["properties"]["securityProfile"] =
        json!({ "imageCleaner": { "enabled": true, "intervalHours": 48 } });
    fixture.begin(&fixture.cluster_id(), requested).await;
    let id = fixture.cluster_id();
    let fail = |code| {
        fixture.sim.change(|state, now| clusters::fail(state, &id, code, "no machines left", now)).unwrap()
    };
    assert!(fail("AllocationFailed"));
    let mark = fixture.mark();
    let result = fixture.up_ready().await;
    assert_eq!(result.how("cluster"), Some(How::Changed));
    assert!(result.notes("cluster").iter().any(|note| note.contains("no machines left")));
    assert_eq!(puts(&fixture, mark).len(), 1, "{:?}", puts(&fixture, mark));
    let cluster = fixture.get(&id).await;
    assert_eq!(cluster["properties"]["securityProfile"]["imageCleaner"]["intervalHours"], 48);
    assert_eq!(cluster["tags"], json!({ "Team": "other" }));
}

#[tokio::test]
async fn an_owned_failed_cluster_is_reported_and_repaired_by_the_next_run() {
    let fixture = Fixture::at_speed(100.0).await;
    let id = fixture.cluster_id();
    let failing = async {
        loop {
            let message = "no machines left";
            if fixture.sim.change(|w, now| clusters::fail(w, &id, "AllocationFailed", message, now)).unwrap()
            {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    let (result, ()) = tokio::join!(fixture.up(), failing);
    assert_eq!(result.report.outcome, Outcome::Failed);
    let error = result.error("cluster-ready");
    assert!(error.causes.iter().any(|cause| cause.contains("no machines left")), "{error:?}");
    let mark = fixture.mark();
    let result = fixture.up_ready().await;
    assert_eq!(result.how("cluster"), Some(How::Changed));
    assert_eq!(puts(&fixture, mark).len(), 1);
    assert_eq!(fixture.down_ready().await.undone("cluster"), Some(&UndoOutcome::Deleted));
}

#[tokio::test]
async fn a_cluster_without_the_gateway_profile_is_updated_in_place() {
    let fixture = Fixture::instant().await;
    let subnet = network(&fixture).await;
    fixture.put(&fixture.cluster_id(), body(&subnet, false)).await;
    let mark = fixture.mark();
    let result = fixture.up_ready().await;
    assert_eq!(result.how("cluster"), Some(How::Changed));
    assert!(result.notes("cluster").iter().any(|note| note.contains("gatewayAPI")));
    assert_eq!(puts(&fixture, mark).len(), 1);
    let cluster = fixture.get(&fixture.cluster_id()).await;
    assert_eq!(cluster["properties"]["dnsPrefix"], "theirs");
    assert_eq!(fixture.up_ready().await.counts(), (19, 0, 0));
    assert_eq!(fixture.down_ready().await.undone("cluster"), None);
}

#[tokio::test]
async fn a_cluster_whose_nodes_are_in_another_subnet_is_refused() {
    let fixture = Fixture::instant().await;
    let subnet = network(&fixture).await.replace("snet-aks", "snet-other");
    fixture.put(&fixture.cluster_id(), body(&subnet, true)).await;
    let mark = fixture.mark();
    let result = fixture.up().await;
    assert_eq!(result.error("cluster").kind, Kind::Foreign);
    assert!(result.error("cluster").causes[0].contains("snet-other"));
    assert_eq!(puts(&fixture, mark), [""; 0]);
    fixture.down_ready().await;
    assert_ne!(fixture.get(&fixture.cluster_id()).await, Value::Null);
}

#[tokio::test]
async fn an_add_on_without_its_identity_is_requested_again() {
    let fixture = Fixture::instant().await;
    fixture.sim.change(|state, _| state.clusters.withhold_identity()).unwrap();
    let result = fixture.up_ready().await;
    assert_eq!(result.how("cluster"), Some(How::Created));
    let puts = puts(&fixture, 0);
    let puts: Vec<_> = puts.iter().map(|line| &line[..7]).collect();
    assert_eq!(puts, ["PUT 201", "PUT 200"]);
    assert_eq!(fixture.up_ready().await.counts(), (19, 0, 0));
}

#[tokio::test]
async fn a_cluster_whose_put_response_was_lost_is_owned() {
    let faults = vec!["reset-after@PUT managedClusters/aks-demo".to_owned()];
    let fixture = Fixture::with(Options { speed: Speed::Instant, faults, ..Options::default() }).await;
    let result = fixture.up_ready().await;
    assert_eq!(result.how("cluster"), Some(How::Created));
    assert!(
        result.notes("cluster").iter().any(|note| note.contains("earlier attempt")),
        "{:?}",
        result.notes("cluster")
    );
    assert!(fixture.journal_state().step_state("cluster").unwrap().owned);
    assert_eq!(fixture.down_ready().await.undone("cluster"), Some(&UndoOutcome::Deleted));
    assert_eq!(fixture.get(&fixture.cluster_id()).await, Value::Null);
    assert_eq!(
        fixture.journal_state().step_state("cluster").map(|step_state| step_state.state).unwrap_or_default(),
        StepStatus::NotStarted
    );
}

#[tokio::test]
async fn an_aborted_cluster_is_repaired_by_one_put() {
    let fixture = Fixture::at_speed(200.0).await;
    let subnet = network(&fixture).await;
    fixture.begin(&fixture.cluster_id(), body(&subnet, true)).await;
    let abort = format!("{}/abort", fixture.cluster_id());
    fixture.clients.azure.arm().post(&abort, landfall_cloud::arm::cluster::API, None).await.unwrap();
    assert_eq!(fixture.get(&fixture.cluster_id()).await["properties"]["provisioningState"], "Canceled");
    let mark = fixture.mark();
    let result = fixture.up_ready().await;
    assert_eq!(result.how("cluster"), Some(How::Changed));
    assert_eq!(puts(&fixture, mark).len(), 1, "{:?}", puts(&fixture, mark));
}

#[tokio::test]
async fn a_lost_response_to_the_repairing_put_is_checked_and_not_retried() {
    let fixture = Fixture::instant().await;
    let subnet = network(&fixture).await;
    fixture.put(&fixture.cluster_id(), body(&subnet, false)).await;
    let mark = fixture.mark();
    waits::arm(&fixture, "reset-after@PUT managedClusters/aks-demo");
    let result = fixture.up_ready().await;
    assert_eq!(result.how("cluster"), Some(How::Changed));
    let puts: Vec<_> =
        puts(&fixture, mark).iter().map(|line| line.split(' ').nth(1).unwrap().to_owned()).collect();
    assert_eq!(puts, ["0", "412"], "the first was carried out, the second refused by its etag");
}

#[tokio::test]
async fn an_owned_failed_cluster_is_recreated_on_request_unless_it_has_foreign_objects() {
    let mut fixture = Fixture::at_speed(300.0).await;
    fixture.up_ready().await;
    let id = fixture.cluster_id();
    let before = fixture.get(&id).await["properties"]["resourceUID"].clone();
    let fail =
        || fixture.sim.change(|w, now| clusters::fail(w, &id, "AllocationFailed", "gone", now)).unwrap();
    let kubectl = fixture.kubectl().await;
    let foreign = "/api/v1/namespaces/default/configmaps/theirs";
    let object = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "theirs", "namespace": "default" } });
    kubectl.apply(foreign, &object).await;
    let mut body = fixture.get(&id).await;
    body["tags"]["Owner"] = json!("somebody");
    body["properties"].as_object_mut().unwrap().remove("provisioningState");
    fixture.begin(&id, body).await;
    assert!(fail());
    fixture.settings.cluster.replace = true;
    let mark = fixture.mark();
    let result = fixture.up().await;
    let error = result.error("cluster");
    assert_eq!(error.kind, Kind::Foreign);
    assert!(error.causes[0].contains("ConfigMap default/theirs"), "{error:#?}");
    assert_eq!(fixture.writes_at(mark, "managedClusters/aks-demo"), [""; 0]);
    kubectl.delete(foreign).await;
    let result = fixture.up_ready().await;
    assert!(
        result.notes("cluster").iter().any(|note| note.contains("is recreated")),
        "{:?}",
        result.notes("cluster")
    );
    assert_ne!(fixture.get(&id).await["properties"]["resourceUID"], before);
    assert!(fixture.plan().await.is_empty());
}
