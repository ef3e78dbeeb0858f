//! Files and answers that name other servers: landfall sends no token there.

use crate::{
    environment::{CommandOutput, TestEnvironment},
    running_process::RunningProcess,
};
use std::{
    fs,
    net::{SocketAddr, TcpListener},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

/// A server that must receive no requests; it counts them.
struct ForeignServer {
    at: SocketAddr,
    requests: Arc<AtomicUsize>,
}

impl ForeignServer {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (at, requests) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
        let counted = requests.clone();
        std::thread::spawn(move || {
            for _ in listener.incoming() {
                counted.fetch_add(1, Ordering::SeqCst);
            }
        });
        Self { at, requests }
    }

    fn assert_no_requests(&self) {
        assert_eq!(self.requests.load(Ordering::SeqCst), 0, "somebody was led to the stranger");
    }
}

/// Redirects every stored address of an operation to the foreign server; returns their number.
fn redirect_tickets(env: &TestEnvironment, foreign_server: &ForeignServer) -> usize {
    env.unseal_journal();
    let path = env.state().join("journal.jsonl");
    let text = fs::read_to_string(&path).unwrap();
    let (from, to) =
        ("\"path_and_query\":\"/", format!("\"path_and_query\":\"http://{}/", foreign_server.at));
    fs::write(&path, text.replace(from, &to)).unwrap();
    text.matches(from).count()
}

#[test]
fn a_journal_or_kubeconfig_that_points_elsewhere_is_not_followed() {
    let (env, foreign_server) = (TestEnvironment::at_speed("400"), ForeignServer::new());
    let mut run = RunningProcess::start(&env, &["up"]);
    run.until_step("note", "cluster-ready");
    run.kill();
    assert!(redirect_tickets(&env, &foreign_server) > 0, "there is no ticket to poison");
    let summary = env.expect(0, &["up", "--format", "json"]).summary();
    assert_eq!(summary["outcome"], "ready");
    assert_eq!(env.count("PUT", "/managedClusters/aks-istio-gateway-demo"), 1);

    // The program writes its own kubeconfig and never reads it.
    let kubeconfig = env.state().join("kubeconfig");
    let before = fs::read_to_string(&kubeconfig).unwrap();
    let (head, tail) = before.split_once("server: ").unwrap();
    let (server, tail) = tail.split_once('\n').unwrap();
    fs::write(&kubeconfig, format!("{head}server: https://{}\n{tail}", foreign_server.at)).unwrap();
    env.expect(0, &["up"]);
    assert!(fs::read_to_string(&kubeconfig).unwrap().contains(server), "it was not mended");

    let mut run = RunningProcess::start(&env, &["down", "--yes"]);
    // Only the wait for an operation with a saved address emits this text.
    run.until(|event| event["step"] == "cluster" && event["text"].to_string().contains("of about 300 s"));
    run.kill();
    assert!(redirect_tickets(&env, &foreign_server) > 0);
    env.expect(0, &["down", "--yes"]);
    assert_eq!(env.count("DELETE", "/managedClusters/aks-istio-gateway-demo"), 1);
    foreign_server.assert_no_requests();
}

fn kubeconfig_of(foreign_server: &ForeignServer) -> String {
    format!(
        "# mine\napiVersion: v1\nkind: Config\nclusters:\n- cluster:\n    server: https://{}\n    insecure-skip-tls-verify: true\n  name: prod\n\
         contexts:\n- context: {{cluster: prod, user: me}}\n  name: prod\nusers:\n- name: me\n  user:\n    token: planted\ncurrent-context: prod",
        foreign_server.at
    )
}

#[cfg(unix)]
#[test]
fn a_kubeconfig_with_another_current_context_is_merged_and_restored() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let (env, foreign_server) = (TestEnvironment::instant(), ForeignServer::new());
    let before = kubeconfig_of(&foreign_server);
    let (real, second) = (env.write("dotfiles/kube", &before), env.write("second", &before));
    fs::set_permissions(&real, fs::Permissions::from_mode(0o640)).unwrap();
    let link = env.path().join("link");
    symlink("dotfiles/kube", &link).unwrap();
    let listed = format!("{}:{}", link.display(), second.display());
    let env = env.with("KUBECONFIG", &listed);
    env.expect(0, &["up"]);
    let merged = fs::read_to_string(&real).unwrap();
    assert!(merged.contains("aks-istio-gateway-demo") && merged.contains("# mine"), "{merged}");
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    env.expect(0, &["down", "--yes"]);
    assert_eq!(fs::read_to_string(&real).unwrap(), before);
    assert_eq!(fs::metadata(&real).unwrap().permissions().mode() & 0o777, 0o640);
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(fs::read_to_string(&second).unwrap(), before);
    foreign_server.assert_no_requests();
}

