//! Endpoints of a settings file: a server that landfall does not know receives nothing without consent, and
//! no token of one cloud goes to another.

use crate::environment::{CommandOutput, TestEnvironment};
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
                // The check whether the proxy is reachable sends nothing.
                if !line.is_empty() {
                    kept.lock().unwrap().push(line.trim().to_owned());
                }
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
struct EndpointTest {
    recorder: Recorder,
    env: TestEnvironment,
}

impl EndpointTest {
    fn new(endpoints: &str) -> Self {
        let recorder = Recorder::start();
        let env = TestEnvironment::instant()
            .with("AZURE_TENANT_ID", "11111111-1111-1111-1111-111111111111")
            .with("AZURE_CLIENT_ID", "22222222-2222-2222-2222-222222222222")
            .with("AZURE_CLIENT_SECRET", SECRET)
            .with("HTTPS_PROXY", &recorder.address);
        env.write("landfall.toml", format!("cloud = \"azure\"\n\n[endpoints]\n{endpoints}"));
        Self { recorder, env }
    }

    /// Runs a command that must end with exit 2 before anything is sent or written.
    fn refused(&self, arguments: &[&str]) -> CommandOutput {
        let output = self.env.expect(2, arguments);
        assert_eq!(self.recorder.lines(), Vec::<String>::new(), "{arguments:?} sent something");
        assert!(!output.stderr.contains(SECRET) && output.stderr.contains("hint"), "{}", output.stderr);
        assert!(!self.env.state().exists(), "{arguments:?} made a state folder");
        output
    }
}

const FOREIGN: &str = "login = \"https://login.private.example\"\narm = \"https://arm.private.example\"\n\
                       vault_suffix = \"vault.private.example\"\n";

#[test]
fn a_found_file_sends_no_credentials_to_unknown_endpoints() {
    let endpoint_test = EndpointTest::new(FOREIGN);
    for command in [&["up"][..], &["plan"], &["up", "--yes"], &["doctor"]] {
        let output = endpoint_test.refused(command);
        for word in ["login.private.example", "landfall.toml:3", "--config landfall.toml"] {
            assert!(output.stderr.contains(word), "{word}: {}", output.stderr);
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
        EndpointTest::new(line).refused(&["plan"]);
    }
}

#[test]
fn other_authorities_for_public_azure_need_consent() {
    let endpoint_test = EndpointTest::new("ca_file = \"ca.pem\"\n");
    endpoint_test.env.write("ca.pem", "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n");
    let output = endpoint_test.refused(&["plan"]);
    assert!(output.stderr.contains("ca_file"), "{}", output.stderr);
}

#[test]
fn a_file_named_by_flag_may_contain_unknown_endpoints() {
    let endpoint_test = EndpointTest::new(FOREIGN);
    let output = endpoint_test.env.run(&["plan", "--config", "landfall.toml"]);
    assert_ne!(output.status.code(), Some(2), "{}", output.stderr);
    let lines = endpoint_test.recorder.lines();
    assert!(!lines.is_empty(), "{}", output.stderr);
    assert!(lines.iter().all(|line| line.contains("login.private.example")), "{lines:?}");
}

#[test]
fn endpoints_of_two_clouds_are_refused_even_with_consent() {
    for endpoints in [
        "arm = \"https://management.chinacloudapi.cn\"\n",
        "vault_suffix = \"vault.usgovcloudapi.net\"\n",
        "login = \"https://login.microsoftonline.us\"\n",
    ] {
        let output = EndpointTest::new(endpoints).refused(&["plan", "--config", "landfall.toml"]);
        assert!(output.stderr.contains("public Azure"), "{}", output.stderr);
    }
}

#[test]
fn a_token_of_another_audience_is_refused_even_with_consent() {
    for audience in [
        "arm_audience = \"https://management.azure.com\"\n",
        "vault_audience = \"https://vault.azure.net\"\n",
        "arm_audience = \"https://graph.microsoft.com/\"\n",
    ] {
        let output = EndpointTest::new(&format!("{FOREIGN}{audience}")).refused(&[
            "plan",
            "--config",
            "landfall.toml",
        ]);
        assert!(output.stderr.contains("must not go to"), "{}", output.stderr);
    }
}
