//! Fixture: a cluster of the simulated cloud, and kubectl with its kubeconfig.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use landfall_sim::{Options, Sim, Speed};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, Command};

const GROUP: &str = "/resourcegroups/rg";
const CLUSTER: &str = "/providers/Microsoft.ContainerService/managedClusters/aks-demo";

/// A running cluster with the add-ons of the article, and kubectl.
pub struct Fixture {
    /// The cloud, which runs until this is dropped.
    _sim: Sim,
    /// The folder with the cloud's state, the kubeconfig and kubectl's cache.
    folder: TempDir,
    program: PathBuf,
}

/// The result of a command.
pub struct CommandOutput {
    /// The exit code.
    pub code: i32,
    /// Its output.
    pub out: String,
    /// Its standard error.
    pub err: String,
}

impl CommandOutput {
    fn of(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Self { code: output.status.code().unwrap_or(-1), out: text(output.stdout), err: text(output.stderr) }
    }

    /// Returns the output of a command that must have succeeded.
    #[track_caller]
    pub fn fine(&self) -> &str {
        assert_eq!(self.code, 0, "{}{}", self.out, self.err);
        &self.out
    }

    /// Returns the error output of a command that must have failed.
    #[track_caller]
    pub fn refused(&self) -> &str {
        assert_ne!(self.code, 0, "{}", self.out);
        &self.err
    }

    /// Returns the rows of a table, the cells separated by ` | `, ages written as `*`.
    #[track_caller]
    pub fn rows(&self) -> Vec<String> {
        let cells = |line: &str| -> Vec<String> {
            let cells = line.split("  ").map(str::trim).filter(|cell| !cell.is_empty());
            cells.map(|cell| if is_age(cell) { "*".to_owned() } else { cell.to_owned() }).collect()
        };
        self.fine().lines().filter(|line| !line.is_empty()).map(|line| cells(line).join(" | ")).collect()
    }
}

fn is_age(cell: &str) -> bool {
    let ends = cell.ends_with(|c| "smhd".contains(c)) && cell.starts_with(|c: char| c.is_ascii_digit());
    ends && cell.chars().all(|c| c.is_ascii_digit() || "smhd".contains(c))
}

fn program() -> Option<PathBuf> {
    let named = std::env::var_os("KUBECTL").map_or_else(|| PathBuf::from("kubectl"), PathBuf::from);
    let found = std::process::Command::new(&named)
        .args(["version", "--client"])
        .stdin(Stdio::null())
        .output()
        .is_ok_and(|output| output.status.success());
    if !found {
        println!("skipped: kubectl is not on this machine");
    }
    found.then_some(named)
}

impl Fixture {
    /// Creates the cluster; without kubectl it returns `None` and prints a line about it.
    pub async fn open() -> Option<Self> {
        Self::at_speed(Speed::Instant).await
    }

    /// Like `open`, with the shell of this machine in the place of an image.
    pub async fn with_image(repository: &str) -> Option<Self> {
        let images = [(repository.to_owned(), PathBuf::from("/bin/sh"))].into();
        Self::with_options(Options { speed: Speed::Instant, images, ..Options::default() }).await
    }

    /// Like `open`, with another speed; the cluster itself is created instantly.
    pub async fn at_speed(speed: Speed) -> Option<Self> {
        Self::with_options(Options { speed, ..Options::default() }).await
    }

    async fn with_options(options: Options) -> Option<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let program = program()?;
        let folder = tempfile::tempdir().unwrap();
        // A cloud derives its first candidate port from its seed.
        let seed = Some(4_000 + NEXT.fetch_add(1, Ordering::Relaxed) * 7);
        let speed = options.speed;
        let options = Options { speed: Speed::Instant, seed, ..options };
        let mut sim = Sim::open(&folder.path().join("cloud"), options.clone()).await.unwrap();
        make_cluster(&sim, &folder).await;
        if speed != Speed::Instant {
            sim.close().await;
            sim = Sim::open(&folder.path().join("cloud"), Options { speed, ..options }).await.unwrap();
        }
        Some(Self { _sim: sim, folder, program })
    }

    /// Returns the path of the kubeconfig.
    pub fn kubeconfig(&self) -> PathBuf {
        self.folder.path().join("kubeconfig")
    }

    fn command(&self, line: &str) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(words(line))
            .env("KUBECONFIG", self.kubeconfig())
            .env("KUBECACHEDIR", self.folder.path().join("cache"))
            .env("HOME", self.folder.path())
            .current_dir(self.folder.path())
            .kill_on_drop(true)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs `kubectl` with this line, in which single quotes keep words together.
    pub async fn kubectl(&self, line: &str) -> CommandOutput {
        self.kubectl_with(line, "").await
    }

    /// Like `kubectl`, with text on its standard input.
    pub async fn kubectl_with(&self, line: &str, input: &str) -> CommandOutput {
        let mut child = self.begin(line);
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(input.as_bytes()).await.unwrap();
        drop(stdin);
        CommandOutput::of(child.wait_with_output().await.unwrap())
    }

    /// Starts a command that runs on; dropping it ends it.
    pub fn begin(&self, line: &str) -> Child {
        self.command(line).spawn().unwrap()
    }

    /// Writes a file beside the kubeconfig, where commands find it by its name.
    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.folder.path().join(name), text).unwrap();
    }
}

