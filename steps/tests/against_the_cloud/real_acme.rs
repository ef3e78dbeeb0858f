//! Real ACME servers, which validate at the simulated name servers: Pebble and acme2certifier. Skipped without them.
//!
//! `PEBBLE` names the program of Pebble, and `ACME2CERTIFIER` a Python with the package acme2certifier; `.ci/run` installs both.

use crate::{acme, fixture::Fixture, settings};
use landfall_cloud::acme::ExternalAccount;
use landfall_engine::{How, Outcome, StepError};
use landfall_steps::certificate::{
    VaultCertificate,
    acme::{Acme, AcmeDirectory},
};
use serde_json::json;
use std::{
    ffi::OsStr,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

/// The key of the external account `kid-1`.
const KEY: &str = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W";
/// The number of points at which a renewal is killed.
const POINTS: u64 = 10;
/// The share of nonces that acme2certifier refuses, in percent. Pebble refuses 5 % by itself.
const REFUSED_NONCES: &str = "10";

/// A running server, which ends with the test.
struct Server {
    process: Child,
    directory: String,
    root: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Returns a program: of the variable, or on the path.
fn program(variable: &str, name: &str) -> Option<PathBuf> {
    let named = std::env::var_os(variable).map(PathBuf::from);
    let on_path = || {
        std::env::split_paths(&std::env::var_os("PATH")?)
            .map(|folder| folder.join(name))
            .find(|path| path.is_file())
    };
    named.filter(|path| path.is_file()).or_else(on_path)
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn start(program: &Path, arguments: &[&OsStr]) -> Child {
    let mut command = Command::new(program);
    command.args(arguments).env("PEBBLE_VA_SLEEPTIME", "1").stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().unwrap()
}

async fn wait_for(port: u16) {
    let until = Instant::now() + Duration::from_secs(60);
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(Instant::now() < until, "the server does not listen");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

impl Server {
    /// Starts Pebble; `None` without the program.
    async fn pebble(folder: &Path, name_server: &str) -> Option<Self> {
        let program = program("PEBBLE", "pebble")?;
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
            "externalAccountMACKeys": { "kid-1": KEY },
        }});
        let path = folder.join("pebble.json");
        std::fs::write(&path, config.to_string()).unwrap();
        let words = [
            "-config".as_ref(),
            path.as_os_str(),
            "-dnsserver".as_ref(),
            name_server.as_ref(),
            "-strict".as_ref(),
        ];
        let process = start(&program, &words);
        wait_for(port).await;
        Some(Self { process, directory: format!("https://localhost:{port}/dir"), root: own.cert.pem() })
    }

    /// Starts acme2certifier; `None` without it.
    async fn acme2certifier(folder: &Path, name_server: &str) -> Option<Self> {
        let python = std::env::var_os("ACME2CERTIFIER").map(PathBuf::from).filter(|path| path.is_file())?;
        let script =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/against_the_cloud/acme2certifier_server.py");
        let (port, dns_port) = (free_port(), name_server.rsplit(':').next().unwrap());
        let port_text = port.to_string();
        let words = [
            script.as_os_str(),
            folder.as_os_str(),
            port_text.as_ref(),
            dns_port.as_ref(),
            REFUSED_NONCES.as_ref(),
        ];
        let process = start(&python, &words);
        let directory = format!("https://localhost:{port}/directory");
        let mut server = Self { process, directory, root: String::new() };
        wait_for(port).await;
        server.root = std::fs::read_to_string(folder.join("root.pem")).unwrap();
        Some(server)
    }

    fn settings(&self) -> Acme {
        Acme {
            directory: AcmeDirectory::Url(self.directory.parse().unwrap()),
            root: Some(self.root.clone()),
            ..acme::acme()
        }
    }
}

/// An environment up to the certificate, with its zone.
struct Peer {
    fixture: Fixture,
    zone: String,
}

impl Peer {
    async fn new() -> Self {
        let fixture = Fixture::without_cluster().await;
        let zone = acme::zone(&fixture).await;
        Self { fixture, zone }
    }

    fn name_server(&self) -> String {
        self.fixture.sim.connection().name_servers.values().next().unwrap().to_string()
    }

    async fn has_values(&self) -> bool {
        self.fixture.clients.azure.txt_set(&self.zone, "_acme-challenge").await.unwrap().is_some()
    }

    async fn versions(&self) -> usize {
        let body = self.fixture.get(&self.fixture.vault_id()).await;
        let vault = self.fixture.clients.vaults.at(body["properties"]["vaultUri"].as_str().unwrap()).unwrap();
        vault.versions("gateway-tls-cert").await.unwrap().len()
    }

    /// Orders the first certificate: refused without the external account, and issued for two names with it.
    async fn first(&mut self, server: &Server) {
        let mut wanted = server.settings();
        self.fixture.settings.certificate.given = None;
        self.fixture.settings.certificate.acme = Some(Arc::new(wanted.clone()));
        let refused = self.fixture.up().await;
        let error = refused.error("preflight");
        assert!(error.hint.as_deref().unwrap().contains("ACME_EAB_KEY"), "{error:#?}");
        let key = acme::decoded(KEY).into();
        wanted.registration.external = Some(ExternalAccount { kid: "kid-1".to_owned(), key });
        self.fixture.settings.certificate.acme = Some(Arc::new(wanted));
        self.fixture.up_ready().await;
        let held: VaultCertificate = self.fixture.journal_state().0["certificate"].read_output().unwrap();
        assert_eq!((held.names.len(), held.self_signed), (2, false));
        assert!(held.names.contains(&settings::DOMAIN.to_owned()));
        assert!(!self.has_values().await);
        // From here on, the vault is the only memory.
        self.fixture.settings.certificate.acme = None;
    }

    /// Renews the certificate; returns the error of the certificate.
    async fn renew(&mut self) -> Result<(), StepError> {
        self.fixture.reconnect();
        let target = acme::renewal(&self.fixture).await;
        let result = self.fixture.renew(&target).await;
        match result.report.outcome {
            Outcome::Ready => {
                assert_eq!(result.how("certificate"), Some(How::Changed));
                Ok(())
            }
            _ => Err(result.error("certificate").clone()),
        }
    }

    /// Renews the certificate, and kills each of ten renewals at another request. The next run completes it.
    async fn renew_killed(&mut self) {
        let before = self.fixture.requests.requests();
        self.renew().await.unwrap();
        let all = self.fixture.requests.requests() - before;
        for point in 1..=POINTS {
            let versions = self.versions().await;
            self.fixture.reconnect();
            let target = acme::renewal(&self.fixture).await;
            let until = self.fixture.requests.requests() + point * all / (POINTS + 1);
            let requests = self.fixture.requests.clone();
            tokio::select! {
                biased;
                () = async {
                    while requests.requests() < until {
                        tokio::time::sleep(Duration::from_millis(1)).await;
                    }
                } => {}
                _ = self.fixture.renew(&target) => {}
            }
            self.fixture.reconnect();
            if self.versions().await == versions {
                self.renew().await.unwrap_or_else(|error| panic!("after {point} of {POINTS}: {error:#?}"));
            }
            assert_eq!(self.versions().await, versions + 1, "killed at {point} of {POINTS}");
            assert!(!self.has_values().await, "killed at {point} of {POINTS}");
        }
    }
}

#[tokio::test]
async fn pebble_issues_renews_and_survives_kills() {
    let mut peer = Peer::new().await;
    let home = peer.fixture.home.path().to_owned();
    let Some(server) = Server::pebble(&home, &peer.name_server()).await else {
        eprintln!("skipped: no pebble");
        return;
    };
    peer.first(&server).await;
    peer.renew_killed().await;
}

#[tokio::test]
async fn acme2certifier_issues_renews_survives_kills_and_reports_a_deactivated_account() {
    let mut peer = Peer::new().await;
    let home = peer.fixture.home.path().join("ca");
    std::fs::create_dir_all(&home).unwrap();
    let Some(server) = Server::acme2certifier(&home, &peer.name_server()).await else {
        eprintln!("skipped: no acme2certifier");
        return;
    };
    peer.first(&server).await;
    peer.renew_killed().await;
    let state = acme::renewal(&peer.fixture).await.state(&peer.fixture.clients).await;
    assert!(state.reason.starts_with("the server suggests"), "{state:?}");
    for status in ["deactivated", "revoked"] {
        let change = "import sqlite3, sys; db = sqlite3.connect(sys.argv[1]); db.execute('update account set status_id = \
                      (select id from status where name = ?)', (sys.argv[2],)); db.commit()";
        let python = std::env::var_os("ACME2CERTIFIER").unwrap();
        let database = home.join("acme.db");
        let changed = Command::new(python)
            .args(["-c".as_ref(), change.as_ref(), database.as_os_str(), status.as_ref()])
            .status();
        assert!(changed.unwrap().success());
        let error = peer.renew().await.unwrap_err();
        assert_eq!(error.code.as_deref(), Some("accountRefused"), "{status}: {error:#?}");
        assert!(error.hint.as_deref().unwrap().contains("deactivated or revoked"), "{error:#?}");
        assert!(!peer.has_values().await);
    }
}
