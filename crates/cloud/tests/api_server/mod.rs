//! An HTTPS API server with scripted answers, which records its requests.

use std::convert::Infallible;
use std::io;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use bytes::Bytes;
use futures::StreamExt as _;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response};
use hyper_util::rt::TokioIo;
use landfall_cloud::Secret;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// The path below which the API is served.
pub const PREFIX: &str = "/kubernetes/5f1c7c1e-7d0b-4f0e-8a3e-000000000001";

/// A name of the server that only a proxy resolves.
pub const PUBLIC_NAME: &str = "aks-demo.hcp.eastus.example";

/// A received request.
#[derive(Clone, Debug)]
pub struct ReceivedRequest {
    /// The number of requests before it.
    pub number: usize,
    pub method: String,
    /// Path below the prefix.
    pub path: String,
    pub query: String,
    pub headers: HeaderMap,
    pub body: Value,
}

impl ReceivedRequest {
    /// Returns whether the query contains this pair, in its wire format.
    pub fn has_query(&self, pair: &str) -> bool {
        self.query.split('&').any(|known| known == pair)
    }

    pub fn is_watch(&self) -> bool {
        self.has_query("watch=true")
    }
}

/// The end of a stream of events.
pub enum End {
    /// The regular end, at the stream's timeout.
    InTurn,
    /// In the middle of a line, with an orderly end of the body.
    HalfLine,
    /// With a broken connection.
    Broken,
    /// No end.
    Never,
}

/// The answer to a request.
pub enum Reply {
    Json(u16, Value),
    With(u16, Vec<(&'static str, &'static str)>, String),
    /// A body of spaces without a line end that continues until the client closes the connection.
    Endless(u16),
    Events(Vec<Value>, End),
    /// Closes the connection without an answer.
    HangUp,
}

type Script = dyn Fn(&ReceivedRequest) -> Reply + Send + Sync;
type Body = UnsyncBoxBody<Bytes, io::Error>;

pub struct ApiServer {
    port: u16,
    user: Value,
    authority: String,
    received: Arc<Mutex<Vec<ReceivedRequest>>>,
}

impl ApiServer {
    /// Listens on a free port of the loopback interface; the script answers each request.
    pub async fn start(script: impl Fn(&ReceivedRequest) -> Reply + Send + Sync + 'static) -> ApiServer {
        rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = || KeyPair::generate().expect("a P-256 key can be made");
        let authority = CertifiedIssuer::self_signed(params, key()).expect("the authority can be made");
        let names = ["127.0.0.1".to_owned(), "api.landfall.localhost".to_owned(), PUBLIC_NAME.to_owned()];
        let server_key = key();
        let server = CertificateParams::new(names)
            .and_then(|params| params.signed_by(&server_key, &authority))
            .expect("the server's certificate can be made");
        let client_key = key();
        let client = CertificateParams::new(["somebody".to_owned()])
            .and_then(|params| params.signed_by(&client_key, &authority))
            .expect("the client's certificate can be made");

        let mut roots = RootCertStore::empty();
        roots.add(authority.der().clone()).expect("the authority is a root");
        // Every client needs a certificate: each test proves that the client presents its own.
        let verifier = WebPkiClientVerifier::builder(Arc::new(roots)).build().expect("there is a root");
        let key = PrivatePkcs8KeyDer::from(server_key.serialize_der());
        let config = ServerConfig::builder()
            .with_client_cert_verifier(verifier)
            .with_single_cert(vec![server.der().clone()], key.into())
            .expect("key and certificate fit");

        let listener = TcpListener::bind("127.0.0.1:0").await.expect("there is a free port");
        let port = listener.local_addr().expect("a bound socket has an address").port();
        let received: Arc<Mutex<Vec<ReceivedRequest>>> = Arc::default();
        tokio::spawn(accept(
            listener,
            TlsAcceptor::from(Arc::new(config)),
            Arc::new(script),
            received.clone(),
        ));
        let base64 = |text: String| base64::engine::general_purpose::STANDARD.encode(text);
        let user = json!({
            "client-certificate-data": base64(client.pem()),
            "client-key-data": base64(client_key.serialize_pem()),
        });
        ApiServer { port, user, authority: base64(authority.pem()), received }
    }

