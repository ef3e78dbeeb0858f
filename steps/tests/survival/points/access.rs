//! Access: roles, vaults and their certificates, providers and features.

use super::*;
use crate::environment::replayable;
use landfall_cloud::vault::Vault;
use landfall_engine::{Kind, UndoOutcome};
use landfall_sim::{InProcess, Options};
use serde_json::json;

const CERTIFICATE: &str = "gateway-tls-cert";
const VAULT: &str = "/vaults/kv-demo-4711";

async fn vault(env: &Environment) -> Vault {
    let body = get(env, &id(env, "Microsoft.KeyVault/vaults/kv-demo-4711"), arm::vault::API).await;
    env.clients().vaults.at(body["properties"]["vaultUri"].as_str().unwrap()).unwrap()
}

fn grants(env: &Environment) -> Vec<u16> {
    let request_log = env.sim.request_log();
    let is = |line: &&RequestRecord| line.method == "PUT" && line.path.contains("/roleAssignments/");
    request_log.iter().filter(is).map(|line| line.status).collect()
}

/// Point 7: a role assignment takes minutes to become effective, and the directory does not know the identity
/// yet.
#[test]
fn a_late_role_assignment_is_waited_for_by_retrying_the_refused_request() {
    replayable(1, async {
        let env = env(SPEED_60X);
        env.arm(&["principal-not-found", "grants-late#2"]);
        let done = run_up(&env).await;
        assert_eq!(grants(&env)[..2], [400, 201]);
        assert!(done.retry_reasons("certificate").contains(&"ForbiddenByRbac"));
        let imports = requests(&env, "POST", "/import");
        assert_eq!(imports.iter().filter(|line| line.status == 200).count(), 1);
        let refused =
            env.sim.request_log().into_iter().filter(|l| l.status == 403 && l.host.contains(".vault."));
        assert!(refused.count() > 1);
        assert_no_changes(&env).await;
    });
}

/// Point 8: the same assignment exists under another name.
#[test]
fn a_role_assignment_under_another_name_suffices_and_stays_foreign() {
    replayable(1, async {
        let env = env(SPEED_60X);
        // The vault is foreign, so that the assignment is not deleted with it.
        let group = env.clients().azure.path("/resourceGroups/rg-demo");
        put(&env, &group, arm::group::API, &json!({ "location": "eastus" })).await;
        let body = json!({ "location": "eastus", "properties": {
            "tenantId": env.sim.connection().tenant, "sku": { "family": "A", "name": "standard" },
            "enableRbacAuthorization": true, "accessPolicies": [],
        } });
        put(&env, &id(&env, "Microsoft.KeyVault/vaults/kv-demo-4711"), arm::vault::API, &body).await;
        env.arm(&["role-exists@PUT vaults/kv-demo-4711/providers/"]);
        let done = run_up(&env).await;
        assert_eq!(grants(&env).iter().filter(|status| **status == 409).count(), 1);
        assert_eq!(done.how("vault-officer"), Some(How::Created));
        assert_no_changes(&env).await;
        let at_vaults = || {
            let all = env.sim.read(|sim| serde_json::to_value(&sim.roles.assignments).unwrap());
            let scope = |grant: &Value| grant["scope"].as_str().unwrap_or_default().to_ascii_lowercase();
            all.as_object().unwrap().values().filter(|grant| scope(grant).ends_with(VAULT)).count()
        };
        assert_eq!(at_vaults(), 2, "the officer's, and that of the identity");
        let done = run_to_success(&env, Command::Down).await;
        let mut undone = done.report.undone.iter();
        let officer = undone.find(|(step, _)| step == "vault-officer").map(|(_, undone)| undone);
        assert!(matches!(officer, Some(UndoOutcome::Kept { .. })), "{officer:?}");
        assert_eq!(at_vaults(), 1, "theirs stays");
    });
}

