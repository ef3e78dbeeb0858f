//! Every stage of the sync from the vault to the Secret, broken by an out-of-band change: the diagnosis names
//! exactly the failed stage.

use crate::{
    environment::{BEGINNING, Command, End, Environment, fresh, replayable},
    points::hand::Hand,
    settings,
};
use bytes::Bytes;
use http_body_util::BodyExt;
use landfall_cloud::arm::{self, Condition};
use landfall_diagnose::rotation_links::{Finding, Links, find};
use landfall_engine::Journal;
use landfall_sim::Speed;
use landfall_steps::{Granted, certificate::HeldCertificate, cluster_ready::ReadyCluster, key_vault::Vault};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::time::Duration;

const NAME: &str = "gateway-tls-cert";
const CLASS: &str =
    "/apis/secrets-store.csi.x-k8s.io/v1/namespaces/default/secretproviderclasses/gateway-tls-cert-spc";
const SYNC: &str = "/apis/apps/v1/namespaces/default/deployments/tls-secret-sync";
const SECRET: &str = "/api/v1/namespaces/default/secrets/gateway-tls-secret";

/// Creates a running environment at sixty times real time.
async fn standing() -> Environment {
    let here = Environment::new(fresh(), BEGINNING, Speed::Times(60.0));
    here.ready(Command::Up).await.unwrap();
    here
}

fn output<T: DeserializeOwned>(here: &Environment, step: &str) -> T {
    let memory = Journal::read(&here.state()).unwrap().unwrap().1;
    serde_json::from_value(memory.past(step).unwrap().output.clone().unwrap()).unwrap()
}

/// Lets minutes of cloud time pass.
async fn pass(minutes: u64) {
    tokio::time::sleep(Duration::from_secs(minutes)).await;
}

/// Imports another certificate out of band; returns it from the vault.
async fn import(here: &Environment) -> HeldCertificate {
    let (held, vault): (HeldCertificate, Vault) = (output(here, "certificate"), output(here, "key-vault"));
    let given = settings::pfx("ec.pfx");
    let client = here.clouds().vaults.at(&vault.uri).unwrap();
    let stored = client.import(NAME, given.pfx().expose(), given.password().expose()).await.unwrap();
    HeldCertificate { thumbprint: stored.thumbprint_sha1_hex, version: stored.version, ..held }
}

/// Returns the diagnosis of that certificate's sync.
async fn stuck(here: &Environment, held: &HeldCertificate) -> Option<Finding> {
    let clouds = here.clouds();
    let cluster: ReadyCluster = output(here, "cluster-ready");
    let vault: Vault = output(here, "key-vault");
    let opened = clouds.clusters.open(&cluster).await.unwrap();
    let body = clouds.azure.cluster(settings::GROUP, &cluster.name).await.unwrap().unwrap();
    let vault_body = clouds.azure.vault(settings::GROUP, &vault.name).await.unwrap();
    let links = Links {
        cluster: &body,
        vault: &vault.reference(),
        vault_body: vault_body.as_ref(),
        vaults: &clouds.vaults,
        certificate: &held.reference(),
        namespace: "default",
        secret: "gateway-tls-secret",
    };
    find(&opened, &links).await.unwrap()
}

/// Imports after the fault, waits longer than the driver's poll interval, and runs the diagnosis. It must
/// name that stage, and the Secret must still contain the old certificate.
async fn is_stuck_at(here: &Environment, code: &str, evidence: &str) {
    let before = Hand::of(here).await.get(SECRET).await["data"].clone();
    let held = import(here).await;
    pass(10).await;
    named(here, &held, code, evidence).await;
    let after = Hand::of(here).await.get(SECRET).await;
    assert!(after.is_null() || after["data"] == before, "{code}: the certificate came through all the same");
}

async fn named(here: &Environment, held: &HeldCertificate, code: &str, evidence: &str) {
    let found = stuck(here, held).await.unwrap_or_else(|| panic!("{code} was to be found"));
    assert_eq!(found.code, code, "{found:?}");
    let told = found.evidence.join("\n");
    assert!(told.contains(evidence), "{told}");
    assert!(!found.mend.is_empty() && !found.cause.contains('\n'), "{found:?}");
}

