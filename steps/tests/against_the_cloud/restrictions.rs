//! Restricted clusters and vaults: Entra integration, Azure RBAC, authorized ranges, private clusters, vaults
//! without public access, read-only locks. A restriction that refuses a run is found before any change.

use crate::{doctor::current_diagnosis, fixture::Fixture, settings};
use landfall_engine::{Action, How, Kind, Outcome, StepError};
use landfall_steps::preflight::PreflightCheckId;
use serde_json::{Value, json};

const ADMINS: &str = "5f1a2c3d-0000-4000-8000-000000000001";
const CLUSTER_ADMIN: &str = "b1ff04bb-8a4e-4dc4-8eb5-8693973ce19b";
const CLUSTER_READER: &str = "7f6c6a51-bcf8-42ba-9220-52d62157d7db";

/// Creates an environment whose cluster gets a restriction between two runs.
async fn restricted(change: impl FnOnce(&mut Value)) -> Fixture {
    let mut fixture = Fixture::instant().await;
    fixture.up_ready().await;
    fixture.change(&fixture.cluster_id(), change).await;
    fixture.reconnect();
    fixture
}

async fn entra_only(azure_rbac: bool) -> Fixture {
    restricted(|properties| {
        properties["disableLocalAccounts"] = json!(true);
        properties["aadProfile"] = json!({
            "managed": true, "enableAzureRBAC": azure_rbac, "adminGroupObjectIDs": [ADMINS],
        });
    })
    .await
}

fn owner(fixture: &Fixture) -> String {
    fixture.sim.read(|state| state.directory.owner().object_id.clone())
}

/// Grants a role to the signed-in identity at the cluster.
async fn grant(fixture: &Fixture, role: &str) {
    let scope = fixture.cluster_id();
    let name = format!("5f1a2c3d-1111-4000-8000-{}", &role[24..]);
    let id = format!("{scope}/providers/Microsoft.Authorization/roleAssignments/{name}");
    let definition = fixture.path(&format!("/providers/Microsoft.Authorization/roleDefinitions/{role}"));
    let properties = json!({
        "roleDefinitionId": definition, "principalId": owner(fixture), "principalType": "ServicePrincipal",
    });
    fixture.begin(&id, json!({ "properties": properties })).await;
}

/// Runs `plan` and `up`: both refuse in the preflight, and nothing is written.
async fn refused(fixture: &Fixture) -> StepError {
    let mark = fixture.mark();
    let plan = fixture.plan().await;
    let planned = plan.steps.iter().find(|planned| planned.step == "preflight").unwrap();
    assert_eq!(planned.action, Action::Refuse, "{planned:#?}");
    let result = fixture.up().await;
    assert_eq!(result.report.outcome, Outcome::Failed);
    let error = result.error("preflight").clone();
    assert_eq!(error.kind, Kind::Refused, "{error:#?}");
    assert_eq!(fixture.writes(mark), [""; 0], "it touched something");
    error
}

fn says(error: &StepError, code: &str, words: &[&str]) {
    assert_eq!(error.code.as_deref(), Some(code), "{error:#?}");
    let text =
        format!("{} {} {}", error.message, error.causes.join(" "), error.hint.clone().unwrap_or_default());
    for word in words {
        assert!(text.contains(word), "{word} is not in: {text}");
    }
}

fn kubeconfig(fixture: &Fixture) -> String {
    std::fs::read_to_string(&fixture.settings.kubeconfig).unwrap()
}

#[tokio::test]
async fn an_entra_cluster_is_used_with_our_own_token_and_no_program() {
    let fixture = entra_only(false).await;
    let owner = owner(&fixture);
    fixture.sim.change(|state, _| state.directory.add_member(ADMINS, &owner)).unwrap();
    assert!(kubeconfig(&fixture).contains("token:"));
    let result = fixture.up_ready().await;
    // The user's file gets what az would write: no secret, and the program that signs in.
    assert_eq!(result.how("kubeconfig"), Some(How::Created));
    let written = kubeconfig(&fixture);
    assert!(written.contains("kubelogin") && !written.contains("token:"), "{written}");
    let notes = result.notes("preflight");
    assert!(notes.iter().any(|note| note.contains("Microsoft Entra ID")), "{notes:?}");
    let requests = fixture.sim.request_log();
    let last = requests.iter().rfind(|line| line.path.starts_with("/kubernetes/")).unwrap();
    assert_eq!(last.by, owner, "the API server saw landfall's own principal");
    assert!(fixture.plan().await.is_empty());
    fixture.down_ready().await;
    assert_eq!(fixture.get(&fixture.cluster_id()).await, Value::Null);
}

