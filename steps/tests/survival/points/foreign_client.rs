//! Out-of-band changes in the cluster.

use super::cluster;
use crate::environment::Environment;
use bytes::Bytes;
use http_body_util::BodyExt;
use serde_json::Value;

/// A user with the same credential, under another name.
pub struct ForeignClient<'a> {
    env: &'a Environment,
    server: String,
    token: String,
}

impl<'a> ForeignClient<'a> {
    pub async fn of(env: &'a Environment) -> Self {
        let given = env.clients().azure.cluster_credential(&cluster(env)).await.unwrap();
        let after = |key: &str| {
            let lines = given.expose().lines().map(str::trim);
            lines.filter_map(|line| line.strip_prefix(key)).next().unwrap().trim().to_owned()
        };
        Self { env, server: after("server:"), token: after("token:") }
    }

    async fn send(&self, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
        let request = http::Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.server))
            .header("authorization", format!("Bearer {}", self.token))
            .header("content-type", "application/merge-patch+json");
        let body = body.map(|body| Bytes::from(body.to_string())).unwrap_or_default();
        let response = self.env.sim.send(request.body(body).unwrap()).await.unwrap();
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&body).unwrap_or_default())
    }

    /// Reads an object; null if it does not exist.
    pub async fn get(&self, path: &str) -> Value {
        let (status, body) = self.send("GET", path, None).await;
        if status == 404 { Value::Null } else { body }
    }

    /// Changes some fields.
    pub async fn patch(&self, path: &str, patch: &Value) {
        let (status, body) = self.send("PATCH", path, Some(patch)).await;
        assert!(status < 300, "{path} answered {status}: {body}");
    }
}
