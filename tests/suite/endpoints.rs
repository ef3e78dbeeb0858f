//! Endpoints of a settings file: a server that landfall does not know receives nothing without consent, and
//! no token of one cloud goes to another.

use crate::environment::{Said, TestEnvironment};
use std::{
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    sync::{Arc, Mutex},
};

const SECRET: &str = "planted-client-secret";

/// A proxy that records the first line of every request and refuses it: every request to a foreign host passes it.
struct Recorder {
    address: String,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Recorder {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let lines: Arc<Mutex<Vec<String>>> = Arc::default();
        let kept = Arc::clone(&lines);
        std::thread::spawn(move || {
            for mut connection in listener.incoming().flatten() {
                let mut line = String::new();
                let _ = BufReader::new(&connection).read_line(&mut line);
                kept.lock().unwrap().push(line.trim().to_owned());
                let _ = connection.write_all(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n");
            }
        });
        Self { address, lines }
    }

    fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }
}

/// Runs commands beside a settings file with this `[endpoints]` table.
struct Scene {
    recorder: Recorder,
    here: TestEnvironment,
}

impl Scene {
    fn new(endpoints: &str) -> Self {
        let recorder = Recorder::start();
        let here = TestEnvironment::instant()
            .with("AZURE_TENANT_ID", "11111111-1111-1111-1111-111111111111")
            .with("AZURE_CLIENT_ID", "22222222-2222-2222-2222-222222222222")
            .with("AZURE_CLIENT_SECRET", SECRET)
            .with("HTTPS_PROXY", &recorder.address);
        here.write("landfall.toml", format!("cloud = \"azure\"\n\n[endpoints]\n{endpoints}"));
        Self { recorder, here }
    }

    /// Runs a command that must end with exit 2 before anything is sent or written.
    fn refused(&self, arguments: &[&str]) -> Said {
        let said = self.here.expect(2, arguments);
        assert_eq!(self.recorder.lines(), Vec::<String>::new(), "{arguments:?} sent something");
        assert!(!said.stderr.contains(SECRET) && said.stderr.contains("hint"), "{}", said.stderr);
        assert!(!self.here.state().exists(), "{arguments:?} made a state folder");
        said
    }
}

const FOREIGN: &str = "login = \"https://login.private.example\"\narm = \"https://arm.private.example\"\n\
                       vault_suffix = \"vault.private.example\"\n";

#[test]
fn a_found_file_sends_no_credentials_to_unknown_endpoints() {
    let scene = Scene::new(FOREIGN);
    for command in [&["up"][..], &["plan"], &["up", "--yes"], &["doctor"]] {
        let said = scene.refused(command);
        for word in ["login.private.example", "landfall.toml:3", "--config landfall.toml"] {
            assert!(said.stderr.contains(word), "{word}: {}", said.stderr);
        }
    }
}

#[test]
fn every_single_unknown_endpoint_needs_consent() {
    for line in [
        "login = \"https://login.private.example\"\n",
        "arm = \"https://arm.private.example\"\n",
        "vault_suffix = \"vault.private.example\"\n",
        "login = \"https://login.microsoftonline.com:8443\"\n",
    ] {
        Scene::new(line).refused(&["plan"]);
    }
}

#[test]
fn other_authorities_for_public_azure_need_consent() {
    let scene = Scene::new("ca_file = \"ca.pem\"\n");
    scene.here.write("ca.pem", "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n");
    let said = scene.refused(&["plan"]);
    assert!(said.stderr.contains("ca_file"), "{}", said.stderr);
}

#[test]
fn a_file_that_a_person_names_may_lead_to_unknown_endpoints() {
    let scene = Scene::new(FOREIGN);
    let said = scene.here.run(&["plan", "--config", "landfall.toml"]);
    assert_ne!(said.status.code(), Some(2), "{}", said.stderr);
    let lines = scene.recorder.lines();
    assert!(!lines.is_empty(), "{}", said.stderr);
    assert!(lines.iter().all(|line| line.contains("login.private.example")), "{lines:?}");
}

#[test]
fn endpoints_of_two_clouds_are_refused_even_with_consent() {
    for endpoints in [
        "arm = \"https://management.chinacloudapi.cn\"\n",
        "vault_suffix = \"vault.usgovcloudapi.net\"\n",
        "login = \"https://login.microsoftonline.us\"\n",
    ] {
        let said = Scene::new(endpoints).refused(&["plan", "--config", "landfall.toml"]);
        assert!(said.stderr.contains("public Azure"), "{}", said.stderr);
    }
}

#[test]
fn a_token_of_another_audience_is_refused_even_with_consent() {
    for audience in [
        "arm_audience = \"https://management.azure.com\"\n",
        "vault_audience = \"https://vault.azure.net\"\n",
        "arm_audience = \"https://graph.microsoft.com/\"\n",
    ] {
        let said =
            Scene::new(&format!("{FOREIGN}{audience}")).refused(&["plan", "--config", "landfall.toml"]);
        assert!(said.stderr.contains("must not go to"), "{}", said.stderr);
    }
}
