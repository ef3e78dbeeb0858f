//! Out-of-band changes by others: in the cluster, in Resource Manager, in the vault, in the zone.

use crate::{fixture::Fixture, kubectl::Kubectl, settings, waits};
use landfall_engine::StepState;
use reqwest::{Certificate, Client};
use serde_json::{Value, json};

pub const CLASS: &str =
    "/apis/secrets-store.csi.x-k8s.io/v1/namespaces/default/secretproviderclasses/gateway-tls-cert-spc";
pub const SYNC: &str = "/apis/apps/v1/namespaces/default/deployments/tls-secret-sync";
pub const CERTIFICATE: &str = "gateway-tls-cert";

/// Out-of-band access to one environment.
pub struct OutOfBand<'a> {
    pub fixture: &'a Fixture,
    pub kubectl: Kubectl,
}

pub fn route(name: &str) -> String {
    format!("/apis/gateway.networking.k8s.io/v1/namespaces/default/httproutes/{name}")
}

pub fn gateway(name: &str) -> String {
    format!("/apis/gateway.networking.k8s.io/v1/namespaces/default/gateways/{name}")
}

pub fn service(name: &str) -> String {
    format!("/api/v1/namespaces/default/services/{name}")
}

pub fn deployment(name: &str) -> String {
    format!("/apis/apps/v1/namespaces/default/deployments/{name}")
}

impl<'a> OutOfBand<'a> {
    pub async fn of(fixture: &'a Fixture) -> Self {
        Self { fixture, kubectl: fixture.kubectl().await }
    }

    /// Changes the spec of an object, as `kubectl edit` does.
    pub async fn edit(&self, path: &str, change: impl FnOnce(&mut Value)) {
        let mut object = self.kubectl.get(path).await;
        change(&mut object["spec"]);
        self.kubectl.merge(path, &json!({ "spec": object["spec"] })).await;
    }

    /// Deletes an object and recreates it with a change.
    pub async fn recreate(&self, path: &str, change: impl FnOnce(&mut Value)) {
        let mut object = self.kubectl.get(path).await;
        change(&mut object["spec"]);
        self.kubectl.delete(path).await;
        while !self.kubectl.get(path).await.is_null() {
            tokio::task::yield_now().await;
        }
        let metadata = json!({
            "name": object["metadata"]["name"], "namespace": "default", "labels": object["metadata"]["labels"],
        });
        let (version, kind, spec) = (&object["apiVersion"], &object["kind"], &object["spec"]);
        let object = json!({ "apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec });
        self.kubectl.apply(path, &object).await;
    }

    /// Changes the parameters of the SecretProviderClass.
    pub async fn class(&self, parameters: Value) {
        self.kubectl.merge(CLASS, &json!({ "spec": { "parameters": parameters } })).await;
    }

    /// Writes the cluster with a change, and waits for it.
    pub async fn cluster(&self, change: impl FnOnce(&mut Value)) {
        let id = self.fixture.cluster_id();
        let mut body = self.fixture.get(&id).await;
        change(&mut body["properties"]);
        self.fixture.put(&id, body).await;
    }

    /// Starts a write of the unchanged cluster.
    pub async fn touch_cluster(&self) {
        let id = self.fixture.cluster_id();
        let body = self.fixture.get(&id).await;
        self.fixture.begin(&id, body).await;
    }

    /// Writes the vault with a change, and waits for it.
    pub async fn vault(&self, change: impl FnOnce(&mut Value)) {
        let id = self.fixture.vault_id();
        let mut body = self.fixture.get(&id).await;
        change(&mut body["properties"]);
        self.fixture.put(&id, body).await;
    }

    /// Returns the output of a step.
    pub fn output(&self, step: &str) -> Value {
        let journal_state = self.fixture.journal_state();
        journal_state
            .step_state(step)
            .map(|step_state: &StepState| step_state.output.clone().unwrap())
            .unwrap()
    }

    /// Returns the id of the managed identity.
    pub fn identity(&self) -> String {
        self.output("identity")["id"].as_str().unwrap().to_owned()
    }

    /// Returns the id of its federated credential.
    pub fn credential(&self) -> String {
        self.output("identity-trust")["credentials"][0].as_str().unwrap().to_owned()
    }

    /// Deletes the role assignments of the identity.
    pub async fn revoke(&self) {
        for assignment in self.output("identity-access")["assignments"].as_array().unwrap() {
            self.fixture.clients.azure.revoke(assignment.as_str().unwrap()).await.unwrap();
        }
    }

    /// Imports a certificate from the fixtures.
    pub async fn import(&self, file: &str) {
        let given = settings::pfx(file);
        let uri = self.vault_uri().await;
        let vault = self.fixture.clients.vaults.at(&uri).unwrap();
        vault.import(CERTIFICATE, given.pfx().expose(), given.password().expose()).await.unwrap();
    }

    async fn vault_uri(&self) -> String {
        let body = self.fixture.get(&self.fixture.vault_id()).await;
        body["properties"]["vaultUri"].as_str().unwrap().trim_end_matches('/').to_owned()
    }

    /// Disables the newest version, as a user does in the portal.
    pub async fn disable(&self) {
        let facts = self.fixture.sim.connection();
        let root = Certificate::from_pem(facts.ca_pem.as_bytes()).unwrap();
        // Every host of the cloud resolves to this machine.
        let uri = self.vault_uri().await;
        let host = uri.trim_start_matches("https://").split(':').next().unwrap().to_owned();
        let login = facts.login.trim_start_matches("https://").split(':').next().unwrap().to_owned();
        let local_address =
            |host: &str| (host.to_owned(), std::net::SocketAddr::from(([127, 0, 0, 1], facts.port)));
        let mut builder = Client::builder().tls_certs_only([root]);
        for (host, place) in [local_address(&host), local_address(&login)] {
            builder = builder.resolve(&host, place);
        }
        let client = builder.build().unwrap();
        let form = format!(
            "grant_type=client_credentials&client_id={}&client_secret={}&scope={}/.default",
            facts.client_id, facts.client_secret, facts.vault_audience
        );
        let token = format!("{}/{}/oauth2/v2.0/token", facts.login.trim_end_matches('/'), facts.tenant);
        let form = client.post(token).header("content-type", "application/x-www-form-urlencoded").body(form);
        let signed: Value = form.send().await.unwrap().json().await.unwrap();
        let path = format!("{uri}/certificates/{CERTIFICATE}/?api-version=7.4");
        let body = json!({ "attributes": { "enabled": false } }).to_string();
        let patch = client.patch(path).bearer_auth(signed["access_token"].as_str().unwrap());
        let done = patch.header("content-type", "application/json").body(body).send().await.unwrap();
        assert!(done.status().is_success(), "{}", done.text().await.unwrap());
    }

    /// Arms a fault in the cloud.
    pub fn arm(&self, fault: &str) {
        waits::arm(self.fixture, fault);
    }

    /// Returns the zone's id.
    pub fn zone(&self) -> String {
        self.output("dns")["zone"]["id"].as_str().unwrap().to_owned()
    }
}
