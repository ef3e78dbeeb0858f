//! Access: roles, vaults and their certificates, providers and features.

use super::*;
use crate::environment::replayable;
use landfall_cloud::vault::Vault;
use landfall_engine::{Kind, Undone};
use landfall_sim::{InProcess, Options};
use serde_json::json;

const CERTIFICATE: &str = "gateway-tls-cert";
const VAULT: &str = "/vaults/kv-demo-4711";

async fn vault(here: &Environment) -> Vault {
    let body = get(here, &id(here, "Microsoft.KeyVault/vaults/kv-demo-4711"), arm::vault::API).await;
    here.clouds().vaults.at(body["properties"]["vaultUri"].as_str().unwrap()).unwrap()
}

fn grants(here: &Environment) -> Vec<u16> {
    let ledger = here.world.ledger();
    let is = |line: &&Line| line.method == "PUT" && line.path.contains("/roleAssignments/");
    ledger.iter().filter(is).map(|line| line.status).collect()
}

/// Point 7: a role assignment takes minutes to become effective, and the directory does not know the identity
/// yet.
#[test]
fn a_grant_that_comes_late_is_waited_for_by_repeating_what_was_refused() {
    replayable(1, async {
        let here = here(SIXTY);
        here.arm(&["principal-not-found", "grants-late#2"]);
        let done = comes_up(&here).await;
        assert_eq!(grants(&here)[..2], [400, 201]);
        assert!(done.repeated("certificate").contains(&"ForbiddenByRbac"));
        let imports = requests(&here, "POST", "/import");
        assert_eq!(imports.iter().filter(|line| line.status == 200).count(), 1);
        let refused =
            here.world.ledger().into_iter().filter(|l| l.status == 403 && l.host.contains(".vault."));
        assert!(refused.count() > 1);
        has_nothing_to_do(&here).await;
    });
}

/// Point 8: the same assignment exists under another name.
#[test]
fn a_grant_under_another_name_will_do_and_is_not_taken_for_our_own() {
    replayable(1, async {
        let here = here(SIXTY);
        // The vault is foreign, so that the assignment is not deleted with it.
        let group = here.clouds().azure.path("/resourceGroups/rg-demo");
        put(&here, &group, arm::group::API, &json!({ "location": "eastus" })).await;
        let body = json!({ "location": "eastus", "properties": {
            "tenantId": here.world.facts().tenant, "sku": { "family": "A", "name": "standard" },
            "enableRbacAuthorization": true, "accessPolicies": [],
        } });
        put(&here, &id(&here, "Microsoft.KeyVault/vaults/kv-demo-4711"), arm::vault::API, &body).await;
        here.arm(&["role-exists@PUT vaults/kv-demo-4711/providers/"]);
        let done = comes_up(&here).await;
        assert_eq!(grants(&here).iter().filter(|status| **status == 409).count(), 1);
        assert_eq!(done.how("vault-officer"), Some(How::Created));
        has_nothing_to_do(&here).await;
        let at_vaults = || {
            let all = here.world.read(|world| serde_json::to_value(&world.roles.assignments).unwrap());
            let scope = |grant: &Value| grant["scope"].as_str().unwrap_or_default().to_ascii_lowercase();
            all.as_object().unwrap().values().filter(|grant| scope(grant).ends_with(VAULT)).count()
        };
        assert_eq!(at_vaults(), 3, "the officer's, and two of the add-on's");
        let done = succeeds(&here, Command::Down).await;
        let mut undone = done.report.undone.iter();
        let officer = undone.find(|(step, _)| step == "vault-officer").map(|(_, undone)| undone);
        assert!(matches!(officer, Some(Undone::Kept { .. })), "{officer:?}");
        assert_eq!(at_vaults(), 1, "theirs stays");
    });
}

/// Point 9: vault and certificate are soft-deleted, or the name is foreign.
#[test]
fn what_is_soft_deleted_and_ours_comes_back_and_a_taken_name_is_refused() {
    replayable(1, async {
        let here = here(SIXTY);
        here.arm(&["vault-soft-deleted@PUT /microsoft.keyvault/vaults/"]);
        let done = comes_up(&here).await;
        assert!(done.notes("key-vault").iter().any(|note| note.contains("soft delete")));
        assert_eq!(statuses(&here, "PUT", VAULT)[0], 409);
        assert_eq!(statuses(&here, "PUT", VAULT).len(), 2);
        here.arm(&["certificate-soft-deleted"]);
        succeeds(&here, Command::Up).await;
        assert_eq!(statuses(&here, "POST", "/recover"), [200]);
        assert_eq!(
            vault(&here).await.versions(CERTIFICATE).await.unwrap().len(),
            1,
            "what came back is the wanted one"
        );
        has_nothing_to_do(&here).await;
    });
    replayable(1, async {
        let here = here(SIXTY);
        here.arm(&["vault-taken@PUT /microsoft.keyvault/vaults/"]);
        let error = refuses(&here, "key-vault").await;
        assert_eq!((error.kind, error.code.as_deref()), (Kind::Foreign, Some("VaultAlreadyExists")));
        assert!(error.hint.unwrap().contains("key_vault.name"));
        assert_eq!(statuses(&here, "PUT", VAULT), [409]);
    });
}

/// Point 10: every import creates a new version, also one whose response was lost.
#[test]
fn a_certificate_is_imported_once_also_when_the_answer_is_lost() {
    replayable(1, async {
        let mut here = here(SIXTY);
        here.arm(&["reset-after@POST /import#2"]);
        comes_up(&here).await;
        assert_eq!(
            statuses(&here, "POST", "/import"),
            [401, 0],
            "the vault's challenge, and the lost answer"
        );
        assert_eq!(vault(&here).await.versions(CERTIFICATE).await.unwrap().len(), 1);
        has_nothing_to_do(&here).await;
        let given = settings::pfx("ec.pfx");
        here.wish.certificate.given = Some(given.clone());
        let done = succeeds(&here, Command::Up).await;
        assert_eq!(done.how("certificate"), Some(How::Changed));
        assert_eq!(vault(&here).await.versions(CERTIFICATE).await.unwrap().len(), 2);
        let held = vault(&here).await.certificate(CERTIFICATE).await.unwrap().unwrap();
        assert_eq!(held.thumbprint_sha1_hex, given.leaf().thumbprint_sha1);
    });
}

/// Point 12: a preview feature no longer exists, a provider is not registered.
#[test]
fn a_feature_that_is_gone_is_done_without_and_a_provider_is_registered() {
    replayable(1, async {
        let options = Options {
            seed: Some(7),
            preview_features: vec!["Microsoft.ContainerService/ManagedGatewayAPIPreview".to_owned()],
            ..Options::default()
        };
        let here = Environment::new(InProcess::world(&options, BEGINNING).unwrap(), BEGINNING, SIXTY);
        // The feature disappears after the service required it, at the first poll of its registration.
        here.arm(&["feature-vanished@GET /microsoft.features/providers/"]);
        comes_up(&here).await;
        let features =
            here.world.ledger().into_iter().filter(|line| line.path.contains("Microsoft.Features"));
        assert_eq!(features.map(|line| line.status).collect::<Vec<_>>(), [200, 404]);
        assert_eq!(statuses(&here, "PUT", "/managedClusters/aks-demo"), [400, 201]);
    });
    replayable(1, async {
        let here = here(SIXTY);
        here.arm(&["provider-unregistered@PUT /providers/microsoft.keyvault/vaults/kv"]);
        let error = refuses(&here, "key-vault").await;
        assert_eq!(error.code.as_deref(), Some("MissingSubscriptionRegistration"));
        comes_up(&here).await;
    });
}
