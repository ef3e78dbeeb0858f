//! Container images: written, read back, unpacked, and looked at with other tools.

use landfall_packaging::{container_root, image, image::Description, image_reader, tar};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Returns a file with the headers of a static program for arm64.
fn static_program(folder: &Path) -> PathBuf {
    let mut file = vec![0; 64];
    file[..6].copy_from_slice(b"\x7fELF\x02\x01");
    file[18] = 183;
    let path = folder.join("landfall");
    fs::write(&path, file).unwrap();
    path
}

fn roots(folder: &Path) -> PathBuf {
    let path = folder.join("roots.pem");
    fs::write(&path, "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n").unwrap();
    path
}

fn description() -> Description {
    Description {
        name: "example.com/team/landfall".to_owned(),
        version: "1.2.3".to_owned(),
        source: "https://example.com/landfall".to_owned(),
        revision: Some("c0ffee".to_owned()),
        time: 86_400,
    }
}

fn build(folder: &Path) -> image::Image {
    let root = container_root::build(&static_program(folder), Some(&roots(folder)), &[]).unwrap();
    assert_eq!((root.architecture, root.roots), ("arm64", 1));
    image::build(&root, &description()).unwrap()
}

#[test]
fn an_image_has_the_program_the_roots_a_user_and_folders_to_write_to() {
    let folder = tempfile::tempdir().unwrap();
    let image = build(folder.path());
    let content = image_reader::read(&image.archive).unwrap();
    let list: Vec<_> =
        content.root.iter().map(|(path, entry)| format!("{:o} {} {path}", entry.mode, entry.owner)).collect();
    let wanted = [
        "755 0 etc",
        "644 0 etc/group",
        "644 0 etc/passwd",
        "755 0 etc/ssl",
        "755 0 etc/ssl/certs",
        "644 0 etc/ssl/certs/ca-certificates.crt",
        "755 0 home",
        "755 65532 home/landfall",
        "755 0 landfall",
        "1777 0 tmp",
        "755 65532 workspace",
    ];
    assert_eq!(list, wanted);
    let config = &content.config;
    assert_eq!((&config["os"], &config["architecture"]), (&"linux".into(), &"arm64".into()));
    assert_eq!(config["created"], "1970-01-02T00:00:00Z");
    assert_eq!(config["config"]["User"], "65532:65532");
    assert_eq!(config["config"]["Entrypoint"], serde_json::json!(["/landfall"]));
    assert_eq!(config["config"]["WorkingDir"], "/workspace");
    let labels = &config["config"]["Labels"];
    assert_eq!(labels["org.opencontainers.image.source"], "https://example.com/landfall");
    assert_eq!(labels["org.opencontainers.image.revision"], "c0ffee");
    assert_eq!(labels["org.opencontainers.image.version"], "1.2.3");
    assert_eq!(labels["org.opencontainers.image.licenses"], "MIT");
}

#[test]
fn the_same_input_gives_the_same_image() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (build(folder.path()), build(folder.path()));
    assert_eq!(first.archive, second.archive);
    assert_eq!(first.digest, image_reader::read(&second.archive).unwrap().digest);
}

#[test]
fn a_changed_byte_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let image = build(folder.path());
    let files = tar::read(&image.archive).unwrap();
    for (path, entry) in files.iter() {
        let Some(content) = &entry.content else { continue };
        let mut content = content.clone();
        // A digit of a number or of a digest, or a byte of the layer.
        let at = content.iter().position(|byte| *byte == b'1').unwrap_or(0);
        content[at] = b'9';
        let mut changed = files.clone();
        changed.file(path, 0o644, content);
        assert!(
            image_reader::read(&tar::write(&changed, 0).unwrap()).is_err(),
            "{path} was changed unnoticed"
        );
    }
}

#[test]
fn a_program_that_could_not_start_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("dynamic");
    let mut file = vec![0; 64 + 56];
    file[..6].copy_from_slice(b"\x7fELF\x02\x01");
    (file[18], file[32], file[54], file[56]) = (62, 64, 56, 1);
    (file[64], file[72]) = (3, 120);
    file.extend(b"/lib64/loader.so\0");
    fs::write(&program, file).unwrap();
    let roots = roots(folder.path());
    let error = container_root::build(&program, Some(&roots), &[]).unwrap_err().to_string();
    assert!(error.contains("the image has no /lib64/loader.so"), "{error}");
    let loader = format!("{}=/lib64/loader.so", roots.display()).parse().unwrap();
    assert!(container_root::build(&program, Some(&roots), &[loader]).is_ok());

    fs::write(&roots, "no certificate").unwrap();
    let error =
        container_root::build(&static_program(folder.path()), Some(&roots), &[]).unwrap_err().to_string();
    assert!(error.contains("no certificate in PEM"), "{error}");
}

#[test]
fn other_tools_read_the_image() {
    let folder = tempfile::tempdir().unwrap();
    let image = build(folder.path());
    let file = folder.path().join("image.tar");
    fs::write(&file, &image.archive).unwrap();
    for transport in ["oci-archive", "docker-archive"] {
        let address = format!("{transport}:{}", file.display());
        let Ok(output) = Command::new("skopeo").args(["inspect", "--config", &address]).output() else {
            println!("skipped: there is no skopeo");
            return;
        };
        assert!(output.status.success(), "{transport}: {}", String::from_utf8_lossy(&output.stderr));
        let config: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(config["config"]["Entrypoint"], serde_json::json!(["/landfall"]));
    }
    let address = format!("oci-archive:{}", file.display());
    let output = Command::new("skopeo").args(["inspect", &address]).output().unwrap();
    let inspected: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(inspected["Digest"], image.digest.as_str());
}
