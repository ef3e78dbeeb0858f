//! The user's kubeconfig: restored as it was, shared with other programs, and refused if it cannot be
//! written.

use crate::environment::TestEnvironment;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// A kubeconfig with one context, on one line.
const JSON: &str = "{\"apiVersion\": \"v1\", \"kind\": \"Config\", \"clusters\": [{\"name\": \"work\", \"cluster\": {\"server\": \
                    \"https://127.0.0.1:1\"}}], \"contexts\": [{\"name\": \"work\", \"context\": {\"cluster\": \"work\", \
                    \"user\": \"me\"}}], \"users\": [{\"name\": \"me\", \"user\": {\"token\": \"t\"}}], \"current-context\": \"work\"}";
const CONTEXT: &str = "aks-istio-gateway-demo";

fn with_kubeconfig(file: &str, bytes: impl AsRef<[u8]>) -> (TestEnvironment, PathBuf) {
    let env = TestEnvironment::instant();
    let path = env.write(file, bytes);
    private(&path);
    let env = env.with("KUBECONFIG", path.to_str().unwrap());
    (env, path)
}

fn private(path: &Path) {
    #[cfg(unix)]
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
}

fn names(folder: &Path) -> Vec<String> {
    let name = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
    let mut names: Vec<String> = fs::read_dir(folder).unwrap().map(name).collect();
    names.sort();
    names
}

fn utf16(text: &str) -> Vec<u8> {
    format!("\u{feff}{text}").encode_utf16().flat_map(u16::to_le_bytes).collect()
}

#[test]
fn a_kubeconfig_of_any_form_is_restored_byte_for_byte() {
    let ended = "---\napiVersion: v1\nkind: Config\nclusters: []\ncontexts: []\nusers: []\ncurrent-context: \"\"\n...\n";
    for before in [Vec::new(), ended.into(), JSON.into(), utf16("apiVersion: v1\r\nkind: Config\r\n")] {
        let (env, path) = with_kubeconfig("kube/config", &before);
        env.expect(0, &["up"]);
        assert_ne!(fs::read(&path).unwrap(), before);
        assert_eq!(names(path.parent().unwrap()), ["config"], "nothing else is beside it");
        env.expect(0, &["down", "--yes"]);
        assert_eq!(fs::read(&path).unwrap(), before);
        assert_eq!(names(path.parent().unwrap()), ["config"]);
    }
}

#[cfg(unix)]
#[test]
fn a_symbolic_link_stays_and_no_credential_stays_in_its_target() {
    for there in [true, false] {
        let env = TestEnvironment::instant();
        let (link, target) = (env.path().join("link"), env.path().join("real/config"));
        fs::create_dir(target.parent().unwrap()).unwrap();
        if there {
            fs::write(&target, "").unwrap();
            private(&target);
        }
        std::os::unix::fs::symlink("real/config", &link).unwrap();
        let env = env.with("KUBECONFIG", link.to_str().unwrap());
        env.expect(0, &["up"]);
        assert!(fs::read_to_string(&target).unwrap().contains(CONTEXT));
        env.expect(0, &["down", "--yes"]);
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        let left = fs::read_to_string(&target).ok();
        assert_eq!(left.as_deref(), there.then_some(""));
    }
}

#[cfg(unix)]
#[test]
fn a_changed_symbolic_link_leaves_no_credential_in_its_old_target() {
    let env = TestEnvironment::instant();
    let link = env.path().join("link");
    std::os::unix::fs::symlink("first", &link).unwrap();
    let env = env.with("KUBECONFIG", link.to_str().unwrap());
    env.expect(0, &["up"]);
    fs::remove_file(&link).unwrap();
    std::os::unix::fs::symlink("second", &link).unwrap();
    env.expect(0, &["down", "--yes"]);
    assert!(!env.path().join("first").exists());
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink() && !env.path().join("second").exists());
}