/// Checks for a refusal before any change, with these texts.
fn refused(env: &TestEnvironment, arguments: &[&str], words: &[&str]) {
    let CommandOutput { stderr, .. } = env.expect(2, arguments);
    assert!(
        words.iter().all(|word| stderr.contains(word)) && stderr.contains("hint:"),
        "{words:?}: {stderr}"
    );
    assert!(!env.state().exists(), "a state folder was made");
}

#[cfg(unix)]
#[test]
fn an_unmergeable_kubeconfig_is_refused_before_any_change() {
    use std::os::unix::fs::PermissionsExt;
    let env = TestEnvironment::instant();
    let with = |name: &str, text: &str, words: &[&str]| {
        let path = env.write(name, text);
        refused(&env, &["up", "--kubeconfig", name], &[words, &[name]].concat());
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
    };
    with("not-yaml", "clusters: [\n", &["cannot be changed"]);
    with("a-list", "- prod\n- test\n", &["cannot be changed", "not a mapping"]);
    with("clusters-are-no-list", "clusters: prod\n", &["cannot be changed", "clusters is not a list"]);

    let read_only = env.write("read-only", "current-context: prod\n");
    fs::set_permissions(&read_only, fs::Permissions::from_mode(0o444)).unwrap();
    refused(&env, &["up", "--kubeconfig", "read-only"], &["read-only is read-only"]);
    assert_eq!(fs::read_to_string(&read_only).unwrap(), "current-context: prod\n");

    fs::File::create(env.path().join("huge")).unwrap().set_len(1 << 33).unwrap();
    refused(&env, &["up", "--kubeconfig", "huge"], &["8589 MB"]);
    env.write("not-text", [0xff, 0xfe, 0x00]);
    refused(&env, &["up", "--kubeconfig", "not-text"], &["cannot be read"]);
    refused(&env, &["up", "--kubeconfig", "."], &["is not a file"]);
    // The replacement of a device by a file would break every other program.
    refused(&env, &["up", "--kubeconfig", "/dev/null"], &["/dev/null is not a file"]);
    assert!(!fs::metadata(Path::new("/dev/null")).unwrap().is_file());
    // Opening a pipe waits for a writer, for ever.
    let made = std::process::Command::new("mkfifo").arg(env.path().join("pipe")).status().unwrap();
    assert!(made.success());
    refused(&env, &["up", "--kubeconfig", "pipe"], &["is not a file"]);
}

#[test]
fn endpoints_that_are_not_plain_https_are_refused_without_a_request() {
    let foreign_server = ForeignServer::new();
    let at = foreign_server.at;
    for (line, words) in [
        (format!("arm = \"http://{at}\""), "is not an https:// address"),
        (format!("login = \"http://{at}\""), "is not an https:// address"),
        (format!("login = \"//{at}\""), "is not an https:// address"),
        (format!("login = \"file://{at}/token\""), "is not an https:// address"),
        (format!("arm = \"https://management.azure.com@{at}\""), "an unused part"),
        (format!("arm = \"https://{at}/?\""), "an unused part"),
        (format!("vault_suffix = \"{at}\""), "is not a domain"),
    ] {
        let env = TestEnvironment::instant().with("AZURE_TENANT_ID", "00000000-0000-4000-8000-000000000001");
        let env = env.with("AZURE_CLIENT_ID", "app").with("AZURE_CLIENT_SECRET", "s3cret");
        env.write("landfall.toml", format!("cloud = \"azure\"\nkubeconfig = \"k\"\n\n[endpoints]\n{line}\n"));
        refused(&env, &["up"], &["landfall.toml:5", words]);
    }
    foreign_server.assert_no_requests();
}
