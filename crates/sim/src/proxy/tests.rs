use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::clock::{SimTime, Speed, Timing};
use crate::options::Options;
use crate::persistence::Persistence;
use crate::request_log::RequestLog;
use crate::server::connection::ServerContext;
use crate::server::serve;
use crate::server_state::ServerState;
use crate::state::CloudState;
use crate::test_cloud::TestCloud;
use crate::tls::Authority;
use crate::traffic::addresses::Listeners;

const GATEWAY: Ipv4Addr = Ipv4Addr::new(127, 83, 0, 1);

/// A running simulated cloud whose DNS zone maps `app.demo.example.com` to a gateway with only port 80.
struct TestServer {
    address: SocketAddr,
    stop: CancellationToken,
    server: JoinHandle<()>,
    _folder: tempfile::TempDir,
}

impl TestServer {
    async fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let persistence = Persistence::open(folder.path()).unwrap();
        let authority = Arc::new(Authority::open(&persistence).unwrap());
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut state = with_a_record();
        state.port = address.port();
        let timing = Timing::new(Speed::Instant);
        let server_state =
            ServerState::new(state, None, RequestLog::in_memory(), timing, authority.pem().to_owned())
                .unwrap();
        let listeners = Listeners::from([((GATEWAY, 80), gateway().await)]);
        let (stop, listeners) = (CancellationToken::new(), watch::channel(listeners).1);
        let config = authority.server_config().unwrap();
        let context =
            ServerContext::new(config, address.port(), Arc::new(server_state), listeners, stop.clone());
        let server = tokio::spawn(serve(listener, context));
        Self { address, stop, server, _folder: folder }
    }

    /// Sends a text and returns the response until it ends in `until`, or to the end.
    async fn send(&self, text: &str, until: &str) -> String {
        let mut tcp = TcpStream::connect(self.address).await.unwrap();
        tcp.write_all(text.as_bytes()).await.unwrap();
        read_until(&mut tcp, until).await
    }
}

async fn read_until(tcp: &mut TcpStream, until: &str) -> String {
    let mut all = Vec::new();
    while until.is_empty() || !String::from_utf8_lossy(&all).ends_with(until) {
        let mut some = [0; 1024];
        match tcp.read(&mut some).await.unwrap() {
            0 => break,
            count => all.extend_from_slice(&some[..count]),
        }
    }
    String::from_utf8(all).unwrap()
}

fn with_a_record() -> CloudState {
    let mut cloud = TestCloud::new();
    let zone = cloud.in_group("Microsoft.Network/dnsZones/demo.example.com");
    let body = serde_json::json!({ "location": "global" });
    assert_eq!(cloud.put(&format!("{zone}?api-version=2018-05-01"), &body).status, 201);
    let body = serde_json::json!({ "properties": { "TTL": 300, "ARecords": [{ "ipv4Address": GATEWAY }] } });
    assert_eq!(cloud.put(&format!("{zone}/A/app?api-version=2018-05-01"), &body).status, 201);
    let mut state = CloudState::new(&Options::default(), 7, SimTime(0));
    state.dns = cloud.state.dns;
    state
}

/// Starts a server that returns the head of each request.
async fn gateway() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut tcp, _)) = listener.accept().await {
            let head = read_until(&mut tcp, "\r\n\r\n").await;
            let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{head}", head.len());
            tcp.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    address
}

#[tokio::test]
async fn a_tunnel_connects_to_the_gateway_of_the_record() {
    let served = TestServer::open().await;
    let mut tcp = TcpStream::connect(served.address).await.unwrap();
    tcp.write_all(b"CONNECT App.demo.example.com:80 HTTP/1.1\r\nhost: app.demo.example.com:80\r\n\r\n")
        .await
        .unwrap();
    let established = read_until(&mut tcp, "\r\n\r\n").await;
    assert!(established.starts_with("HTTP/1.1 200 OK"), "{established}");
    tcp.write_all(b"GET /inside HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let answer = read_until(&mut tcp, "host: x\r\n\r\n").await;
    assert!(answer.contains("GET /inside HTTP/1.1"), "{answer}");
}

#[tokio::test]
async fn an_absolute_url_is_forwarded_to_the_gateway_with_its_host() {
    let served = TestServer::open().await;
    let raw_request = "GET http://app.demo.example.com/some?q=1 HTTP/1.1\r\nhost: other\r\nproxy-connection: keep-alive\r\n\
                 x-mine: 1\r\n\r\n";
    let answer = served.send(raw_request, "via: 1.1 landfall\r\n\r\n").await;
    let (_, response) = answer.split_once("\r\n\r\n").unwrap();
    assert!(response.starts_with("GET /some?q=1 HTTP/1.1\r\n"), "{response}");
    assert!(
        response.contains("host: app.demo.example.com\r\n") && response.contains("x-mine: 1\r\n"),
        "{response}"
    );
    assert!(!response.contains("proxy-connection"), "{response}");
}

#[tokio::test]
async fn no_other_host_is_forwarded() {
    let served = TestServer::open().await;
    let port = served.address.port();
    for (raw_request, status, why) in [
        ("CONNECT example.com:443".to_owned(), 403, "leads to the cloud alone"),
        ("CONNECT 127.0.0.1:22".to_owned(), 403, "leads to the cloud alone"),
        ("CONNECT 169.254.169.254:80".to_owned(), 403, "leads to the cloud alone"),
        ("CONNECT landfall.localhost.example.com:443".to_owned(), 403, "leads to the cloud alone"),
        ("CONNECT evillandfall.localhost:443".to_owned(), 403, "leads to the cloud alone"),
        ("CONNECT management.landfall.localhost:22".to_owned(), 403, "not on 22"),
        ("CONNECT app.demo.example.com:443".to_owned(), 502, "no gateway listens on port 443"),
        ("CONNECT app.demo.example.com".to_owned(), 400, "needs a host and a port"),
        ("GET http://example.com/".to_owned(), 403, "leads to the cloud alone"),
        ("GET https://app.demo.example.com/".to_owned(), 400, "CONNECT"),
        (format!("GET http://management.landfall.localhost:{port}/"), 400, "TLS only"),
        ("GET /".to_owned(), 400, "this port serves TLS"),
    ] {
        let answer =
            served.send(&format!("{raw_request} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"), "").await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{raw_request}: {answer}");
        assert!(answer.contains(why), "{raw_request}: {answer}");
    }
}

#[tokio::test]
async fn open_tunnels_do_not_delay_the_shutdown() {
    let served = TestServer::open().await;
    let mut tcp = TcpStream::connect(served.address).await.unwrap();
    let port = served.address.port();
    let raw_request = format!("CONNECT login.landfall.localhost:{port} HTTP/1.1\r\nhost: x\r\n\r\n");
    tcp.write_all(raw_request.as_bytes()).await.unwrap();
    read_until(&mut tcp, "\r\n\r\n").await;
    let silent = TcpStream::connect(served.address).await.unwrap();
    served.stop.cancel();
    let ended = timeout(Duration::from_secs(5), served.server).await;
    assert!(ended.is_ok(), "the handshake that never comes is not waited for");
    drop((tcp, silent));
}
