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
    let here = TestEnvironment::instant();
    let path = here.write(file, bytes);
    private(&path);
    let here = here.with("KUBECONFIG", path.to_str().unwrap());
    (here, path)
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
fn a_kubeconfig_of_any_form_is_given_back_byte_for_byte() {
    let ended = "---\napiVersion: v1\nkind: Config\nclusters: []\ncontexts: []\nusers: []\ncurrent-context: \"\"\n...\n";
    for before in [Vec::new(), ended.into(), JSON.into(), utf16("apiVersion: v1\r\nkind: Config\r\n")] {
        let (here, path) = with_kubeconfig("kube/config", &before);
        here.expect(0, &["up"]);
        assert_ne!(fs::read(&path).unwrap(), before);
        assert_eq!(names(path.parent().unwrap()), ["config"], "nothing else is beside it");
        here.expect(0, &["down", "--yes"]);
        assert_eq!(fs::read(&path).unwrap(), before);
        assert_eq!(names(path.parent().unwrap()), ["config"]);
    }
}

#[cfg(unix)]
#[test]
fn a_symbolic_link_stays_and_no_credential_stays_in_its_target() {
    for there in [true, false] {
        let here = TestEnvironment::instant();
        let (link, target) = (here.path().join("link"), here.path().join("real/config"));
        fs::create_dir(target.parent().unwrap()).unwrap();
        if there {
            fs::write(&target, "").unwrap();
            private(&target);
        }
        std::os::unix::fs::symlink("real/config", &link).unwrap();
        let here = here.with("KUBECONFIG", link.to_str().unwrap());
        here.expect(0, &["up"]);
        assert!(fs::read_to_string(&target).unwrap().contains(CONTEXT));
        here.expect(0, &["down", "--yes"]);
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        let left = fs::read_to_string(&target).ok();
        assert_eq!(left.as_deref(), there.then_some(""));
    }
}

#[cfg(unix)]
#[test]
fn a_link_that_leads_elsewhere_since_leaves_no_credential_where_it_led() {
    let here = TestEnvironment::instant();
    let link = here.path().join("link");
    std::os::unix::fs::symlink("first", &link).unwrap();
    let here = here.with("KUBECONFIG", link.to_str().unwrap());
    here.expect(0, &["up"]);
    fs::remove_file(&link).unwrap();
    std::os::unix::fs::symlink("second", &link).unwrap();
    here.expect(0, &["down", "--yes"]);
    assert!(!here.path().join("first").exists());
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink() && !here.path().join("second").exists());
}

/// The bytes of a kubeconfig, what is done to the file, and the words of the refusal.
type Case<'a> = (&'a [u8], &'a dyn Fn(&Path), &'a str);

#[test]
fn what_cannot_be_merged_later_is_refused_before_anything_is_created() {
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
    for (bytes, prepare, words) in cases {
        let (here, path) = with_kubeconfig("kube/config", bytes);
        prepare(&path);
        let beside = names(path.parent().unwrap());
        let said = here.expect(2, &["up"]).stderr;
        assert!(said.contains(words) && said.contains("hint:"), "{words}: {said}");
        assert_eq!((fs::read(&path).unwrap().as_slice(), names(path.parent().unwrap())), (bytes, beside));
        assert!(!here.state().exists(), "a state folder was made");
    }
}

#[cfg(unix)]
#[test]
fn a_kubeconfig_that_other_users_may_read_is_warned_of_before_it_holds_credentials() {
    let (here, path) = with_kubeconfig("config", "");
    fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    let plan = here.expect(0, &["plan"]);
    let shown = format!("{}{}", plan.stdout, plan.stderr).split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(shown.contains("mode 0644") && shown.contains("chmod 600"), "{shown}");
    let said = here.expect(0, &["up"]).stderr;
    assert!(said.contains("mode 0644"), "{said}");
    private(&path);
    assert!(!here.expect(0, &["up"]).stderr.contains("chmod"));
}

#[cfg(unix)]
#[test]
fn a_kubeconfig_that_cannot_be_replaced_is_written_in_place() {
    use std::os::unix::fs::MetadataExt as _;
    let before = "# mine\napiVersion: v1\nkind: Config\n";
    let (here, path) = with_kubeconfig("kube/config", before);
    // As with a mount point, a rename would separate the two names.
    let other = here.path().join("other");
    fs::hard_link(&path, &other).unwrap();
    let number = fs::metadata(&path).unwrap().ino();
    here.expect(0, &["up"]);
    assert!(fs::read_to_string(&other).unwrap().contains(CONTEXT));
    here.expect(0, &["down", "--yes"]);
    assert_eq!(
        (fs::read_to_string(&path).unwrap().as_str(), fs::metadata(&path).unwrap().ino()),
        (before, number)
    );
    assert!(!here.state().join("kubeconfig.backup").exists());
}

#[cfg(unix)]
#[test]
fn half_a_text_that_a_killed_run_wrote_in_place_becomes_whole_again() {
    let (here, path) = with_kubeconfig("kube/config", "# mine\napiVersion: v1\nkind: Config\n");
    here.expect(0, &["up"]);
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
    fs::write(here.state().join("kubeconfig.backup"), record.to_string()).unwrap();
    fs::write(&path, torn).unwrap();
    here.expect(0, &["up"]);
    assert_eq!(fs::read(&path).unwrap(), whole);
    assert!(!here.state().join("kubeconfig.backup").exists());
}
