//! Preflight: one failing case for each check, without any change, and all findings at once.

use crate::{
    fixture::{Fixture, RunResult},
    settings,
};
use landfall_engine::{Kind, Leftover, Outcome, StepError};
use landfall_sim::{
    Options, Speed,
    arm::policies::{Operator, Policy},
    arm::roles::Assignment,
    state::CloudState,
};
use landfall_steps::preflight::PreflightCheckId;
use serde_json::json;

const READER: &str = "acdd72a7-3385-48ef-bd42-f606fba81ae7";
const CONTRIBUTOR: &str = "b24988ac-6180-42a0-ab88-20f7382dd24c";

/// Fails at preflight, with reads only and an unchanged journal; returns the error.
async fn run_refused(fixture: &Fixture) -> StepError {
    let mark = fixture.mark();
    let result = fixture.up().await;
    assert_eq!(result.report.outcome, Outcome::Failed);
    assert_eq!((result.report.failed, result.counts()), (1, (0, 0, 0)), "{:#?}", result.report.errors);
    assert_eq!(fixture.writes(mark), [""; 0], "it touched something");
    assert_eq!(result.started(), [""; 0]);
    let journal_state = fixture.journal_state();
    assert!(
        journal_state.0.values().all(|step_state| step_state.output.is_none()
            && !step_state.owned
            && step_state.ticket.is_none())
    );
    let error = result.error("preflight").clone();
    assert_eq!(error.leftover, Leftover::Nothing);
    error
}

/// Changes the cloud out of band, then expects the failure.
async fn run_refused_after(change: impl FnOnce(&mut CloudState)) -> StepError {
    let fixture = Fixture::instant().await;
    fixture.sim.change(|state, _| change(state)).unwrap();
    run_refused(&fixture).await
}

/// Replaces the role of the signed-in principal at the subscription.
fn replace_role(state: &mut CloudState, role: &str) {
    let (owner, whole) =
        (state.directory.owner().object_id.clone(), format!("/subscriptions/{}", state.subscription));
    let at_it = |one: &&mut Assignment| one.principal_id == owner && one.scope == whole;
    let own = state.roles.assignments.values_mut().filter(at_it);
    own.for_each(|one| role.clone_into(&mut one.role));
}

fn deny_policy(field: &str, operator: Operator, values: &[&str]) -> Policy {
    let values = values.iter().map(|value| (*value).to_owned()).collect();
    Policy { name: "house-rules".into(), group: String::new(), field: field.into(), operator, values }
}

fn assert_error(error: &StepError, kind: Kind, code: &str, words: &[&str]) {
    assert_eq!((error.kind, error.code.as_deref()), (kind, Some(code)), "{error:#?}");
    let text = format!("{}\n{}\n{}", error.message, error.causes.join("\n"), error.hint.as_deref().unwrap());
    for word in words {
        assert!(text.contains(word), "{word:?} is not said:\n{text}");
    }
}

#[tokio::test]
async fn a_disabled_subscription_is_reported_before_the_first_write() {
    let error = run_refused_after(|state| state.disabled = true).await;
    assert_error(&error, Kind::Refused, "ReadOnlyDisabledSubscription", &["Disabled", "owner"]);
}

#[tokio::test]
async fn an_unknown_region_is_an_input_error_and_the_only_finding() {
    let mut fixture = Fixture::instant().await;
    fixture.settings.location = "eastus3".to_owned();
    let error = run_refused(&fixture).await;
    assert_error(
        &error,
        Kind::Input,
        "LocationNotAvailableForResourceType",
        &["eastus3", "eastus has a similar name"],
    );
}

#[tokio::test]
async fn an_unregistered_provider_is_a_finding_only_without_the_right_to_register() {
    let unregistered = vec!["Microsoft.KeyVault".to_owned()];
    let options = Options { speed: Speed::Instant, unregistered, ..Options::default() };
    let fixture = Fixture { whole: false, ..Fixture::with(options).await };
    fixture.sim.change(|state, _| replace_role(state, READER)).unwrap();
    let error = run_refused(&fixture).await;
    assert_eq!(error.message, "pass 3 of 16 checks", "{error:#?}");
    assert!(error.causes[0].starts_with("providers: Microsoft.KeyVault is not registered"));
    assert!(error.causes[0].contains("az provider register -n Microsoft.KeyVault"));
}

#[tokio::test]
async fn a_contributor_cannot_assign_roles_and_gets_the_required_roles() {
    let error = run_refused_after(|state| replace_role(state, CONTRIBUTOR)).await;
    let roles = "Owner, User Access Administrator or Role Based Access Control Administrator at this scope";
    assert_error(
        &error,
        Kind::Refused,
        "AuthorizationFailed",
        &["role assignments at /subscriptions/", roles],
    );
}

#[tokio::test]
async fn a_reader_gets_missing_rights_and_role_assignments_as_two_findings() {
    let error = run_refused_after(|state| replace_role(state, READER)).await;
    assert_eq!(error.causes.len(), 2, "{error:#?}");
    assert!(error.causes[0].starts_with("rights: ") && error.causes[0].contains("create key vaults"));
    assert!(error.causes[0].contains("Contributor at this scope"));
    assert!(error.causes[1].starts_with("role-grants: "), "{:?}", error.causes);
}

