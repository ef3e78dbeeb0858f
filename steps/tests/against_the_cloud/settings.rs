//! The settings of the test environment.

use landfall_cloud::{certificate::Material, kubernetes::manifest};
use landfall_steps::{
    StepTables,
    settings::{Canary, Certificate, Cluster, Dns, Network, Publisher, Settings},
};
use std::{path::Path, sync::Arc};

pub const GROUP: &str = "rg-demo";
pub const VAULT: &str = "kv-demo-4711";
pub const CLUSTER: &str = "aks-demo";
pub const DOMAIN: &str = "demo.example.com";

/// Returns a whole environment below `demo.example.com`, with its kubeconfig in `home`.
pub fn demo(home: &Path) -> Settings {
    let tags = [("Environment", "Demo"), ("ManagedBy", "landfall")];
    Settings {
        environment: "default".to_owned(),
        domain: DOMAIN.to_owned(),
        location: "eastus".to_owned(),
        resource_group: GROUP.to_owned(),
        node_resource_group: format!("{GROUP}-nodes"),
        tags: tags.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
        network: Network {
            name: "vnet-demo".to_owned(),
            subnet: "snet-aks".to_owned(),
            address_space: "10.0.0.0/16".parse().unwrap(),
            subnet_prefix: "10.0.0.0/22".parse().unwrap(),
        },
        key_vault: Some(VAULT.to_owned()),
        identity: None,
        identity_name: None,
        certificate: Certificate {
            name: "gateway-tls-cert".to_owned(),
            given: Some(pfx("rsa-chain.pfx")),
            acme: None,
            renewal: None,
        },
        cluster: Cluster {
            name: CLUSTER.to_owned(),
            version: None,
            nodes: 2,
            node_size: "Standard_D4s_v5".to_owned(),
            nodes_min: 1,
            nodes_max: 3,
            service_cidr: "10.1.0.0/16".parse().unwrap(),
            dns_service_ip: "10.1.0.10".parse().unwrap(),
            replace: false,
        },
        dns: Dns { zone: None, resource_group: None, publish: Publisher::Landfall },
        canary: Canary { stable: 90, canary: 10 },
        kubeconfig: home.join("kubeconfig"),
        state_folder: home.join("state"),
        manifests: None,
        skip_preflight: std::collections::BTreeSet::new(),
        replace_objects: Vec::new(),
        tables: StepTables::default(),
    }
}

/// Returns a certificate from OpenSSL that the tests of every crate share.
pub fn pfx(name: &str) -> Arc<Material> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/cloud/tests/fixtures/pfx").join(name);
    Arc::new(Material::from_pfx(&std::fs::read(path).unwrap(), "hunter2").unwrap())
}

/// Parses the user's own manifests from YAML.
pub fn manifests(text: &str) -> Option<Arc<Vec<manifest::Manifest>>> {
    Some(Arc::new(manifest::parse("own.yaml", text).unwrap()))
}
