//! Another party overrides values: Azure policies with the effect modify, tag inheritance, a replaced node pool, an
//! upgraded cluster, the autoscaler. The answer decides, and nothing is written again until a value changes.

use crate::{
    fixture::{Fixture, RunResult},
    settings,
};
use landfall_cloud::arm::{Condition, policy_modify};
use landfall_engine::{Action, Kind, Plan};
use serde_json::{Value, json};

/// The built-in definition "Inherit a tag from the resource group".
const INHERIT: &str =
    "/providers/Microsoft.Authorization/policyDefinitions/cd3aa116-8754-49c9-a813-ad46512ece54";
/// The policy of the vaults' network access.
const VAULTS: &str = "no-public-vaults";

async fn put_policy(fixture: &Fixture, id: &str, body: &Value) {
    let arm = fixture.clients.azure.arm();
    arm.put(id, policy_modify::API, body, Condition::None).await.unwrap();
}

/// Defines a policy that sets a field of every matching resource, and assigns it to the subscription.
async fn assign(fixture: &Fixture, name: &str, condition: Value, field: &str, value: Value) {
    let definition = fixture.path(&format!("/providers/Microsoft.Authorization/policyDefinitions/{name}"));
    let operation = json!({ "operation": "addOrReplace", "field": field, "value": value });
    let contributor =
        "/providers/microsoft.authorization/roleDefinitions/b24988ac-6180-42a0-ab88-20f7382dd24c";
    let details = json!({ "roleDefinitionIds": [contributor], "operations": [operation] });
    let rule = json!({ "if": condition, "then": { "effect": "modify", "details": details } });
    put_policy(fixture, &definition, &json!({ "properties": { "mode": "All", "policyRule": rule } })).await;
    let scope = fixture.path("");
    put_policy(fixture, &assignment(&scope, name), &assigned(&definition, json!({}))).await;
}

fn assignment(scope: &str, name: &str) -> String {
    format!("{scope}/providers/Microsoft.Authorization/policyAssignments/{name}")
}

fn assigned(definition: &str, parameters: Value) -> Value {
    json!({
        "location": "eastus", "identity": { "type": "SystemAssigned" },
        "properties": { "policyDefinitionId": definition, "parameters": parameters },
    })
}

/// Sets the tag of every resource and group.
async fn assign_tag(fixture: &Fixture, value: &str) {
    let field = "tags['Environment']";
    assign(fixture, "env-tag", json!({ "field": field, "notEquals": value }), field, json!(value)).await;
}

fn warnings<'a>(result: &'a RunResult, step: &str) -> Vec<&'a str> {
    let of_step = result.report.warnings.iter().filter(|(warned, _)| warned == step);
    of_step.map(|(_, warning)| warning.as_str()).collect()
}

fn notes<'a>(plan: &'a Plan, step: &str) -> &'a [String] {
    &plan.steps.iter().find(|planned| planned.step == step).unwrap().notes
}

/// The steps that write a tagged resource.
const TAGGED: [&str; 4] = ["resource-group", "network", "key-vault", "cluster"];

#[tokio::test]
async fn a_policy_that_modifies_tags_is_named_and_not_fought() {
    let fixture = Fixture::instant().await;
    assign_tag(&fixture, "Production").await;
    let result = fixture.up_ready().await;
    for step in TAGGED {
        let warnings = warnings(&result, step);
        assert_eq!(warnings.len(), 1, "{step}: {warnings:?}");
        for word in ["tags.Environment is Production, not Demo", "Azure Policy assignment env-tag"] {
            assert!(warnings[0].contains(word), "{word}: {}", warnings[0]);
        }
    }
    let mark = fixture.mark();
    let plan = fixture.plan().await;
    assert!(plan.is_empty(), "{plan:#?}");
    assert!(notes(&plan, "network")[0].contains("env-tag"), "{:?}", notes(&plan, "network"));
    let result = fixture.up_ready().await;
    assert_eq!((result.counts().1, result.counts().2), (0, 0), "{:?}", result.started());
    assert_eq!(fixture.writes(mark), [""; 0]);
    fixture.down_ready().await;
    assert_eq!(fixture.get(&fixture.network_id()).await, Value::Null);
}

