//! Files and answers that name other servers: landfall sends no token there.

use crate::{
    environment::{Said, TestEnvironment},
    running::Running,
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
struct Stranger {
    at: SocketAddr,
    met: Arc<AtomicUsize>,
}

impl Stranger {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (at, met) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
        let counted = met.clone();
        std::thread::spawn(move || {
            for _ in listener.incoming() {
                counted.fetch_add(1, Ordering::SeqCst);
            }
        });
        Self { at, met }
    }

    fn met_nobody(&self) {
        assert_eq!(self.met.load(Ordering::SeqCst), 0, "somebody was led to the stranger");
    }
}

/// Redirects every stored address of an operation to the foreign server; returns their number.
fn lead_astray(here: &TestEnvironment, stranger: &Stranger) -> usize {
    here.unseal_journal();
    let path = here.state().join("journal.jsonl");
    let text = fs::read_to_string(&path).unwrap();
    let (from, to) = ("\"path_and_query\":\"/", format!("\"path_and_query\":\"http://{}/", stranger.at));
    fs::write(&path, text.replace(from, &to)).unwrap();
    text.matches(from).count()
}

#[test]
fn a_journal_or_kubeconfig_that_points_elsewhere_is_not_followed() {
    let (here, stranger) = (TestEnvironment::at_speed("400"), Stranger::new());
    let mut run = Running::start(&here, &["up"]);
    run.until_step("note", "cluster-ready");
    run.kill();
    assert!(lead_astray(&here, &stranger) > 0, "there is no ticket to poison");
    let summary = here.expect(0, &["up", "--format", "json"]).summary();
    assert_eq!(summary["outcome"], "ready");
    assert_eq!(here.count("PUT", "/managedClusters/aks-istio-gateway-demo"), 1);

    // The program writes its own kubeconfig and never reads it.
    let kubeconfig = here.state().join("kubeconfig");
    let before = fs::read_to_string(&kubeconfig).unwrap();
    let (head, tail) = before.split_once("server: ").unwrap();
    let (server, tail) = tail.split_once('\n').unwrap();
    fs::write(&kubeconfig, format!("{head}server: https://{}\n{tail}", stranger.at)).unwrap();
    here.expect(0, &["up"]);
    assert!(fs::read_to_string(&kubeconfig).unwrap().contains(server), "it was not mended");

    let mut run = Running::start(&here, &["down", "--yes"]);
    // Only the wait for an operation with a saved address emits this text.
    run.until(|event| event["step"] == "cluster" && event["text"].to_string().contains("of about 300 s"));
    run.kill();
    assert!(lead_astray(&here, &stranger) > 0);
    here.expect(0, &["down", "--yes"]);
    assert_eq!(here.count("DELETE", "/managedClusters/aks-istio-gateway-demo"), 1);
    stranger.met_nobody();
}

fn kubeconfig_of(stranger: &Stranger) -> String {
    format!(
        "# mine\napiVersion: v1\nkind: Config\nclusters:\n- cluster:\n    server: https://{}\n    insecure-skip-tls-verify: true\n  name: prod\n\
         contexts:\n- context: {{cluster: prod, user: me}}\n  name: prod\nusers:\n- name: me\n  user:\n    token: planted\ncurrent-context: prod",
        stranger.at
    )
}

#[cfg(unix)]
#[test]
fn a_kubeconfig_whose_current_context_is_another_cluster_is_added_to_and_put_back() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let (here, stranger) = (TestEnvironment::instant(), Stranger::new());
    let before = kubeconfig_of(&stranger);
    let (real, second) = (here.write("dotfiles/kube", &before), here.write("second", &before));
    fs::set_permissions(&real, fs::Permissions::from_mode(0o640)).unwrap();
    let link = here.path().join("link");
    symlink("dotfiles/kube", &link).unwrap();
    let listed = format!("{}:{}", link.display(), second.display());
    let here = here.with("KUBECONFIG", &listed);
    here.expect(0, &["up"]);
    let merged = fs::read_to_string(&real).unwrap();
    assert!(merged.contains("aks-istio-gateway-demo") && merged.contains("# mine"), "{merged}");
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    here.expect(0, &["down", "--yes"]);
    assert_eq!(fs::read_to_string(&real).unwrap(), before);
    assert_eq!(fs::metadata(&real).unwrap().permissions().mode() & 0o777, 0o640);
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(fs::read_to_string(&second).unwrap(), before);
    stranger.met_nobody();
}

