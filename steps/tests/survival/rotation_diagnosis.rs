//! Every stage of the sync from the vault to the Secret, broken by an out-of-band change: the diagnosis names
//! exactly the failed stage.

use crate::{
    environment::{Command, End, Environment, START_TIME, fresh, replayable},
    points::foreign_client::ForeignClient,
    settings,
};
use bytes::Bytes;
use http_body_util::BodyExt;
use landfall_cloud::arm::{self, Condition};
use landfall_diagnose::rotation_diagnosis::{Finding, RotationContext, diagnose};
use landfall_engine::Journal;
use landfall_sim::Speed;
use landfall_steps::{
    RoleAssignments, certificate::VaultCertificate, cluster_ready::ReadyCluster, key_vault::Vault,
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::time::Duration;

const NAME: &str = "gateway-tls-cert";
const CLASS: &str =
    "/apis/secrets-store.csi.x-k8s.io/v1/namespaces/default/secretproviderclasses/gateway-tls-cert-spc";
const SYNC: &str = "/apis/apps/v1/namespaces/default/deployments/tls-secret-sync";
const SECRET: &str = "/api/v1/namespaces/default/secrets/gateway-tls-secret";

/// Creates a running environment at sixty times real time.
async fn running_environment() -> Environment {
    let env = Environment::new(fresh(), START_TIME, Speed::Times(60.0));
    env.run_to_success(Command::Up).await.unwrap();
    env
}

fn output<T: DeserializeOwned>(env: &Environment, step: &str) -> T {
    let journal_state = Journal::read(&env.state()).unwrap().unwrap().1;
    serde_json::from_value(journal_state.step_state(step).unwrap().output.clone().unwrap()).unwrap()
}

/// Lets minutes of cloud time pass.
async fn wait_minutes(minutes: u64) {
    tokio::time::sleep(Duration::from_secs(minutes)).await;
}

/// Imports another certificate out of band; returns it from the vault.
async fn import(env: &Environment) -> VaultCertificate {
    let (held, vault): (VaultCertificate, Vault) = (output(env, "certificate"), output(env, "key-vault"));
    let given = settings::pfx("ec.pfx");
    let client = env.clients().vaults.at(&vault.uri).unwrap();
    let stored = client.import(NAME, given.pfx().expose(), given.password().expose()).await.unwrap();
    VaultCertificate { thumbprint: stored.thumbprint_sha1_hex, version: stored.version, ..held }
}

/// Returns the diagnosis of that certificate's sync.
async fn failed_stage(env: &Environment, held: &VaultCertificate) -> Option<Finding> {
    let clients = env.clients();
    let cluster: ReadyCluster = output(env, "cluster-ready");
    let vault: Vault = output(env, "key-vault");
    let opened = clients.clusters.open(&cluster).await.unwrap();
    let body = clients.azure.cluster(settings::GROUP, &cluster.name).await.unwrap().unwrap();
    let vault_body = clients.azure.vault(settings::GROUP, &vault.name).await.unwrap();
    let context = RotationContext {
        cluster: &body,
        vault: &vault.reference(),
        vault_body: vault_body.as_ref(),
        vaults: &clients.vaults,
        certificate: &held.reference(),
        namespace: "default",
        secret: "gateway-tls-secret",
    };
    diagnose(&opened, &context).await.unwrap()
}

/// Imports after the fault, waits longer than the driver's poll interval, and runs the diagnosis. It must
/// name that stage, and the Secret must still contain the old certificate.
async fn assert_stage_fails(env: &Environment, code: &str, evidence: &str) {
    let before = ForeignClient::of(env).await.get(SECRET).await["data"].clone();
    let held = import(env).await;
    wait_minutes(10).await;
    assert_finding(env, &held, code, evidence).await;
    let after = ForeignClient::of(env).await.get(SECRET).await;
    assert!(after.is_null() || after["data"] == before, "{code}: the certificate came through all the same");
}

async fn assert_finding(env: &Environment, held: &VaultCertificate, code: &str, evidence: &str) {
    let found = failed_stage(env, held).await.unwrap_or_else(|| panic!("{code} was to be found"));
    assert_eq!(found.code, code, "{found:?}");
    let evidence_text = found.evidence.join("\n");
    assert!(evidence_text.contains(evidence), "{evidence_text}");
    assert!(!found.remedy.is_empty() && !found.cause.contains('\n'), "{found:?}");
}

/// Changes the cluster or the vault out of band.
async fn change(env: &Environment, id: &str, api: &str, change: impl FnOnce(&mut Value)) {
    let azure = env.clients().azure;
    let mut body = azure.arm().get(id, api).await.unwrap().unwrap();
    change(&mut body);
    azure.arm().put(id, api, &body, Condition::None).await.unwrap();
    wait_minutes(5).await;
}

#[test]
fn a_healthy_sync_has_no_failed_stage_and_delivers_the_certificate() {
    replayable(1, async {
        let env = running_environment().await;
        let held = import(&env).await;
        assert_eq!(failed_stage(&env, &held).await, None, "the driver has not come round yet");
        wait_minutes(3).await;
        assert_eq!(failed_stage(&env, &held).await, None);
        assert_eq!(crate::rotations::certificate_state(&env).await.secret, held.thumbprint);
    });
}

#[test]
fn disabled_rotation_is_diagnosed() {
    replayable(1, async {
        let env = running_environment().await;
        let id = output::<ReadyCluster>(&env, "cluster-ready").id;
        change(&env, &id, arm::cluster::API, |body| {
            body["properties"]["addonProfiles"]["azureKeyvaultSecretsProvider"]["config"]["enableSecretRotation"] =
                json!("false");
        })
        .await;
        assert_stage_fails(&env, "ROTATION_OFF", r#"enableSecretRotation is "false""#).await;
    });
}

#[test]
fn a_class_with_a_pinned_version_or_another_object_is_diagnosed() {
    replayable(1, async {
        let objects = |lines: &str| {
            let objects = format!("array:\n  - |\n    objectName: {lines}\n    objectType: secret\n");
            json!({ "spec": { "parameters": { "objects": objects } } })
        };
        let env = running_environment().await;
        let first = output::<VaultCertificate>(&env, "certificate").version;
        let pinned = objects(&format!("{NAME}\n    objectVersion: {first}"));
        ForeignClient::of(&env).await.patch(CLASS, &pinned).await;
        assert_stage_fails(&env, "CLASS_PINS_VERSION", &first).await;
        let held = output::<VaultCertificate>(&env, "certificate");
        ForeignClient::of(&env).await.patch(CLASS, &objects("another")).await;
        assert_finding(&env, &held, "CLASS_OTHER_OBJECT", r#"["another"]"#).await;
        let vault = json!({ "spec": { "parameters": { "keyvaultName": "kv-other" } } });
        ForeignClient::of(&env).await.patch(CLASS, &vault).await;
        assert_finding(&env, &held, "CLASS_OTHER_VAULT", "kv-other").await;
    });
}

#[test]
fn a_class_without_a_mounting_pod_is_diagnosed() {
    replayable(1, async {
        let env = running_environment().await;
        ForeignClient::of(&env).await.patch(SYNC, &json!({ "spec": { "replicas": 0 } })).await;
        wait_minutes(2).await;
        assert_stage_fails(&env, "SYNC_WORKLOAD_MISSING", "no such pod").await;
    });
}

#[test]
fn an_identity_without_vault_access_is_diagnosed() {
    replayable(1, async {
        let env = running_environment().await;
        let azure = env.clients().azure;
        for assignment in output::<RoleAssignments>(&env, "identity-access").assignments {
            azure.arm().delete(&assignment, arm::role::API).await.unwrap();
        }
        wait_minutes(10).await;
        assert_stage_fails(&env, "VAULT_ACCESS_MISSING", "returned 403 ForbiddenByRbac").await;
    });
}

#[test]
fn a_firewall_that_blocks_the_nodes_is_diagnosed_with_and_without_own_access() {
    replayable(1, async {
        let env = running_environment().await;
        let id = output::<Vault>(&env, "key-vault").id;
        let close = |rules: Value| {
            move |body: &mut Value| {
                body["properties"]["networkAcls"] =
                    json!({ "defaultAction": "Deny", "bypass": "AzureServices", "ipRules": rules });
            }
        };
        change(&env, &id, arm::vault::API, close(json!([{ "value": "127.0.0.1" }]))).await;
        assert_stage_fails(&env, "VAULT_FIREWALL", "returned 403 ForbiddenByFirewall").await;
        let held = output::<VaultCertificate>(&env, "certificate");
        change(&env, &id, arm::vault::API, close(json!([]))).await;
        assert_finding(&env, &held, "VAULT_FIREWALL", "defaultAction is Deny").await;
    });
}

#[test]
fn a_disabled_certificate_is_diagnosed() {
    replayable(1, async {
        let env = running_environment().await;
        let held = import(&env).await;
        disable(&env).await;
        wait_minutes(10).await;
        assert_finding(&env, &held, "CERTIFICATE_DISABLED", &held.version).await;
    });
}

/// Disables the newest version, as a user does in the portal.
async fn disable(env: &Environment) {
    let facts = env.sim.connection().clone();
    let form = format!(
        "grant_type=client_credentials&client_id={}&client_secret={}&scope={}/.default",
        facts.client_id, facts.client_secret, facts.vault_audience
    );
    let token = format!("{}/{}/oauth2/v2.0/token", facts.login.trim_end_matches('/'), facts.tenant);
    let token_response = send(env, "POST", &token, None, "application/x-www-form-urlencoded", form).await;
    let uri = output::<Vault>(env, "key-vault").uri;
    let target = format!("{}/certificates/{NAME}/?api-version=7.4", uri.trim_end_matches('/'));
    let body = json!({ "attributes": { "enabled": false } }).to_string();
    let done =
        send(env, "PATCH", &target, token_response["access_token"].as_str(), "application/json", body).await;
    assert_eq!(done["attributes"]["enabled"], false, "{done}");
}

async fn send(
    env: &Environment,
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
    let response = env.sim.send(request.body(Bytes::from(body)).unwrap()).await.unwrap();
    let body = response.into_body().collect().await.unwrap().to_bytes();
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
fn a_stuck_rotation_reports_the_failed_stage_immediately() {
    replayable(1, async {
        let mut env = running_environment().await;
        let first = output::<VaultCertificate>(&env, "certificate").version;
        env.settings.manifests = settings::manifests(&PINNED.replace("VERSION", &first));
        env.settings.certificate.given = Some(settings::pfx("ec.pfx"));
        let began = env.sim.read(landfall_sim::state::CloudState::now);
        let End::Reported(report, _) = env.run(Command::Rotate).await else { panic!("it was cut off") };
        let (step, error) = &report.errors[0];
        assert_eq!(
            (step.as_str(), error.code.as_deref()),
            ("tls-secret", Some("CLASS_PINS_VERSION")),
            "{error:?}"
        );
        assert!(error.causes.iter().any(|cause| cause.contains(&first)), "{error:?}");
        assert!(error.hint.as_ref().unwrap().contains("objectVersion"), "{error:?}");
        let took = env.sim.read(landfall_sim::state::CloudState::now).since(began) * 60;
        assert!(took < Duration::from_secs(120), "{took:?}");
        // After the repair, the next run continues and imports nothing.
        env.settings.manifests = None;
        env.run_to_success(Command::Rotate).await.unwrap();
        let certificate_state = crate::rotations::certificate_state(&env).await;
        assert_eq!(
            (certificate_state.versions, certificate_state.secret == certificate_state.newest),
            (2, true)
        );
    });
}