/// Point 9: vault and certificate are soft-deleted, or the name is foreign.
#[test]
fn an_owned_soft_deleted_vault_is_recovered_and_a_taken_name_is_refused() {
    replayable(1, async {
        let env = env(SPEED_60X);
        env.arm(&["vault-soft-deleted@PUT /microsoft.keyvault/vaults/"]);
        let done = run_up(&env).await;
        assert!(done.notes("key-vault").iter().any(|note| note.contains("soft delete")));
        assert_eq!(statuses(&env, "PUT", VAULT)[0], 409);
        assert_eq!(statuses(&env, "PUT", VAULT).len(), 2);
        env.arm(&["certificate-soft-deleted"]);
        run_to_success(&env, Command::Up).await;
        assert_eq!(statuses(&env, "POST", "/recover"), [200]);
        assert_eq!(
            vault(&env).await.versions(CERTIFICATE).await.unwrap().len(),
            1,
            "what came back is the wanted one"
        );
        assert_no_changes(&env).await;
    });
    replayable(1, async {
        let env = env(SPEED_60X);
        env.arm(&["vault-taken@PUT /microsoft.keyvault/vaults/"]);
        let error = run_refused(&env, "key-vault").await;
        assert_eq!((error.kind, error.code.as_deref()), (Kind::Foreign, Some("VaultAlreadyExists")));
        assert!(error.hint.unwrap().contains("key_vault.name"));
        assert_eq!(statuses(&env, "PUT", VAULT), [409]);
    });
}

/// Point 10: every import creates a new version, also one whose response was lost.
#[test]
fn a_certificate_is_imported_once_even_if_the_response_is_lost() {
    replayable(1, async {
        let mut env = env(SPEED_60X);
        env.arm(&["reset-after@POST /import#2"]);
        run_up(&env).await;
        assert_eq!(statuses(&env, "POST", "/import"), [401, 0], "the vault's challenge, and the lost answer");
        assert_eq!(vault(&env).await.versions(CERTIFICATE).await.unwrap().len(), 1);
        assert_no_changes(&env).await;
        let given = settings::pfx("ec.pfx");
        env.settings.certificate.given = Some(given.clone());
        let done = run_to_success(&env, Command::Up).await;
        assert_eq!(done.how("certificate"), Some(How::Changed));
        assert_eq!(vault(&env).await.versions(CERTIFICATE).await.unwrap().len(), 2);
        let held = vault(&env).await.certificate(CERTIFICATE).await.unwrap().unwrap();
        assert_eq!(held.thumbprint_sha1_hex, given.leaf().thumbprint_sha1);
    });
}

/// Point 12: a preview feature no longer exists, a provider is not registered.
#[test]
fn a_removed_preview_feature_is_skipped_and_a_provider_is_registered() {
    replayable(1, async {
        let options = Options {
            seed: Some(7),
            preview_features: vec!["Microsoft.ContainerService/ManagedGatewayAPIPreview".to_owned()],
            ..Options::default()
        };
        let env = Environment::new(InProcess::state(&options, START_TIME).unwrap(), START_TIME, SPEED_60X);
        // The feature disappears after the service required it, at the first poll of its registration.
        env.arm(&["feature-vanished@GET /microsoft.features/providers/"]);
        run_up(&env).await;
        let features =
            env.sim.request_log().into_iter().filter(|line| line.path.contains("Microsoft.Features"));
        assert_eq!(features.map(|line| line.status).collect::<Vec<_>>(), [200, 404]);
        assert_eq!(statuses(&env, "PUT", "/managedClusters/aks-demo"), [400, 201]);
    });
    replayable(1, async {
        let env = env(SPEED_60X);
        env.arm(&["provider-unregistered@PUT /providers/microsoft.keyvault/vaults/kv"]);
        let error = run_refused(&env, "key-vault").await;
        assert_eq!(error.code.as_deref(), Some("MissingSubscriptionRegistration"));
        run_up(&env).await;
    });
}