/// Changes the cluster or the vault out of band.
async fn change(here: &Environment, id: &str, api: &str, change: impl FnOnce(&mut Value)) {
    let azure = here.clouds().azure;
    let mut body = azure.arm().get(id, api).await.unwrap().unwrap();
    change(&mut body);
    azure.arm().put(id, api, &body, Condition::None).await.unwrap();
    pass(5).await;
}

#[test]
fn a_way_that_is_sound_has_no_stuck_link_and_carries_the_certificate() {
    replayable(1, async {
        let here = standing().await;
        let held = import(&here).await;
        assert_eq!(stuck(&here, &held).await, None, "the driver has not come round yet");
        pass(3).await;
        assert_eq!(stuck(&here, &held).await, None);
        assert_eq!(crate::rotations::carried(&here).await.secret, held.thumbprint);
    });
}

#[test]
fn rotation_that_is_switched_off_is_named() {
    replayable(1, async {
        let here = standing().await;
        let id = output::<ReadyCluster>(&here, "cluster-ready").id;
        change(&here, &id, arm::cluster::API, |body| {
            body["properties"]["addonProfiles"]["azureKeyvaultSecretsProvider"]["config"]["enableSecretRotation"] =
                json!("false");
        })
        .await;
        is_stuck_at(&here, "ROTATION_OFF", r#"enableSecretRotation is "false""#).await;
    });
}

#[test]
fn a_class_that_pins_a_version_or_names_something_else_is_named() {
    replayable(1, async {
        let objects = |lines: &str| {
            let objects = format!("array:\n  - |\n    objectName: {lines}\n    objectType: secret\n");
            json!({ "spec": { "parameters": { "objects": objects } } })
        };
        let here = standing().await;
        let first = output::<HeldCertificate>(&here, "certificate").version;
        let pinned = objects(&format!("{NAME}\n    objectVersion: {first}"));
        Hand::of(&here).await.patch(CLASS, &pinned).await;
        is_stuck_at(&here, "CLASS_PINS_VERSION", &first).await;
        let held = output::<HeldCertificate>(&here, "certificate");
        Hand::of(&here).await.patch(CLASS, &objects("another")).await;
        named(&here, &held, "CLASS_OTHER_OBJECT", r#"["another"]"#).await;
        let vault = json!({ "spec": { "parameters": { "keyvaultName": "kv-other" } } });
        Hand::of(&here).await.patch(CLASS, &vault).await;
        named(&here, &held, "CLASS_OTHER_VAULT", "kv-other").await;
    });
}

#[test]
fn a_class_that_nobody_mounts_is_named() {
    replayable(1, async {
        let here = standing().await;
        Hand::of(&here).await.patch(SYNC, &json!({ "spec": { "replicas": 0 } })).await;
        pass(2).await;
        is_stuck_at(&here, "SYNC_WORKLOAD_MISSING", "no such pod").await;
    });
}

#[test]
fn an_identity_without_access_is_named() {
    replayable(1, async {
        let here = standing().await;
        let azure = here.clouds().azure;
        for assignment in output::<Granted>(&here, "vault-access").assignments {
            azure.arm().delete(&assignment, arm::role::API).await.unwrap();
        }
        pass(10).await;
        is_stuck_at(&here, "VAULT_ACCESS_MISSING", "returned 403 ForbiddenByRbac").await;
    });
}

#[test]
fn a_firewall_that_keeps_the_nodes_out_is_named_whether_it_lets_us_in_or_not() {
    replayable(1, async {
        let here = standing().await;
        let id = output::<Vault>(&here, "key-vault").id;
        let close = |rules: Value| {
            move |body: &mut Value| {
                body["properties"]["networkAcls"] =
                    json!({ "defaultAction": "Deny", "bypass": "AzureServices", "ipRules": rules });
            }
        };
        change(&here, &id, arm::vault::API, close(json!([{ "value": "127.0.0.1" }]))).await;
        is_stuck_at(&here, "VAULT_FIREWALL", "returned 403 ForbiddenByFirewall").await;
        let held = output::<HeldCertificate>(&here, "certificate");
        change(&here, &id, arm::vault::API, close(json!([]))).await;
        named(&here, &held, "VAULT_FIREWALL", "defaultAction is Deny").await;
    });
}

#[test]
fn a_certificate_that_is_disabled_in_the_vault_is_named() {
    replayable(1, async {
        let here = standing().await;
        let held = import(&here).await;
        disable(&here).await;
        pass(10).await;
        named(&here, &held, "CERTIFICATE_DISABLED", &held.version).await;
    });
}

/// Disables the newest version, as a user does in the portal.
async fn disable(here: &Environment) {
    let facts = here.world.facts().clone();
    let form = format!(
        "grant_type=client_credentials&client_id={}&client_secret={}&scope={}/.default",
        facts.client_id, facts.client_secret, facts.vault_audience
    );
    let token = format!("{}/{}/oauth2/v2.0/token", facts.login.trim_end_matches('/'), facts.tenant);
    let signed = ask(here, "POST", &token, None, "application/x-www-form-urlencoded", form).await;
    let uri = output::<Vault>(here, "key-vault").uri;
    let target = format!("{}/certificates/{NAME}/?api-version=7.4", uri.trim_end_matches('/'));
    let body = json!({ "attributes": { "enabled": false } }).to_string();
    let done = ask(here, "PATCH", &target, signed["access_token"].as_str(), "application/json", body).await;
    assert_eq!(done["attributes"]["enabled"], false, "{done}");
}

async fn ask(
    here: &Environment,
    method: &str,
    uri: &str,
    token: Option<&str>,
    content: &str,
    body: String,
) -> Value {
    let mut request = http::Request::builder().method(method).uri(uri).header("content-type", content);
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let answer = here.world.ask(request.body(Bytes::from(body)).unwrap()).await.unwrap();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    serde_json::from_slice(&body).unwrap_or_default()
}

/// A class of the user's own that pins one version, which a run does not repair.
const PINNED: &str = "
apiVersion: secrets-store.csi.x-k8s.io/v1
kind: SecretProviderClass
metadata:
  name: gateway-tls-cert-spc
spec:
  provider: azure
  parameters:
    useVMManagedIdentity: \"true\"
    userAssignedIdentityID: \"__IDENTITY_CLIENT_ID__\"
    keyvaultName: \"__KEY_VAULT_NAME__\"
    tenantId: \"__TENANT_ID__\"
    objects: |
      array:
        - |
          objectName: __CERTIFICATE_NAME__
          objectType: secret
          objectVersion: \"VERSION\"
  secretObjects:
    - secretName: gateway-tls-secret
      type: kubernetes.io/tls
      data:
        - objectName: \"__CERTIFICATE_NAME__\"
          key: tls.key
        - objectName: \"__CERTIFICATE_NAME__\"
          key: tls.crt
";

#[test]
fn a_rotation_that_the_cluster_does_not_pick_up_says_at_once_which_link_is_stuck() {
    replayable(1, async {
        let mut here = standing().await;
        let first = output::<HeldCertificate>(&here, "certificate").version;
        here.wish.manifests = settings::manifests(&PINNED.replace("VERSION", &first));
        here.wish.certificate.given = Some(settings::pfx("ec.pfx"));
        let began = here.world.read(landfall_sim::world::World::now);
        let End::Reported(report, _) = here.run(Command::Rotate).await else { panic!("it was cut off") };
        let (step, error) = &report.errors[0];
        assert_eq!(
            (step.as_str(), error.code.as_deref()),
            ("tls-secret", Some("CLASS_PINS_VERSION")),
            "{error:?}"
        );
        assert!(error.causes.iter().any(|cause| cause.contains(&first)), "{error:?}");
        assert!(error.hint.as_ref().unwrap().contains("objectVersion"), "{error:?}");
        let took = here.world.read(landfall_sim::world::World::now).since(began) * 60;
        assert!(took < Duration::from_secs(120), "{took:?}");
        // After the repair, the next run continues and imports nothing.
        here.wish.manifests = None;
        here.ready(Command::Rotate).await.unwrap();
        let carried = crate::rotations::carried(&here).await;
        assert_eq!((carried.versions, carried.secret == carried.newest), (2, true));
    });
}
