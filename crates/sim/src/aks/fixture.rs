//! Test fixture of a cluster: a store, a manual clock and a vault.

use std::cell::RefCell;
use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use p12_keystore::{Certificate, KeyStore, KeyStoreEntry, PrivateKey, PrivateKeyChain};
use serde_json::{Value, json};

use super::cluster_info::{
    ClusterInfo, Csi, TokenExchange, TokenExchangeError, VaultObject, VaultReadError, VaultReader,
};
use super::condition;
use super::object::{list, text};
use super::runtime::{self, ContainerEnd, ContainerReport, ExternalPod, ObjectRef, RuntimeContext};
use super::{Controllers, advance_to, bootstrap, next_due};
use crate::clock::{SimTime, Speed, Timing};
use crate::kubernetes::store::Store;

/// The start time of tests.
pub const START: SimTime = SimTime(1_795_421_700_000);
/// The client id of the add-on's identity.
pub const CLIENT: &str = "0f0e0d0c-1111-2222-3333-444455556666";

/// A certificate in the format of a vault.
pub struct StoredCertificate {
    pub pfx: Vec<u8>,
    pub leaf: Vec<u8>,
    pub version: String,
}

pub fn certificate(domain: &str, number: u32) -> StoredCertificate {
    certificate_of(domain, number, false)
}

/// Creates a leaf signed by a test CA, as a PFX without password whose first certificate is the CA's.
pub fn certificate_of(domain: &str, number: u32, rsa: bool) -> StoredCertificate {
    let authority_key = rcgen::KeyPair::generate().expect("keys can be made");
    let mut authority = rcgen::CertificateParams::new(Vec::<String>::new()).expect("no names");
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    authority.distinguished_name.push(rcgen::DnType::CommonName, format!("Authority {number}"));
    let authority_certificate = authority.self_signed(&authority_key).expect("it signs itself");
    let issuer = rcgen::Issuer::from_params(&authority, &authority_key);
    let key = if rsa {
        rcgen::KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_2048)
    } else {
        rcgen::KeyPair::generate()
    }
    .expect("keys can be made");
    let mut params = rcgen::CertificateParams::new(vec![domain.to_owned()]).expect("a name");
    params.distinguished_name.push(rcgen::DnType::CommonName, domain);
    let leaf = params.signed_by(&key, &issuer).expect("it is signed");
    let chain = PrivateKeyChain::new(
        vec![1u8],
        PrivateKey::from_der(&key.serialize_der()).expect("PKCS#8"),
        [
            Certificate::from_der(leaf.der()).expect("a certificate"),
            Certificate::from_der(authority_certificate.der()).expect("a certificate"),
        ],
    );
    let mut store = KeyStore::new();
    store.add_entry("leaf", KeyStoreEntry::PrivateKeyChain(chain));
    let pfx = store.writer("").write().expect("a PFX");
    StoredCertificate { pfx, leaf: leaf.der().to_vec(), version: format!("{number:032x}") }
}

/// A vault with one certificate, readable from a given time on.
#[derive(Default)]
pub struct FakeVault {
    pub certificates: BTreeMap<String, StoredCertificate>,
    pub readable_from: Option<SimTime>,
    /// The subject whose tokens the token endpoint accepts.
    pub trusted_subject: Option<String>,
    pub reads: RefCell<u32>,
}

impl VaultReader for FakeVault {
    fn exchange(&self, _: SimTime, wanted: TokenExchange<'_>) -> Result<(), TokenExchangeError> {
        if self.trusted_subject.as_deref() == Some(wanted.subject) {
            return Ok(());
        }
        let why = format!(
            "AADSTS70021: No matching federated identity record found for presented assertion. Assertion Subject: '{}'.",
            wanted.subject
        );
        let body = json!({ "error": "invalid_request", "error_description": why }).to_string();
        Err(TokenExchangeError { url: "https://login/token".into(), status: 400, body })
    }