/// Checks for a refusal before any change, with these texts.
fn refused(here: &TestEnvironment, arguments: &[&str], words: &[&str]) {
    let Said { stderr, .. } = here.expect(2, arguments);
    assert!(
        words.iter().all(|word| stderr.contains(word)) && stderr.contains("hint:"),
        "{words:?}: {stderr}"
    );
    assert!(!here.state().exists(), "a state folder was made");
}

#[cfg(unix)]
#[test]
fn a_kubeconfig_that_cannot_be_added_to_is_refused_before_anything_is_made() {
    use std::os::unix::fs::PermissionsExt;
    let here = TestEnvironment::instant();
    let with = |name: &str, text: &str, words: &[&str]| {
        let path = here.write(name, text);
        refused(&here, &["up", "--kubeconfig", name], &[words, &[name]].concat());
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
    };
    with("not-yaml", "clusters: [\n", &["cannot be changed"]);
    with("a-list", "- prod\n- test\n", &["cannot be changed", "not a mapping"]);
    with("clusters-are-no-list", "clusters: prod\n", &["cannot be changed", "clusters is not a list"]);

    let mine = here.write("read-only", "current-context: prod\n");
    fs::set_permissions(&mine, fs::Permissions::from_mode(0o444)).unwrap();
    refused(&here, &["up", "--kubeconfig", "read-only"], &["read-only is read-only"]);
    assert_eq!(fs::read_to_string(&mine).unwrap(), "current-context: prod\n");

    fs::File::create(here.path().join("huge")).unwrap().set_len(1 << 33).unwrap();
    refused(&here, &["up", "--kubeconfig", "huge"], &["8589 MB"]);
    here.write("not-text", [0xff, 0xfe, 0x00]);
    refused(&here, &["up", "--kubeconfig", "not-text"], &["cannot be read"]);
    refused(&here, &["up", "--kubeconfig", "."], &["is not a file"]);
    // The replacement of a device by a file would break every other program.
    refused(&here, &["up", "--kubeconfig", "/dev/null"], &["/dev/null is not a file"]);
    assert!(!fs::metadata(Path::new("/dev/null")).unwrap().is_file());
    // Opening a pipe waits for a writer, for ever.
    let made = std::process::Command::new("mkfifo").arg(here.path().join("pipe")).status().unwrap();
    assert!(made.success());
    refused(&here, &["up", "--kubeconfig", "pipe"], &["is not a file"]);
}

#[test]
fn endpoints_that_are_not_plain_https_are_refused_and_nobody_is_asked() {
    let stranger = Stranger::new();
    let at = stranger.at;
    for (line, words) in [
        (format!("arm = \"http://{at}\""), "is not an https:// address"),
        (format!("login = \"http://{at}\""), "is not an https:// address"),
        (format!("login = \"//{at}\""), "is not an https:// address"),
        (format!("login = \"file://{at}/token\""), "is not an https:// address"),
        (format!("arm = \"https://management.azure.com@{at}\""), "an unused part"),
        (format!("arm = \"https://{at}/?\""), "an unused part"),
        (format!("vault_suffix = \"{at}\""), "is not a domain"),
    ] {
        let here = TestEnvironment::instant().with("AZURE_TENANT_ID", "00000000-0000-4000-8000-000000000001");
        let here = here.with("AZURE_CLIENT_ID", "app").with("AZURE_CLIENT_SECRET", "s3cret");
        here.write(
            "landfall.toml",
            format!("cloud = \"azure\"\nkubeconfig = \"k\"\n\n[endpoints]\n{line}\n"),
        );
        refused(&here, &["up"], &["landfall.toml:5", words]);
    }
    stranger.met_nobody();
}
