//! Preflight: one failing case for each check, without any change, and all findings at once.

use crate::{
    bench::{Bench, Told},
    settings,
};
use landfall_engine::{Kind, Outcome, Residue, StepError};
use landfall_sim::{
    Options, Speed,
    arm::policies::{Operator, Policy},
    arm::roles::Assignment,
    world::World,
};
use landfall_steps::preflight::Concern;
use serde_json::json;

const READER: &str = "acdd72a7-3385-48ef-bd42-f606fba81ae7";
const CONTRIBUTOR: &str = "b24988ac-6180-42a0-ab88-20f7382dd24c";

/// Fails at preflight, with reads only and an unchanged journal; returns the error.
async fn refused(bench: &Bench) -> StepError {
    let mark = bench.mark();
    let told = bench.up().await;
    assert_eq!(told.report.outcome, Outcome::Failed);
    assert_eq!((told.report.failed, told.counts()), (1, (0, 0, 0)), "{:#?}", told.report.errors);
    assert_eq!(bench.writes(mark), [""; 0], "it touched something");
    assert_eq!(told.started(), [""; 0]);
    let memory = bench.memory();
    assert!(memory.0.values().all(|past| past.output.is_none() && !past.ours && past.ticket.is_none()));
    let error = told.error("preflight").clone();
    assert_eq!(error.residue, Residue::Nothing);
    error
}

/// Changes the cloud out of band, then expects the failure.
async fn refused_after(change: impl FnOnce(&mut World)) -> StepError {
    let bench = Bench::instant().await;
    bench.sim.change(|world, _| change(world)).unwrap();
    refused(&bench).await
}

/// Replaces the role of the signed-in principal at the subscription.
fn demoted(world: &mut World, role: &str) {
    let (owner, whole) =
        (world.directory.owner().object_id.clone(), format!("/subscriptions/{}", world.subscription));
    let at_it = |one: &&mut Assignment| one.principal_id == owner && one.scope == whole;
    let own = world.roles.assignments.values_mut().filter(at_it);
    own.for_each(|one| role.clone_into(&mut one.role));
}

fn denies(field: &str, operator: Operator, values: &[&str]) -> Policy {
    let values = values.iter().map(|value| (*value).to_owned()).collect();
    Policy { name: "house-rules".into(), group: String::new(), field: field.into(), operator, values }
}

fn says(error: &StepError, kind: Kind, code: &str, words: &[&str]) {
    assert_eq!((error.kind, error.code.as_deref()), (kind, Some(code)), "{error:#?}");
    let text = format!("{}\n{}\n{}", error.message, error.causes.join("\n"), error.hint.as_deref().unwrap());
    for word in words {
        assert!(text.contains(word), "{word:?} is not said:\n{text}");
    }
}

#[tokio::test]
async fn a_subscription_that_is_disabled_is_told_before_the_first_write_is() {
    let error = refused_after(|world| world.disabled = true).await;
    says(&error, Kind::Refused, "ReadOnlyDisabledSubscription", &["Disabled", "owner"]);
}

#[tokio::test]
async fn a_region_that_there_is_not_is_input_and_the_only_finding() {
    let mut bench = Bench::instant().await;
    bench.wish.location = "eastus3".to_owned();
    let error = refused(&bench).await;
    says(
        &error,
        Kind::Input,
        "LocationNotAvailableForResourceType",
        &["eastus3", "eastus has a similar name"],
    );
}

#[tokio::test]
async fn a_provider_that_is_not_registered_is_a_finding_only_without_the_right_to_register() {
    let unregistered = vec!["Microsoft.KeyVault".to_owned()];
    let options = Options { speed: Speed::Instant, unregistered, ..Options::default() };
    let bench = Bench { whole: false, ..Bench::with(options).await };
    bench.sim.change(|world, _| demoted(world, READER)).unwrap();
    let error = refused(&bench).await;
    assert_eq!(error.message, "pass 3 of 14 checks", "{error:#?}");
    assert!(error.causes[0].starts_with("providers: Microsoft.KeyVault is not registered"));
    assert!(error.causes[0].contains("az provider register -n Microsoft.KeyVault"));
}

#[tokio::test]
async fn a_contributor_may_not_grant_roles_and_is_told_who_may() {
    let error = refused_after(|world| demoted(world, CONTRIBUTOR)).await;
    let roles = "Owner, User Access Administrator or Role Based Access Control Administrator at this scope";
    says(&error, Kind::Refused, "AuthorizationFailed", &["role assignments at /subscriptions/", roles]);
}

#[tokio::test]
async fn a_reader_is_told_what_is_lacking_and_the_grants_apart() {
    let error = refused_after(|world| demoted(world, READER)).await;
    assert_eq!(error.causes.len(), 2, "{error:#?}");
    assert!(error.causes[0].starts_with("rights: ") && error.causes[0].contains("create key vaults"));
    assert!(error.causes[0].contains("Contributor at this scope"));
    assert!(error.causes[1].starts_with("role-grants: "), "{:?}", error.causes);
}