#[tokio::test]
async fn an_owner_of_only_the_group_passes() {
    let fixture = Fixture::without_cluster().await;
    let id = fixture.create_group("eastus").await;
    let owner = fixture.sim.connection().object_id.clone();
    let restrict_to_group = |state: &mut CloudState| {
        let own = state.roles.assignments.values_mut().filter(|one| one.principal_id == owner);
        own.for_each(|one| id.clone_into(&mut one.scope));
    };
    fixture.sim.change(|state, _| restrict_to_group(state)).unwrap();
    let result = fixture.up().await;
    let stuck = result.report.errors.iter().any(|(step, _)| step == "preflight");
    assert!(!stuck, "{:#?}", result.report.errors);
}

#[tokio::test]
async fn a_foreign_vault_name_is_refused_with_another_name_suggested() {
    let error = run_refused_after(|state| state.vaults.reserve_name(settings::VAULT)).await;
    let another = landfall_steps::names::another_vault(settings::VAULT);
    assert_error(
        &error,
        Kind::Refused,
        "VaultAlreadyExists",
        &["taken by another vault", "key_vault.name", &another],
    );
}

#[tokio::test]
async fn a_foreign_deleted_vault_can_be_purged_only_by_the_user() {
    let fixture = Fixture::instant().await;
    fixture.create_group("eastus").await;
    let tenant = fixture.sim.connection().tenant.clone();
    let vault = json!({ "location": "eastus", "properties": {
        "tenantId": tenant, "sku": { "name": "standard", "family": "A" }, "accessPolicies": [],
    }});
    fixture.put(&fixture.vault_id(), vault).await;
    fixture.delete(&fixture.vault_id()).await;
    let error = run_refused(&fixture).await;
    assert_error(&error, Kind::Refused, "VaultAlreadyExists", &["az keyvault purge --name kv-demo-4711"]);
}

#[tokio::test]
async fn an_owned_deleted_vault_is_no_finding_and_noted_as_recoverable() {
    let fixture = Fixture::without_cluster().await;
    fixture.up_ready().await;
    fixture.down_ready().await;
    let result = fixture.up_ready().await;
    assert!(result.notes("preflight").iter().any(|note| note.contains("will be recovered")));
}

#[tokio::test]
async fn a_version_that_the_region_does_not_offer_is_refused_with_the_list() {
    let mut fixture = Fixture::instant().await;
    fixture.settings.cluster.version = Some("1.12".to_owned());
    let error = run_refused(&fixture).await;
    assert_error(
        &error,
        Kind::Refused,
        "K8sVersionNotSupported",
        &["1.12", "eastus offers", "cluster.version"],
    );
}

#[tokio::test]
async fn an_unknown_size_is_an_input_error_and_a_restricted_one_is_refused() {
    let mut fixture = Fixture::instant().await;
    fixture.settings.cluster.node_size = "Standard_Z9".to_owned();
    let error = run_refused(&fixture).await;
    assert_error(&error, Kind::Input, "VMSizeNotSupported", &["Standard_Z9", "Standard_D4s_v6"]);
    let error = run_refused_after(|state| state.limits.withhold("eastus", "Standard_D4s_v5")).await;
    assert_error(
        &error,
        Kind::Refused,
        "VMSizeNotSupported",
        &["NotAvailableForSubscription", "Standard_D4as_v5"],
    );
}

#[tokio::test]
async fn the_core_quota_must_allow_the_maximum_nodes_and_an_upgrade() {
    let error = run_refused_after(|state| state.limits.set("eastus", "standardDSv5Family", 10)).await;
    let words = "Standard DSv5 Family vCPUs in eastus allows 10, but 16 are needed (nodes_max 3 plus one for upgrades)";
    assert_error(&error, Kind::Refused, "QuotaExceeded", &[words, "cluster.nodes_max to 1"]);
    let error = run_refused_after(|state| state.limits.set("eastus", "cores", 15)).await;
    assert_error(&error, Kind::Refused, "QuotaExceeded", &["Total Regional vCPUs in eastus allows 15"]);
}

#[tokio::test]
async fn the_public_address_quota_must_allow_two_gateways_and_outbound() {
    let error = run_refused_after(|state| state.limits.set("eastus", "PublicIPAddresses", 2)).await;
    assert_error(&error, Kind::Refused, "PublicIPCountLimitReached", &["allows 2", "3 are needed"]);
}

#[tokio::test]
async fn ranges_that_conflict_with_the_existing_network_are_input_errors() {
    for (space, subnet, code) in [
        ("10.9.0.0/16", "10.9.0.0/24", "NetcfgSubnetRangeOutsideVnet"),
        ("10.0.0.0/16", "10.0.3.0/24", "NetcfgSubnetRangesOverlap"),
        ("10.0.0.0/15", "10.0.64.0/24", "ServiceCidrOverlapExistingSubnetsCidr"),
    ] {
        let fixture = Fixture::instant().await;
        fixture.create_group("eastus").await;
        let body = json!({ "location": "eastus", "properties": {
            "addressSpace": { "addressPrefixes": [space] },
            "subnets": [{ "name": "theirs", "properties": { "addressPrefix": subnet } }],
        }});
        fixture.put(&fixture.network_id(), body).await;
        assert_error(&run_refused(&fixture).await, Kind::Input, code, &["vnet-demo"]);
    }
}

