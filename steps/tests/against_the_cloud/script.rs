//! The environment of the article's script: its requests in its order, then plan, up, verify and an adopted teardown.
//!
//! `tests/suite/script.rs` does the same with az and kubectl, where they exist.

use crate::{fixture::Fixture, kubectl::Kubectl, settings, verify};
use landfall_cloud::kubernetes::manifest::{self, Manifest};
use landfall_engine::{Action, Kind, Plan, Planned};
use landfall_sim::{Options, Speed};
use landfall_steps::identity_mode::IdentityMode;
use serde_json::{Value, json};
use std::path::Path;

/// The script's default name of the vault.
const VAULT: &str = "kv-aks-istio-675";
const CERTIFICATE: &str = "gateway-tls-cert";
const OFFICER: &str = "a4417e6f-fecd-4de8-b567-7b0420556985";
const SECRETS_USER: &str = "4633458b-17de-408a-b874-0445c86b69e6";
const CERTIFICATE_USER: &str = "db79e9a7-68ee-4b58-9aeb-b90e7c24fcba";
const CLASSES: &str = "/apis/secrets-store.csi.x-k8s.io/v1/namespaces/default/secretproviderclasses";
const ROUTES: &str = "/apis/gateway.networking.k8s.io/v1/namespaces/default/httproutes";
/// The collections whose objects must not be interrupted.
const COLLECTIONS: [&str; 4] = [
    "/apis/apps/v1/namespaces/default/deployments",
    "/apis/gateway.networking.k8s.io/v1/namespaces/default/gateways",
    "/api/v1/namespaces/default/services",
    "/api/v1/namespaces/default/pods",
];

async fn cloud() -> Fixture {
    let options = Options { speed: Speed::Instant, traffic: true, ..Options::default() };
    let mut fixture = Fixture::with(options).await;
    fixture.settings.certificate.given = None;
    fixture.settings.identity = Some(IdentityMode::AddOn);
    fixture.settings.key_vault = Some(VAULT.to_owned());
    fixture
}

/// Sends the requests of the script, up to its manifests.
async fn run_script(fixture: &Fixture) -> Kubectl {
    let group = fixture.path("/resourceGroups/rg-demo");
    fixture.put(&group, json!({ "location": "eastus", "tags": { "ManagedBy": "AzureCLI" } })).await;
    let subnets = json!([{ "name": "snet-aks", "properties": { "addressPrefix": "10.0.0.0/22" } }]);
    let space = json!({ "addressSpace": { "addressPrefixes": ["10.0.0.0/16"] }, "subnets": subnets });
    fixture.put(&fixture.network_id(), json!({ "location": "eastus", "properties": space })).await;

    let identity = fixture.clients.azure.arm().identity().await.unwrap();
    let vault = fixture.id(&format!("Microsoft.KeyVault/vaults/{VAULT}"));
    let properties = json!({
        "tenantId": identity.tenant, "sku": { "name": "standard", "family": "A" }, "enableRbacAuthorization": true,
    });
    let body = fixture.put(&vault, json!({ "location": "eastus", "properties": properties })).await;
    assign(fixture, &vault, OFFICER, &identity.object_id).await;
    let given = settings::pfx("rsa.pfx");
    let uri = body["properties"]["vaultUri"].as_str().unwrap();
    let data = fixture.clients.vaults.at(uri).unwrap();
    data.import(CERTIFICATE, given.pfx().expose(), given.password().expose()).await.unwrap();

    let cluster = fixture.put(&fixture.cluster_id(), cluster_body(fixture)).await;
    let add_on = cluster["properties"]["addonProfiles"]["azureKeyvaultSecretsProvider"]["identity"].clone();
    for role in [SECRETS_USER, CERTIFICATE_USER] {
        assign(fixture, &vault, role, add_on["objectId"].as_str().unwrap()).await;
    }
    let kubectl = fixture.kubectl().await;
    let class = class(add_on["clientId"].as_str().unwrap(), &identity.tenant);
    kubectl.create(CLASSES, &class).await;
    kubectl
}

async fn assign(fixture: &Fixture, scope: &str, role: &str, principal: &str) {
    let name = uuid::Uuid::new_v4();
    let definition = fixture.path(&format!("/providers/Microsoft.Authorization/roleDefinitions/{role}"));
    let body = json!({ "properties": { "roleDefinitionId": definition, "principalId": principal } });
    let id = format!("{scope}/providers/Microsoft.Authorization/roleAssignments/{name}");
    fixture.begin(&id, body).await;
}