#[tokio::test]
async fn an_owner_of_the_group_alone_is_cleared() {
    let bench = Bench::without_cluster().await;
    let id = bench.make_group("eastus").await;
    let owner = bench.sim.facts().object_id.clone();
    let owned = |world: &mut World| {
        let own = world.roles.assignments.values_mut().filter(|one| one.principal_id == owner);
        own.for_each(|one| id.clone_into(&mut one.scope));
    };
    bench.sim.change(|world, _| owned(world)).unwrap();
    let told = bench.up().await;
    let stuck = told.report.errors.iter().any(|(step, _)| step == "preflight");
    assert!(!stuck, "{:#?}", told.report.errors);
}

#[tokio::test]
async fn a_vault_of_a_stranger_is_answered_with_another_name() {
    let error = refused_after(|world| world.vaults.occupy(settings::VAULT)).await;
    let another = landfall_steps::names::another_vault(settings::VAULT);
    says(
        &error,
        Kind::Refused,
        "VaultAlreadyExists",
        &["taken by another vault", "key_vault.name", &another],
    );
}

#[tokio::test]
async fn a_deleted_vault_that_nothing_marks_as_ours_may_be_purged_by_a_person_only() {
    let bench = Bench::instant().await;
    bench.make_group("eastus").await;
    let tenant = bench.sim.facts().tenant.clone();
    let vault = json!({ "location": "eastus", "properties": {
        "tenantId": tenant, "sku": { "name": "standard", "family": "A" }, "accessPolicies": [],
    }});
    bench.put(&bench.vault_id(), vault).await;
    bench.delete(&bench.vault_id()).await;
    let error = refused(&bench).await;
    says(&error, Kind::Refused, "VaultAlreadyExists", &["az keyvault purge --name kv-demo-4711"]);
}

#[tokio::test]
async fn our_own_deleted_vault_is_no_finding_and_said_to_come_back() {
    let bench = Bench::without_cluster().await;
    bench.up_ready().await;
    bench.down_ready().await;
    let told = bench.up_ready().await;
    assert!(told.notes("preflight").iter().any(|note| note.contains("will be recovered")));
}

#[tokio::test]
async fn a_version_that_the_region_does_not_offer_is_refused_with_the_list() {
    let mut bench = Bench::instant().await;
    bench.wish.cluster.version = Some("1.12".to_owned());
    let error = refused(&bench).await;
    says(&error, Kind::Refused, "K8sVersionNotSupported", &["1.12", "eastus offers", "cluster.version"]);
}

#[tokio::test]
async fn a_size_that_there_is_not_is_input_and_a_withheld_one_is_refused() {
    let mut bench = Bench::instant().await;
    bench.wish.cluster.node_size = "Standard_Z9".to_owned();
    let error = refused(&bench).await;
    says(&error, Kind::Input, "VMSizeNotSupported", &["Standard_Z9", "Standard_D4s_v6"]);
    let error = refused_after(|world| world.limits.withhold("eastus", "Standard_D4s_v5")).await;
    says(&error, Kind::Refused, "VMSizeNotSupported", &["NotAvailableForSubscription", "Standard_D4as_v5"]);
}

#[tokio::test]
async fn cores_must_be_enough_for_the_most_nodes_and_an_upgrade() {
    let error = refused_after(|world| world.limits.set("eastus", "standardDSv5Family", 10)).await;
    let words = "Standard DSv5 Family vCPUs in eastus allows 10, but 16 are needed (nodes_max 3 plus one for upgrades)";
    says(&error, Kind::Refused, "QuotaExceeded", &[words, "cluster.nodes_max to 1"]);
    let error = refused_after(|world| world.limits.set("eastus", "cores", 15)).await;
    says(&error, Kind::Refused, "QuotaExceeded", &["Total Regional vCPUs in eastus allows 15"]);
}

#[tokio::test]
async fn public_addresses_must_be_enough_for_two_gateways_and_outbound() {
    let error = refused_after(|world| world.limits.set("eastus", "PublicIPAddresses", 2)).await;
    says(&error, Kind::Refused, "PublicIPCountLimitReached", &["allows 2", "3 are needed"]);
}

#[tokio::test]
async fn ranges_that_do_not_fit_the_network_that_is_there_are_input() {
    for (space, subnet, code) in [
        ("10.9.0.0/16", "10.9.0.0/24", "NetcfgSubnetRangeOutsideVnet"),
        ("10.0.0.0/16", "10.0.3.0/24", "NetcfgSubnetRangesOverlap"),
        ("10.0.0.0/15", "10.0.64.0/24", "ServiceCidrOverlapExistingSubnetsCidr"),
    ] {
        let bench = Bench::instant().await;
        bench.make_group("eastus").await;
        let body = json!({ "location": "eastus", "properties": {
            "addressSpace": { "addressPrefixes": [space] },
            "subnets": [{ "name": "theirs", "properties": { "addressPrefix": subnet } }],
        }});
        bench.put(&bench.network_id(), body).await;
        says(&refused(&bench).await, Kind::Input, code, &["vnet-demo"]);
    }
}

