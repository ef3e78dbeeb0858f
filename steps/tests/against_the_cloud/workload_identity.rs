//! The identity with which the sync workload reads the vault: created, kept, switched, repaired, deleted.

use crate::fixture::{Fixture, RunResult};
use landfall_engine::{Action, How, Plan, UndoOutcome};
use landfall_sim::{Options, Speed};
use landfall_steps::identity_mode::{self, IdentityMode};
use serde_json::{Value, json};

const CLASS: &str =
    "/apis/secrets-store.csi.x-k8s.io/v1/namespaces/default/secretproviderclasses/gateway-tls-cert-spc";
const SYNC: &str = "/apis/apps/v1/namespaces/default/deployments/tls-secret-sync";
const ACCOUNT: &str = "/api/v1/namespaces/default/serviceaccounts/tls-secret-sync";
const SECRET: &str = "/api/v1/namespaces/default/secrets/gateway-tls-secret";
/// The steps of an identity of the workload.
const STEPS: [&str; 3] = ["identity", "identity-access", "identity-trust"];

fn identity_id(fixture: &Fixture) -> String {
    fixture.id("Microsoft.ManagedIdentity/userAssignedIdentities/id-aks-demo")
}

fn credential_id(fixture: &Fixture) -> String {
    format!("{}/federatedIdentityCredentials/landfall-default-tls-secret-sync", identity_id(fixture))
}

/// Returns the role assignments at the vault of a principal.
async fn roles(fixture: &Fixture, principal: &Value) -> usize {
    let all = fixture.clients.azure.assignments_at(&fixture.vault_id()).await.unwrap();
    all.iter().filter(|one| one.principal == principal.as_str().unwrap()).count()
}

async fn add_on(fixture: &Fixture) -> Value {
    let cluster = fixture.get(&fixture.cluster_id()).await;
    cluster["properties"]["addonProfiles"]["azureKeyvaultSecretsProvider"]["identity"].clone()
}

fn actions(plan: &Plan) -> Vec<(&'static str, Action)> {
    let open = plan.steps.iter().filter(|step| step.action != Action::Ok);
    open.map(|step| (step.step, step.action)).collect()
}

#[track_caller]
fn assert_created(result: &RunResult) {
    for step in STEPS {
        assert_eq!(result.how(step), Some(How::Created), "{step}");
    }
}

#[tokio::test]
async fn the_sync_workload_reads_the_vault_with_its_own_identity() {
    let fixture = Fixture::instant().await;
    let result = fixture.up_ready().await;
    assert_created(&result);
    assert_eq!(result.how("vault-access"), None);
    let identity = fixture.get(&identity_id(&fixture)).await;
    let properties = &identity["properties"];
    assert_eq!(identity["tags"]["ManagedBy"], "landfall");
    let cluster = fixture.get(&fixture.cluster_id()).await;
    assert_eq!(cluster["properties"]["securityProfile"]["workloadIdentity"]["enabled"], true);
    let credential = fixture.get(&credential_id(&fixture)).await;
    let wanted = json!({
        "issuer": cluster["properties"]["oidcIssuerProfile"]["issuerURL"],
        "subject": "system:serviceaccount:default:tls-secret-sync", "audiences": ["api://AzureADTokenExchange"],
    });
    assert_eq!(credential["properties"], wanted);
    assert_eq!(roles(&fixture, &properties["principalId"]).await, 1, "Key Vault Secrets User alone");
    assert_eq!(roles(&fixture, &add_on(&fixture).await["objectId"]).await, 0, "no other pod reads the vault");
    let kubectl = fixture.kubectl().await;
    let class = kubectl.get(CLASS).await;
    assert_eq!(class["spec"]["parameters"]["clientID"], properties["clientId"]);
    assert_eq!(class["spec"]["parameters"]["useVMManagedIdentity"], Value::Null);
    let account = kubectl.get(ACCOUNT).await;
    assert_eq!(
        account["metadata"]["annotations"]["azure.workload.identity/client-id"],
        properties["clientId"]
    );
    let sync = kubectl.get(SYNC).await;
    assert_eq!(sync["spec"]["template"]["spec"]["serviceAccountName"], "tls-secret-sync");

    let mark = fixture.mark();
    assert_eq!(fixture.up_ready().await.counts(), (19, 0, 0));
    assert_eq!(fixture.writes(mark), [""; 0]);
    assert!(fixture.plan().await.is_empty());

    let result = fixture.down_ready().await;
    assert_eq!(result.undone("identity"), Some(&UndoOutcome::Deleted));
    assert_eq!(result.undone("identity-trust"), Some(&UndoOutcome::DeletedWithParent));
    assert_eq!(result.undone("identity-access"), Some(&UndoOutcome::DeletedWithParent));
    assert_eq!(result.undone("resource-group"), Some(&UndoOutcome::Deleted));
    assert_eq!(fixture.get(&identity_id(&fixture)).await, Value::Null);
}

