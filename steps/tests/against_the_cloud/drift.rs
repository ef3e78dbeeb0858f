//! Drift: changed out of band, found by a plan, and corrected by the next run, with no other change.

use crate::{bench::Bench, settings};
use landfall_engine::{Action, Change};
use serde_json::{Value, json};

const ROUTE: &str = "/apis/gateway.networking.k8s.io/v1/namespaces/default/httproutes/echo-canary";
const CLASS: &str =
    "/apis/secrets-store.csi.x-k8s.io/v1/namespaces/default/secretproviderclasses/gateway-tls-cert-spc";

/// The plan must contain changes of only this step, with these fields. The next run must write to these paths
/// only, and leave nothing to do. Returns the planned changes.
async fn mended(bench: &Bench, step: &str, action: Action, fields: &[&str], writes: &[&str]) -> Vec<Change> {
    let before = bench.mark();
    let plan = bench.plan().await;
    assert_eq!(bench.writes(before), [""; 0], "a plan changes nothing");
    let open: Vec<_> = plan.steps.iter().filter(|planned| planned.action != Action::Ok).collect();
    assert_eq!(open.iter().map(|planned| planned.step).collect::<Vec<_>>(), [step], "{open:#?}");
    assert_eq!(open[0].action, action, "{open:#?}");
    let told: Vec<&str> = open[0].changes.iter().map(|change| change.field.as_str()).collect();
    let wanted = |field: &&str| told.iter().any(|told| told.contains(*field));
    assert!(fields.iter().all(wanted) && told.len() == fields.len(), "{told:?}");
    let mark = bench.mark();
    let told = bench.up_ready().await;
    assert_eq!(told.report.created + told.report.changed, 1, "{:?}", told.started());
    let lines = bench.writes(mark);
    let stray: Vec<_> =
        lines.iter().filter(|line| !writes.iter().any(|place| line.contains(place))).collect();
    assert!(stray.is_empty() && !lines.is_empty(), "{lines:#?}");
    assert!(bench.plan().await.is_empty(), "nothing is left to do");
    open[0].changes.clone()
}

/// Reads a resource, changes it and writes it back, as another user does in the portal.
async fn edit(bench: &Bench, id: &str, change: impl FnOnce(&mut Value)) {
    let mut body = bench.get(id).await;
    change(&mut body);
    for read_only in ["provisioningState", "powerState"] {
        body["properties"].as_object_mut().map(|properties| properties.remove(read_only));
    }
    bench.put(id, body).await;
}

#[tokio::test]
async fn tags_of_everything_of_ours() {
    let bench = Bench::instant().await;
    bench.up_ready().await;
    let group = bench.path(&format!("/resourceGroups/{}", settings::GROUP));
    let things = [
        ("resource-group", group, "resourcegroups/rg-demo"),
        ("network", bench.network_id(), "virtualNetworks/vnet-demo"),
        ("key-vault", bench.vault_id(), "vaults/"),
        ("cluster", bench.cluster_id(), "managedClusters/aks-demo"),
    ];
    for (step, id, place) in things {
        edit(&bench, &id, |body| {
            body["tags"]["Environment"] = json!("Production");
            body["tags"]["CostCentre"] = json!("42");
        })
        .await;
        let changes = mended(&bench, step, Action::Change, &["tags.Environment"], &[place]).await;
        assert_eq!((&changes[0].is, &changes[0].wanted), (&json!("Production"), &json!("Demo")));
        assert_eq!(bench.get(&id).await["tags"]["CostCentre"], "42", "what others add stays");
    }
}

#[tokio::test]
async fn the_range_of_a_network_of_ours_grows_in_place_and_keeps_what_others_did_to_it() {
    let mut bench = Bench::instant().await;
    bench.up_ready().await;
    edit(&bench, &bench.network_id(), |body| {
        body["properties"]["dhcpOptions"] = json!({ "dnsServers": ["10.0.0.53"] });
        let theirs = json!({ "name": "snet-theirs", "properties": { "addressPrefix": "10.0.100.0/24" } });
        body["properties"]["subnets"].as_array_mut().unwrap().push(theirs);
    })
    .await;
    assert!(bench.plan().await.is_empty(), "what others add is no drift");
    bench.wish.network.address_space = "10.0.0.0/15".parse().unwrap();
    let place = ["virtualNetworks/vnet-demo"];
    mended(&bench, "network", Action::Change, &["addressSpace.addressPrefixes"], &place).await;
    let network = bench.get(&bench.network_id()).await;
    assert_eq!(network["properties"]["addressSpace"]["addressPrefixes"], json!(["10.0.0.0/15"]));
    assert_eq!(network["properties"]["dhcpOptions"]["dnsServers"], json!(["10.0.0.53"]));
    assert_eq!(network["properties"]["subnets"].as_array().unwrap().len(), 2, "{network}");
}

