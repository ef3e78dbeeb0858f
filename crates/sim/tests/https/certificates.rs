//! The certificate authorities and the name servers over the network.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};

use landfall_sim::{Options, Speed};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};

use crate::client::{Client, options};

const ZONE: &str = "demo.example.com";

/// Returns a client of a cloud with a zone that all its servers have, and the address of the zone's first server.
async fn with_zone(options: Options) -> (Client, SocketAddr) {
    let client = Client::open(options).await;
    client.group().await;
    let created = client.put(&zone(&client, ""), &json!({ "location": "global" })).await;
    assert_eq!(created.status, 201, "{}", created.body);
    client.advance(61.0).await;
    let server = created.body["properties"]["nameServers"][0].as_str().unwrap();
    let address = client.sim.connection().name_servers[server.trim_end_matches('.')];
    (client, address)
}

fn zone(client: &Client, rest: &str) -> String {
    let at = "/resourceGroups/rg/providers/Microsoft.Network/dnsZones";
    client.path(&format!("{at}/{ZONE}{rest}?api-version=2018-05-01"))
}

/// Returns a question for TXT records, without EDNS.
fn question(name: &str) -> Vec<u8> {
    let mut bytes = vec![0, 42, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        bytes.push(u8::try_from(label.len()).unwrap());
        bytes.extend(label.bytes());
    }
    bytes.extend([0, 0, 16, 0, 1]);
    bytes
}

#[tokio::test]
async fn a_name_server_answers_over_udp_and_over_tcp() {
    let (client, address) = with_zone(options(Speed::Times(60.0))).await;
    let texts: Vec<_> = (0..9).map(|n| json!({ "value": [format!("{n}{}", "x".repeat(99))] })).collect();
    let body = json!({ "properties": { "TTL": 60, "TXTRecords": texts } });
    assert_eq!(client.put(&zone(&client, "/TXT/long"), &body).await.status, 201);
    client.advance(61.0).await;
    let question = question(&format!("long.{ZONE}"));
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.connect(address).await.unwrap();
    socket.send(&question).await.unwrap();
    let mut buffer = [0; 4096];
    let length = socket.recv(&mut buffer).await.unwrap();
    assert_eq!((&buffer[..2], buffer[2] & 0b1000_0110, length <= 512), (&[0, 42][..], 0b1000_0110, true));
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_u16(u16::try_from(question.len()).unwrap()).await.unwrap();
    stream.write_all(&question).await.unwrap();
    let mut response = vec![0; usize::from(stream.read_u16().await.unwrap())];
    stream.read_exact(&mut response).await.unwrap();
    assert_eq!((response[2] & 0b1000_0110, response[7]), (0b1000_0100, 9), "authoritative, whole");
    let listed = client
        .get(&format!(
            "https://management.landfall.localhost:{}/_sim/name-servers",
            client.sim.connection().port
        ))
        .await;
    assert_eq!(listed.body[0]["servers"][0]["address"], address.to_string());
}

#[tokio::test]
async fn a_reopened_cloud_keeps_its_ports_and_its_root() {
    let mut tries = 0;
    let client = loop {
        // Another cloud that is opened in between may take a port.
        let seed = Some(1_000 + tries);
        let (client, address) = with_zone(Options { seed, ..options(Speed::Instant) }).await;
        let before = client.sim.connection().clone();
        let client = Client::reopen(client.close().await, options(Speed::Instant)).await;
        let after = client.sim.connection();
        assert_eq!(before.acme_roots, after.acme_roots);
        if after.name_servers.values().any(|other| *other == address) {
            break client;
        }
        tries += 1;
        assert!(tries < 5, "the servers keep their ports");
    };
    let after = client.sim.connection();
    assert_eq!(after.name_servers.len(), 40);
    let served = client.request(Method::GET, &after.acme_directory.replace("/directory", "/root.pem"));
    let served = served.header("user-agent", "test").send().await.unwrap().text().await.unwrap();
    assert_eq!(after.acme_roots, std::slice::from_ref(&served));
    let file = std::fs::read_to_string(client.folder.path().join("acme-root.pem")).unwrap();
    assert_eq!(file, served);
}

/// Returns a Python that can import these modules.
pub fn python_with(modules: &str) -> Option<String> {
    let candidates = [std::env::var("LANDFALL_TEST_PYTHON").unwrap_or_default(), "python3".to_owned()];
    candidates.into_iter().filter(|python| !python.is_empty()).find(|python| {
        let tried = Command::new(python).args(["-c", &format!("import {modules}")]).output();
        tried.is_ok_and(|output| output.status.success())
    })
}

/// Runs a script with facts on its standard input, and returns its output and its errors.
pub async fn run_python(python: &str, script: &Path, facts: &Value) -> (String, String) {
    let mut child = Command::new(python)
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(facts.to_string().as_bytes()).unwrap();
    let output = tokio::task::spawn_blocking(move || child.wait_with_output().unwrap()).await.unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_library_of_certbot_gets_a_certificate() {
    let Some(python) = python_with("acme.client, josepy") else {
        eprintln!("skipped: no Python with the library acme (LANDFALL_TEST_PYTHON names another one)");
        return;
    };
    let (client, _) = with_zone(options(Speed::Times(60.0))).await;
    let connection = client.sim.connection();
    let own = format!("https://management.landfall.localhost:{}/_sim", connection.port);
    let settings = json!({ "ca": "production", "settings": { "bad_nonce_percent": 0 } });
    assert_eq!(client.send(Method::POST, &format!("{own}/acme"), Some(&settings)).await.status, 200);
    let facts = json!({
        "zone": ZONE,
        "directory": connection.acme_directory,
        "proxy": format!("http://127.0.0.1:{}", connection.port),
        "ca": client.folder.path().join("ca.pem"),
        "record": format!("{}{}", connection.arm, zone(&client, "/TXT/_acme-challenge")),
        "advance": format!("{own}/advance"),
        "token": client.token,
        "key": connection.admin_key,
    });
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/https/acme_client.py");
    let (chain, err) = run_python(&python, &script, &facts).await;
    assert_eq!(chain.matches("BEGIN CERTIFICATE").count(), 2, "{err}");
}