fn words(line: &str) -> Vec<String> {
    let mut all = Vec::new();
    for (index, part) in line.split('\'').enumerate() {
        if index % 2 == 1 {
            all.push(part.to_owned());
        } else {
            all.extend(part.split_whitespace().map(str::to_owned));
        }
    }
    all
}

fn cluster() -> Value {
    json!({
        "location": "eastus",
        "identity": {"type": "SystemAssigned"},
        "sku": {"name": "Base", "tier": "Standard"},
        "properties": {
            "dnsPrefix": "demo",
            "nodeResourceGroup": "rg-nodes",
            "agentPoolProfiles": [{
                "name": "nodepool1", "mode": "System", "type": "VirtualMachineScaleSets", "osType": "Linux",
                "vmSize": "Standard_D4s_v5", "count": 2,
            }],
            "networkProfile": {"networkPlugin": "azure", "serviceCidr": "10.1.0.0/16", "dnsServiceIP": "10.1.0.10"},
            "addonProfiles": {"azureKeyvaultSecretsProvider": {
                "enabled": true, "config": {"enableSecretRotation": "true", "rotationPollInterval": "2m"},
            }},
            "ingressProfile": {
                "webAppRouting": {"gatewayAPIImplementations": {"appRoutingIstio": {"mode": "Enabled"}}},
                "gatewayAPI": {"installation": "Standard"},
            },
        },
    })
}

async fn make_cluster(sim: &Sim, folder: &TempDir) {
    let connection = sim.connection();
    let loopback = std::net::SocketAddr::from((std::net::Ipv4Addr::LOCALHOST, connection.port));
    let http = ["login", "management"]
        .iter()
        .fold(reqwest::Client::builder(), |builder, name| {
            builder.resolve(&format!("{name}.landfall.localhost"), loopback)
        })
        .tls_certs_only([reqwest::Certificate::from_pem(connection.ca_pem.as_bytes()).unwrap()])
        .build()
        .unwrap();
    let form = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("grant_type", "client_credentials")
        .append_pair("client_id", &connection.client_id)
        .append_pair("client_secret", &connection.client_secret)
        .append_pair("scope", &format!("{}/.default", connection.arm_audience))
        .finish();
    let request = http
        .post(format!("{}/{}/oauth2/v2.0/token", connection.login, connection.tenant))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(form);
    let token: Value = request.send().await.unwrap().json().await.unwrap();
    let token = token["access_token"].as_str().unwrap();
    let at = |rest: &str| format!("{}/subscriptions/{}{rest}", connection.arm, connection.subscription);
    for (path, body) in [
        (format!("{GROUP}?api-version=2024-11-01"), json!({"location": "eastus"})),
        (format!("{GROUP}{CLUSTER}?api-version=2026-06-01"), cluster()),
    ] {
        let created = http.put(at(&path)).bearer_auth(token).json(&body).send().await.unwrap();
        assert_eq!(created.status(), 201);
    }
    let path = format!("{GROUP}{CLUSTER}/listClusterUserCredential?api-version=2026-06-01");
    let request = http.post(at(&path)).bearer_auth(token).header("content-length", "0");
    let credentials: Value = request.send().await.unwrap().json().await.unwrap();
    let config = credentials["kubeconfigs"][0]["value"].as_str().unwrap_or_else(|| panic!("{credentials}"));
    std::fs::write(folder.path().join("kubeconfig"), STANDARD.decode(config).unwrap()).unwrap();
}
