//! Azure's Python SDK, each package with its default api-version.

use std::collections::BTreeMap;
use std::path::Path;

use landfall_sim::{Options, Speed};
use serde_json::{Value, json};

use crate::certificates::{python_with, run_python};
use crate::client::{Client, options};

/// The modules that the script imports.
const MODULES: &str = "azure.identity, azure.keyvault.certificates, azure.keyvault.secrets, \
    azure.mgmt.authorization, azure.mgmt.compute, azure.mgmt.containerservice, azure.mgmt.dns, azure.mgmt.keyvault, \
    azure.mgmt.msi, azure.mgmt.network, azure.mgmt.resource.resources, azure.mgmt.resource.features, \
    azure.mgmt.resource.locks, azure.mgmt.resource.policy, azure.mgmt.resource.subscriptions";

#[tokio::test(flavor = "multi_thread")]
async fn every_package_of_the_python_sdk_works_with_its_default_version() {
    let Some(python) = python_with(MODULES) else {
        eprintln!("skipped: no Python with Azure's SDK (LANDFALL_TEST_PYTHON names another one)");
        return;
    };
    let options =
        Options { unregistered: vec!["Microsoft.ContainerService".to_owned()], ..options(Speed::Instant) };
    let client = Client::open(options).await;
    let connection = client.sim.connection();
    let facts = json!({
        "proxy": format!("http://127.0.0.1:{}", connection.port),
        "ca": client.folder.path().join("ca.pem"),
        "tenant": connection.tenant,
        "client": connection.client_id,
        "secret": connection.client_secret,
        "principal": connection.object_id,
        "authority": connection.login,
        "arm": connection.arm,
        "audience": connection.arm_audience,
        "subscription": connection.subscription,
        "vault": "kv-sdk-landfall",
    });
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/https/sdk_client.py");
    let (out, err) = run_python(&python, &script, &facts).await;
    let seen: BTreeMap<String, Value> = serde_json::from_str(&out).unwrap_or_else(|_| panic!("{err}"));
    println!("{out}");
    let of = |package: &str| {
        let found = seen.iter().find(|(name, _)| name.split(' ').next() == Some(package));
        found.unwrap_or_else(|| panic!("{package} read nothing: {out}")).1.clone()
    };
    assert_eq!(
        of("azure-mgmt-resource"),
        json!(["sdk", "Microsoft.ContainerService", [404, "ResourceGroupNotFound"]])
    );
    assert_eq!(of("azure-mgmt-resource-subscriptions"), json!([["Enabled"]]));
    assert_eq!(of("azure-mgmt-resource-features"), json!([[404, "FeatureNotFound"]]));
    assert_eq!(of("azure-mgmt-resource-locks"), json!([[409, "ScopeLocked"]]));
    assert_eq!(of("azure-mgmt-resource-policy"), json!([0]));
    assert_eq!(of("azure-mgmt-network"), json!(["Succeeded", ["VirtualNetworks"]]));
    assert_eq!(of("azure-mgmt-compute"), json!([["cores"], true]));
    assert_eq!(of("azure-mgmt-keyvault"), json!([true]));
    assert_eq!(of("azure-mgmt-authorization"), json!(["Key Vault Administrator"]));
    assert_eq!(of("azure-keyvault-certificates"), json!(["made"]));
    assert_eq!(
        of("azure-keyvault-secrets"),
        json!([["y", "x"], ["word"], 2, ["word"], [404, "SecretNotFound"], "application/x-pkcs12"])
    );
    assert_eq!(of("azure-mgmt-msi"), json!([["one"]]));
    assert_eq!(of("azure-mgmt-dns"), json!([["app.sdk.example.com."]]));
    assert_eq!(of("azure-mgmt-containerservice"), json!(["Succeeded", "clusterUser"]));
}