#[tokio::test]
async fn an_overridden_tag_is_written_once_more_when_a_value_changes() {
    let mut fixture = Fixture::without_cluster().await;
    assign_tag(&fixture, "Production").await;
    fixture.up_ready().await;
    fixture.settings.tags.insert("Environment".to_owned(), "Test".to_owned());
    let puts_once = async |fixture: &Fixture| {
        let changed =
            fixture.plan().await.steps.into_iter().filter(|planned| planned.action == Action::Change);
        let changed: Vec<_> = changed.map(|planned| planned.step).collect();
        let mark = fixture.mark();
        fixture.up_ready().await;
        assert_eq!(fixture.writes(mark).len(), changed.len(), "{:?}", fixture.writes(mark));
        let mark = fixture.mark();
        assert!(fixture.plan().await.is_empty());
        fixture.up_ready().await;
        assert_eq!(fixture.writes(mark), [""; 0]);
        changed
    };
    assert_eq!(puts_once(&fixture).await, ["resource-group", "network", "key-vault"]);

    // The policy changes, and the owner of the network applies it.
    assign_tag(&fixture, "Staging").await;
    let mut network = fixture.get(&fixture.network_id()).await;
    network["properties"].as_object_mut().unwrap().remove("provisioningState");
    fixture.put(&fixture.network_id(), network).await;
    assert_eq!(puts_once(&fixture).await, ["network"]);

    // Without the policy, a change of the setting is in effect again.
    fixture.delete_policy(&assignment(&fixture.path(""), "env-tag")).await;
    fixture.settings.tags.insert("Environment".to_owned(), "Demo".to_owned());
    assert_eq!(puts_once(&fixture).await, ["resource-group", "network", "key-vault"]);
    assert_eq!(fixture.get(&fixture.vault_id()).await["tags"]["Environment"], "Demo");
}

#[tokio::test]
async fn a_tag_that_resources_inherit_from_their_group() {
    let mut fixture = Fixture::without_cluster().await;
    fixture.settings.tags.insert("Team".to_owned(), "web".to_owned());
    let group = fixture.create_group("eastus").await;
    let inherit = assigned(INHERIT, json!({ "tagName": { "value": "team" } }));
    put_policy(&fixture, &assignment(&group, "inherit-team"), &inherit).await;
    let result = fixture.up_ready().await;
    assert_eq!(fixture.get(&fixture.vault_id()).await["tags"]["Team"], "other");
    let warning = warnings(&result, "key-vault")[0];
    assert!(warning.contains("tags.Team is other, not web") && warning.contains("inherit-team"), "{warning}");
    assert_eq!(warnings(&result, "resource-group"), [""; 0], "the tags of a found group are its owner's");
    assert!(fixture.plan().await.is_empty());
}

#[tokio::test]
async fn a_policy_that_disables_public_access_changes_the_vault() {
    let fixture = Fixture::without_cluster().await;
    let field = "Microsoft.KeyVault/vaults/publicNetworkAccess";
    let vaults = json!({ "allOf": [
        { "field": "type", "equals": "Microsoft.KeyVault/vaults" },
        { "field": field, "notEquals": "Disabled" },
    ] });
    assign(&fixture, VAULTS, vaults, field, json!("Disabled")).await;
    fixture.up().await;
    let vault = fixture.get(&fixture.vault_id()).await;
    assert_eq!(vault["properties"]["publicNetworkAccess"], "Disabled");
    let policies = fixture.clients.azure.modify_policies(settings::GROUP).await.unwrap();
    assert!(policies[0].writes("properties.publicNetworkAccess"), "{policies:?}");
    assert_eq!(policies[0].assignment, VAULTS);
}

