//! Secrets are in no file of landfall, no event, no output and no argument list.

use crate::{
    environment::{Said, TestEnvironment, pfx},
    running::Running,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use landfall_sim::{Facts, Options, Sim, Speed};
use p12_keystore::Pkcs12Archive;
use std::{fs, path::Path};
use tempfile::TempDir;

const PASSWORD: &str = "hunter2";
const PLANTED: &str = "planted-token-of-another-cluster";

/// Bytes that must not occur, each with its name.
struct Secrets(Vec<(&'static str, Vec<u8>)>);

impl Secrets {
    fn of(facts: &Facts, file: &Path) -> Self {
        let archive = Pkcs12Archive::from_pkcs12(&fs::read(file).unwrap(), PASSWORD).unwrap();
        let key = archive.keys[0].key.as_der().to_vec();
        // The middle of the key, at each of the three places where base64 may begin.
        let middle = &key[key.len() / 2..key.len() / 2 + 33];
        let written = |from: usize| STANDARD.encode(&middle[from..from + 30]).into_bytes();
        let hex: String = middle[..16].iter().map(|byte| format!("{byte:02x}")).collect();
        Self(vec![
            ("the client secret", facts.client_secret.clone().into_bytes()),
            ("the password", PASSWORD.into()),
            ("the key", middle.to_vec()),
            ("the key in base64", written(0)),
            ("the key in base64", written(1)),
            ("the key in base64", written(2)),
            ("the key in hexadecimal digits", hex.into_bytes()),
            ("the user's token", PLANTED.into()),
            ("a token of Entra", b"eyJ".to_vec()),
            ("a token", b"Bearer ".to_vec()),
            ("a private key", b"PRIVATE KEY".to_vec()),
        ])
    }

    fn are_not_in(&self, place: &str, bytes: &[u8]) {
        for (name, secret) in &self.0 {
            let there = bytes.windows(secret.len()).any(|window| window == secret);
            assert!(!there, "{name} is in {place}:\n{}", String::from_utf8_lossy(bytes));
        }
    }

    fn are_not_said(&self, said: &Said) {
        self.are_not_in("what was said", said.stdout.as_bytes());
        self.are_not_in("what was said beside", said.stderr.as_bytes());
    }
}

/// Returns the arguments of a process and of all its children.
#[cfg(target_os = "linux")]
fn arguments(id: u32) -> Vec<u8> {
    let mut all = fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
    for process in fs::read_dir("/proc").unwrap().map(Result::unwrap) {
        let stat = fs::read_to_string(process.path().join("stat")).unwrap_or_default();
        let parent =
            stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(1)?.parse::<u32>().ok());
        if parent == Some(id) {
            all.extend(fs::read(process.path().join("cmdline")).unwrap_or_default());
        }
    }
    all
}

#[cfg(target_os = "linux")]
fn modes(here: &TestEnvironment) {
    use std::os::unix::fs::PermissionsExt;
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    for file in ["journal.jsonl", "journal.lock"] {
        assert_eq!(mode(&here.state().join(file)), 0o600, "{file}");
    }
    assert_eq!(mode(&here.path().join("kubeconfig")), 0o600);
    assert_eq!((mode(&here.state()), mode(&here.path().join(".landfall"))), (0o700, 0o700));
}

/// Returns a user's own settings, with a cloud like Azure.
pub fn environment(sim: &Sim) -> TestEnvironment {
    let here = TestEnvironment::instant();
    let facts = sim.facts();
    here.write("authorities.pem", &facts.ca_pem);
    here.write(
        "landfall.toml",
        format!(
            "cloud = \"azure\"\nkubeconfig = \"kubeconfig\"\n\n[endpoints]\nlogin = \"{}\"\narm = \"{}\"\narm_audience = \"{}\"\n\
             vault_suffix = \"{}\"\nvault_audience = \"{}\"\nca_file = \"authorities.pem\"\n",
            facts.login, facts.arm, facts.arm_audience, facts.vault_suffix, facts.vault_audience
        ),
    );
    here.with("AZURE_TENANT_ID", &facts.tenant)
        .with("AZURE_CLIENT_ID", &facts.client_id)
        .with("AZURE_CLIENT_SECRET", &facts.client_secret)
        .with("SSL_PFX_PATH", pfx("rsa.pfx").to_str().unwrap())
        .with("SSL_PFX_PASSWORD", PASSWORD)
}

#[cfg(target_os = "linux")]
fn every_way_a_run_can_go(here: &TestEnvironment, secrets: &Secrets) {
    let mut run = Running::start(here, &["up", "-vv"]);
    run.until_step("started", "certificate");
    secrets.are_not_in("an argument list", &arguments(run.id()));
    run.until_step("finished", "certificate");
    secrets.are_not_said(&run.kill());

    let failed = here.expect(1, &["up", "-vv"]);
    assert!(failed.stderr.contains("hint:"), "{}", failed.stderr);
    secrets.are_not_said(&failed);
    let json = here.run(&["up", "-vv", "--format", "json"]);
    secrets.are_not_said(&json);
    secrets.are_not_said(&here.expect(0, &["up", "-vv"]));
    modes(here);
    for arguments in [&["status"][..], &["status", "--format", "json"], &["graph"]] {
        secrets.are_not_said(&here.expect(0, arguments));
    }
    files_are_clean(here, secrets);
    secrets.are_not_said(&here.expect(0, &["down", "--yes", "-vv"]));
    files_are_clean(here, secrets);
}

/// Checks every file of landfall; the kubeconfig is the user's, and contains credentials by design.
fn files_are_clean(here: &TestEnvironment, secrets: &Secrets) {
    let ours = here.files().into_iter().filter(|file| !file.ends_with("kubeconfig"));
    for file in ours {
        secrets.are_not_in(&file.display().to_string(), &fs::read(&file).unwrap());
    }
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn no_secret_leaves_its_place_however_a_run_goes() {
    let folder = TempDir::new().unwrap();
    // Every request is sent at most six times, so this fails exactly one run.
    let faults = vec!["server-error@PATCH httproutes/echo-canary*6".to_owned()];
    let options = Options { speed: Speed::Instant, seed: Some(6_000), faults, ..Options::default() };
    let sim = Sim::open(folder.path(), options).await.unwrap();
    let here = environment(&sim);
    let secrets = Secrets::of(sim.facts(), &pfx("rsa.pfx"));
    here.write(
        "kubeconfig",
        format!(
            "apiVersion: v1\nkind: Config\nclusters:\n- cluster: {{server: 'https://prod.example.com'}}\n  name: prod\ncontexts:\n\
             - context: {{cluster: prod, user: me}}\n  name: prod\nusers:\n- name: me\n  user: {{token: {PLANTED}}}\ncurrent-context: prod\n"
        ),
    );
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(here.path().join("kubeconfig"), fs::Permissions::from_mode(0o600)).unwrap();
    }
    tokio::task::spawn_blocking(move || every_way_a_run_can_go(&here, &secrets)).await.unwrap();
    sim.close().await;
}