#[tokio::test]
async fn an_add_on_that_was_switched_off() {
    let bench = Bench::instant().await;
    bench.up_ready().await;
    edit(&bench, &bench.cluster_id(), |body| {
        let config = &mut body["properties"]["addonProfiles"]["azureKeyvaultSecretsProvider"]["config"];
        config["enableSecretRotation"] = json!("false");
    })
    .await;
    let fields = ["addonProfiles.azureKeyvaultSecretsProvider.config.enableSecretRotation"];
    mended(&bench, "cluster", Action::Change, &fields, &["managedClusters/aks-demo"]).await;
}

#[tokio::test]
async fn a_gateway_profile_and_an_add_on_that_are_off_bring_all_that_hangs_on_them_back() {
    let bench = Bench::instant().await;
    bench.up_ready().await;
    let kubectl = bench.kubectl().await;
    kubectl.delete(CLASS).await;
    edit(&bench, &bench.cluster_id(), |body| {
        let profile = &mut body["properties"]["ingressProfile"]["webAppRouting"];
        profile["gatewayAPIImplementations"]["appRoutingIstio"]["mode"] = json!("Disabled");
        body["properties"]["addonProfiles"]["azureKeyvaultSecretsProvider"]["enabled"] = json!(false);
    })
    .await;
    let plan = bench.plan().await;
    let cluster = plan.steps.iter().find(|planned| planned.step == "cluster").unwrap();
    let fields: Vec<&str> = cluster.changes.iter().map(|change| change.field.as_str()).collect();
    assert_eq!(cluster.action, Action::Change);
    assert!(fields.contains(&"addonProfiles.azureKeyvaultSecretsProvider.enabled"), "{fields:?}");
    assert!(fields.iter().any(|field| field.ends_with("appRoutingIstio.mode")), "{fields:?}");
    let mark = bench.mark();
    bench.up_ready().await;
    let puts = bench.writes_at(mark, "managedClusters/aks-demo");
    assert_eq!(puts.iter().filter(|line| line.ends_with("/aks-demo")).count(), 1, "{puts:?}");
    assert!(bench.plan().await.is_empty(), "{:#?}", bench.plan().await);
}

#[tokio::test]
async fn the_bounds_of_the_autoscaler() {
    let mut bench = Bench::instant().await;
    bench.up_ready().await;
    let (pool, place) = ("agentPoolProfiles.nodepool1.", ["managedClusters/aks-demo"]);
    edit(&bench, &bench.cluster_id(), |body| {
        body["properties"]["agentPoolProfiles"][0]["maxCount"] = json!(7);
    })
    .await;
    mended(&bench, "cluster", Action::Change, &[&format!("{pool}maxCount")], &place).await;
    edit(&bench, &bench.cluster_id(), |body| {
        let pool = body["properties"]["agentPoolProfiles"][0].as_object_mut().unwrap();
        pool.insert("enableAutoScaling".into(), json!(false));
        pool.remove("minCount");
        pool.remove("maxCount");
    })
    .await;
    let fields = ["enableAutoScaling", "minCount", "maxCount"].map(|field| format!("{pool}{field}"));
    let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
    mended(&bench, "cluster", Action::Change, &fields, &place).await;
    bench.wish.cluster.nodes_max = 5;
    mended(&bench, "cluster", Action::Change, &[&format!("{pool}maxCount")], &place).await;
}