/// Returns the body that `az aks create` sends for the script's flags.
fn cluster_body(fixture: &Fixture) -> Value {
    let subnet = format!("{}/subnets/snet-aks", fixture.network_id());
    let pool = json!({
        "name": "nodepool1", "mode": "System", "osType": "Linux", "type": "VirtualMachineScaleSets",
        "vmSize": "Standard_D4s_v5", "vnetSubnetID": subnet, "count": 2, "osDiskType": "Managed",
        "enableAutoScaling": true, "minCount": 1, "maxCount": 3,
    });
    let rotation = json!({ "enableSecretRotation": "true", "rotationPollInterval": "2m" });
    json!({
        "location": "eastus", "tags": { "Environment": "Demo" }, "identity": { "type": "SystemAssigned" },
        "sku": { "name": "Base", "tier": "Standard" },
        "properties": {
            "dnsPrefix": "aks-demo", "nodeResourceGroup": "rg-demo-nodes", "agentPoolProfiles": [pool],
            "networkProfile": {
                "networkPlugin": "azure", "serviceCidr": "10.1.0.0/16", "dnsServiceIP": "10.1.0.10",
            },
            "ingressProfile": {
                "gatewayAPI": { "installation": "Standard" },
                "webAppRouting": { "gatewayAPIImplementations": { "appRoutingIstio": { "mode": "Enabled" } } },
            },
            "addonProfiles": { "azureKeyvaultSecretsProvider": { "enabled": true, "config": rotation } },
        },
    })
}

fn class(client_id: &str, tenant: &str) -> Value {
    let object = |kind: &str, alias: &str| {
        format!(
            "  - |\n    objectName: {CERTIFICATE}\n    objectType: {kind}\n    objectAlias: \"{alias}\"\n"
        )
    };
    let objects =
        format!("array:\n{}{}", object("secret", "gateway-tls-key"), object("cert", "gateway-tls-crt"));
    json!({
        "apiVersion": "secrets-store.csi.x-k8s.io/v1", "kind": "SecretProviderClass",
        "metadata": { "name": "gateway-tls-cert-spc", "namespace": "default" },
        "spec": {
            "provider": "azure",
            "parameters": {
                "usePodIdentity": "false", "useVMManagedIdentity": "true", "userAssignedIdentityID": client_id,
                "keyvaultName": VAULT, "cloudName": "AzurePublicCloud", "tenantId": tenant, "objects": objects,
            },
            "secretObjects": [{
                "secretName": "gateway-tls-secret", "type": "kubernetes.io/tls",
                "data": [
                    { "objectName": "gateway-tls-key", "key": "tls.key" },
                    { "objectName": "gateway-tls-crt", "key": "tls.crt" },
                ],
            }],
        },
    })
}

/// Returns the script's manifests: the built-in ones without landfall's labels, without the hosts and probe
/// annotations of the Gateways, and without one of the redirects.
fn manifests() -> Vec<Manifest> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("templates/manifests");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let texts = files.iter().map(|file| std::fs::read_to_string(file).unwrap());
    let mut all: Vec<Manifest> =
        texts.flat_map(|text| manifest::parse("script.yaml", &text).unwrap()).collect();
    manifest::fill(&mut all, "__DOMAIN_NAME__", settings::DOMAIN);
    all.retain(|one| one.object.metadata.name.as_deref() != Some("echo-redirect"));
    for one in &mut all {
        one.object.metadata.labels = None;
        let spec = one.object.data["spec"].as_object_mut().unwrap();
        spec.remove("infrastructure");
        for listener in spec.get_mut("listeners").and_then(Value::as_array_mut).into_iter().flatten() {
            listener.as_object_mut().unwrap().remove("hostname");
        }
    }
    all
}

/// Creates the objects as `kubectl apply` does.
async fn apply_manifests(kubectl: &Kubectl, manifests: &[Manifest]) {
    for manifest in manifests {
        let types = manifest.object.types.clone().unwrap();
        let collection = match types.kind.as_str() {
            "Deployment" => COLLECTIONS[0],
            "Gateway" => COLLECTIONS[1],
            "Service" => COLLECTIONS[2],
            _ => ROUTES,
        };
        kubectl.create(collection, &serde_json::to_value(&manifest.object).unwrap()).await;
    }
}

fn planned<'a>(plan: &'a Plan, step: &str) -> &'a Planned {
    plan.steps.iter().find(|planned| planned.step == step).unwrap()
}

/// Returns the UID and the restarts of everything that existed.
async fn identities(kubectl: &Kubectl) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for collection in COLLECTIONS {
        for item in kubectl.get(collection).await["items"].as_array().unwrap() {
            let restarts =
                item.pointer("/status/containerStatuses/0/restartCount").cloned().unwrap_or_default();
            let name = format!("{collection}/{}", item["metadata"]["name"].as_str().unwrap());
            found.push((name, format!("{} {restarts}", item["metadata"]["uid"])));
        }
    }
    found
}