#[tokio::test]
async fn a_switch_to_the_workload_and_back_is_planned_and_keeps_the_secret() {
    let mut fixture = Fixture::instant().await;
    fixture.settings.identity = Some(IdentityMode::AddOn);
    let result = fixture.up_ready().await;
    assert_eq!(result.how("vault-access"), Some(How::Created));
    assert_eq!(result.how("identity"), None);
    let add_on = add_on(&fixture).await;
    assert_eq!(roles(&fixture, &add_on["objectId"]).await, 2);
    let kubectl = fixture.kubectl().await;
    assert_eq!(kubectl.get(ACCOUNT).await, Value::Null);
    let secret = kubectl.get(SECRET).await;

    fixture.settings.identity = Some(IdentityMode::Workload);
    let plan = fixture.plan().await;
    let planned = actions(&plan);
    for step in STEPS {
        assert!(planned.contains(&(step, Action::Create)), "{planned:?}");
    }
    assert!(planned.contains(&("cluster", Action::Change)), "{planned:?}");
    assert!(planned.contains(&("tls-secret", Action::Create)), "{planned:?}");
    assert!(planned.contains(&("vault-access", Action::Delete)), "{planned:?}");
    let result = fixture.up_ready().await;
    assert_created(&result);
    assert_eq!(result.undone("vault-access"), Some(&UndoOutcome::Deleted));
    assert_eq!(roles(&fixture, &add_on["objectId"]).await, 0);
    let class = kubectl.get(CLASS).await;
    assert_eq!(class["spec"]["parameters"]["userAssignedIdentityID"], Value::Null);
    let now = kubectl.get(SECRET).await;
    assert_eq!(now["metadata"]["uid"], secret["metadata"]["uid"], "the Secret was never missing");
    assert_eq!(now["data"]["tls.key"], secret["data"]["tls.key"]);
    assert!(fixture.plan().await.is_empty(), "{:?}", actions(&fixture.plan().await));

    fixture.settings.identity = Some(IdentityMode::AddOn);
    let planned = actions(&fixture.plan().await);
    for step in STEPS {
        assert!(planned.contains(&(step, Action::Delete)), "{planned:?}");
    }
    assert!(planned.contains(&("vault-access", Action::Create)), "{planned:?}");
    let result = fixture.up_ready().await;
    for step in STEPS {
        assert_eq!(result.undone(step), Some(&UndoOutcome::Deleted), "{step}");
    }
    assert_eq!(fixture.get(&identity_id(&fixture)).await, Value::Null);
    assert_eq!(roles(&fixture, &add_on["objectId"]).await, 2);
    assert_eq!(kubectl.get(ACCOUNT).await, Value::Null);
    let now = kubectl.get(SECRET).await;
    assert_eq!(now["metadata"]["uid"], secret["metadata"]["uid"], "the Secret was never missing");
    assert!(fixture.plan().await.is_empty());
    fixture.down_ready().await;
    assert_eq!(fixture.get(&fixture.vault_id()).await, Value::Null);
}

