//! The cluster: attached to, repaired, changed in place, refused.

use crate::{bench::Bench, waits};
use landfall_engine::{How, Kind, Outcome, State, Undone};
use landfall_sim::{Options, Speed, arm::clusters};
use serde_json::{Value, json};

/// Creates a foreign network, so that a test can create a cluster in it.
pub async fn network(bench: &Bench) -> String {
    bench.make_group("eastus").await;
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
    bench.put(&bench.network_id(), network).await;
    format!("{}/subnets/snet-aks", bench.network_id())
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
fn puts(bench: &Bench, mark: usize) -> Vec<String> {
    let all = bench.writes_at(mark, "managedClusters/aks-demo").into_iter();
    all.filter(|line| line.starts_with("PUT") && line.ends_with("/aks-demo")).collect()
}

#[tokio::test]
async fn a_cluster_that_somebody_is_making_is_attached_to_and_stays_theirs() {
    let bench = Bench::at_speed(300.0).await;
    let subnet = network(&bench).await;
    bench.begin(&bench.cluster_id(), body(&subnet, true)).await;
    assert_eq!(bench.get(&bench.cluster_id()).await["properties"]["provisioningState"], "Creating");
    let mark = bench.mark();
    let told = bench.up_ready().await;
    assert_eq!(told.how("cluster"), Some(How::Found));
    assert!(told.notes("cluster-ready").iter().any(|note| note.contains("Creating")), "{:?}", told.events);
    assert_eq!(puts(&bench, mark), [""; 0]);
    let mark = bench.mark();
    let told = bench.down_ready().await;
    assert_eq!(told.undone("cluster"), None);
    assert_eq!(told.undone("apps"), Some(&Undone::Deleted));
    let ours = |line: &&String| line.contains("managedClusters") && !line.contains("/subnets/");
    assert_eq!(bench.writes(mark).iter().filter(ours).count(), 0);
    assert_eq!(bench.get(&bench.cluster_id()).await["properties"]["provisioningState"], "Succeeded");
}

#[tokio::test]
async fn a_cluster_being_made_without_gateways_is_waited_for_and_changed() {
    let bench = Bench::at_speed(600.0).await;
    let subnet = network(&bench).await;
    bench.begin(&bench.cluster_id(), body(&subnet, false)).await;
    let mark = bench.mark();
    let told = bench.up_ready().await;
    assert_eq!(told.how("cluster"), Some(How::Found));
    assert_eq!(puts(&bench, mark).len(), 1, "{:?}", puts(&bench, mark));
}

#[tokio::test]
async fn a_failed_cluster_is_mended_by_one_more_put_that_keeps_what_it_does_not_know() {
    let bench = Bench::at_speed(200.0).await;
    let subnet = network(&bench).await;
    let mut asked = body(&subnet, true);
    asked["properties"]["securityProfile"] =
        json!({ "imageCleaner": { "enabled": true, "intervalHours": 48 } });
    bench.begin(&bench.cluster_id(), asked).await;
    let id = bench.cluster_id();
    let fail = |code| {
        bench.sim.change(|world, now| clusters::fail(world, &id, code, "no machines left", now)).unwrap()
    };
    assert!(fail("AllocationFailed"));
    let mark = bench.mark();
    let told = bench.up_ready().await;
    assert_eq!(told.how("cluster"), Some(How::Changed));
    assert!(told.notes("cluster").iter().any(|note| note.contains("no machines left")));
    assert_eq!(puts(&bench, mark).len(), 1, "{:?}", puts(&bench, mark));
    let cluster = bench.get(&id).await;
    assert_eq!(cluster["properties"]["securityProfile"]["imageCleaner"]["intervalHours"], 48);
    assert_eq!(cluster["tags"], json!({ "Team": "other" }));
}

#[tokio::test]
async fn a_cluster_of_ours_that_fails_is_reported_and_mended_by_the_next_run() {
    let bench = Bench::at_speed(100.0).await;
    let id = bench.cluster_id();
    let failing = async {
        loop {
            let message = "no machines left";
            if bench.sim.change(|w, now| clusters::fail(w, &id, "AllocationFailed", message, now)).unwrap() {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    let (told, ()) = tokio::join!(bench.up(), failing);
    assert_eq!(told.report.outcome, Outcome::Failed);
    let error = told.error("cluster-ready");
    assert!(error.causes.iter().any(|cause| cause.contains("no machines left")), "{error:?}");
    let mark = bench.mark();
    let told = bench.up_ready().await;
    assert_eq!(told.how("cluster"), Some(How::Changed));
    assert_eq!(puts(&bench, mark).len(), 1);
    assert_eq!(bench.down_ready().await.undone("cluster"), Some(&Undone::Deleted));
}

#[tokio::test]
async fn a_cluster_without_the_gateway_profile_is_changed_in_place() {
    let bench = Bench::instant().await;
    let subnet = network(&bench).await;
    bench.put(&bench.cluster_id(), body(&subnet, false)).await;
    let mark = bench.mark();
    let told = bench.up_ready().await;
    assert_eq!(told.how("cluster"), Some(How::Changed));
    assert!(told.notes("cluster").iter().any(|note| note.contains("gatewayAPI")));
    assert_eq!(puts(&bench, mark).len(), 1);
    let cluster = bench.get(&bench.cluster_id()).await;
    assert_eq!(cluster["properties"]["dnsPrefix"], "theirs");
    assert_eq!(bench.up_ready().await.counts(), (17, 0, 0));
    assert_eq!(bench.down_ready().await.undone("cluster"), None);
}

#[tokio::test]
async fn a_cluster_whose_nodes_are_in_another_subnet_is_refused() {
    let bench = Bench::instant().await;
    let subnet = network(&bench).await.replace("snet-aks", "snet-other");
    bench.put(&bench.cluster_id(), body(&subnet, true)).await;
    let mark = bench.mark();
    let told = bench.up().await;
    assert_eq!(told.error("cluster").kind, Kind::Foreign);
    assert!(told.error("cluster").causes[0].contains("snet-other"));
    assert_eq!(puts(&bench, mark), [""; 0]);
    bench.down_ready().await;
    assert_ne!(bench.get(&bench.cluster_id()).await, Value::Null);
}

#[tokio::test]
async fn an_add_on_without_its_identity_is_asked_for_once_more() {
    let bench = Bench::instant().await;
    bench.sim.change(|world, _| world.clusters.withhold_identity()).unwrap();
    let told = bench.up_ready().await;
    assert_eq!(told.how("cluster"), Some(How::Created));
    let puts = puts(&bench, 0);
    let puts: Vec<_> = puts.iter().map(|line| &line[..7]).collect();
    assert_eq!(puts, ["PUT 201", "PUT 200"]);
    assert_eq!(bench.up_ready().await.counts(), (17, 0, 0));
}

#[tokio::test]
async fn a_lost_answer_to_the_put_of_the_cluster_is_no_stranger() {
    let faults = vec!["reset-after@PUT managedClusters/aks-demo".to_owned()];
    let bench = Bench::with(Options { speed: Speed::Instant, faults, ..Options::default() }).await;
    let told = bench.up_ready().await;
    assert_eq!(told.how("cluster"), Some(How::Created));
    assert!(
        told.notes("cluster").iter().any(|note| note.contains("earlier attempt")),
        "{:?}",
        told.notes("cluster")
    );
    assert!(bench.memory().past("cluster").unwrap().ours);
    assert_eq!(bench.down_ready().await.undone("cluster"), Some(&Undone::Deleted));
    assert_eq!(bench.get(&bench.cluster_id()).await, Value::Null);
    assert_eq!(bench.memory().past("cluster").map(|past| past.state).unwrap_or_default(), State::Never);
}

#[tokio::test]
async fn an_aborted_cluster_is_mended_by_one_more_put() {
    let bench = Bench::at_speed(200.0).await;
    let subnet = network(&bench).await;
    bench.begin(&bench.cluster_id(), body(&subnet, true)).await;
    let abort = format!("{}/abort", bench.cluster_id());
    bench.clouds.azure.arm().post(&abort, landfall_cloud::arm::cluster::API, None).await.unwrap();
    assert_eq!(bench.get(&bench.cluster_id()).await["properties"]["provisioningState"], "Canceled");
    let mark = bench.mark();
    let told = bench.up_ready().await;
    assert_eq!(told.how("cluster"), Some(How::Changed));
    assert_eq!(puts(&bench, mark).len(), 1, "{:?}", puts(&bench, mark));
}

#[tokio::test]
async fn a_lost_answer_to_the_mending_put_is_looked_at_and_not_repeated() {
    let bench = Bench::instant().await;
    let subnet = network(&bench).await;
    bench.put(&bench.cluster_id(), body(&subnet, false)).await;
    let mark = bench.mark();
    waits::arm(&bench, "reset-after@PUT managedClusters/aks-demo");
    let told = bench.up_ready().await;
    assert_eq!(told.how("cluster"), Some(How::Changed));
    let puts: Vec<_> =
        puts(&bench, mark).iter().map(|line| line.split(' ').nth(1).unwrap().to_owned()).collect();
    assert_eq!(puts, ["0", "412"], "the first was carried out, the second refused by its etag");
}

#[tokio::test]
async fn a_broken_cluster_of_ours_is_made_anew_when_wished_and_nobody_else_works_in_it() {
    let mut bench = Bench::at_speed(300.0).await;
    bench.up_ready().await;
    let id = bench.cluster_id();
    let before = bench.get(&id).await["properties"]["resourceUID"].clone();
    let fail = || bench.sim.change(|w, now| clusters::fail(w, &id, "AllocationFailed", "gone", now)).unwrap();
    let kubectl = bench.kubectl().await;
    let theirs = "/api/v1/namespaces/default/configmaps/theirs";
    let object = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "theirs", "namespace": "default" } });
    kubectl.apply(theirs, &object).await;
    let mut body = bench.get(&id).await;
    body["tags"]["Owner"] = json!("somebody");
    body["properties"].as_object_mut().unwrap().remove("provisioningState");
    bench.begin(&id, body).await;
    assert!(fail());
    bench.wish.cluster.replace = true;
    let mark = bench.mark();
    let told = bench.up().await;
    let error = told.error("cluster");
    assert_eq!(error.kind, Kind::Foreign);
    assert!(error.causes[0].contains("ConfigMap default/theirs"), "{error:#?}");
    assert_eq!(bench.writes_at(mark, "managedClusters/aks-demo"), [""; 0]);
    kubectl.delete(theirs).await;
    let told = bench.up_ready().await;
    assert!(
        told.notes("cluster").iter().any(|note| note.contains("is recreated")),
        "{:?}",
        told.notes("cluster")
    );
    assert_ne!(bench.get(&id).await["properties"]["resourceUID"], before);
    assert!(bench.plan().await.is_empty());
}