    fn read(
        &self,
        at: SimTime,
        vault: &str,
        client_id: &str,
        object_type: &str,
        name: &str,
        version: Option<&str>,
    ) -> Result<VaultObject, VaultReadError> {
        *self.reads.borrow_mut() += 1;
        assert_eq!(client_id, CLIENT);
        if vault != "kv-demo" {
            return Err(VaultReadError { status: 0, code: String::new(), body: String::new() });
        }
        if self.readable_from.is_none_or(|from| at < from) {
            let body = r#"{"error":{"code":"Forbidden","message":"Caller is not authorized","innererror":{"code":"ForbiddenByRbac"}}}"#;
            return Err(VaultReadError { status: 403, code: "Forbidden".into(), body: body.into() });
        }
        let found = self.certificates.get(name).filter(|stored| version.is_none_or(|v| v == stored.version));
        let Some(stored) = found else {
            let body = r#"{"error":{"code":"SecretNotFound","message":"not found"}}"#;
            return Err(VaultReadError { status: 404, code: "SecretNotFound".into(), body: body.into() });
        };
        let (content_type, value) = match object_type {
            "secret" => ("application/x-pkcs12", STANDARD.encode(&stored.pfx).into_bytes()),
            _ => ("", stored.leaf.clone()),
        };
        Ok(VaultObject { version: stored.version.clone(), content_type: content_type.into(), value })
    }

    fn grant_due(&self, after: SimTime) -> Option<SimTime> {
        self.readable_from.filter(|from| *from > after)
    }
}

/// The fixture.
pub struct ClusterFixture {
    pub store: Store,
    pub controllers: Controllers,
    pub cluster_info: ClusterInfo,
    pub vault: FakeVault,
    pub timing: Timing,
    pub now: SimTime,
}

impl ClusterFixture {
    /// Creates a cluster that has just become `Succeeded`, at real-time speed.
    pub fn new() -> Self {
        Self::at_speed(Speed::Times(1.0))
    }

    pub fn at_speed(speed: Speed) -> Self {
        let csi = Csi { client_id: CLIENT.into(), rotation_seconds: Some(120.0), ..Csi::default() };
        let cluster_info = ClusterInfo {
            cluster: "aks-demo".into(),
            node_resource_group: "MC_rg_aks-demo_eastus".into(),
            location: "eastus".into(),
            nodes: 2,
            gateway_api: true,
            istio: true,
            csi: Some(csi),
            ..ClusterInfo::default()
        };
        let mut fixture = Self {
            store: Store::new("aks-demo"),
            controllers: Controllers::default(),
            cluster_info,
            vault: FakeVault { readable_from: Some(START), ..FakeVault::default() },
            timing: Timing::new(speed),
            now: START,
        };
        fixture.vault.certificates.insert("tls".into(), certificate("demo.test", 1));
        bootstrap(
            &mut fixture.store,
            &mut fixture.controllers,
            &fixture.cluster_info,
            START,
            &fixture.timing,
        );
        fixture
    }

    /// Creates a cluster whose GatewayClasses are accepted.
    pub fn running() -> Self {
        let mut fixture = Self::new();
        fixture.advance(60.0);
        fixture
    }

    /// Advances the clock by that many seconds, in one step.
    pub fn advance(&mut self, seconds: f64) {
        self.now = self.now.plus_ms((seconds * 1000.0) as i64);
        advance_to(
            &mut self.store,
            &mut self.controllers,
            &self.cluster_info,
            &self.vault,
            &self.timing,
            self.now,
        );
    }

    /// Writes an object like a request: after all changes due by now are applied.
    pub fn request(&mut self, resource: &str, object: Value) {
        self.advance(0.0);
        self.store.put(resource, object, "landfall", self.now);
    }

    /// Sets the rotation poll interval of the add-on in seconds; `None` disables rotation.
    pub fn set_rotation(&mut self, seconds: Option<f64>) {
        self.cluster_info.csi.as_mut().expect("the add-on is enabled").rotation_seconds = seconds;
        self.advance(0.0);
    }

    /// Lets the test run the containers of an image, as a runtime outside of the simulation.
    pub fn run_image(&mut self, repository: &str) {
        self.cluster_info.images.insert(repository.to_owned());
        self.advance(0.0);
    }

    /// Reports about a container as that runtime.
    pub fn report(&mut self, pod: &ObjectRef, container: &str, report: &ContainerReport) {
        self.advance(0.0);
        let mut cx = RuntimeContext {
            store: &mut self.store,
            controllers: &mut self.controllers,
            cluster_info: &self.cluster_info,
            vaults: &self.vault,
            timing: &self.timing,
            at: self.now,
        };
        cx.report(pod, container, report);
    }

    /// Returns the containers of that runtime.
    pub fn external_pods(&mut self) -> Vec<ExternalPod> {
        self.advance(0.0);
        runtime::external_pods(&self.store, &self.controllers, &self.cluster_info)
    }

    /// Starts all containers that wait for that runtime.
    pub fn start_containers(&mut self) {
        for external in self.external_pods() {
            for container in &external.start {
                self.report(&external.pod, container, &ContainerReport::Started);
            }
        }
    }