/// The bytes of a kubeconfig, what is done to the file, and the words of the refusal.
type Case<'a> = (&'a [u8], &'a dyn Fn(&Path), &'a str);

#[test]
fn an_unmergeable_kubeconfig_is_refused_before_any_creation() {
    let lock = |path: &Path| {
        let lock = fs::File::create(format!("{}.lock", path.display())).unwrap();
        lock.set_modified(std::time::SystemTime::now() - std::time::Duration::from_secs(600)).unwrap();
    };
    let nothing = |_: &Path| {};
    let half = &utf16("apiVersion: v1\n")[..15];
    let cases: [Case; 4] = [
        (half, &nothing, "UTF-16"),
        (b"a\0p\0i\0", &nothing, "UTF-16"),
        (b"&anchor\n", &nothing, "cannot be changed"),
        (b"", &lock, "config.lock"),
    ];
    for (bytes, prepare, fragment) in cases {
        let (env, path) = with_kubeconfig("kube/config", bytes);
        prepare(&path);
        let beside = names(path.parent().unwrap());
        let output = env.expect(2, &["up"]).stderr;
        assert!(output.contains(fragment) && output.contains("hint:"), "{fragment}: {output}");
        assert_eq!((fs::read(&path).unwrap().as_slice(), names(path.parent().unwrap())), (bytes, beside));
        assert!(!env.state().exists(), "a state folder was made");
    }
}

#[cfg(unix)]
#[test]
fn a_kubeconfig_readable_by_others_causes_a_warning() {
    let (env, path) = with_kubeconfig("config", "");
    fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    let plan = env.expect(0, &["plan"]);
    let shown = format!("{}{}", plan.stdout, plan.stderr).split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(shown.contains("mode 0644") && shown.contains("chmod 600"), "{shown}");
    let output = env.expect(0, &["up"]).stderr;
    assert!(output.contains("mode 0644"), "{output}");
    private(&path);
    assert!(!env.expect(0, &["up"]).stderr.contains("chmod"));
}

#[cfg(unix)]
#[test]
fn a_kubeconfig_that_cannot_be_replaced_is_written_in_place() {
    use std::os::unix::fs::MetadataExt as _;
    let before = "# mine\napiVersion: v1\nkind: Config\n";
    let (env, path) = with_kubeconfig("kube/config", before);
    // As with a mount point, a rename would separate the two names.
    let other = env.path().join("other");
    fs::hard_link(&path, &other).unwrap();
    let number = fs::metadata(&path).unwrap().ino();
    env.expect(0, &["up"]);
    assert!(fs::read_to_string(&other).unwrap().contains(CONTEXT));
    env.expect(0, &["down", "--yes"]);
    assert_eq!(
        (fs::read_to_string(&path).unwrap().as_str(), fs::metadata(&path).unwrap().ino()),
        (before, number)
    );
    assert!(!env.state().join("kubeconfig.backup").exists());
}

#[cfg(unix)]
#[test]
fn a_partial_in_place_write_of_a_killed_run_is_completed() {
    let (env, path) = with_kubeconfig("kube/config", "# mine\napiVersion: v1\nkind: Config\n");
    env.expect(0, &["up"]);
    let whole = fs::read(&path).unwrap();
    let new = b"clusters: [ {a";
    let torn = [&new[..], &whole[new.len()..]].concat();
    let base64 = |bytes: &[u8]| {
        use std::io::Write as _;
        let mut child = std::process::Command::new("base64")
            .arg("-w0")
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(bytes).unwrap();
        String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap()
    };
    let target = fs::canonicalize(&path).unwrap();
    let record = serde_json::json!({"file": target, "before": base64(&whole), "after": base64(&[new, &whole[..]].concat())});
    fs::write(env.state().join("kubeconfig.backup"), record.to_string()).unwrap();
    fs::write(&path, torn).unwrap();
    env.expect(0, &["up"]);
    assert_eq!(fs::read(&path).unwrap(), whole);
    assert!(!env.state().join("kubeconfig.backup").exists());
}