#[tokio::test]
async fn an_environment_without_the_setting_keeps_its_identity() {
    let mut fixture = Fixture::instant().await;
    let resolve = async |fixture: &Fixture, journal_state: &landfall_engine::JournalState| {
        let (_, resources) =
            landfall_steps::deployment(&fixture.clients, &fixture.settings, &fixture.teardown);
        identity_mode::resolve(&fixture.clients, &fixture.settings, resources.records(), journal_state).await
    };
    let lost = landfall_engine::JournalState::default();
    assert_eq!(resolve(&fixture, &lost).await, IdentityMode::Workload, "a new environment");
    fixture.settings.identity = Some(IdentityMode::AddOn);
    fixture.up_ready().await;
    fixture.settings.identity = None;
    let mark = fixture.mark();
    assert_eq!(resolve(&fixture, &fixture.journal_state()).await, IdentityMode::AddOn);
    assert_eq!(fixture.mark(), mark, "the journal is enough");
    assert_eq!(resolve(&fixture, &lost).await, IdentityMode::AddOn, "the class says it");
    fixture.settings.identity = Some(IdentityMode::Workload);
    fixture.up_ready().await;
    fixture.settings.identity = None;
    assert_eq!(resolve(&fixture, &fixture.journal_state()).await, IdentityMode::Workload);
    assert_eq!(resolve(&fixture, &lost).await, IdentityMode::Workload);
}

#[tokio::test]
async fn what_others_removed_is_restored() {
    let fixture = Fixture::instant().await;
    fixture.up_ready().await;
    fixture.delete(&credential_id(&fixture)).await;
    assert_eq!(actions(&fixture.plan().await), [("identity-trust", Action::Create)]);
    fixture.up_ready().await;
    assert_ne!(fixture.get(&credential_id(&fixture)).await, Value::Null);

    // A credential for another issuer, as a recreated cluster leaves it.
    let properties = json!({
        "issuer": "https://eastus.oic.example.com/gone/", "subject": "system:serviceaccount:default:tls-secret-sync",
        "audiences": ["api://AzureADTokenExchange"],
    });
    fixture.put(&credential_id(&fixture), json!({ "properties": properties })).await;
    let plan = fixture.plan().await;
    assert_eq!(actions(&plan), [("identity-trust", Action::Change)]);
    let changed = plan.steps.iter().find(|step| step.step == "identity-trust").unwrap();
    assert_eq!(changed.changes[0].field, "issuer");
    fixture.up_ready().await;
    assert_ne!(fixture.get(&credential_id(&fixture)).await["properties"]["issuer"], properties["issuer"]);

    // With the identity, its credential and its role are gone, and the new one has other ids.
    let before = fixture.get(&identity_id(&fixture)).await;
    fixture.delete(&identity_id(&fixture)).await;
    let result = fixture.up_ready().await;
    assert_created(&result);
    let now = fixture.get(&identity_id(&fixture)).await;
    assert_ne!(now["properties"]["clientId"], before["properties"]["clientId"]);
    let class = fixture.kubectl().await.get(CLASS).await;
    assert_eq!(class["spec"]["parameters"]["clientID"], now["properties"]["clientId"]);
    assert_eq!(roles(&fixture, &before["properties"]["principalId"]).await, 0, "the old role is swept");
    assert!(fixture.plan().await.is_empty());
    fixture.down_ready().await;
}

#[tokio::test]
async fn a_foreign_identity_is_refused_and_its_credentials_stay() {
    let mut fixture = Fixture::instant().await;
    fixture.create_group("eastus").await;
    let foreign = identity_id(&fixture);
    fixture.put(&foreign, json!({ "location": "eastus", "tags": { "Team": "other" } })).await;
    let result = fixture.up().await;
    let error = result.error("identity");
    assert!(error.causes[0].contains("set identity_name to another name"), "{error:?}");
    fixture.settings.identity_name = Some("id-gateway".to_owned());
    fixture.up_ready().await;
    fixture.down_ready().await;
    assert_ne!(fixture.get(&foreign).await, Value::Null);
    let own = fixture.id("Microsoft.ManagedIdentity/userAssignedIdentities/id-gateway");
    assert_eq!(fixture.get(&own).await, Value::Null);
}

#[tokio::test]
async fn a_late_issuer_a_late_credential_and_a_concurrent_write_are_waited_for() {
    for fault in ["issuer-late", "credential-late", "credential-conflict"] {
        let options =
            Options { speed: Speed::Times(600.0), faults: vec![fault.to_owned()], ..Options::default() };
        let fixture = Fixture::with(options).await;
        assert_created(&fixture.up_ready().await);
        assert!(fixture.plan().await.is_empty(), "{fault}");
        let injected = fixture.sim.request_log().into_iter().filter(|line| line.fault == fault).count();
        assert_eq!(injected, 1, "{fault}");
    }
}
