//! The server's admin API, which users and other processes call beside the cloud's own APIs.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use landfall_sim::admin_api::KEY_HEADER;
use landfall_sim::{Options, RegistrationOptions, ServerRegistration, Sim, SimError, Speed};
use reqwest::Method;
use serde_json::json;

use crate::client::{Answer, Client, options};

fn registration(speed: Speed) -> Options {
    let kubeconfig = "/home/ada/it's/kubeconfig".into();
    Options {
        registration: Some(RegistrationOptions { kubeconfig }),
        by: "landfall sim".into(),
        ..options(speed)
    }
}

#[tokio::test]
async fn a_registered_server_is_found_until_it_is_closed() {
    let client = Client::open(registration(Speed::Instant)).await;
    let found = ServerRegistration::find(client.folder.path()).unwrap();
    assert_eq!(found.connection.client_secret, client.sim.connection().client_secret);
    assert!(
        found.connection.time_scale.is_infinite(),
        "JSON has no infinity, and it comes back nevertheless"
    );
    let response = client.get("/_sim/serving").await;
    assert_eq!(
        (response.body["id"].as_str(), response.body["by"].as_str()),
        (Some(&*found.id), Some("landfall sim"))
    );
    let shell = client.request(Method::GET, "/_sim/env").send().await.unwrap();
    assert_eq!(shell.headers()["content-type"], "text/x-shellscript; charset=utf-8");
    let shell = shell.text().await.unwrap();
    assert!(shell.contains(r"export KUBECONFIG='/home/ada/it'\''s/kubeconfig'"), "{shell}");
    assert!(
        !shell.contains(&found.connection.client_secret)
            && !response.body.to_string().contains(&found.connection.client_secret)
    );
    assert!(shell.contains("--password='@"));

    let busy = Sim::open(client.folder.path(), Options::default()).await;
    let Err(SimError::Busy { holder: Some(holder), .. }) = busy else { panic!("{busy:?}") };
    assert_eq!(holder, found.holder);
    let folder = client.close().await;
    assert!(ServerRegistration::find(folder.path()).is_none());
}

#[tokio::test]
async fn an_unregistered_server_removes_the_registration_of_a_killed_one() {
    let client = Client::open(registration(Speed::Instant)).await;
    let left = std::fs::read(client.folder.path().join("serving.json")).unwrap();
    let folder = client.close().await;
    std::fs::write(folder.path().join("serving.json"), left).unwrap();
    let client = Client::reopen(folder, options(Speed::Instant)).await;
    assert!(ServerRegistration::find(client.folder.path()).is_none());
    for what in ["/_sim/serving", "/_sim/env"] {
        assert_eq!(client.get(what).await.status, 404);
    }
}

#[tokio::test]
async fn faults_are_armed_instead_or_as_well_and_disarmed_by_name() {
    let client = Client::open(options(Speed::Instant)).await;
    let arm = async |method: Method, faults: &[&str]| {
        let answer = client.send(method, "/_sim/faults", Some(&json!({ "faults": faults }))).await;
        let armed = answer.body["armed"].as_array().cloned().unwrap_or_default();
        (answer.status, armed.iter().map(|one| one["fault"].as_str().unwrap().to_owned()).collect::<Vec<_>>())
    };
    arm(Method::POST, &["throttled", "slow"]).await;
    assert_eq!(
        arm(Method::POST, &["slow"]).await,
        (200, vec!["throttled".into(), "slow".into(), "slow".into()])
    );
    assert_eq!(client.delete("/_sim/faults/slow").await.body["armed"].as_array().unwrap().len(), 1);
    assert_eq!(client.delete("/_sim/faults/gremlins").await.status, 404);
    assert_eq!(arm(Method::PUT, &["unavailable"]).await, (200, vec!["unavailable".into()]));
    assert_eq!(arm(Method::PUT, &["unavailable", "gremlins"]).await.0, 400);
    let still = client.get("/_sim/faults").await.body;
    assert_eq!(
        still["armed"].as_array().unwrap().len(),
        1,
        "what cannot be read arms nothing and disarms nothing"
    );
}