#[tokio::test]
async fn a_tag_in_another_spelling_is_updated_and_keeps_its_spelling() {
    let fixture = Fixture::instant().await;
    fixture.up_ready().await;
    let group = fixture.path(&format!("/resourceGroups/{}", settings::GROUP));
    let all =
        [("resource-group", group), ("network", fixture.network_id()), ("key-vault", fixture.vault_id())];
    for (step, id) in all.into_iter().chain([("cluster", fixture.cluster_id())]) {
        let spelled = async |value: &str| {
            let mut body = fixture.get(&id).await;
            let tags = body["tags"].as_object_mut().unwrap();
            tags.retain(|name, _| !name.eq_ignore_ascii_case("environment"));
            tags.insert("environment".to_owned(), json!(value));
            for read_only in ["provisioningState", "powerState"] {
                body["properties"].as_object_mut().map(|properties| properties.remove(read_only));
            }
            fixture.put(&id, body).await;
        };
        spelled("Demo").await;
        assert!(fixture.plan().await.is_empty(), "{step}: the spelling is no drift");
        spelled("Other").await;
        let plan = fixture.plan().await;
        let changed: Vec<_> =
            plan.steps.iter().filter(|one| one.action != Action::Ok).map(|one| one.step).collect();
        assert_eq!(changed, [step]);
        fixture.up_ready().await;
        let tags = fixture.get(&id).await["tags"].clone();
        assert_eq!((&tags["environment"], &tags["Environment"]), (&json!("Demo"), &Value::Null), "{step}");
    }
}

async fn add_pool(fixture: &Fixture, name: &str, size: &str) {
    let subnet = format!("{}/subnets/snet-aks", fixture.network_id());
    let pool = json!({ "properties": {
        "mode": "System", "osType": "Linux", "type": "VirtualMachineScaleSets", "vmSize": size, "count": 1,
        "vnetSubnetID": subnet,
    } });
    fixture.put(&format!("{}/agentPools/{name}", fixture.cluster_id()), pool).await;
    wait_for_cluster(fixture).await;
}

async fn delete_pool(fixture: &Fixture, name: &str) {
    fixture.delete(&format!("{}/agentPools/{name}", fixture.cluster_id())).await;
    wait_for_cluster(fixture).await;
}

