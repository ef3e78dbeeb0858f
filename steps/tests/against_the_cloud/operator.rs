//! The operator of application routing: created, switched in both directions under load, repaired, deleted.

use crate::{
    fixture::Fixture,
    settings::{self, DOMAIN},
    verify::{failed, run_checks, traffic},
};
use landfall_engine::{Action, Plan, UndoOutcome};
use landfall_sim::{Options, Speed};
use landfall_steps::{
    operator::ListenerTls,
    settings::{Publisher, Renewal},
};
use reqwest::{Client, redirect};
use serde_json::{Value, json};
use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

const GATEWAY: &str = "/apis/gateway.networking.k8s.io/v1/namespaces/default/gateways/echo-gateway";
const CLASSES: &str = "/apis/secrets-store.csi.x-k8s.io/v1/namespaces/default/secretproviderclasses";
const EXTERNAL_DNSES: &str =
    "/apis/approuting.kubernetes.azure.com/v1alpha1/namespaces/default/externaldnses";
const OPERATED: &str = "kv-gw-cert-echo-gateway-https";
const HOSTS: [&str; 4] = ["httpbin", "echo", "echo-headers", "app"];

fn actions(plan: &Plan) -> Vec<(&'static str, Action)> {
    let open = plan.steps.iter().filter(|step| step.action != Action::Ok);
    open.map(|step| (step.step, step.action)).collect()
}

async fn assert_in_sync(fixture: &Fixture) {
    let plan = fixture.plan().await;
    assert!(plan.is_empty(), "{:?}: {:#?}", actions(&plan), plan.steps);
}

async fn assert_verified(fixture: &Fixture) {
    let verdict = run_checks(fixture).await;
    assert_eq!(failed(&verdict), [""; 0], "{:#?}", verdict.checks);
}

/// Returns the reference of the echo gateway's listener with HTTPS.
async fn reference(fixture: &Fixture) -> Value {
    let gateway = fixture.kubectl().await.get(GATEWAY).await;
    gateway["spec"]["listeners"][1]["tls"]["certificateRefs"][0]["name"].clone()
}

async fn class_names(fixture: &Fixture) -> Vec<String> {
    let classes = fixture.kubectl().await.get(CLASSES).await;
    let items = classes["items"].as_array().into_iter().flatten();
    items.map(|class| class["metadata"]["name"].as_str().unwrap().to_owned()).collect()
}

/// A client that sends requests to the gateways without a pause, each over a new connection.
struct Load {
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicUsize>,
    errors: Arc<Mutex<Vec<String>>>,
    worker: tokio::task::JoinHandle<()>,
}

