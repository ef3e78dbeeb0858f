//! A client of the cluster with another field manager, as `kubectl apply --server-side` is.

use reqwest::{Certificate, Client, Method};
use serde_json::Value;

/// Another party with the same credential.
pub struct Kubectl {
    client: Client,
    server: String,
    token: String,
}

impl Kubectl {
    /// Signs in with a kubeconfig.
    pub fn sign_in(kubeconfig: &str) -> Self {
        let after = |key: &str| {
            let line = kubeconfig.lines().map(str::trim).find_map(|line| line.strip_prefix(key));
            line.unwrap_or_else(|| panic!("the kubeconfig has no {key}")).trim().to_owned()
        };
        use base64::Engine as _;
        let pem =
            base64::engine::general_purpose::STANDARD.decode(after("certificate-authority-data:")).unwrap();
        let builder = Client::builder().tls_certs_only([Certificate::from_pem(&pem).unwrap()]);
        Self { client: builder.build().unwrap(), server: after("server:"), token: after("token:") }
    }

    async fn send(&self, method: Method, path: &str, body: Option<(&str, &Value)>) -> (u16, Value) {
        let mut request =
            self.client.request(method, format!("{}{path}", self.server)).bearer_auth(&self.token);
        if let Some((kind, body)) = body {
            request = request.header("content-type", kind).body(body.to_string());
        }
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.json().await.unwrap_or_default())
    }

    /// Applies an object as `kubectl`, and takes over fields of others.
    pub async fn apply(&self, path: &str, object: &Value) -> Value {
        self.apply_as("kubectl", path, object).await
    }

    /// Applies an object with a field manager, and takes over fields of others.
    pub async fn apply_as(&self, manager: &str, path: &str, object: &Value) -> Value {
        let path = format!("{path}?fieldManager={manager}&force=true");
        let body = ("application/apply-patch+yaml", object);
        let (status, body) = self.send(Method::PATCH, &path, Some(body)).await;
        assert!(status < 300, "{path} answered {status}: {body}");
        body
    }

    /// Applies a merge patch (RFC 7386) to an object, as `kubectl patch --type merge` does.
    pub async fn merge(&self, path: &str, patch: &Value) {
        let body = ("application/merge-patch+json", patch);
        let (status, body) = self.send(Method::PATCH, path, Some(body)).await;
        assert!(status < 300, "{path} answered {status}: {body}");
    }

    /// Creates an object as `kubectl apply` does, on the client's side.
    pub async fn create(&self, collection: &str, object: &Value) {
        let mut object = object.clone();
        let applied = format!("{object}\n");
        object["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"] =
            applied.into();
        let path = format!("{collection}?fieldManager=kubectl-client-side-apply");
        let (status, body) = self.send(Method::POST, &path, Some(("application/json", &object))).await;
        assert_eq!(status, 201, "{path}: {body}");
    }

    /// Reads an object; null if it does not exist.
    pub async fn get(&self, path: &str) -> Value {
        let (status, body) = self.send(Method::GET, path, None).await;
        if status == 404 { Value::Null } else { body }
    }

    /// Deletes an object, if it exists.
    pub async fn delete_if_exists(&self, path: &str) {
        self.send(Method::DELETE, path, None).await;
    }

    /// Deletes an object.
    pub async fn delete(&self, path: &str) {
        let (status, body) = self.send(Method::DELETE, path, None).await;
        assert!(status < 300, "{path} answered {status}: {body}");
    }
}