#[tokio::test]
async fn the_request_log_is_read_from_a_number_up_to_a_length() {
    let client = Client::open(options(Speed::Instant)).await;
    for _ in 0..4 {
        client.get(&client.path("/resourcegroups?api-version=2024-11-01")).await;
    }
    let numbers = async |query: &str| {
        let body = client.get(&format!("/_sim/ledger{query}")).await.body;
        body.as_array().unwrap().iter().map(|line| line["n"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(numbers("").await, [1, 2, 3, 4, 5]);
    assert_eq!(numbers("?after=3").await, [4, 5]);
    assert_eq!(numbers("?after=1&last=2").await, [4, 5]);
    assert_eq!(numbers("?after=9").await, [0; 0]);
    assert_eq!(client.get("/_sim/ledger?after=x").await.status, 400);
}

#[tokio::test]
async fn an_operation_reports_its_start_and_end() {
    let client = Client::open(options(Speed::Times(10.0))).await;
    client.group().await;
    let network =
        "/resourceGroups/rg/providers/Microsoft.Network/virtualNetworks/vnet?api-version=2025-07-01";
    let space = json!({ "addressSpace": { "addressPrefixes": ["10.0.0.0/16"] } });
    client.put(&client.path(network), &json!({ "location": "eastus", "properties": space })).await;
    let state = client.get("/_sim/world").await.body;
    assert_eq!((&state["speed"], &state["aheadSeconds"]), (&json!(10.0), &json!(0.0)));
    assert_eq!(state["operations"][0]["over"], false);
    client.advance(60.0).await;
    let state = client.get("/_sim/world").await.body;
    let operation = &state["operations"][0];
    assert!(operation["started"].as_str() < operation["ends"].as_str(), "{operation}");
    assert_eq!((&operation["over"], &state["aheadSeconds"]), (&json!(true), &json!(6.0)));
}

#[tokio::test]
async fn the_page_is_served_and_cross_site_requests_are_refused() {
    let client = Client::open(options(Speed::Instant)).await;
    let page = client.request(Method::GET, "/_sim/").send().await.unwrap();
    assert_eq!(page.headers()["content-type"], "text/html; charset=utf-8");
    assert!(page.text().await.unwrap().contains("<script src=\"page.js\""));
    let body = json!({ "seconds": 1 });
    for (site, status) in [("cross-site", 403), ("same-site", 403), ("same-origin", 200), ("none", 200)] {
        let request =
            client.request(Method::POST, "/_sim/advance").header("sec-fetch-site", site).json(&body);
        assert_eq!(Answer::read(request.send().await.unwrap()).await.status, status, "{site}");
    }
}

#[tokio::test]
async fn the_key_is_required_except_for_what_contains_no_secret() {
    let client = Client::open(registration(Speed::Instant)).await;
    let origin = format!("https://127.0.0.1:{}", client.sim.connection().port);
    let status = |path: &'static str, key: Option<String>| {
        let mut request = client.http.get(format!("{origin}{path}"));
        if let Some(key) = key {
            request = request.header(KEY_HEADER, key);
        }
        async move { request.send().await.unwrap().status().as_u16() }
    };
    let key = client.sim.connection().admin_key.clone();
    for path in [
        "/_sim/world",
        "/_sim/ledger",
        "/_sim/doors",
        "/_sim/faults",
        "/_sim/limits",
        "/_sim/policies",
        "/_sim/acme",
    ] {
        assert_eq!(status(path, None).await, 401, "{path}");
        assert_eq!(status(path, Some("0".repeat(key.len()))).await, 401, "{path}");
        assert_eq!(status(path, Some(key.clone())).await, 200, "{path}");
    }
    for path in
        ["/_sim/", "/_sim/page.js", "/_sim/ca.pem", "/_sim/serving", "/_sim/env", "/_sim/name-servers"]
    {
        assert_eq!(status(path, None).await, 200, "{path}");
    }
    let page = client.http.get(format!("{origin}/_sim/")).send().await.unwrap().text().await.unwrap();
    assert!(page.contains(&key));
    let header = std::fs::read_to_string(client.folder.path().join("admin.header")).unwrap();
    assert_eq!(header, format!("{KEY_HEADER}: {key}\n"));
}

/// A page of another site, also one whose name a resolver under foreign control maps to this machine.
#[tokio::test]
async fn requests_for_another_site_are_refused() {
    let client = Client::open(options(Speed::Instant)).await;
    let port = client.sim.connection().port;
    for (name, value, status) in [
        ("host", format!("evil.example:{port}"), 403),
        ("host", format!("127.0.0.1:{port}"), 200),
        ("origin", "https://evil.example".to_owned(), 403),
        ("origin", "http://127.0.0.1".to_owned(), 403),
        ("origin", "null".to_owned(), 403),
        ("origin", format!("https://127.0.0.1:{port}"), 200),
        ("origin", format!("https://management.landfall.localhost:{port}"), 200),
    ] {
        // The host of HTTP/2 is that of the URL.
        let authority = reqwest::Certificate::from_pem(client.sim.connection().ca_pem.as_bytes()).unwrap();
        let http = reqwest::Client::builder().http1_only().tls_certs_only([authority]).build().unwrap();
        let request = http.get(format!("https://127.0.0.1:{port}/_sim/world"));
        let request = request.header(KEY_HEADER, &client.sim.connection().admin_key).header(name, &value);
        assert_eq!(request.send().await.unwrap().status(), status, "{name}: {value}");
    }
}

/// Returns a free port that neither clouds select by themselves nor the system gives to outgoing connections.
fn free_port() -> std::net::TcpListener {
    let first = 15_000 + u16::try_from(std::process::id() % 4_000).unwrap();
    (first..20_000).find_map(|port| std::net::TcpListener::bind(("127.0.0.1", port)).ok()).unwrap()
}

#[tokio::test]
async fn a_requested_port_is_kept_or_refused() {
    let taken = free_port();
    let port = taken.local_addr().unwrap().port();
    let folder = tempfile::tempdir().unwrap();
    let request = || Options { port: Some(port), ..options(Speed::Instant) };
    let refused = Sim::open(folder.path(), request()).await;
    assert!(matches!(refused, Err(SimError::PortTaken { port: refused_port, .. }) if refused_port == port));
    drop(taken);
    let sim = Sim::open(folder.path(), request()).await.unwrap();
    assert_eq!(sim.connection().port, port);
    sim.close().await;
    let sim = Sim::open(folder.path(), options(Speed::Instant)).await.unwrap();
    assert_eq!(sim.connection().port, port);
}
