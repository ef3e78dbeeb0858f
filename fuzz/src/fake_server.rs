//! A server on the loopback interface whose responses are the fuzz input. Clients parse them through the same
//! public functions, connection and policies as in production.

use crate::script::Message;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::PrivatePkcs8KeyDer;
use serde_json::json;
use std::{
    io,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// The domain of every host of this server.
pub const DOMAIN: &str = "fuzz.localhost";
/// The number of attempts of a client after transient failures; the delays are shortened only before the last
/// one.
const TRIES_MAX: u32 = 6;
/// The placeholder for this server's own address in an input.
const ORIGIN: &str = "ORIGIN";

/// A scripted response; status 0 breaks the connection.
#[derive(Clone)]
struct Answer {
    status: u16,
    headers: Vec<(HeaderName, HeaderValue)>,
    body: Bytes,
}

#[derive(Default)]
struct Script {
    answers: Vec<Answer>,
    next: usize,
    tries: u32,
    /// True if the script contains the responses to token requests.
    tokens: bool,
}

/// The server.
pub struct Server {
    /// Its port on 127.0.0.1.
    pub port: u16,
    /// Its certificate authority, PEM.
    pub authority: String,
    script: Arc<Mutex<Script>>,
}

impl Server {
    /// Returns the server of this process.
    pub fn get() -> &'static Server {
        static SERVER: OnceLock<Server> = OnceLock::new();
        SERVER.get_or_init(start)
    }

    /// Returns the origin of a host of this server.
    pub fn origin(&self, host: &str) -> String {
        format!("https://{host}.{DOMAIN}:{}", self.port)
    }

    /// Sets the responses, one per request; after the last, 418. With `tokens`, token requests receive them
    /// too.
    pub fn play(&self, messages: &[Message<'_>], origin: &str, tokens: bool) {
        let answers = messages.iter().map(|message| answer(message, origin)).collect();
        *lock(&self.script) = Script { answers, tokens, ..Script::default() };
    }
}

fn lock(script: &Mutex<Script>) -> MutexGuard<'_, Script> {
    script.lock().unwrap_or_else(PoisonError::into_inner)
}

fn answer(message: &Message<'_>, origin: &str) -> Answer {
    let digits: String = message.first.chars().filter(char::is_ascii_digit).take(3).collect();
    let status = digits.parse().ok().filter(|status| matches!(status, 0 | 200..=599)).unwrap_or(200);
    // The server sets the length itself: with a wrong one the client could not read the response.
    let framing = ["content-length", "transfer-encoding", "connection", "upgrade", "trailer"];
    let headers = message.headers.iter().filter_map(|(name, value)| {
        let name: HeaderName = name.parse().ok()?;
        let value = HeaderValue::from_str(&value.replace(ORIGIN, origin)).ok()?;
        (!framing.contains(&name.as_str())).then_some((name, value))
    });
    let body = match std::str::from_utf8(message.body) {
        Ok(text) if text.contains(ORIGIN) => Bytes::from(text.replace(ORIGIN, origin)),
        _ => Bytes::copy_from_slice(message.body),
    };
    Answer { status, headers: headers.collect(), body }
}

impl Script {
    fn next(&mut self) -> Answer {
        let Some(answer) = self.answers.get(self.next).cloned() else {
            return Answer { status: 418, headers: Vec::new(), body: Bytes::new() };
        };
        let passing = matches!(answer.status, 0 | 408 | 409 | 429 | 500..);
        if !passing {
            (self.next, self.tries) = (self.next + 1, 0);
            return answer;
        }
        self.tries += 1;
        if self.tries == TRIES_MAX {
            (self.next, self.tries) = (self.next + 1, 0);
            return answer;
        }
        // Clients honour these headers in real time before a retry, which this target does not test.
        let waits = ["retry-after", "retry-after-ms", "x-ms-retry-after-ms"];
        let headers =
            answer.headers.into_iter().filter(|(name, _)| !waits.contains(&name.as_str())).collect();
        Answer { headers, ..answer }
    }
}

fn start() -> Server {
    rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = || KeyPair::generate().expect("a key can be made");
    let authority = CertifiedIssuer::self_signed(params, key()).expect("the authority can be made");
    let server_key = key();
    let names = ["login", "management", "api", "kv.vault"].map(|host| format!("{host}.{DOMAIN}"));
    let certificate = CertificateParams::new(names.to_vec())
        .and_then(|params| params.signed_by(&server_key, &authority))
        .expect("the certificate can be made");
    let config = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivatePkcs8KeyDer::from(server_key.serialize_der()).into(),
        )
        .expect("key and certificate fit");
    let script: Arc<Mutex<Script>> = Arc::default();
    let (port_sender, port) = std::sync::mpsc::channel();
    let shared = Arc::clone(&script);
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime can be made").block_on(async move {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("there is a free port");
            port_sender
                .send(listener.local_addr().expect("it is bound").port())
                .expect("somebody waits for it");
            serve(listener, TlsAcceptor::from(Arc::new(config)), shared).await;
        });
    });
    let port = port.recv().expect("the server listens");
    Server { port, authority: authority.pem(), script }
}

async fn serve(listener: TcpListener, acceptor: TlsAcceptor, script: Arc<Mutex<Script>>) {
    while let Ok((tcp, _)) = listener.accept().await {
        tcp.set_nodelay(true).ok();
        let (acceptor, script) = (acceptor.clone(), Arc::clone(&script));
        tokio::spawn(async move {
            let Ok(tls) = acceptor.accept(tcp).await else { return };
            let service = service_fn(move |request| {
                let given = respond(&script, &request);
                async move { given }
            });
            // A broken connection ends with an error here, which is ignored.
            let _ =
                hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(tls), service).await;
        });
    }
}

fn respond(script: &Mutex<Script>, request: &Request<Incoming>) -> io::Result<Response<Full<Bytes>>> {
    let mut script = lock(script);
    let wants_token = request.uri().path().ends_with("/oauth2/v2.0/token");
    let answer = if wants_token && !script.tokens { token() } else { script.next() };
    let Ok(status) = StatusCode::from_u16(answer.status) else {
        return Err(io::Error::other("the script breaks the connection"));
    };
    let mut response = Response::new(Full::new(answer.body));
    *response.status_mut() = status;
    for (name, value) in answer.headers {
        response.headers_mut().append(name, value);
    }
    Ok(response)
}

fn token() -> Answer {
    let claims = json!({"oid": "me", "tid": "t", "idtyp": "app", "appid": "app"});
    let token = format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims.to_string()));
    let body = json!({"token_type": "Bearer", "expires_in": 360_000, "access_token": token});
    Answer { status: 200, headers: Vec::new(), body: Bytes::from(body.to_string()) }
}