impl Load {
    async fn start(fixture: &mut Fixture) -> Self {
        let listeners = fixture.sim.wait_for_listeners_until(|listeners| listeners.len() == 4).await.unwrap();
        let gateways = [("httpbin", "httpbin-gateway"), ("echo", "echo-gateway")];
        let socket = |(host, gateway)| Some((host, listeners[&(address_of(fixture, gateway)?, 443)]));
        let sockets: Vec<(&'static str, SocketAddr)> = gateways.into_iter().filter_map(socket).collect();
        assert_eq!(sockets.len(), 2);
        let (stop, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let errors = Arc::new(Mutex::new(Vec::new()));
        let (stopped, count, failures) = (stop.clone(), sent.clone(), errors.clone());
        let worker = tokio::spawn(async move {
            while !stopped.load(Ordering::Relaxed) {
                for (host, socket) in &sockets {
                    let host = format!("{host}.{DOMAIN}");
                    let client = Client::builder()
                        .tls_danger_accept_invalid_certs(true)
                        .redirect(redirect::Policy::none())
                        .pool_max_idle_per_host(0)
                        .timeout(Duration::from_secs(10))
                        .resolve(&host, *socket)
                        .build()
                        .unwrap();
                    let response = client.get(format!("https://{host}:{}/", socket.port())).send().await;
                    count.fetch_add(1, Ordering::Relaxed);
                    match response {
                        Ok(response) if response.status().is_success() => {}
                        Ok(response) => {
                            failures.lock().unwrap().push(format!("{host}: {}", response.status()))
                        }
                        Err(error) => failures.lock().unwrap().push(format!("{host}: {error:?}")),
                    }
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        Self { stop, sent, errors, worker }
    }

    /// Ends the load; returns the number of requests, of which none may have failed.
    async fn end(self) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        self.worker.await.unwrap();
        let errors = self.errors.lock().unwrap().clone();
        assert_eq!(errors, [""; 0]);
        self.sent.load(Ordering::Relaxed)
    }
}

/// Returns the recorded address of a gateway.
fn address_of(fixture: &Fixture, gateway: &str) -> Option<Ipv4Addr> {
    let journal_state = fixture.journal_state();
    let recorded = journal_state.step_state("gateways")?.output.clone()?;
    let gateways = recorded["gateways"].as_array()?.clone();
    gateways.iter().find(|one| one["name"] == gateway)?["address"].as_str()?.parse().ok()
}

#[tokio::test]
async fn the_operator_provides_the_certificates() {
    let mut fixture = traffic().await;
    fixture.settings.tables.gateway.tls = ListenerTls::Operator;
    let result = fixture.up_ready().await;
    assert_eq!(result.how("tls-secret"), None);
    let cluster = fixture.get(&fixture.cluster_id()).await;
    let routing = &cluster["properties"]["ingressProfile"]["webAppRouting"];
    assert_eq!(
        (&routing["enabled"], &routing["nginx"]["defaultIngressControllerType"]),
        (&json!(true), &json!("None"))
    );
    let kubectl = fixture.kubectl().await;
    let listener = kubectl.get(GATEWAY).await["spec"]["listeners"][1].clone();
    assert_eq!(
        listener["tls"]["options"]["kubernetes.azure.com/tls-cert-service-account"],
        "gateway-certificate"
    );
    assert_eq!(reference(&fixture).await, OPERATED);
    assert_eq!(class_names(&fixture).await, [OPERATED, "kv-gw-cert-httpbin-gateway-https"]);
    assert_verified(&fixture).await;
    assert_in_sync(&fixture).await;
    let mark = fixture.mark();
    fixture.up_ready().await;
    assert_eq!(fixture.writes(mark), [""; 0]);

    let result = fixture.down_ready().await;
    assert_eq!(result.undone("resource-group"), Some(&UndoOutcome::Deleted));
    assert_eq!(result.undone("identity"), Some(&UndoOutcome::Deleted));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_switch_of_the_certificates_in_both_directions_loses_no_request() {
    let options = Options { speed: Speed::Times(60.0), traffic: true, ..Options::default() };
    let mut fixture = Fixture::with(options).await;
    fixture.up_ready().await;
    assert_eq!(reference(&fixture).await, "gateway-tls-secret");

    fixture.settings.tables.gateway.tls = ListenerTls::Operator;
    let load = Load::start(&mut fixture).await;
    let planned = actions(&fixture.plan().await);
    assert!(planned.contains(&("gateways", Action::Create)), "its service account is missing: {planned:?}");
    assert!(planned.contains(&("tls-secret", Action::Delete)), "{planned:?}");
    fixture.up_ready().await;
    let sent = load.end().await;
    assert!(sent > 50, "{sent}");
    assert_eq!(reference(&fixture).await, OPERATED);
    assert_eq!(
        class_names(&fixture).await,
        [OPERATED, "kv-gw-cert-httpbin-gateway-https"],
        "nothing of the switch is left"
    );
    assert_verified(&fixture).await;
    assert_in_sync(&fixture).await;

    fixture.settings.tables.gateway.tls = ListenerTls::Landfall;
    let load = Load::start(&mut fixture).await;
    fixture.up_ready().await;
    let sent = load.end().await;
    assert!(sent > 50, "{sent}");
    assert_eq!(reference(&fixture).await, "gateway-tls-secret");
    assert_eq!(class_names(&fixture).await, ["gateway-tls-cert-spc"]);
    assert_verified(&fixture).await;
    assert_in_sync(&fixture).await;
    let result = fixture.down_ready().await;
    assert_eq!(result.undone("resource-group"), Some(&UndoOutcome::Deleted));
}

async fn zone(fixture: &Fixture) -> String {
    let group = fixture.path("/resourceGroups/rg-names");
    fixture.put(&group, json!({ "location": "eastus" })).await;
    let id = format!("{group}/providers/Microsoft.Network/dnszones/{}", settings::DOMAIN);
    fixture.put(&id, json!({ "location": "global" })).await;
    id
}

/// Returns the names of the record sets of a type.
async fn names(fixture: &Fixture, zone: &str, kind: &str) -> Vec<String> {
    let sets = fixture.get(&format!("{zone}/{kind}")).await;
    let mut names: Vec<String> = sets["value"]
        .as_array()
        .unwrap()
        .iter()
        .map(|set| set["name"].as_str().unwrap().to_owned())
        .collect();
    names.sort();
    names
}

fn sorted(prefix: &str) -> Vec<String> {
    let mut names: Vec<String> = HOSTS.iter().map(|host| format!("{prefix}{host}")).collect();
    names.sort();
    names
}

fn with(name: &str, mut names: Vec<String>) -> Vec<String> {
    names.push(name.to_owned());
    names.sort();
    names
}

#[tokio::test]
async fn external_dns_publishes_the_records_and_they_go_with_the_environment() {
    let mut fixture = Fixture::at_speed(600.0).await;
    fixture.settings.dns.publish = Publisher::Operator;
    let zone = zone(&fixture).await;
    fixture.up_ready().await;
    // The redirects have no host name, so that they take the one of their listeners: a wildcard.
    assert_eq!(names(&fixture, &zone, "A").await, with("*", sorted("")));
    assert_eq!(names(&fixture, &zone, "TXT").await, with("a-approutingwildcard", sorted("a-")));
    let record = fixture.get(&format!("{zone}/A/echo")).await;
    assert_eq!(record["properties"]["metadata"], Value::Null, "landfall's mark is not on it");
    assert_in_sync(&fixture).await;
    let result = fixture.down_ready().await;
    assert_eq!(result.undone("dns"), Some(&UndoOutcome::Deleted));
    assert_eq!(result.undone("zone-access"), Some(&UndoOutcome::Deleted));
    assert_eq!((names(&fixture, &zone, "A").await.len(), names(&fixture, &zone, "TXT").await.len()), (0, 0));
    let assignments = fixture.clients.azure.assignments_at(&zone).await.unwrap();
    assert!(assignments.iter().all(|one| !one.id.starts_with(&zone)), "{assignments:?}");
}

#[tokio::test]
async fn records_change_their_publisher_in_both_directions_and_stay() {
    let mut fixture = Fixture::at_speed(600.0).await;
    let zone = zone(&fixture).await;
    fixture.up_ready().await;
    let before = fixture.get(&format!("{zone}/A/echo")).await["properties"]["ARecords"].clone();

    fixture.settings.dns.publish = Publisher::Operator;
    fixture.up_ready().await;
    assert_eq!(names(&fixture, &zone, "TXT").await, with("a-approutingwildcard", sorted("a-")));
    let record = fixture.get(&format!("{zone}/A/echo")).await;
    assert_eq!(
        (&record["properties"]["ARecords"], &record["properties"]["metadata"]),
        (&before, &Value::Null)
    );
    assert_in_sync(&fixture).await;

    fixture.settings.dns.publish = Publisher::Landfall;
    let result = fixture.up_ready().await;
    assert!(result.undone("external-dns").is_some_and(UndoOutcome::is_deleted));
    assert_eq!(names(&fixture, &zone, "TXT").await, [""; 0]);
    assert_eq!(names(&fixture, &zone, "A").await, sorted(""));
    let record = fixture.get(&format!("{zone}/A/echo")).await;
    assert_eq!(record["properties"]["ARecords"], before);
    assert!(record["properties"]["metadata"]["landfall"].is_string(), "{record}");
    let left = fixture.kubectl().await.get(EXTERNAL_DNSES).await;
    assert_eq!(left["items"], json!([]));
    assert_in_sync(&fixture).await;
    fixture.down_ready().await;
    assert_eq!(names(&fixture, &zone, "A").await, [""; 0]);
}

async fn with_faults(faults: &[&str]) -> Fixture {
    let faults = faults.iter().map(|fault| (*fault).to_owned()).collect();
    Fixture::with(Options { speed: Speed::Times(600.0), faults, ..Options::default() }).await
}

#[tokio::test]
async fn a_late_operator_is_awaited() {
    let mut fixture = with_faults(&["operator-late@PATCH /gateways/"]).await;
    fixture.settings.tables.gateway.tls = ListenerTls::Operator;
    fixture.up_ready().await;
    assert_eq!(reference(&fixture).await, OPERATED);
    assert_in_sync(&fixture).await;
}

#[tokio::test]
async fn a_pod_of_external_dns_without_identity_is_replaced() {
    let mut fixture = with_faults(&["external-dns-early@PATCH /externaldnses/"]).await;
    fixture.settings.dns.publish = Publisher::Operator;
    let zone = zone(&fixture).await;
    fixture.up_ready().await;
    assert_eq!(names(&fixture, &zone, "A").await, with("*", sorted("")));
    assert_in_sync(&fixture).await;
}

#[tokio::test]
async fn a_rotated_certificate_reaches_the_secret_of_the_operator() {
    let mut fixture = Fixture::at_speed(600.0).await;
    fixture.settings.tables.gateway.tls = ListenerTls::Operator;
    fixture.settings.certificate.given = None;
    fixture.up_ready().await;
    let before = fixture.journal_state().step_state("certificate").unwrap().output.clone();
    fixture.settings.certificate.renewal = Some(Renewal::Now);
    fixture.up_ready().await;
    fixture.settings.certificate.renewal = None;
    assert_ne!(fixture.journal_state().step_state("certificate").unwrap().output, before);
    assert_in_sync(&fixture).await;
}