async fn wait_for_cluster(fixture: &Fixture) {
    while fixture.get(&fixture.cluster_id()).await["properties"]["provisioningState"] != "Succeeded" {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn the_only_system_pool_replaces_the_first_one() {
    let mut fixture = Fixture::instant().await;
    fixture.up_ready().await;
    add_pool(&fixture, "sys2", "Standard_D8s_v5").await;
    assert!(fixture.plan().await.is_empty(), "another pool beside ours is its owner's");
    delete_pool(&fixture, "nodepool1").await;
    fixture.settings.cluster.nodes_max = 5;
    let plan = fixture.plan().await;
    let cluster = plan.steps.iter().find(|planned| planned.step == "cluster").unwrap();
    let fields: Vec<_> = cluster.changes.iter().map(|change| change.field.as_str()).collect();
    assert!(fields.contains(&"agentPoolProfiles.sys2.maxCount"), "{fields:?}");
    assert!(cluster.notes[0].contains("set cluster.node_size = \"Standard_D8s_v5\""), "{:?}", cluster.notes);
    let result = fixture.up_ready().await;
    assert!(warnings(&result, "cluster")[0].contains("node pool sys2 replaced nodepool1"));
    let body = fixture.get(&fixture.cluster_id()).await;
    assert_eq!(body["properties"]["agentPoolProfiles"][0]["maxCount"], 5);
    assert!(fixture.plan().await.is_empty());
}

#[tokio::test]
async fn settings_without_a_node_pool_are_reported() {
    let mut fixture = Fixture::instant().await;
    fixture.up_ready().await;
    add_pool(&fixture, "sys2", "Standard_D4s_v5").await;
    add_pool(&fixture, "sys3", "Standard_D4s_v5").await;
    delete_pool(&fixture, "nodepool1").await;
    fixture.settings.cluster.nodes_max = 5;
    let plan = fixture.plan().await;
    assert!(plan.is_empty(), "{plan:#?}");
    let note = &notes(&plan, "cluster")[0];
    assert!(note.contains("cluster.nodes_max have no node pool to apply to"), "{note}");
    assert!(note.contains("sys2, sys3"), "{note}");
    let mark = fixture.mark();
    let result = fixture.up_ready().await;
    assert_eq!(warnings(&result, "cluster"), [note]);
    assert_eq!(fixture.writes(mark), [""; 0]);
}

#[tokio::test]
async fn a_cluster_ahead_of_the_pinned_version_is_a_warning() {
    let mut fixture = Fixture::instant().await;
    let Some([earlier, later]) = fixture.versions().await else { return };
    fixture.settings.cluster.version = Some(later.clone());
    fixture.up_ready().await;
    fixture.settings.cluster.version = Some(earlier);
    let remedy = format!("set cluster.version = \"{later}\"");
    let mark = fixture.mark();
    let plan = fixture.plan().await;
    assert!(plan.is_empty(), "{plan:#?}");
    assert!(notes(&plan, "cluster")[0].contains(&remedy), "{:?}", notes(&plan, "cluster"));
    let result = fixture.up_ready().await;
    let warning = warnings(&result, "cluster")[0];
    assert!(warning.contains(&remedy) && !warning.contains("az aks"), "{warning}");
    assert_eq!(fixture.writes(mark), [""; 0]);
}

#[tokio::test]
async fn the_hint_of_an_upgrade_takes_one_minor_version() {
    let mut fixture = Fixture::instant().await;
    let Some([from, next, to]) = fixture.versions().await else { return };
    fixture.settings.cluster.version = Some(from);
    fixture.up_ready().await;
    fixture.settings.cluster.version = Some(to);
    let result = fixture.up().await;
    let error = result.error("cluster");
    assert_eq!(error.kind, Kind::Input);
    let hint = error.hint.as_deref().unwrap();
    assert!(hint.contains(&format!("--kubernetes-version {next}, and so on")), "{hint}");
}

#[tokio::test]
async fn the_autoscalers_count_is_no_drift() {
    let fixture = Fixture::instant().await;
    fixture.up_ready().await;
    let mut body = fixture.get(&fixture.cluster_id()).await;
    body["properties"]["agentPoolProfiles"][0]["count"] = json!(3);
    for read_only in ["provisioningState", "powerState"] {
        body["properties"].as_object_mut().unwrap().remove(read_only);
    }
    fixture.put(&fixture.cluster_id(), body).await;
    let plan = fixture.plan().await;
    assert!(plan.is_empty(), "{plan:#?}");
    assert!(notes(&plan, "cluster")[0].contains("the node count to 3"), "{:?}", notes(&plan, "cluster"));
}

#[tokio::test]
async fn a_policy_that_switches_off_what_landfall_requires_is_refused_by_name() {
    let fixture = Fixture::instant().await;
    let of_vaults = json!({ "field": "type", "equals": "Microsoft.KeyVault/vaults" });
    let rbac = "Microsoft.KeyVault/vaults/enableRbacAuthorization";
    assign(&fixture, "vaults-with-access-policies", of_vaults, rbac, json!(false)).await;
    for _ in 0..2 {
        let mark = fixture.mark();
        let result = fixture.up().await;
        let puts = fixture.writes_at(mark, &format!("vaults/{}", settings::VAULT));
        assert_eq!(puts.iter().filter(|line| line.ends_with(settings::VAULT)).count(), 1, "{puts:?}");
        let error = result.error("key-vault");
        assert_eq!((error.kind, error.code.as_deref()), (Kind::Refused, Some("RequiredValueOverridden")));
        let text = error.causes.join("; ");
        for word in ["enableRbacAuthorization is false, not true", "vaults-with-access-policies"] {
            assert!(text.contains(word), "{word}: {text}");
        }
    }
}

#[tokio::test]
async fn a_policy_that_switches_off_an_add_on_of_the_cluster_is_refused_by_name() {
    let fixture = Fixture::instant().await;
    let of_clusters = json!({ "field": "type", "equals": "Microsoft.ContainerService/managedClusters" });
    let add_on =
        "Microsoft.ContainerService/managedClusters/addonProfiles.azureKeyvaultSecretsProvider.enabled";
    assign(&fixture, "no-add-ons", of_clusters, add_on, json!(false)).await;
    let result = fixture.up().await;
    let error = result.error("cluster");
    assert_eq!((error.kind, error.code.as_deref()), (Kind::Refused, Some("RequiredValueOverridden")));
    assert!(error.causes.join("; ").contains("no-add-ons"), "{error:#?}");
}
