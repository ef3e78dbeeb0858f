//! The journal in a real blob service: Azurite, Microsoft's emulator. Skipped where it is not installed.

use crate::{azure, environment::TestEnvironment, running_process::RunningProcess, shared_state};
use landfall_sim::{Options, Sim, Speed};
use serde_json::Value;
use std::{
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    thread::sleep,
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// The time in which it must listen.
const START_MAX: Duration = Duration::from_secs(60);
/// The time after which the lease of a dead process is over, in real time.
const LEASE_OVER: Duration = Duration::from_secs(61);

/// A running emulator.
struct Azurite {
    process: Child,
    port: u16,
}

impl Drop for Azurite {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Finds the program: AZURITE, then the folder that .ci/run installs it to, then PATH.
fn program() -> Option<PathBuf> {
    let named = std::env::var_os("AZURITE").map(PathBuf::from);
    let installed =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("target/azurite/node_modules/.bin/azurite-blob");
    let on_path = || {
        std::env::split_paths(&std::env::var_os("PATH")?)
            .map(|folder| folder.join("azurite-blob"))
            .find(|path| path.is_file())
    };
    named.filter(|path| path.is_file()).or(Some(installed).filter(|path| path.is_file())).or_else(on_path)
}

impl Azurite {
    /// Starts it with a certificate of an authority in `authority.pem`; `None` without the program.
    fn start(folder: &Path) -> Option<Self> {
        let program = program()?;
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::default();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let authority = params.self_signed(&key).unwrap();
        let issuer = rcgen::Issuer::new(params, key);
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &issuer).unwrap();
        std::fs::write(folder.join("authority.pem"), authority.pem()).unwrap();
        std::fs::write(folder.join("azurite.pem"), certificate.pem()).unwrap();
        std::fs::write(folder.join("azurite.key"), key.serialize_pem()).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let process = Command::new(program)
            .args(["--blobHost", "127.0.0.1", "--blobPort", &port.to_string(), "--oauth", "basic"])
            .args(["--cert", "azurite.pem", "--key", "azurite.key", "--location", ".", "--disableTelemetry"])
            .current_dir(folder)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let azurite = Self { process, port };
        let until = Instant::now() + START_MAX;
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < until, "azurite does not listen");
            sleep(Duration::from_millis(50));
        }
        Some(azurite)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_machines_share_an_environment_through_azurite() {
    let folder = TempDir::new().unwrap();
    let Some(azurite) = Azurite::start(folder.path()) else {
        eprintln!("skipped: no azurite");
        return;
    };
    let cloud = TempDir::new().unwrap();
    let options = Options { speed: Speed::Times(60.0), seed: Some(6_900), ..Options::default() };
    let sim = Arc::new(Sim::open(cloud.path(), options).await.unwrap());
    let facts = sim.connection().clone();
    let settings = format!(
        "{}\n[state]\nendpoint = \"https://127.0.0.1:{}/devstoreaccount1\"\nca_file = \"{}\"\n",
        azure::endpoints(&facts),
        azurite.port,
        folder.path().join("authority.pem").display()
    );
    let machines = [(); 2].map(|()| shared_state::machine(&facts, &settings));
    tokio::task::spawn_blocking(move || share(&machines)).await.unwrap();
    let clusters = sim.request_log().into_iter().filter(|line| {
        line.method == "PUT"
            && line.status == 201
            && line.path.ends_with("/managedClusters/aks-istio-gateway-demo")
    });
    assert_eq!(clusters.count(), 1, "nothing was created twice");
    drop(azurite);
}

fn share([one, two]: &[TestEnvironment; 2]) {
    one.expect(0, &["state", "init"]);
    let mut run = RunningProcess::start(one, &["up"]);
    run.until_step("started", "cluster-ready");
    let refused = two.expect(4, &["up"]);
    assert!(refused.stderr.contains("landfall unlock"), "{}", refused.stderr);
    run.kill();
    sleep(LEASE_OVER);
    let mut run = RunningProcess::start(two, &["up"]);
    run.until(|event| event["event"] == "opened");
    run.kill();
    // The machine of the dead process does not wait.
    two.expect(0, &["up"]);
    shared_state::assert_nothing_new(&one.expect(0, &["up", "--format", "json"]).summary());
    let listed: Value =
        serde_json::from_str(&one.expect(0, &["state", "list", "--format", "json"]).stdout).unwrap();
    assert_eq!(listed["environments"][0]["held"], false);
    let mut run = RunningProcess::start(one, &["up"]);
    run.until(|event| event["event"] == "opened");
    two.expect(0, &["unlock", "--now"]);
    let lost = run.end();
    // A run that was about to end may have ended regularly.
    assert!(matches!(lost.status.code(), Some(0 | 4)), "{}", lost.stderr);
    two.expect(0, &["state", "pull"]);
    two.expect(2, &["up"]);
    two.expect(0, &["state", "push"]);
    one.expect(0, &["down", "--yes"]);
}
