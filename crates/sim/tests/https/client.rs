//! A plain HTTP client: it trusts the simulated cloud's authority and resolves its names to the loopback
//! address.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};

use landfall_sim::admin_api::KEY_HEADER;
use landfall_sim::{ConnectionInfo, Options, Sim, Speed};
use reqwest::{Certificate, Method, Response};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A served cloud with a signed-in principal.
pub struct Client {
    pub sim: Sim,
    pub folder: TempDir,
    pub http: reqwest::Client,
    pub token: String,
}

/// A complete response.
pub struct Answer {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub body: Value,
}

impl Answer {
    pub async fn read(response: Response) -> Self {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let bytes = response.bytes().await.unwrap();
        Self { status, headers, body: serde_json::from_slice(&bytes).unwrap_or_default() }
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub fn code(&self) -> &str {
        self.body["error"]["code"].as_str().or(self.body["code"].as_str()).unwrap_or_default()
    }
}

/// Returns options with a seed of their own. A cloud derives its first candidate port from the seed. Tests
/// that run in parallel must not use the port of a cloud that is closed for a while.
pub fn options(speed: Speed) -> Options {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let seed = Some(NEXT.fetch_add(1, Ordering::Relaxed) * 7);
    Options { speed, seed, unregistered: Vec::new(), ..Options::default() }
}

pub fn http(connection: &ConnectionInfo) -> reqwest::Client {
    let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, connection.port));
    let ca = Certificate::from_pem(connection.ca_pem.as_bytes()).unwrap();
    ["login", "management", "kv.vault", "elsewhere", "acme", "acme-staging"]
        .iter()
        .fold(reqwest::Client::builder(), |builder, name| {
            builder.resolve(&format!("{name}.landfall.localhost"), loopback)
        })
        .tls_certs_only([ca])
        .build()
        .unwrap()
}

/// Returns the form of a client credentials request.
pub fn credentials<'a>(connection: &'a ConnectionInfo, scope: &'a str) -> Vec<(&'static str, &'a str)> {
    vec![
        ("grant_type", "client_credentials"),
        ("client_id", &connection.client_id),
        ("client_secret", &connection.client_secret),
        ("scope", scope),
    ]
}

pub async fn token(http: &reqwest::Client, connection: &ConnectionInfo, form: &[(&str, &str)]) -> Answer {
    let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
    let request = http
        .post(format!("{}/{}/oauth2/v2.0/token", connection.login, connection.tenant))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(body);
    Answer::read(request.send().await.unwrap()).await
}

impl Client {
    pub async fn open(options: Options) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self::reopen(folder, options).await
    }

    pub async fn reopen(folder: TempDir, options: Options) -> Self {
        let sim = Sim::open(folder.path(), options).await.unwrap();
        let http = http(sim.connection());
        let scope = format!("{}/.default", sim.connection().arm_audience);
        let answer = token(&http, sim.connection(), &credentials(sim.connection(), &scope)).await;
        let token = answer.body["access_token"].as_str().unwrap().to_owned();
        Self { sim, folder, http, token }
    }

    /// Closes the cloud and returns its folder.
    pub async fn close(self) -> TempDir {
        drop(self.http);
        self.sim.close().await;
        self.folder
    }

    pub fn path(&self, rest: &str) -> String {
        format!("/subscriptions/{}{rest}", self.sim.connection().subscription)
    }

    pub fn request(&self, method: Method, target: &str) -> reqwest::RequestBuilder {
        let url = if target.starts_with("https://") {
            target.to_owned()
        } else {
            format!("{}{target}", self.sim.connection().arm)
        };
        let key = &self.sim.connection().admin_key;
        self.http.request(method, url).bearer_auth(&self.token).header(KEY_HEADER, key)
    }

    pub async fn send(&self, method: Method, target: &str, body: Option<&Value>) -> Answer {
        let mut request = self.request(method, target);
        if let Some(body) = body {
            request = request.json(body);
        }
        Answer::read(request.send().await.unwrap()).await
    }

    pub async fn get(&self, target: &str) -> Answer {
        self.send(Method::GET, target, None).await
    }

    pub async fn put(&self, target: &str, body: &Value) -> Answer {
        self.send(Method::PUT, target, Some(body)).await
    }

    pub async fn delete(&self, target: &str) -> Answer {
        self.send(Method::DELETE, target, None).await
    }

    /// Creates the group `rg` in eastus.
    pub async fn group(&self) -> Answer {
        self.put(&self.path("/resourcegroups/rg?api-version=2024-11-01"), &json!({ "location": "eastus" }))
            .await
    }

    /// Advances the cloud's clock by cloud seconds.
    pub async fn advance(&self, seconds: f64) {
        let answer = self.send(Method::POST, "/_sim/advance", Some(&json!({ "seconds": seconds }))).await;
        assert_eq!(answer.status, 200);
    }
}