#[tokio::test]
async fn an_entra_cluster_is_completed_after_its_creation() {
    let mut fixture = Fixture::instant().await;
    fixture.up_until(|step| step == "kubeconfig").await;
    fixture
        .change(&fixture.cluster_id(), |properties| {
            properties["aadProfile"] = json!({ "managed": true, "enableAzureRBAC": true });
            properties["disableLocalAccounts"] = json!(true);
        })
        .await;
    grant(&fixture, CLUSTER_ADMIN).await;
    fixture.reconnect();
    fixture.up_ready().await;
    assert!(fixture.plan().await.is_empty());
}

#[tokio::test]
async fn without_a_kubernetes_role_the_run_is_refused_with_the_way_to_it() {
    let fixture = entra_only(false).await;
    let owner = owner(&fixture);
    let error = refused(&fixture).await;
    let member = format!("az ad group member add --group {ADMINS} --member-id {owner}");
    says(&error, "KubernetesRoleMissing", &["Microsoft Entra ID", "Kubernetes RBAC", &owner, &member]);

    let fixture = entra_only(true).await;
    let error = refused(&fixture).await;
    let assignment = "az role assignment create --role \"Azure Kubernetes Service RBAC Cluster Admin\"";
    says(&error, "KubernetesRoleMissing", &["Microsoft Entra ID", "Azure RBAC", assignment]);
    grant(&fixture, CLUSTER_ADMIN).await;
    fixture.up_ready().await;
}

#[tokio::test]
async fn a_role_that_only_reads_is_refused_before_any_change() {
    let fixture = entra_only(true).await;
    grant(&fixture, CLUSTER_READER).await;
    let error = refused(&fixture).await;
    says(&error, "KubernetesRoleMissing", &["it may not patch", "and", "more", "Microsoft Entra ID"]);
}

#[tokio::test]
async fn a_run_that_skips_the_check_is_refused_by_the_cluster() {
    let mut fixture = entra_only(true).await;
    fixture.settings.skip_preflight = [PreflightCheckId::Access].into();
    let result = fixture.up().await;
    let error = result.error("kubeconfig");
    assert_eq!(error.kind, Kind::Refused);
    says(error, "KubernetesRoleMissing", &["Microsoft Entra ID", "az role assignment create"]);
}

#[tokio::test]
async fn an_api_server_for_other_addresses_is_refused_by_name() {
    let ranges = |ranges: Value| {
        move |properties: &mut Value| {
            properties["apiServerAccessProfile"] = json!({ "authorizedIPRanges": ranges });
        }
    };
    let mut fixture = restricted(ranges(json!(["203.0.113.7"]))).await;
    let error = refused(&fixture).await;
    says(&error, "ApiServerNotReachable", &["authorizedIPRanges", "203.0.113.7/32", "az aks update"]);
    fixture.change(&fixture.cluster_id(), ranges(json!(["203.0.113.7", "127.0.0.0/8"]))).await;
    fixture.reconnect();
    let result = fixture.up_ready().await;
    let notes = result.notes("preflight");
    assert!(notes.iter().any(|note| note.contains("127.0.0.0/8")), "{notes:?}");
}

#[tokio::test]
async fn a_private_cluster_is_refused_from_outside_its_network() {
    let mut fixture = Fixture::instant().await;
    fixture.up_until(|step| step == "kubeconfig").await;
    let id = fixture.cluster_id();
    let mut body = fixture.get(&id).await;
    fixture.delete(&id).await;
    while !fixture.get(&id).await.is_null() {
        tokio::task::yield_now().await;
    }
    body["properties"]["apiServerAccessProfile"] =
        json!({ "enablePrivateCluster": true, "enablePrivateClusterPublicFQDN": false });
    fixture.put(&id, body).await;
    fixture.reconnect();
    let error = refused(&fixture).await;
    says(&error, "ApiServerNotReachable", &["enablePrivateCluster", "privatelink.eastus", "virtual network"]);
    let found = current_diagnosis(&fixture).await;
    assert_eq!(found.root().map(|root| root.code), Some("CLUSTER_PRIVATE"), "{found:#?}");
    assert!(!found.is_clean() && found.not_run().any(|outcome| outcome.check == "nodes"), "{found:#?}");
    // Without the check, a step reports the same, and does not wait for an answer.
    fixture.settings.skip_preflight = [PreflightCheckId::Access].into();
    let result = fixture.up().await;
    let error =
        result.report.errors.iter().map(|(_, error)| error).find(|error| {
            error.code.as_deref() == Some("ApiServerNotReachable") && error.kind == Kind::Refused
        });
    assert!(error.is_some(), "{:#?}", result.report.errors);
}