    /// Returns a kubeconfig that leads to this server by this host name.
    pub fn kubeconfig_by(&self, host: &str, token: Option<&str>) -> Secret<String> {
        let mut user = self.user.clone();
        if let Some(token) = token {
            user["token"] = token.into();
        }
        let server = format!("https://{host}:{}{PREFIX}", self.port);
        let kubeconfig = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "aks",
            "clusters": [{"name": "aks", "cluster": {"server": server, "certificate-authority-data": self.authority}}],
            "contexts": [{"name": "aks", "context": {"cluster": "aks", "user": "u"}}],
            "users": [{"name": "u", "user": user}],
        });
        Secret::new(kubeconfig.to_string())
    }

    pub fn kubeconfig(&self) -> Secret<String> {
        self.kubeconfig_by("127.0.0.1", None)
    }

    /// Starts a proxy that tunnels every connection to this server; returns its address and the names that
    /// clients asked for.
    pub async fn proxy(&self) -> (String, Arc<Mutex<Vec<String>>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("there is a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let (server, asked): (_, Arc<Mutex<Vec<String>>>) = (self.port, Arc::default());
        let names = asked.clone();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(tunnel(socket, server, names.clone()));
            }
        });
        (format!("http://me:pass@{address}"), asked)
    }

    /// Returns the requests so far.
    pub fn received(&self) -> Vec<ReceivedRequest> {
        self.received.lock().expect("no test panics while it looks").clone()
    }
}

async fn accept(
    listener: TcpListener,
    tls: TlsAcceptor,
    script: Arc<Script>,
    received: Arc<Mutex<Vec<ReceivedRequest>>>,
) {
    while let Ok((socket, _)) = listener.accept().await {
        tokio::spawn(serve(socket, tls.clone(), script.clone(), received.clone()));
    }
}

/// Answers a CONNECT, then copies bytes in both directions.
async fn tunnel(mut client: TcpStream, server: u16, asked: Arc<Mutex<Vec<String>>>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let Ok(byte) = client.read_u8().await else { return };
        head.push(byte);
    }
    asked.lock().expect("no test panics while it looks").push(String::from_utf8_lossy(&head).into_owned());
    let Ok(mut server) = TcpStream::connect(("127.0.0.1", server)).await else { return };
    if client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await.is_ok() {
        // Either end may close first.
        tokio::io::copy_bidirectional(&mut client, &mut server).await.ok();
    }
}

async fn serve(
    socket: TcpStream,
    tls: TlsAcceptor,
    script: Arc<Script>,
    received: Arc<Mutex<Vec<ReceivedRequest>>>,
) {
    let Ok(stream) = tls.accept(socket).await else { return };
    let service = service_fn(move |request| answer(request, script.clone(), received.clone()));
    // A client that closes the connection is not a test failure.
    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await.ok();
}

async fn answer(
    request: Request<Incoming>,
    script: Arc<Script>,
    received: Arc<Mutex<Vec<ReceivedRequest>>>,
) -> Result<Response<Body>, io::Error> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let reply = {
        let mut received = received.lock().expect("no script panics");
        let path = parts.uri.path();
        let number = received.len();
        received.push(ReceivedRequest {
            number,
            method: parts.method.to_string(),
            path: path.strip_prefix(PREFIX).unwrap_or("outside of the prefix").to_owned(),
            query: parts.uri.query().unwrap_or_default().to_owned(),
            headers: parts.headers,
            body: serde_json::from_slice(&body).unwrap_or_default(),
        });
        script(received.last().expect("it was just put there"))
    };
    let builder = |status: u16| Response::builder().status(status).header("content-type", "application/json");
    let whole = |text: String| Full::from(text).map_err(|never: Infallible| match never {}).boxed_unsync();
    let response = match reply {
        Reply::Json(status, value) => builder(status).body(whole(value.to_string())),
        Reply::With(status, headers, text) => headers
            .iter()
            .fold(builder(status), |builder, (name, value)| builder.header(*name, *value))
            .body(whole(text)),
        Reply::Events(events, end) => builder(200).body(stream(events, end)),
        Reply::Endless(status) => {
            let piece = || Ok(Frame::data(Bytes::from(vec![b' '; 1024 * 1024])));
            builder(status).body(StreamBody::new(futures::stream::repeat_with(piece)).boxed_unsync())
        }
        Reply::HangUp => return Err(io::Error::other("hanging up")),
    };
    response.map_err(io::Error::other)
}

/// Returns a body with one line per event, then the end.
fn stream(events: Vec<Value>, end: End) -> Body {
    let mut text: String = events.iter().map(|event| format!("{event}\n")).collect();
    if matches!(end, End::HalfLine) {
        text.push_str("{\"type\":\"MODI");
    }
    let sent = futures::stream::once(async { Ok(Frame::data(Bytes::from(text))) });
    match end {
        End::InTurn | End::HalfLine => StreamBody::new(sent).boxed_unsync(),
        End::Never => StreamBody::new(sent.chain(futures::stream::pending())).boxed_unsync(),
        End::Broken => {
            // The server flushes while the body has no data, so it yields no data once.
            let broken = async {
                tokio::task::yield_now().await;
                Err(io::Error::other("broken"))
            };
            StreamBody::new(sent.chain(futures::stream::once(broken))).boxed_unsync()
        }
    }
}

/// Returns an error in the API server's format.
pub fn failure(code: u16, reason: &str, message: &str) -> Reply {
    Reply::Json(
        code,
        json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "reason": reason,
            "message": message, "code": code}),
    )
}
