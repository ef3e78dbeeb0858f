//! Test fixture: the gateways of a cluster, which answer raw HTTP/1.1 requests in memory.

use std::net::Ipv4Addr;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::aks::fixture::ClusterFixture;
use crate::aks::object::text;
use crate::traffic::listeners::serve_http;
use crate::traffic::proxy::GatewayConnection;
use crate::traffic::request_target::split_authority;
use crate::traffic::spec::{GATEWAYS, ROUTES};
use crate::traffic::view::View;

/// The gateways of a cluster.
pub(in crate::traffic) struct DataPlane {
    cluster: ClusterFixture,
    views: watch::Receiver<Arc<View>>,
}

/// A response, as a client reads it.
#[derive(Debug)]
pub(in crate::traffic) struct RawResponse {
    pub status: String,
    /// The headers, with their names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: String,
}

/// The name of the Secret with the certificate of the gateways.
pub(in crate::traffic) const TLS_SECRET: &str = "gateway-tls-secret";

/// A workload that answers every request with a text.
pub(in crate::traffic) const ECHO: &str = r#"
apiVersion: v1
kind: Service
metadata: {name: echo, namespace: default}
spec: {selector: {app: echo}, ports: [{port: 80}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: echo, namespace: default}
spec:
  selector: {matchLabels: {app: echo}}
  template:
    metadata: {labels: {app: echo}}
    spec: {containers: [{name: echo, image: "hashicorp/http-echo:1.0.0", args: ["-text=hello"]}]}
"#;

/// Returns a Secret with a certificate for all hosts of a domain.
pub(in crate::traffic) fn tls_secret(domain: &str) -> Value {
    let pair = rcgen::generate_simple_self_signed([format!("*.{domain}")]).expect("a key pair");
    json!({
        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
        "metadata": {"name": TLS_SECRET, "namespace": "default"},
        "data": {
            "tls.crt": STANDARD.encode(pair.cert.pem()),
            "tls.key": STANDARD.encode(pair.signing_key.serialize_pem()),
        },
    })
}

/// Applies the documents of a manifest.
pub(in crate::traffic) fn apply(cluster: &mut ClusterFixture, manifest: &str) {
    // As kubectl reads it: `n` and `y` are strings.
    let options = serde_saphyr::options! { strict_booleans: true };
    let objects: Vec<Value> = serde_saphyr::from_multiple_with_options(manifest, options).expect("YAML");
    for object in objects {
        let resource = match text(&object, "/kind") {
            "Deployment" => "deployments.apps",
            "Service" => "services",
            "Gateway" => GATEWAYS,
            "HTTPRoute" => ROUTES,
            other => panic!("the fixture applies no {other}"),
        };
        cluster.request(resource, object);
    }
}

impl RawResponse {
    fn parse(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes);
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let mut lines = head.lines();
        let status = lines.next().unwrap_or_default().split(' ').nth(1).unwrap_or_default().to_owned();
        let headers = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        Self { status, headers, body: body.to_owned() }
    }

    /// Returns the values of a header.
    pub fn header(&self, name: &str) -> Vec<&str> {
        let headers = self.headers.iter().filter(|(known, _)| known == name);
        headers.map(|(_, value)| value.as_str()).collect()
    }
}

impl DataPlane {
    /// Creates a cluster with these manifests and waits until its gateways are programmed. The Secret
    /// of [`TLS_SECRET`] has a certificate for the domain.
    pub fn new(manifests: &[String], domain: &str) -> Self {
        let mut cluster = ClusterFixture::running();
        cluster.request("secrets", tls_secret(domain));
        for manifest in manifests {
            apply(&mut cluster, manifest);
        }
        cluster.advance(120.0);
        let mut view = View::default();
        view.add_cluster(&cluster.store);
        let (_, views) = watch::channel(Arc::new(view));
        Self { cluster, views }
    }

    fn address(&self, gateway: &str) -> Ipv4Addr {
        let gateway = self.cluster.get(GATEWAYS, "default", gateway).expect("the gateway is there");
        text(gateway, "/status/addresses/0/value").parse().expect("the gateway has an address")
    }

    /// Sends a request to a port of a gateway: the request line without the version, and the header lines.
    /// On port 443 the host of the request is the server name of the handshake.
    pub async fn send(&self, gateway: &str, port: u16, line: &str, headers: &[(&str, &str)]) -> RawResponse {
        let host = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("host"));
        let is_tls = port == 443;
        let connection = GatewayConnection {
            place: (self.address(gateway), port),
            views: self.views.clone(),
            server_name: host
                .filter(|_| is_tls)
                .map(|(_, authority)| split_authority(authority).0.to_ascii_lowercase()),
            scheme: if is_tls { "https" } else { "http" },
        };
        let mut request = format!("{line} HTTP/1.1\r\n");
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        request.push_str("Connection: close\r\n\r\n");
        let (mut client, server) = duplex(64 * 1024);
        let served = tokio::spawn(serve_http(server, connection, CancellationToken::new()));
        client.write_all(request.as_bytes()).await.expect("the request is written");
        let mut bytes = Vec::new();
        client.read_to_end(&mut bytes).await.expect("the response is read");
        served.await.expect("the connection ends");
        RawResponse::parse(&bytes)
    }
}
