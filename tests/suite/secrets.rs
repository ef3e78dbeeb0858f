//! Secrets are in no file of landfall, no event, no output and no argument list.

use crate::{
    environment::{CommandOutput, TestEnvironment, pfx},
    running_process::RunningProcess,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use landfall_sim::{ConnectionInfo, Options, Sim, Speed};
use p12_keystore::Pkcs12Archive;
use std::{fs, path::Path};
use tempfile::TempDir;

const PASSWORD: &str = "hunter2";
const INJECTED: &str = "planted-token-of-another-cluster";
/// The key of a storage account, which landfall never reads.
const ACCOUNT_KEY: &str = "cGxhbnRlZC1rZXktb2YtYS1zdG9yYWdlLWFjY291bnQ=";

/// Bytes that must not occur, each with its name.
struct Secrets(Vec<(&'static str, Vec<u8>)>);

impl Secrets {
    fn of(facts: &ConnectionInfo, file: &Path) -> Self {
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
            ("the user's token", INJECTED.into()),
            ("the key of a storage account", ACCOUNT_KEY.into()),
            ("a token of Entra", b"eyJ".to_vec()),
            ("a token", b"Bearer ".to_vec()),
            ("a private key", b"PRIVATE KEY".to_vec()),
        ])
    }

    fn assert_not_in(&self, place: &str, bytes: &[u8]) {
        for (name, secret) in &self.0 {
            let there = bytes.windows(secret.len()).any(|window| window == secret);
            assert!(!there, "{name} is in {place}:\n{}", String::from_utf8_lossy(bytes));
        }
    }

    fn assert_not_printed(&self, output: &CommandOutput) {
        self.assert_not_in("what was said", output.stdout.as_bytes());
        self.assert_not_in("what was said beside", output.stderr.as_bytes());
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
fn modes(env: &TestEnvironment) {
    use std::os::unix::fs::PermissionsExt;
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    for file in ["journal.jsonl", "journal.lock"] {
        assert_eq!(mode(&env.state().join(file)), 0o600, "{file}");
    }
    assert_eq!(mode(&env.path().join("kubeconfig")), 0o600);
    assert_eq!((mode(&env.state()), mode(&env.path().join(".landfall"))), (0o700, 0o700));
}

/// Returns a user's own settings, with a cloud like Azure.
pub fn environment(sim: &Sim) -> TestEnvironment {
    let env = TestEnvironment::instant();
    let facts = sim.connection();
    env.write("authorities.pem", &facts.ca_pem);
    env.write(
        "landfall.toml",
        format!(
            "cloud = \"azure\"\nkubeconfig = \"kubeconfig\"\n\n[endpoints]\nlogin = \"{}\"\narm = \"{}\"\narm_audience = \"{}\"\n\
             vault_suffix = \"{}\"\nvault_audience = \"{}\"\nca_file = \"authorities.pem\"\n",
            facts.login, facts.arm, facts.arm_audience, facts.vault_suffix, facts.vault_audience
        ),
    );
    env.with("AZURE_TENANT_ID", &facts.tenant)
        .with("AZURE_CLIENT_ID", &facts.client_id)
        .with("AZURE_CLIENT_SECRET", &facts.client_secret)
        .with("SSL_PFX_PATH", pfx("rsa.pfx").to_str().unwrap())
        .with("SSL_PFX_PASSWORD", PASSWORD)
        .with("AZURE_STORAGE_KEY", ACCOUNT_KEY)
}

#[cfg(target_os = "linux")]
fn every_kind_of_run(env: &TestEnvironment, secrets: &Secrets) {
    let mut run = RunningProcess::start(env, &["up", "-vv"]);
    run.until_step("started", "certificate");
    secrets.assert_not_in("an argument list", &arguments(run.id()));
    run.until_step("finished", "certificate");
    secrets.assert_not_printed(&run.kill());

    report(env, secrets, "killed");
    let failed = env.expect(1, &["up", "-vv"]);
    report(env, secrets, "failed");
    assert!(failed.stderr.contains("hint:"), "{}", failed.stderr);
    secrets.assert_not_printed(&failed);
    let json = env.run(&["up", "-vv", "--format", "json"]);
    secrets.assert_not_printed(&json);
    secrets.assert_not_printed(&env.expect(0, &["up", "-vv"]));
    modes(env);
    for arguments in [&["status"][..], &["status", "--format", "json"], &["graph"]] {
        secrets.assert_not_printed(&env.expect(0, arguments));
    }
    report(env, secrets, "ready");
    assert_files_clean(env, secrets);
    secrets.assert_not_printed(&env.expect(0, &["down", "--yes", "-vv"]));
    assert_files_clean(env, secrets);
}

/// Writes the reports of the last run and of all environments, which the check of all files covers too.
#[cfg(target_os = "linux")]
fn report(env: &TestEnvironment, secrets: &Secrets, name: &str) {
    for (file, all) in [(format!("{name}.html"), None), (format!("{name}-all.html"), Some("--all"))] {
        let arguments: Vec<&str> = ["report", "-o", &file, "-vv"].into_iter().chain(all).collect();
        secrets.assert_not_printed(&env.expect(0, &arguments));
        let page = fs::read(env.path().join(&file)).unwrap();
        assert!(String::from_utf8_lossy(&page).contains("</html>"), "{file} is whole");
        secrets.assert_not_in(&file, &page);
    }
}

/// Checks every file of landfall; the kubeconfig is the user's, and contains credentials by design.
fn assert_files_clean(env: &TestEnvironment, secrets: &Secrets) {
    let state_files = env.files().into_iter().filter(|file| !file.ends_with("kubeconfig"));
    for file in state_files {
        secrets.assert_not_in(&file.display().to_string(), &fs::read(&file).unwrap());
    }
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn no_run_leaks_a_secret() {
    let folder = TempDir::new().unwrap();
    // Every request is sent at most six times, so this fails exactly one run.
    let faults = vec!["server-error@PATCH httproutes/echo-canary*6".to_owned()];
    let options = Options { speed: Speed::Instant, seed: Some(6_000), faults, ..Options::default() };
    let sim = Sim::open(folder.path(), options).await.unwrap();
    let env = environment(&sim);
    let secrets = Secrets::of(sim.connection(), &pfx("rsa.pfx"));
    env.write(
        "kubeconfig",
        format!(
            "apiVersion: v1\nkind: Config\nclusters:\n- cluster: {{server: 'https://prod.example.com'}}\n  name: prod\ncontexts:\n\
             - context: {{cluster: prod, user: me}}\n  name: prod\nusers:\n- name: me\n  user: {{token: {INJECTED}}}\ncurrent-context: prod\n"
        ),
    );
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(env.path().join("kubeconfig"), fs::Permissions::from_mode(0o600)).unwrap();
    }
    tokio::task::spawn_blocking(move || every_kind_of_run(&env, &secrets)).await.unwrap();
    sim.close().await;
}