    /// Ends the running containers of the pods with that name prefix; returns how many there were.
    pub fn end_containers(&mut self, prefix: &str, exit_code: i32) -> usize {
        let mut count = 0;
        for external in self.external_pods() {
            for container in external.running.iter().filter(|_| external.pod.name.starts_with(prefix)) {
                let end = ContainerEnd::exited(exit_code);
                self.report(&external.pod, container, &ContainerReport::Ended(end));
                count += 1;
            }
        }
        count
    }

    pub fn delete(&mut self, resource: &str, namespace: &str, name: &str) {
        self.advance(0.0);
        self.store.remove(resource, namespace, name, self.now);
    }

    pub fn get(&self, resource: &str, namespace: &str, name: &str) -> Option<&Value> {
        self.store.get(resource, namespace, name)
    }

    /// Serializes and deserializes everything, like a restart of the program.
    pub fn reload(&mut self) {
        let store = serde_json::to_string(&self.store).expect("a store is written");
        self.store = serde_json::from_str(&store).expect("and read");
        let controllers = serde_json::to_string(&self.controllers).expect("controllers are written");
        self.controllers = serde_json::from_str(&controllers).expect("and read");
    }

    pub fn due(&self) -> Option<SimTime> {
        next_due(&self.store, &self.controllers)
    }

    /// Returns status, reason and message of a condition below a pointer.
    pub fn condition(object: &Value, pointer: &str, kind: &str) -> (String, String, String) {
        let found = list(object, pointer).iter().find(|line| text(line, "/type") == kind);
        let field = |name: &str| found.map_or("", |line| text(line, name)).to_owned();
        (field("/status"), field("/reason"), field("/message"))
    }

    /// Returns the events with a reason, of any object.
    pub fn events(&self, reason: &str) -> Vec<&Value> {
        self.store.list("events", None).into_iter().filter(|event| text(event, "/reason") == reason).collect()
    }

    /// Returns whether a pod with that name prefix is ready.
    pub fn is_ready(&self, prefix: &str) -> bool {
        self.store
            .list("pods", None)
            .iter()
            .any(|pod| text(pod, "/metadata/name").starts_with(prefix) && condition::is_true(pod, "Ready"))
    }
}

pub fn gateway(listeners: Value) -> Value {
    json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway",
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {
            "gatewayClassName": "approuting-istio",
            "infrastructure": {"annotations": {"example.test/note": "copied"}},
            "listeners": listeners,
        },
    })
}

pub fn http() -> Value {
    json!({"name": "http", "port": 80, "protocol": "HTTP", "allowedRoutes": {"namespaces": {"from": "Same"}}})
}

pub fn https(secret: &str) -> Value {
    json!({
        "name": "https", "port": 443, "protocol": "HTTPS", "hostname": "demo.test",
        "tls": {"mode": "Terminate", "certificateRefs": [{"group": "", "kind": "Secret", "name": secret}]},
        "allowedRoutes": {"namespaces": {"from": "Same"}},
    })
}

pub fn class(objects: &str) -> Value {
    json!({
        "apiVersion": "secrets-store.csi.x-k8s.io/v1", "kind": "SecretProviderClass",
        "metadata": {"name": "tls-class", "namespace": "default"},
        "spec": {
            "provider": "azure",
            "parameters": {
                "keyvaultName": "kv-demo", "tenantId": "tenant", "useVMManagedIdentity": "true",
                "userAssignedIdentityID": CLIENT, "objects": objects,
            },
            "secretObjects": [{
                "secretName": "gateway-tls", "type": "kubernetes.io/tls",
                "data": [{"objectName": "tls", "key": "tls.key"}, {"objectName": "tls", "key": "tls.crt"}],
            }],
        },
    })
}

/// A valid `objects` parameter of a class.
pub const OBJECTS: &str = "array:\n  - |\n    objectName: tls\n    objectType: secret\n";

pub fn holder() -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "holder", "namespace": "default"},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": {"app": "holder"}},
            "template": {
                "metadata": {"labels": {"app": "holder"}},
                "spec": {
                    "containers": [{"name": "pause", "image": "mcr.microsoft.com/oss/kubernetes/pause:3.9"}],
                    "volumes": [{"name": "tls", "csi": {
                        "driver": "secrets-store.csi.k8s.io", "readOnly": true,
                        "volumeAttributes": {"secretProviderClass": "tls-class"},
                    }}],
                },
            },
        },
    })
}
