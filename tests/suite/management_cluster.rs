//! A management cluster for fleets: the cluster of an environment that is up in the served cloud, and an identity that its
//! pods sign in as.

use crate::shared_state::{self, Team};
use landfall_cloud::{
    Credential, Endpoints, RequestCounter, Roots, Secret, SignIn, SignInFacts,
    arm::{self, ArmClient, Condition, Role, SubscriptionClient},
};
use landfall_sim::ConnectionInfo;
use serde_json::{Value, json};
use std::{collections::BTreeMap, path::PathBuf};

/// The service account of the pods, as `[kubernetes]` has it by default.
const SUBJECT: &str = "system:serviceaccount:landfall:landfall";
const GROUP: &str = "rg-fleet";

/// The image of the pods.
pub const IMAGE: &str = "registry.example.com/landfall:test";

/// Returns the program that stands for the image: the one under test.
pub fn images() -> BTreeMap<String, PathBuf> {
    let repository = IMAGE.rsplit_once(':').unwrap().0.to_owned();
    [(repository, assert_cmd::cargo::cargo_bin("landfall"))].into()
}

/// Brings an environment up whose cluster is the current context of every machine; returns the client id of an identity
/// that may do what a fleet does, and that trusts the pods of this cluster.
pub fn set_up(team: &Team) -> String {
    let (one, facts) = (&team.machines[0], team.sim.connection());
    one.expect(0, &["state", "init"]);
    let settings = shared_state::settings(facts);
    let (without_state, _) = settings.split_once("[state]").unwrap();
    one.write("landfall.toml", without_state);
    one.expect(0, &["--environment", "management", "up"]);
    let kubeconfig = std::fs::read(one.path().join("kubeconfig")).unwrap();
    for machine in &team.machines {
        machine.write(".kube/config", &kubeconfig);
    }
    let client_id = tokio::runtime::Handle::current().block_on(identity(facts));
    // A new credential and new roles take effect after minutes.
    for _ in 0..10 {
        team.wait_for_lease();
    }
    client_id
}

fn client(facts: &ConnectionInfo) -> SubscriptionClient {
    let url = |text: &str| text.parse().unwrap();
    let endpoints = Endpoints {
        login: url(&facts.login),
        arm: url(&facts.arm),
        arm_audience: facts.arm_audience.clone(),
        roots: Roots::Only(vec![facts.ca_pem.clone()]),
        time_scale: f64::INFINITY,
        ..Endpoints::public()
    };
    let sign_in = SignIn::ServicePrincipal {
        tenant: facts.tenant.clone(),
        client_id: facts.client_id.clone(),
        secret: Secret::new(facts.client_secret.clone()),
    };
    let counter = RequestCounter::new();
    let credential = Credential::new(&sign_in, &SignInFacts::default(), &endpoints, &counter).unwrap();
    let arm =
        ArmClient::new(&endpoints, &credential, &counter, "00000000-0000-4000-8000-0000000000f1").unwrap();
    SubscriptionClient::new(arm, &facts.subscription)
}

async fn identity(facts: &ConnectionInfo) -> String {
    let azure = client(facts);
    let arm = azure.arm();
    let put = async |path: &str, api: &str, body: Value| {
        arm.put(path, api, &body, Condition::None)
            .await
            .unwrap_or_else(|error| panic!("PUT {path}: {error}"));
    };
    let group = azure.path(&format!("/resourceGroups/{GROUP}"));
    put(&group, arm::group::API, json!({ "location": "eastus" })).await;
    let id = azure.identity_id(GROUP, "fleet");
    put(&id, arm::identity::API, json!({ "location": "eastus" })).await;
    let identity = arm.get(&id, arm::identity::API).await.unwrap().unwrap();
    let (client_id, principal) =
        (&identity["properties"]["clientId"], &identity["properties"]["principalId"]);
    let cluster = azure.resource(
        "rg-aks-istio-gateway-demo",
        "Microsoft.ContainerService/managedClusters",
        "aks-istio-gateway-demo",
    );
    let cluster = arm.get(&cluster, arm::cluster::API).await.unwrap().unwrap();
    let issuer = cluster["properties"]["oidcIssuerProfile"]["issuerURL"].as_str().unwrap();
    let trusted = arm::identity::credential_body(issuer, SUBJECT);
    put(&format!("{id}/federatedIdentityCredentials/fleet"), arm::identity::API, trusted).await;
    let container = azure.resource("rg-landfall-state", "Microsoft.Storage/storageAccounts", "acct");
    let owner = Role { id: "8e3af657-a8ff-443c-a75c-2fe8c4bcb635", name: "Owner" };
    for (scope, role) in [(azure.path(""), owner), (container, Role::BLOB_CONTRIBUTOR)] {
        azure.grant(&scope, principal.as_str().unwrap(), "ServicePrincipal", role).await.unwrap();
    }
    client_id.as_str().unwrap().to_owned()
}