#[tokio::test]
async fn a_denying_policy_is_reported_with_the_denied_resources() {
    let policy = deny_policy("location", Operator::NotIn, &["westeurope"]);
    let error = run_refused_after(|state| state.policies.0.push(policy)).await;
    let words = ["policy house-rules denies resource group rg-demo, virtual network", "location is eastus"];
    assert_error(&error, Kind::Refused, "RequestDisallowedByPolicy", &words);
    let policy = deny_policy("properties.networkProfile.outboundType", Operator::In, &["loadBalancer"]);
    let error = run_refused_after(|state| state.policies.0.push(policy)).await;
    assert_error(
        &error,
        Kind::Refused,
        "RequestDisallowedByPolicy",
        &["denies cluster aks-demo", "loadBalancer"],
    );
}

fn break_everything(state: &mut CloudState) {
    replace_role(state, CONTRIBUTOR);
    state.vaults.reserve_name(settings::VAULT);
    state.limits.set("eastus", "cores", 4);
    state.limits.set("eastus", "PublicIPAddresses", 0);
    state.policies.0.push(deny_policy("tags.CostCentre", Operator::Missing, &[]));
}

#[tokio::test]
async fn all_findings_are_reported_at_once_each_with_its_fix() {
    let error = run_refused_after(break_everything).await;
    assert_eq!((error.kind, error.message.as_str()), (Kind::Refused, "pass 5 of 16 checks"));
    let of = |cause: &String| cause.split(':').next().unwrap().to_owned();
    let named: Vec<String> = error.causes.iter().map(of).collect();
    assert_eq!(named, ["role-grants", "vault-name", "regional-quota", "addresses", "policy"]);
    for cause in &error.causes {
        assert!(cause.contains("; "), "no mend: {cause}");
    }
    assert!(error.hint.unwrap().contains("--skip-preflight"));
}

/// Returns whether a request's path contained this.
fn requested(fixture: &Fixture, mark: usize, part: &str) -> bool {
    fixture.sim.request_log().iter().skip(mark).any(|line| line.path.contains(part))
}

#[tokio::test]
async fn a_skipped_check_sends_no_request() {
    let mut fixture = Fixture::instant().await;
    fixture.sim.change(|state, _| break_everything(state)).unwrap();
    fixture.settings.skip_preflight = [
        PreflightCheckId::RoleGrants,
        PreflightCheckId::VaultName,
        PreflightCheckId::RegionalQuota,
        PreflightCheckId::Policy,
    ]
    .into();
    let error = run_refused(&fixture).await;
    assert_error(&error, Kind::Refused, "PublicIPCountLimitReached", &["allows 0"]);
    assert!(
        !requested(&fixture, 0, "checkNameAvailability")
            && !requested(&fixture, 0, "checkPolicyRestrictions")
    );
    assert!(requested(&fixture, 0, "Microsoft.Network/locations/eastus/usages"));
}

#[tokio::test]
async fn existing_resources_need_no_checks_and_stay_despite_new_limits() {
    let fixture = Fixture::instant().await;
    fixture.up_ready().await;
    fixture.sim.change(|state, _| break_everything(state)).unwrap();
    let mark = fixture.mark();
    assert_eq!(found(&fixture.up_ready().await), 19);
    for part in ["usages", "skus", "permissions", "check", "/locations?"] {
        assert!(!requested(&fixture, mark, part), "{part} was asked");
    }
    // Without the journal the check runs, and the existing resources make the finding irrelevant that would
    // stop a new environment.
    fixture.sim.change(|state, _| state.policies.0.clear()).unwrap();
    std::fs::remove_dir_all(fixture.home.path().join("state")).unwrap();
    assert_eq!(found(&fixture.up_ready().await), 19);
    assert!(requested(&fixture, mark, "usages"));
}

fn found(result: &RunResult) -> u32 {
    result.report.found
}

#[tokio::test]
async fn a_check_that_could_not_run_is_no_finding() {
    let fixture = Fixture::without_cluster().await;
    let faults = [
        "no-registered-provider@GET compute/locations*9",
        "server-error@GET permissions*99",
        "server-error@POST checkNameAvailability*99",
    ];
    let armed = faults.map(|text| landfall_sim::fault::Armed::read(text).unwrap());
    fixture.sim.change(|state, _| state.faults.armed.extend(armed)).unwrap();
    let result = fixture.up_ready().await;
    let notes = result.notes("preflight");
    for name in ["quota", "rights", "vault-name"] {
        assert!(notes.iter().any(|note| note.starts_with(&format!("{name} could not run"))), "{notes:?}");
    }
}