#[tokio::test]
async fn a_role_that_was_taken_away() {
    let bench = Bench::instant().await;
    bench.up_ready().await;
    let scope = bench.get(&format!("{}/subnets/snet-aks", bench.network_id())).await["id"].clone();
    let listed = bench.clouds.azure.assignments_at(scope.as_str().unwrap()).await.unwrap();
    let ours = listed.iter().find(|one| one.id.contains("/subnets/")).unwrap();
    bench.clouds.azure.revoke(&ours.id).await.unwrap();
    mended(&bench, "subnet-role", Action::Create, &[], &["roleAssignments"]).await;
}

#[tokio::test]
async fn a_secret_provider_class_that_was_edited() {
    let bench = Bench::instant().await;
    bench.up_ready().await;
    let kubectl = bench.kubectl().await;
    let edited = json!({
        "apiVersion": "secrets-store.csi.x-k8s.io/v1", "kind": "SecretProviderClass",
        "metadata": { "name": "gateway-tls-cert-spc", "namespace": "default" },
        "spec": { "parameters": { "keyvaultName": "kv-somebody" } },
    });
    kubectl.apply(CLASS, &edited).await;
    mended(
        &bench,
        "tls-secret",
        Action::Change,
        &["keyvaultName"],
        &["secretproviderclasses", "tls-secret-sync"],
    )
    .await;
}

#[tokio::test]
async fn a_route_that_was_edited_and_the_weights_of_the_settings() {
    let mut bench = Bench::instant().await;
    bench.up_ready().await;
    let kubectl = bench.kubectl().await;
    let mut route = kubectl.get(ROUTE).await;
    route["spec"]["hostnames"] = json!(["elsewhere.example.com"]);
    let metadata = json!({ "name": "echo-canary", "namespace": "default" });
    let edited = json!({
        "apiVersion": route["apiVersion"], "kind": "HTTPRoute", "metadata": metadata, "spec": route["spec"],
    });
    kubectl.apply(ROUTE, &edited).await;
    // Every object of the set is applied, and the unchanged ones stay as they are.
    let places = ["/apis/gateway.networking.k8s.io/"];
    mended(&bench, "gateways", Action::Change, &["hostnames"], &places).await;
    (bench.wish.canary.stable, bench.wish.canary.canary) = (0, 100);
    let changes = mended(&bench, "gateways", Action::Change, &["weight", "weight"], &places).await;
    assert_eq!(changes[1].wanted, json!(100));
}

#[tokio::test]
async fn a_record_that_leads_elsewhere() {
    let bench = Bench::instant().await;
    let group = bench.path("/resourceGroups/rg-names");
    bench.put(&group, json!({ "location": "eastus" })).await;
    let zone = format!("{group}/providers/Microsoft.Network/dnszones/{}", settings::DOMAIN);
    bench.put(&zone, json!({ "location": "global" })).await;
    bench.up_ready().await;
    let id = format!("{zone}/A/echo");
    edit(&bench, &id, |body| body["properties"]["ARecords"] = json!([{ "ipv4Address": "203.0.113.9" }]))
        .await;
    let changes = mended(&bench, "dns", Action::Change, &["echo.demo.example.com"], &["/A/echo"]).await;
    assert_eq!(changes[0].is, json!(["203.0.113.9"]));
}

#[tokio::test]
async fn an_object_that_is_in_the_manifests_no_longer_goes_if_we_applied_it() {
    let mut bench = Bench::instant().await;
    bench.wish.manifests = settings::manifests(&format!("{SHOP}---\n{CAFE}"));
    bench.up_ready().await;
    let kubectl = bench.kubectl().await;
    let (shop, cafe) =
        ("/api/v1/namespaces/default/configmaps/shop", "/api/v1/namespaces/default/configmaps/cafe");
    bench.wish.manifests = settings::manifests(SHOP);
    mended(&bench, "apps", Action::Change, &["ConfigMap cafe"], &["configmaps"]).await;
    assert_eq!(kubectl.get(cafe).await, Value::Null);
    assert_ne!(kubectl.get(shop).await, Value::Null);
    // An object that another user has created under that name since is foreign.
    bench.wish.manifests = settings::manifests(&format!("{SHOP}---\n{CAFE}"));
    bench.up_ready().await;
    kubectl.delete(cafe).await;
    let theirs = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "cafe", "namespace": "default" } });
    kubectl.apply(cafe, &theirs).await;
    bench.wish.manifests = settings::manifests(SHOP);
    assert!(bench.plan().await.is_empty());
    bench.up_ready().await;
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
