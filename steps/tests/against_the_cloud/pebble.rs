//! Orders from Pebble, a real ACME server, which validates at the simulated name servers. Skipped without Pebble.

use crate::{acme, fixture::Fixture, settings};
use landfall_steps::certificate::{
    VaultCertificate,
    acme::{Acme, AcmeDirectory},
};
use serde_json::json;
use std::{
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

/// A running server, which ends with the test.
struct Pebble {
    process: Child,
    directory: String,
    root: String,
}

impl Drop for Pebble {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Returns the program: of the variable `PEBBLE`, or on the path.
fn program() -> Option<PathBuf> {
    let named = std::env::var_os("PEBBLE").map(PathBuf::from);
    let on_path = || {
        std::env::split_paths(&std::env::var_os("PATH")?)
            .map(|folder| folder.join("pebble"))
            .find(|path| path.is_file())
    };
    named.filter(|path| path.is_file()).or_else(on_path)
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl Pebble {
    /// Starts the server; `None` without the program.
    async fn start(folder: &Path, name_server: &str) -> Option<Self> {
        let program = program()?;
        let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let (certificate, key) = (folder.join("pebble.pem"), folder.join("pebble.key"));
        std::fs::write(&certificate, own.cert.pem()).unwrap();
        std::fs::write(&key, own.signing_key.serialize_pem()).unwrap();
        let (port, management) = (free_port(), free_port());
        let config = json!({ "pebble": {
            "listenAddress": format!("127.0.0.1:{port}"),
            "managementListenAddress": format!("127.0.0.1:{management}"),
            "certificate": certificate, "privateKey": key,
            "httpPort": free_port(), "tlsPort": free_port(), "ocspResponderURL": "",
            "externalAccountBindingRequired": true,
            "externalAccountMACKeys": { "kid-1": "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W" },
        }});
        let path = folder.join("pebble.json");
        std::fs::write(&path, config.to_string()).unwrap();
        let process = Command::new(program)
            .args([
                "-config".as_ref(),
                path.as_os_str(),
                "-dnsserver".as_ref(),
                name_server.as_ref(),
                "-strict".as_ref(),
            ])
            .env("PEBBLE_VA_SLEEPTIME", "1")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let server =
            Self { process, directory: format!("https://localhost:{port}/dir"), root: own.cert.pem() };
        let until = Instant::now() + Duration::from_secs(30);
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < until, "pebble does not listen");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Some(server)
    }
}

#[tokio::test]
async fn a_real_server_issues_for_apex_and_wildcard_with_an_external_account() {
    let mut fixture = Fixture::without_cluster().await;
    let zone = acme::zone(&fixture).await;
    let name_servers = fixture.sim.connection().name_servers.clone();
    let Some(server) =
        Pebble::start(fixture.home.path(), &name_servers.values().next().unwrap().to_string()).await
    else {
        eprintln!("skipped: no pebble");
        return;
    };
    let mut wanted = Acme {
        directory: AcmeDirectory::Url(server.directory.parse().unwrap()),
        root: Some(server.root.clone()),
        ..acme::acme()
    };
    fixture.settings.certificate.given = None;
    fixture.settings.certificate.acme = Some(Arc::new(wanted.clone()));
    let refused = fixture.up().await;
    let error = refused.error("preflight");
    assert!(error.hint.as_deref().unwrap().contains("ACME_EAB_KEY"), "{error:#?}");

    wanted.registration.external = Some(landfall_cloud::acme::ExternalAccount {
        kid: "kid-1".to_owned(),
        key: acme::decoded("zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W").into(),
    });
    fixture.settings.certificate.acme = Some(Arc::new(wanted));
    fixture.up_ready().await;
    let held: VaultCertificate = fixture.journal_state().0["certificate"].read_output().unwrap();
    assert_eq!((held.names.len(), held.self_signed), (2, false));
    assert!(held.names.contains(&settings::DOMAIN.to_owned()));
    assert!(fixture.clients.azure.txt_set(&zone, "_acme-challenge").await.unwrap().is_none());
}
