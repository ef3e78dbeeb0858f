//! Drift: changed out of band, found by a plan, and corrected by the next run, with no other change.

use crate::{fixture::Fixture, settings};
use landfall_engine::{Action, Change};
use serde_json::{Value, json};

const ROUTE: &str = "/apis/gateway.networking.k8s.io/v1/namespaces/default/httproutes/echo-canary";
const CLASS: &str =
    "/apis/secrets-store.csi.x-k8s.io/v1/namespaces/default/secretproviderclasses/gateway-tls-cert-spc";

/// The plan must contain changes of only this step, with these fields. The next run must write to these paths
/// only, and leave nothing to do. Returns the planned changes.
async fn assert_drift_corrected(
    fixture: &Fixture,
    step: &str,
    action: Action,
    fields: &[&str],
    writes: &[&str],
) -> Vec<Change> {
    let before = fixture.mark();
    let plan = fixture.plan().await;
    assert_eq!(fixture.writes(before), [""; 0], "a plan changes nothing");
    let open: Vec<_> = plan.steps.iter().filter(|planned| planned.action != Action::Ok).collect();
    assert_eq!(open.iter().map(|planned| planned.step).collect::<Vec<_>>(), [step], "{open:#?}");
    assert_eq!(open[0].action, action, "{open:#?}");
    let result: Vec<&str> = open[0].changes.iter().map(|change| change.field.as_str()).collect();
    let wanted = |field: &&str| result.iter().any(|result| result.contains(*field));
    assert!(fields.iter().all(wanted) && result.len() == fields.len(), "{result:?}");
    let mark = fixture.mark();
    let result = fixture.up_ready().await;
    assert_eq!(result.report.created + result.report.changed, 1, "{:?}", result.started());
    let lines = fixture.writes(mark);
    let unexpected: Vec<_> =
        lines.iter().filter(|line| !writes.iter().any(|place| line.contains(place))).collect();
    assert!(unexpected.is_empty() && !lines.is_empty(), "{lines:#?}");
    assert!(fixture.plan().await.is_empty(), "nothing is left to do");
    open[0].changes.clone()
}

/// Reads a resource, changes it and writes it back, as another user does in the portal.
async fn edit(fixture: &Fixture, id: &str, change: impl FnOnce(&mut Value)) {
    let mut body = fixture.get(id).await;
    change(&mut body);
    for read_only in ["provisioningState", "powerState"] {
        body["properties"].as_object_mut().map(|properties| properties.remove(read_only));
    }
    fixture.put(id, body).await;
}

#[tokio::test]
async fn tags_of_every_owned_resource() {
    let fixture = Fixture::instant().await;
    fixture.up_ready().await;
    let group = fixture.path(&format!("/resourceGroups/{}", settings::GROUP));
    let things = [
        ("resource-group", group, "resourcegroups/rg-demo"),
        ("network", fixture.network_id(), "virtualNetworks/vnet-demo"),
        ("key-vault", fixture.vault_id(), "vaults/"),
        ("cluster", fixture.cluster_id(), "managedClusters/aks-demo"),
    ];
    for (step, id, place) in things {
        edit(&fixture, &id, |body| {
            body["tags"]["Environment"] = json!("Production");
            body["tags"]["CostCentre"] = json!("42");
        })
        .await;
        let changes =
            assert_drift_corrected(&fixture, step, Action::Change, &["tags.Environment"], &[place]).await;
        assert_eq!((&changes[0].is, &changes[0].wanted), (&json!("Production"), &json!("Demo")));
        assert_eq!(fixture.get(&id).await["tags"]["CostCentre"], "42", "what others add stays");
    }
}

/// Clusters of earlier versions have no ownership tag. They get it with the next change, which is no reason for one.
#[tokio::test]
async fn a_cluster_without_the_ownership_tag_gets_it_with_its_next_change() {
    let fixture = Fixture::instant().await;
    fixture.up_ready().await;
    let id = fixture.cluster_id();
    let mark = fixture.get(&id).await["tags"]["landfall"].clone();
    assert!(mark.as_str().is_some_and(|mark| mark.contains(settings::GROUP)), "{mark}");
    assert_eq!(fixture.get(&fixture.network_id()).await["tags"]["landfall"], mark);
    edit(&fixture, &id, |body| drop(body["tags"].as_object_mut().unwrap().remove("landfall"))).await;
    assert_eq!(fixture.get(&id).await["tags"].get("landfall"), None);
    assert!(fixture.plan().await.is_empty(), "{:#?}", fixture.plan().await);
    let before = fixture.mark();
    fixture.up_ready().await;
    assert_eq!(fixture.writes_at(before, "managedClusters/aks-demo"), [""; 0]);
    edit(&fixture, &id, |body| body["tags"]["Environment"] = json!("Production")).await;
    let place = ["managedClusters/aks-demo"];
    assert_drift_corrected(&fixture, "cluster", Action::Change, &["tags.Environment"], &place).await;
    assert_eq!(fixture.get(&id).await["tags"]["landfall"], mark);
}