#[tokio::test]
async fn a_policy_that_denies_is_named_with_what_it_denies() {
    let policy = denies("location", Operator::NotIn, &["westeurope"]);
    let error = refused_after(|world| world.policies.0.push(policy)).await;
    let words = ["policy house-rules denies resource group rg-demo, virtual network", "location is eastus"];
    says(&error, Kind::Refused, "RequestDisallowedByPolicy", &words);
    let policy = denies("properties.networkProfile.outboundType", Operator::In, &["loadBalancer"]);
    let error = refused_after(|world| world.policies.0.push(policy)).await;
    says(&error, Kind::Refused, "RequestDisallowedByPolicy", &["denies cluster aks-demo", "loadBalancer"]);
}

fn everything_wrong(world: &mut World) {
    demoted(world, CONTRIBUTOR);
    world.vaults.occupy(settings::VAULT);
    world.limits.set("eastus", "cores", 4);
    world.limits.set("eastus", "PublicIPAddresses", 0);
    world.policies.0.push(denies("tags.CostCentre", Operator::Missing, &[]));
}

#[tokio::test]
async fn all_findings_are_told_at_once_each_with_its_mend() {
    let error = refused_after(everything_wrong).await;
    assert_eq!((error.kind, error.message.as_str()), (Kind::Refused, "pass 5 of 14 checks"));
    let of = |cause: &String| cause.split(':').next().unwrap().to_owned();
    let named: Vec<String> = error.causes.iter().map(of).collect();
    assert_eq!(named, ["role-grants", "vault-name", "regional-quota", "addresses", "policy"]);
    for cause in &error.causes {
        assert!(cause.contains("; "), "no mend: {cause}");
    }
    assert!(error.hint.unwrap().contains("--skip-preflight"));
}

/// Returns whether a request's path contained this.
fn asked(bench: &Bench, mark: usize, part: &str) -> bool {
    bench.sim.ledger().iter().skip(mark).any(|line| line.path.contains(part))
}

#[tokio::test]
async fn a_check_that_is_left_out_is_not_even_asked() {
    let mut bench = Bench::instant().await;
    bench.sim.change(|world, _| everything_wrong(world)).unwrap();
    bench.wish.skip_preflight =
        [Concern::RoleGrants, Concern::VaultName, Concern::RegionalQuota, Concern::Policy].into();
    let error = refused(&bench).await;
    says(&error, Kind::Refused, "PublicIPCountLimitReached", &["allows 0"]);
    assert!(!asked(&bench, 0, "checkNameAvailability") && !asked(&bench, 0, "checkPolicyRestrictions"));
    assert!(asked(&bench, 0, "Microsoft.Network/locations/eastus/usages"));
}

#[tokio::test]
async fn what_is_made_needs_no_asking_and_stands_whatever_became_of_the_limits() {
    let bench = Bench::instant().await;
    bench.up_ready().await;
    bench.sim.change(|world, _| everything_wrong(world)).unwrap();
    let mark = bench.mark();
    assert_eq!(found(&bench.up_ready().await), 17);
    for part in ["usages", "skus", "permissions", "check", "/locations?"] {
        assert!(!asked(&bench, mark, part), "{part} was asked");
    }
    // Without the journal the check runs, and the existing resources make the finding irrelevant that would
    // stop a new environment.
    bench.sim.change(|world, _| world.policies.0.clear()).unwrap();
    std::fs::remove_dir_all(bench.home.path().join("state")).unwrap();
    assert_eq!(found(&bench.up_ready().await), 17);
    assert!(asked(&bench, mark, "usages"));
}

fn found(told: &Told) -> u32 {
    told.report.found
}

#[tokio::test]
async fn a_question_that_is_refused_is_no_finding() {
    let bench = Bench::without_cluster().await;
    let faults = [
        "no-registered-provider@GET compute/locations*9",
        "server-error@GET permissions*99",
        "server-error@POST checkNameAvailability*99",
    ];
    let armed = faults.map(|text| landfall_sim::fault::Armed::read(text).unwrap());
    bench.sim.change(|world, _| world.faults.armed.extend(armed)).unwrap();
    let told = bench.up_ready().await;
    let notes = told.notes("preflight");
    for name in ["quota", "rights", "vault-name"] {
        assert!(notes.iter().any(|note| note.starts_with(&format!("{name} could not run"))), "{notes:?}");
    }
}
