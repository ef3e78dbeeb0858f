//! Inside the cluster: the Secret, the gateways, and field ownership.

use super::{foreign_client::ForeignClient, *};
use crate::environment::replayable;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use landfall_cloud::certificate::Leaf;
use landfall_engine::Kind;
use serde_json::json;

const SECRET: &str = "/api/v1/namespaces/default/secrets/gateway-tls-secret";
const GATEWAYS: &str = "/apis/gateway.networking.k8s.io/v1/namespaces/default/gateways";
const CLASS: &str =
    "/apis/secrets-store.csi.x-k8s.io/v1/namespaces/default/secretproviderclasses/gateway-tls-cert-spc";
const GATEWAY: &str = include_str!("../../../templates/manifests/20-httpbin-gateway.yaml");
const APP: &str = include_str!("../../../templates/manifests/10-httpbin.yaml");
const ROUTE: &str = include_str!("../../../templates/manifests/30-httpbin-route.yaml");

fn thumbprint(secret: &Value) -> String {
    let pem = STANDARD.decode(secret["data"]["tls.crt"].as_str().expect("the Secret is there")).unwrap();
    Leaf::from_pem(&pem).unwrap().thumbprint_sha1
}

/// Point 14: the items of the class are strings, the Secret is deleted with the pod that mounts it, rotation
/// takes minutes.
#[test]
fn the_secret_is_recreated_with_its_pod_and_contains_the_new_certificate_at_the_end() {
    replayable(1, async {
        let mut env = env(SPEED_60X);
        run_up(&env).await;
        let class = ForeignClient::of(&env).await.get(CLASS).await;
        let objects = class["spec"]["parameters"]["objects"].as_str().unwrap();
        assert!(objects.contains("- |"), "each item is a text: {objects}");

        env.arm(&["holder-gone@/kubernetes/"]);
        run_to_success(&env, Command::Up).await;
        let first = thumbprint(&ForeignClient::of(&env).await.get(SECRET).await);

        let given = settings::pfx("ec.pfx");
        env.settings.certificate.given = Some(given.clone());
        run_to_success(&env, Command::Up).await;
        let now = thumbprint(&ForeignClient::of(&env).await.get(SECRET).await);
        assert_ne!(now, first);
        assert_eq!(now, given.leaf().thumbprint_sha1, "ready means that the new one is in use");
        assert_no_changes(&env).await;

        // The object type `cert` would contain only the leaf, without the chain to its issuer.
        let given = settings::pfx("rsa-chain.pfx");
        env.settings.certificate.given = Some(given.clone());
        run_to_success(&env, Command::Up).await;
        let secret = ForeignClient::of(&env).await.get(SECRET).await;
        let pem = STANDARD.decode(secret["data"]["tls.crt"].as_str().unwrap()).unwrap();
        let certificates = String::from_utf8(pem).unwrap().matches("BEGIN CERTIFICATE").count();
        assert_eq!(certificates, given.leaf().chain_length);
        assert!(certificates > 1);
    });
}

/// Point 15: a gateway reports Programmed while a listener has no certificate; addresses and conditions lag
/// behind.
#[test]
fn a_gateway_is_ready_only_with_current_conditions_of_every_listener() {
    replayable(1, async {
        let mut env = env(SPEED_60X);
        env.arm(&["address-late"]);
        env.settings.manifests = settings::manifests(GATEWAY);
        run_up(&env).await;
        // The current conditions report success, but for the previous generation.
        env.settings.manifests = settings::manifests(&GATEWAY.replace("gateway-tls-secret", "nowhere"));
        let error = run_refused(&env, "gateways").await;
        assert_eq!(error.kind, Kind::TimedOut);
        assert!(format!("{error:?}").contains("InvalidCertificateRef"), "{error:?}");
        let live = ForeignClient::of(&env).await.get(&format!("{GATEWAYS}/httpbin-gateway")).await;
        let conditions = live["status"]["conditions"].as_array().unwrap();
        let programmed = conditions.iter().find(|one| one["type"] == "Programmed").unwrap();
        assert_eq!(programmed["status"], "True", "the gateway as a whole says so all the same");
        // A route that no controller claims is not ready either.
        let route = ROUTE.replace("httpbin-gateway", "nowhere");
        env.settings.manifests = settings::manifests(&format!("{GATEWAY}\n---\n{route}"));
        let error = run_refused(&env, "gateways").await;
        assert!(error.message.contains("route httpbin: no controller has accepted it"), "{error:?}");
        env.settings.manifests = settings::manifests(&[APP, GATEWAY, ROUTE].join("\n---\n"));
        run_to_success(&env, Command::Up).await;
        assert_no_changes(&env).await;
    });
}

/// Point 16: the probes of the load balancer request `/`, unless annotations override it.
#[test]
fn every_gateway_has_six_probe_annotations_and_a_removed_one_is_restored() {
    replayable(1, async {
        let env = env(SPEED_60X);
        run_up(&env).await;
        let foreign_client = ForeignClient::of(&env).await;
        let listed = foreign_client.get(GATEWAYS).await;
        let gateways = listed["items"].as_array().unwrap();
        assert_eq!(gateways.len(), 2);
        let wanted: serde_json::Map<String, Value> = ["80", "443"]
            .iter()
            .flat_map(|port| {
                let name = move |what| format!("service.beta.kubernetes.io/port_{port}_health-probe_{what}");
                [("port", "15021"), ("protocol", "http"), ("request-path", "/healthz/ready")]
                    .map(|(what, value)| (name(what), json!(value)))
            })
            .collect();
        for gateway in gateways {
            assert_eq!(gateway["spec"]["infrastructure"]["annotations"], Value::Object(wanted.clone()));
        }
        let lost = wanted.keys().next().unwrap();
        let path = format!("{GATEWAYS}/echo-gateway");
        let patch = json!({ "spec": { "infrastructure": { "annotations": { lost: null } } } });
        foreign_client.patch(&path, &patch).await;
        assert_eq!(
            foreign_client.get(&path).await["spec"]["infrastructure"]["annotations"][lost],
            Value::Null
        );
        let done = run_to_success(&env, Command::Up).await;
        assert_eq!(done.how("gateways"), Some(How::Changed));
        assert_eq!(
            foreign_client.get(&path).await["spec"]["infrastructure"]["annotations"],
            Value::Object(wanted)
        );
        assert_no_changes(&env).await;
    });
}

/// Point 18: kubectl has applied the same object client-side.
#[test]
fn a_field_that_kubectl_applied_is_taken_over_once() {
    replayable(1, async {
        let env = env(SPEED_60X);
        env.arm(&["kubectl-owns@PATCH /deployments/httpbin"]);
        run_up(&env).await;
        let patches = statuses(&env, "PATCH", "/deployments/httpbin");
        assert_eq!(patches.len(), 2, "{patches:?}");
        assert_eq!(patches[0], 409);
        assert!(patches[1] < 300, "{patches:?}");
        assert_no_changes(&env).await;
    });
}