#[tokio::test]
async fn the_environment_of_the_script_is_planned_completed_verified_and_deleted() {
    let fixture = cloud().await;
    let kubectl = run_script(&fixture).await;
    apply_manifests(&kubectl, &manifests()).await;

    let plan = fixture.plan().await;
    for step in
        ["resource-group", "network", "key-vault", "vault-officer", "certificate", "cluster", "vault-access"]
    {
        assert_eq!(planned(&plan, step).action, Action::Ok, "{:#?}", planned(&plan, step));
    }
    let gateways = planned(&plan, "gateways");
    // One of the redirects is missing.
    assert_eq!(gateways.action, Action::Create);
    let found = "found, not owned: Gateway httpbin-gateway, Gateway echo-gateway, HTTPRoute httpbin";
    assert!(gateways.notes.iter().any(|note| note.starts_with(found)), "{gateways:#?}");
    let changes: Vec<String> = gateways.changes.iter().map(ToString::to_string).collect();
    let takeover =
        "Gateway echo-gateway: metadata.managedFields [\"kubectl-client-side-apply\"] → [\"landfall\"]";
    assert!(changes.contains(&takeover.to_owned()), "{changes:#?}");
    let host = "Gateway echo-gateway: spec.listeners.http.hostname";
    assert!(changes.iter().any(|change| change.contains("hostname")), "{host}: {changes:#?}");
    let apps = planned(&plan, "apps");
    assert!(apps.notes.iter().any(|note| note.contains("Deployment echo-v1")), "{apps:#?}");
    let secret = planned(&plan, "tls-secret");
    assert!(
        secret.notes.iter().any(|note| note.contains("SecretProviderClass gateway-tls-cert-spc")),
        "{secret:#?}"
    );

    let before = identities(&kubectl).await;
    fixture.up_ready().await;
    let after = identities(&kubectl).await;
    let lost: Vec<_> = before.iter().filter(|one| !after.contains(one)).collect();
    assert!(lost.is_empty(), "interrupted: {lost:#?}");
    assert!(verify::wait_for_failures(&fixture, &[]).await.passes());
    let settled = fixture.plan().await;
    assert!(settled.is_empty(), "{settled:#?}");

    fixture.adopt().await;
    let preconditions = fixture.preconditions().await;
    assert_eq!((preconditions.in_cluster, preconditions.in_group), (Vec::new(), Vec::new()));
    fixture.down_ready().await;
    assert_eq!(fixture.get(&fixture.path("/resourceGroups/rg-demo")).await, Value::Null);
}

#[tokio::test]
async fn the_vault_of_the_script_is_in_the_plan_of_another_one() {
    let mut fixture = cloud().await;
    run_script(&fixture).await;
    fixture.settings.key_vault = None;
    let plan = fixture.plan().await;
    let vault = planned(&plan, "key-vault");
    assert_eq!(vault.action, Action::Create);
    let expected = format!(
        "key vault {VAULT} in this group already has certificate {CERTIFICATE}: set key_vault.name = \"{VAULT}\" \
         (KEYVAULT_NAME) to use it"
    );
    assert_eq!(vault.notes, [expected]);
    // Another certificate is in no other vault.
    fixture.settings.certificate.name = "another".to_owned();
    assert_eq!(planned(&fixture.plan().await, "key-vault").notes, [""; 0]);
}

#[tokio::test]
async fn workloads_with_other_selectors_are_refused_in_the_plan_and_kept() {
    let fixture = cloud().await;
    let kubectl = run_script(&fixture).await;
    let mut manifests = manifests();
    manifests.retain(|one| one.object.types.as_ref().unwrap().kind == "Deployment");
    for one in &mut manifests {
        for labels in ["/spec/selector/matchLabels", "/spec/template/metadata/labels"] {
            one.object.data.pointer_mut(labels).unwrap()["version"] = json!("v1");
        }
    }
    apply_manifests(&kubectl, &manifests).await;
    let plan = fixture.plan().await;
    let refused = plan.steps.iter().find_map(|planned| planned.error.as_ref()).unwrap();
    assert_eq!((refused.kind, refused.code.as_deref()), (Kind::Refused, Some("ImmutableField")));
    let hint = refused.hint.as_deref().unwrap();
    assert!(hint.contains("--replace deployment/httpbin") && hint.contains("MANIFESTS_DIR"), "{hint}");
    let before = identities(&kubectl).await;
    fixture.up().await;
    assert_eq!(identities(&kubectl).await, before);
}

#[tokio::test]
async fn a_field_of_a_competing_manager_is_refused_in_the_plan() {
    let fixture = Fixture::instant().await;
    fixture.up_ready().await;
    let kubectl = fixture.kubectl().await;
    let weights = json!([{ "name": "echo-v1", "port": 80, "weight": 1 }]);
    let route = json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
        "metadata": { "name": "echo-canary", "namespace": "default" },
        "spec": { "rules": [{ "backendRefs": weights }] },
    });
    kubectl.apply_as("argocd-controller", &format!("{ROUTES}/echo-canary"), &route).await;
    let mark = fixture.mark();
    let plan = fixture.plan().await;
    let gateways = planned(&plan, "gateways");
    let error = gateways.error.as_ref().unwrap();
    assert_eq!((gateways.action, error.code.as_deref()), (Action::Refuse, Some("FieldManagerConflict")));
    let causes = error.causes.join("; ");
    assert!(causes.contains("argocd-controller manages .spec.rules"), "{causes}");
    let result = fixture.up().await;
    assert_eq!(result.error("gateways").code, error.code);
    assert_eq!(fixture.writes_at(mark, "/httproutes/"), [""; 0], "nothing is written before a refusal");
}
