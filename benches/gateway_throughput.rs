//! Throughput of the simulated gateways in requests per second over keep-alive connections. A bare TLS server
//! with the same response is the reference: the ratio is the cost of routing.
//!
//! `cargo bench --bench gateway_throughput`; clients and server share one process and its two worker threads.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on says so by panicking")]

use bytes::Bytes;
use http::{Request, Response, header};
use http_body_util::{BodyExt, Empty, Full};
use hyper::{
    body::Incoming, client::conn::http1 as client, server::conn::http1 as server, service::service_fn,
};
use hyper_util::rt::TokioIo;
use landfall_sim::{Options, Sim, Speed};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use std::net::{Ipv4Addr, SocketAddr};
use std::{convert::Infallible, path::Path, process::Command, sync::Arc, time::Instant};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};

const CONNECTIONS: usize = 8;
const REQUESTS_EACH: usize = 5_000;
const ROUNDS: usize = 5;
const HOST: &str = "app.demo.example.com";

fn main() {
    rustls::crypto::aws_lc_rs::default_provider().install_default().unwrap();
    let home = tempfile::tempdir().unwrap();
    let state = home.path().join("state");
    let mut up = Command::new(env!("CARGO_BIN_EXE_landfall"));
    up.args(["--quiet", "--state-dir"]).arg(&state).arg("up").env("LANDFALL_SIM_SPEED", "instant");
    assert!(up.current_dir(home.path()).status().unwrap().success());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(compare(&state.join("default/sim")));
}

async fn compare(state: &Path) {
    let options = Options { speed: Speed::Instant, traffic: true, ..Options::default() };
    let sim = Sim::open(state, options).await.unwrap();
    let doors = sim.wait_for_listeners().await;
    let gateway = doors[&(address_of(&sim), 443)];
    let trusted = Trusted::new(certificate_of(&sim));
    let (bare, bare_trusted) = bare().await;
    println!(
        "{CONNECTIONS} connections, {REQUESTS_EACH} requests each, two worker threads; requests a second:"
    );
    println!("{:>12} {:>12} {:>7}", "gateway", "bare", "ratio");
    let mut rates = Vec::new();
    for _ in 0..ROUNDS {
        // Each round measures both, so that other load on the machine affects both.
        let routed = load(gateway, &trusted).await;
        let floor = load(bare, &bare_trusted).await;
        println!("{routed:>12.0} {floor:>12.0} {:>7.2}", routed / floor);
        rates.push(routed);
    }
    rates.sort_by(f64::total_cmp);
    println!("median {:.0} requests a second through the gateway", rates[ROUNDS / 2]);
    sim.close().await;
}

/// The trust anchor of a client: exactly one certificate.
struct Trusted(TlsConnector);

impl Trusted {
    fn new(certificate: CertificateDer<'static>) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(certificate).unwrap();
        let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        Self(TlsConnector::from(Arc::new(config)))
    }
}

/// Returns the address of the gateway that serves [`HOST`].
fn address_of(sim: &Sim) -> Ipv4Addr {
    sim.read(|state| {
        let store = state.clusters.running().next().unwrap();
        let gateway = store.get("gateways.gateway.networking.k8s.io", "default", "echo-gateway").unwrap();
        gateway["status"]["addresses"][0]["value"].as_str().unwrap().parse().unwrap()
    })
}

/// Returns the self-signed certificate that the gateways serve, from the Secret that the driver created.
fn certificate_of(sim: &Sim) -> CertificateDer<'static> {
    let pem = sim.read(|state| {
        let store = state.clusters.running().next().unwrap();
        let secret = store.get("secrets", "default", "gateway-tls-secret").unwrap();
        let encoded = secret["data"]["tls.crt"].as_str().unwrap();
        base64::Engine::decode(&base64::engine::general_purpose::STANDARD, encoded).unwrap()
    });
    CertificateDer::from_pem_slice(&pem).unwrap()
}

/// Returns the throughput in requests per second.
async fn load(to: SocketAddr, trusted: &Trusted) -> f64 {
    let started = Instant::now();
    let clients = (0..CONNECTIONS).map(|_| tokio::spawn(ask(to, trusted.0.clone())));
    for client in clients.collect::<Vec<_>>() {
        client.await.unwrap();
    }
    (CONNECTIONS * REQUESTS_EACH) as f64 / started.elapsed().as_secs_f64()
}

async fn ask(to: SocketAddr, connector: TlsConnector) {
    let tcp = TcpStream::connect(to).await.unwrap();
    tcp.set_nodelay(true).unwrap();
    let tls = connector.connect(ServerName::try_from(HOST).unwrap(), tcp).await.unwrap();
    let (mut sender, connection) = client::handshake::<_, Empty<Bytes>>(TokioIo::new(tls)).await.unwrap();
    let driven = tokio::spawn(connection);
    for _ in 0..REQUESTS_EACH {
        let request = Request::get("/v1").header(header::HOST, HOST).body(Empty::new()).unwrap();
        let answer = sender.send_request(request).await.unwrap();
        assert_eq!(answer.status(), 200);
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        assert!(body.starts_with(b"Hello from Echo v1"));
    }
    drop(sender);
    driven.await.unwrap().unwrap();
}

/// Starts a TLS server with a constant response.
async fn bare() -> (SocketAddr, Trusted) {
    let generated = rcgen::generate_simple_self_signed([HOST.to_owned()]).unwrap();
    let certificate = generated.cert.der().clone();
    let key = PrivateKeyDer::try_from(generated.signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder().with_no_client_auth();
    let config = config.with_single_cert(vec![certificate.clone()], key).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                tcp.set_nodelay(true).unwrap();
                let tls = acceptor.accept(tcp).await.unwrap();
                let _ = server::Builder::new().serve_connection(TokioIo::new(tls), service_fn(answer)).await;
            });
        }
    });
    (address, Trusted::new(certificate))
}

async fn answer(_: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(Response::new(Full::new(Bytes::from_static(b"Hello from Echo v1\n"))))
}