#[tokio::test]
async fn the_address_space_of_an_owned_network_grows_in_place_and_keeps_foreign_changes() {
    let mut fixture = Fixture::instant().await;
    fixture.up_ready().await;
    edit(&fixture, &fixture.network_id(), |body| {
        body["properties"]["dhcpOptions"] = json!({ "dnsServers": ["10.0.0.53"] });
        let foreign = json!({ "name": "snet-theirs", "properties": { "addressPrefix": "10.0.100.0/24" } });
        body["properties"]["subnets"].as_array_mut().unwrap().push(foreign);
    })
    .await;
    assert!(fixture.plan().await.is_empty(), "what others add is no drift");
    fixture.settings.network.address_space = "10.0.0.0/15".parse().unwrap();
    let place = ["virtualNetworks/vnet-demo"];
    assert_drift_corrected(&fixture, "network", Action::Change, &["addressSpace.addressPrefixes"], &place)
        .await;
    let network = fixture.get(&fixture.network_id()).await;
    assert_eq!(network["properties"]["addressSpace"]["addressPrefixes"], json!(["10.0.0.0/15"]));
    assert_eq!(network["properties"]["dhcpOptions"]["dnsServers"], json!(["10.0.0.53"]));
    assert_eq!(network["properties"]["subnets"].as_array().unwrap().len(), 2, "{network}");
}

#[tokio::test]
async fn a_disabled_add_on() {
    let fixture = Fixture::instant().await;
    fixture.up_ready().await;
    edit(&fixture, &fixture.cluster_id(), |body| {
        let config = &mut body["properties"]["addonProfiles"]["azureKeyvaultSecretsProvider"]["config"];
        config["enableSecretRotation"] = json!("false");
    })
    .await;
    let fields = ["addonProfiles.azureKeyvaultSecretsProvider.config.enableSecretRotation"];
    assert_drift_corrected(&fixture, "cluster", Action::Change, &fields, &["managedClusters/aks-demo"]).await;
}

#[tokio::test]
async fn a_disabled_gateway_profile_and_add_on_are_restored_with_their_dependants() {
    let fixture = Fixture::instant().await;
    fixture.up_ready().await;
    let kubectl = fixture.kubectl().await;
    kubectl.delete(CLASS).await;
    edit(&fixture, &fixture.cluster_id(), |body| {
        let profile = &mut body["properties"]["ingressProfile"]["webAppRouting"];
        profile["gatewayAPIImplementations"]["appRoutingIstio"]["mode"] = json!("Disabled");
        body["properties"]["addonProfiles"]["azureKeyvaultSecretsProvider"]["enabled"] = json!(false);
    })
    .await;
    let plan = fixture.plan().await;
    let cluster = plan.steps.iter().find(|planned| planned.step == "cluster").unwrap();
    let fields: Vec<&str> = cluster.changes.iter().map(|change| change.field.as_str()).collect();
    assert_eq!(cluster.action, Action::Change);
    assert!(fields.contains(&"addonProfiles.azureKeyvaultSecretsProvider.enabled"), "{fields:?}");
    assert!(fields.iter().any(|field| field.ends_with("appRoutingIstio.mode")), "{fields:?}");
    let mark = fixture.mark();
    fixture.up_ready().await;
    let puts = fixture.writes_at(mark, "managedClusters/aks-demo");
    assert_eq!(puts.iter().filter(|line| line.ends_with("/aks-demo")).count(), 1, "{puts:?}");
    assert!(fixture.plan().await.is_empty(), "{:#?}", fixture.plan().await);
}

#[tokio::test]
async fn the_limits_of_the_autoscaler() {
    let mut fixture = Fixture::instant().await;
    fixture.up_ready().await;
    let (pool, place) = ("agentPoolProfiles.nodepool1.", ["managedClusters/aks-demo"]);
    edit(&fixture, &fixture.cluster_id(), |body| {
        body["properties"]["agentPoolProfiles"][0]["maxCount"] = json!(7);
    })
    .await;
    assert_drift_corrected(&fixture, "cluster", Action::Change, &[&format!("{pool}maxCount")], &place).await;
    edit(&fixture, &fixture.cluster_id(), |body| {
        let pool = body["properties"]["agentPoolProfiles"][0].as_object_mut().unwrap();
        pool.insert("enableAutoScaling".into(), json!(false));
        pool.remove("minCount");
        pool.remove("maxCount");
    })
    .await;
    let fields = ["enableAutoScaling", "minCount", "maxCount"].map(|field| format!("{pool}{field}"));
    let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
    assert_drift_corrected(&fixture, "cluster", Action::Change, &fields, &place).await;
    fixture.settings.cluster.nodes_max = 5;
    assert_drift_corrected(&fixture, "cluster", Action::Change, &[&format!("{pool}maxCount")], &place).await;
}