#[tokio::test]
async fn a_vault_without_public_access_is_refused_by_name() {
    let fixture = Fixture::without_cluster().await;
    fixture.up_ready().await;
    let disable = |properties: &mut Value| properties["publicNetworkAccess"] = json!("Disabled");
    fixture.change(&fixture.vault_id(), disable).await;
    let error = refused(&fixture).await;
    says(
        &error,
        "ForbiddenByConnection",
        &["publicNetworkAccess is Disabled", "Azure Policy", settings::VAULT],
    );
    fixture
        .change(&fixture.vault_id(), |properties| {
            properties["publicNetworkAccess"] = json!("Enabled");
            properties["networkAcls"] = json!({ "defaultAction": "Deny", "bypass": "AzureServices" });
        })
        .await;
    let error = refused(&fixture).await;
    says(
        &error,
        "ForbiddenByFirewall",
        &["networkAcls.defaultAction is Deny", "az keyvault network-rule add"],
    );
    fixture
        .change(&fixture.vault_id(), |properties| {
            properties["networkAcls"]["ipRules"] = json!([{ "value": "127.0.0.1/32" }]);
        })
        .await;
    let result = fixture.up_ready().await;
    let notes = result.notes("preflight");
    assert!(
        notes.iter().any(|note| note.contains("admits this run") && note.contains("127.0.0.1")),
        "{notes:?}"
    );
}

/// A policy changes a vault while it is created, after the checks.
#[tokio::test]
async fn a_vault_that_loses_public_access_during_the_run_is_refused_by_name() {
    let fixture = Fixture::without_cluster().await;
    fixture.up_until(|step| step == "certificate").await;
    let disable = |properties: &mut Value| properties["publicNetworkAccess"] = json!("Disabled");
    fixture.change(&fixture.vault_id(), disable).await;
    let mut fixture = fixture;
    fixture.settings.skip_preflight = [PreflightCheckId::Access].into();
    let result = fixture.up().await;
    let error = result.error("certificate");
    assert_eq!(error.kind, Kind::Refused);
    says(error, "ForbiddenByConnection", &["publicNetworkAccess", "Azure Policy"]);
}

#[tokio::test]
async fn the_doctor_reports_a_vault_that_does_not_admit_this_machine() {
    let mut fixture = Fixture::instant().await;
    fixture.up_ready().await;
    let disable = |properties: &mut Value| properties["publicNetworkAccess"] = json!("Disabled");
    fixture.change(&fixture.vault_id(), disable).await;
    fixture.reconnect();
    let found = current_diagnosis(&fixture).await;
    let finding = found.findings.iter().find(|finding| finding.code == "VAULT_NOT_REACHABLE");
    let finding = finding.unwrap_or_else(|| panic!("{found:#?}"));
    assert!(finding.cause.contains("publicNetworkAccess is Disabled"), "{finding:#?}");
    assert!(!found.is_clean() && found.not_run().any(|outcome| outcome.check == "certificate"), "{found:#?}");
}

#[tokio::test]
async fn a_read_only_lock_is_refused_before_any_change_and_its_end_is_enough() {
    let fixture = Fixture::instant().await;
    let group = fixture.create_group("eastus").await;
    let lock = fixture.lock_as(&group, "ReadOnly").await;
    let error = refused(&fixture).await;
    says(&error, "ScopeLocked", &["ReadOnly (until the audit)", "az lock delete --ids"]);
    fixture.delete(&lock).await;
    fixture.up_ready().await;
    let lock = fixture.lock_as(&fixture.network_id(), "ReadOnly").await;
    let result = fixture.up_ready().await;
    let notes = result.notes("preflight");
    assert!(
        notes.iter().any(|note| note.contains("vnet-demo")),
        "a lock of one resource is noted: {notes:?}"
    );
    fixture.delete(&lock).await;
}
