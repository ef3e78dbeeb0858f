//! A server on the loopback interface with scripted answers, which records its requests.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto::Builder,
};
use landfall_cloud::{ArmClient, Credential, Endpoints, RequestCounter, Roots, SignIn, SignInFacts, Vaults};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use serde_json::{Value, json};
use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, Once},
    time::Duration,
};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

pub const LOGIN: &str = "login.test.localhost";
pub const ARM: &str = "management.test.localhost";
pub const VAULT: &str = "kv.vault.test.localhost";
pub const TENANT: &str = "11111111-1111-1111-1111-111111111111";
pub const CORRELATION: &str = "c0ffee00-0000-4000-8000-000000000001";

/// A scripted answer.
#[derive(Clone)]
pub struct Reply {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
    close_connection: bool,
}

pub fn reply(status: u16) -> Reply {
    Reply { status, headers: Vec::new(), body: Vec::new(), close_connection: false }
}

/// Accepts the request and breaks the connection.
pub fn close_connection() -> Reply {
    Reply { close_connection: true, ..reply(500) }
}

impl Reply {
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub fn json(mut self, body: Value) -> Self {
        self.body = body.to_string().into_bytes();
        self.header("content-type", "application/json")
    }

    pub fn text(mut self, body: &str) -> Self {
        self.body = body.as_bytes().to_owned();
        self
    }

    /// Sets a body of 64 KiB that decodes to 64 MiB.
    pub fn gzip_bomb(mut self) -> Self {
        use std::io::Write as _;
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        for _ in 0..64 {
            encoder.write_all(&vec![b' '; 1024 * 1024]).expect("memory takes it");
        }
        self.body = encoder.finish().expect("memory takes it");
        self.header("content-encoding", "gzip").header("content-type", "application/json")
    }
}

/// A received request.
#[derive(Clone, Debug)]
pub struct ReceivedRequest {
    pub method: String,
    pub host: String,
    pub path: String,
    pub query: String,
    pub headers: HashMap<String, String>,
    pub body: String,
}

impl ReceivedRequest {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

#[derive(Default)]
struct Script {
    replies: HashMap<String, VecDeque<Reply>>,
    received: Vec<ReceivedRequest>,
    tokens: u32,
}

/// The scripted cloud, its address and its authority.
pub struct Cloud {
    pub port: u16,
    pub root: String,
    pub request_counter: RequestCounter,
    script: Arc<Mutex<Script>>,
}

impl Cloud {
    pub async fn start() -> Self {
        static PROVIDER: Once = Once::new();
        PROVIDER.call_once(|| {
            rustls::crypto::aws_lc_rs::default_provider()
                .install_default()
                .expect("nothing else installs one");
        });
        let (root, acceptor) = authority();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let script: Arc<Mutex<Script>> = Arc::default();
        let shared = script.clone();
        tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                let (acceptor, script) = (acceptor.clone(), shared.clone());
                tokio::spawn(async move {
                    let Ok(tls) = acceptor.accept(tcp).await else { return };
                    let service = service_fn(move |request| serve(script.clone(), request));
                    let builder = Builder::new(TokioExecutor::new());
                    // A client that breaks the connection causes an error here; the script needs no more.
                    let _ = builder.serve_connection(TokioIo::new(tls), service).await;
                });
            }
        });
        Self { port, root, request_counter: RequestCounter::new(), script }
    }

    /// Scripts these answers, one per request; the last one repeats.
    pub fn on(&self, method: &str, host: &str, path: &str, replies: impl IntoIterator<Item = Reply>) {
        let key = format!("{method} {host} {path}");
        self.script
            .lock()
            .expect("no test panics while it holds the script")
            .replies
            .insert(key, replies.into_iter().collect());
    }

    pub fn url(&self, host: &str, path: &str) -> String {
        format!("https://{host}:{}{path}", self.port)
    }

    pub fn endpoints(&self) -> Endpoints {
        let at = |host| self.url(host, "/").parse().expect("a valid address");
        let mut endpoints = Endpoints::public();
        endpoints.login = at(LOGIN);
        endpoints.arm = at(ARM);
        endpoints.arm_audience = format!("https://{ARM}");
        endpoints.vault_suffix = "vault.test.localhost".to_owned();
        endpoints.vault_audience = "https://vault.test.localhost".to_owned();
        endpoints.roots = Roots::Only(vec![self.root.clone()]);
        endpoints.time_scale = f64::INFINITY;
        endpoints
    }

    pub fn credential(&self) -> Credential {
        let (client_id, secret) = ("app".to_owned(), "s3cret".to_owned().into());
        let sign_in = SignIn::ServicePrincipal { tenant: TENANT.to_owned(), client_id, secret };
        Credential::new(&sign_in, &SignInFacts::default(), &self.endpoints(), &self.request_counter)
            .expect("valid endpoints")
    }

    pub fn arm(&self) -> ArmClient {
        ArmClient::new(&self.endpoints(), &self.credential(), &self.request_counter, CORRELATION)
            .expect("valid endpoints")
    }

    pub fn vaults(&self) -> Vaults {
        Vaults::new(&self.endpoints(), &self.credential(), &self.request_counter).expect("valid endpoints")
    }

    /// Clears the recorded requests.
    pub fn forget(&self) {
        self.script.lock().expect("no test panics while it holds the script").received.clear();
    }

    /// Returns all requests so far, in order.
    pub fn requests(&self) -> Vec<ReceivedRequest> {
        self.script.lock().expect("no test panics while it holds the script").received.clone()
    }

    /// Returns the requests to one host.
    pub fn requests_to(&self, host: &str) -> Vec<ReceivedRequest> {
        self.requests().into_iter().filter(|received| received.host == host).collect()
    }
}