#[tokio::test]
async fn a_revoked_role_assignment() {
    let fixture = Fixture::instant().await;
    fixture.up_ready().await;
    let scope = fixture.get(&format!("{}/subnets/snet-aks", fixture.network_id())).await["id"].clone();
    let listed = fixture.clients.azure.assignments_at(scope.as_str().unwrap()).await.unwrap();
    let owned = listed.iter().find(|one| one.id.contains("/subnets/")).unwrap();
    fixture.clients.azure.revoke(&owned.id).await.unwrap();
    assert_drift_corrected(&fixture, "subnet-role", Action::Create, &[], &["roleAssignments"]).await;
}

#[tokio::test]
async fn an_edited_secret_provider_class() {
    let fixture = Fixture::instant().await;
    fixture.up_ready().await;
    let kubectl = fixture.kubectl().await;
    let edited = json!({
        "apiVersion": "secrets-store.csi.x-k8s.io/v1", "kind": "SecretProviderClass",
        "metadata": { "name": "gateway-tls-cert-spc", "namespace": "default" },
        "spec": { "parameters": { "keyvaultName": "kv-somebody" } },
    });
    kubectl.apply(CLASS, &edited).await;
    assert_drift_corrected(
        &fixture,
        "tls-secret",
        Action::Change,
        &["keyvaultName", "managedFields"],
        &["secretproviderclasses", "tls-secret-sync"],
    )
    .await;
}

#[tokio::test]
async fn an_edited_route_and_changed_weights() {
    let mut fixture = Fixture::instant().await;
    fixture.up_ready().await;
    let kubectl = fixture.kubectl().await;
    let mut route = kubectl.get(ROUTE).await;
    route["spec"]["hostnames"] = json!(["elsewhere.example.com"]);
    let metadata = json!({ "name": "echo-canary", "namespace": "default" });
    let edited = json!({
        "apiVersion": route["apiVersion"], "kind": "HTTPRoute", "metadata": metadata, "spec": route["spec"],
    });
    kubectl.apply(ROUTE, &edited).await;
    // Every object of the set is applied, and the unchanged ones stay as they are.
    let places = ["/apis/gateway.networking.k8s.io/"];
    assert_drift_corrected(&fixture, "gateways", Action::Change, &["hostnames", "managedFields"], &places)
        .await;
    (fixture.settings.canary.stable, fixture.settings.canary.canary) = (0, 100);
    let changes =
        assert_drift_corrected(&fixture, "gateways", Action::Change, &["weight", "weight"], &places).await;
    assert_eq!(changes[1].wanted, json!(100));
}

#[tokio::test]
async fn a_record_with_another_address() {
    let fixture = Fixture::instant().await;
    let group = fixture.path("/resourceGroups/rg-names");
    fixture.put(&group, json!({ "location": "eastus" })).await;
    let zone = format!("{group}/providers/Microsoft.Network/dnszones/{}", settings::DOMAIN);
    fixture.put(&zone, json!({ "location": "global" })).await;
    fixture.up_ready().await;
    let id = format!("{zone}/A/echo");
    edit(&fixture, &id, |body| body["properties"]["ARecords"] = json!([{ "ipv4Address": "203.0.113.9" }]))
        .await;
    let changes =
        assert_drift_corrected(&fixture, "dns", Action::Change, &["echo.demo.example.com"], &["/A/echo"])
            .await;
    assert_eq!(changes[0].is, json!(["203.0.113.9"]));
}

#[tokio::test]
async fn an_owned_object_that_left_the_manifests_is_pruned() {
    let mut fixture = Fixture::instant().await;
    fixture.settings.manifests = settings::manifests(&format!("{SHOP}---\n{CAFE}"));
    fixture.up_ready().await;
    let kubectl = fixture.kubectl().await;
    let (shop, cafe) =
        ("/api/v1/namespaces/default/configmaps/shop", "/api/v1/namespaces/default/configmaps/cafe");
    fixture.settings.manifests = settings::manifests(SHOP);
    assert_drift_corrected(&fixture, "apps", Action::Change, &["ConfigMap cafe"], &["configmaps"]).await;
    assert_eq!(kubectl.get(cafe).await, Value::Null);
    assert_ne!(kubectl.get(shop).await, Value::Null);
    // An object that another user has created under that name since is foreign.
    fixture.settings.manifests = settings::manifests(&format!("{SHOP}---\n{CAFE}"));
    fixture.up_ready().await;
    kubectl.delete(cafe).await;
    let foreign = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "cafe", "namespace": "default" } });
    kubectl.apply(cafe, &foreign).await;
    fixture.settings.manifests = settings::manifests(SHOP);
    assert!(fixture.plan().await.is_empty());
    fixture.up_ready().await;
    assert_ne!(kubectl.get(cafe).await, Value::Null);
}

const SHOP: &str = "\
apiVersion: v1
kind: ConfigMap
metadata: { name: shop }
data: { host: shop }
";

const CAFE: &str = "\
apiVersion: v1
kind: ConfigMap
metadata: { name: cafe }
data: { host: cafe }
";