/// Creates an authority and a server certificate for all host names of the tests.
fn authority() -> (String, TlsAcceptor) {
    let authority_key = KeyPair::generate().expect("keys can be made");
    let mut authority = CertificateParams::new(Vec::new()).expect("no names");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root = authority.self_signed(&authority_key).expect("signs itself");
    let issuer = Issuer::from_params(&authority, &authority_key);
    let key = KeyPair::generate().expect("keys can be made");
    let names = [LOGIN, ARM, VAULT].map(str::to_owned).to_vec();
    let leaf = CertificateParams::new(names).expect("valid names").signed_by(&key, &issuer).expect("signs");
    let chain = vec![CertificateDer::from(leaf.der().to_vec())];
    let mut config = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, PrivatePkcs8KeyDer::from(key.serialize_der()).into())
        .expect("the key fits");
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    (root.pem(), TlsAcceptor::from(Arc::new(config)))
}

async fn serve(
    script: Arc<Mutex<Script>>,
    request: Request<Incoming>,
) -> std::io::Result<Response<Full<Bytes>>> {
    let (head, body) = request.into_parts();
    let header =
        |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let authority = head.uri.authority().map_or_else(|| header("host").to_owned(), ToString::to_string);
    let headers =
        head.headers.iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap_or("").to_owned()));
    let received = ReceivedRequest {
        method: head.method.to_string(),
        host: authority.split(':').next().unwrap_or_default().to_owned(),
        path: head.uri.path().to_owned(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        headers: headers.collect(),
        body: String::from_utf8_lossy(&body.collect().await.map_err(std::io::Error::other)?.to_bytes())
            .into_owned(),
    };
    let reply = script.lock().expect("no test panics while it holds the script").reply(received);
    if reply.close_connection {
        return Err(std::io::Error::other("told to hang up"));
    }
    let mut response = Response::builder().status(reply.status);
    for (name, value) in reply.headers {
        response = response.header(name, value);
    }
    Ok(response.body(Full::new(Bytes::from(reply.body))).expect("valid headers"))
}

impl Script {
    fn reply(&mut self, received: ReceivedRequest) -> Reply {
        let key = format!("{} {} {}", received.method, received.host, received.path);
        let is_token = received.path.ends_with("/oauth2/v2.0/token");
        self.received.push(received);
        match self.replies.get_mut(&key) {
            Some(replies) if replies.len() > 1 => replies.pop_front().expect("more than one"),
            Some(replies) if replies.len() == 1 => replies[0].clone(),
            _ if is_token => self.token(),
            _ => reply(418).text(&format!("nothing scripted for {key}")),
        }
    }

    /// Returns a token that is valid for an hour and differs from all earlier ones.
    fn token(&mut self) -> Reply {
        self.tokens += 1;
        let claims = json!({"oid": "me", "tid": TENANT, "idtyp": "app", "appid": "app", "jti": self.tokens});
        let token = format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims.to_string()));
        reply(200).json(json!({"token_type": "Bearer", "expires_in": 3600, "access_token": token}))
    }
}

/// Polls an operation until it has ended, with a maximum number of polls so that a test cannot hang.
pub async fn finish(
    arm: &ArmClient,
    operation: &landfall_cloud::arm::Operation,
) -> Result<landfall_cloud::arm::Progress, landfall_cloud::ApiError> {
    for _ in 0..50 {
        match arm.poll(operation).await? {
            landfall_cloud::arm::Progress::Running { not_before, .. } => {
                tokio::time::sleep(not_before.unwrap_or(Duration::ZERO)).await;
            }
            ended => return Ok(ended),
        }
    }
    panic!("the operation does not end: {operation:?}");
}
