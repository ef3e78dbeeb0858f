//! The names of targets and files: `names.rs` has them, and these files repeat them.

use crate::releases::root;
use landfall_packaging::names;
use serde_json::Value;
use std::{collections::BTreeSet, fs};

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

fn workflow() -> Value {
    serde_saphyr::from_str(&read(".github/workflows/release.yml")).unwrap()
}

fn triples() -> BTreeSet<String> {
    names::TARGETS.iter().map(|target| target.triple.to_owned()).collect()
}

#[test]
fn cargo_binstall_finds_the_archive_and_the_program_of_every_target() {
    let manifest: toml::Table = read("Cargo.toml").parse().unwrap();
    let package = &manifest["package"];
    let binstall = &package["metadata"]["binstall"];
    assert_eq!(binstall["pkg-fmt"].as_str(), Some("tgz"));
    let render = |template: &toml::Value, target: &str| {
        let values = [
            ("repo", names::REPOSITORY),
            ("version", names::VERSION),
            ("name", package["name"].as_str().unwrap()),
            ("bin", "landfall"),
            ("binary-ext", ""),
            ("target", target),
        ];
        let template = template.as_str().unwrap().to_owned();
        let text =
            values.iter().fold(template, |text, (name, value)| text.replace(&format!("{{ {name} }}"), value));
        assert!(!text.contains('{'), "{text}");
        text
    };
    for target in names::TARGETS {
        let address = names::download(names::REPOSITORY, names::VERSION, &names::archive(target.triple));
        assert_eq!(render(&binstall["pkg-url"], target.triple), address);
        let program = format!("{}/landfall", names::folder(target.triple));
        assert_eq!(render(&binstall["bin-dir"], target.triple), program);
    }
}

#[test]
fn the_installer_downloads_from_the_repository() {
    let line = format!("repository={}", names::REPOSITORY);
    assert!(
        read("packaging/install.sh").lines().any(|found| found == line),
        "packaging/install.sh: no {line}"
    );
}

#[test]
fn the_release_workflow_builds_every_target_once() {
    let workflow = workflow();
    let matrix = workflow["jobs"]["build"]["strategy"]["matrix"]["include"].as_array().unwrap();
    let built: Vec<_> = matrix.iter().map(|row| row["target"].as_str().unwrap().to_owned()).collect();
    assert_eq!(built.len(), names::TARGETS.len());
    assert_eq!(built.into_iter().collect::<BTreeSet<_>>(), triples());
}

#[test]
fn the_release_workflow_and_the_formula_name_no_other_file() {
    let text = read(".github/workflows/release.yml");
    for name in [names::SBOM, names::INSTALLER, names::FORMULA] {
        assert!(text.contains(name), "release.yml does not name {name}");
    }
    for architecture in ["amd64", "arm64"] {
        let name = names::image(architecture);
        assert!(text.contains(&name), "release.yml does not name {name}");
    }
    for words in [read("packaging/landfall.rb"), text].iter().flat_map(|text| text.split_whitespace()) {
        for word in words.split(['"', '\'', '@', '/', ':', ',']) {
            let is_triple = word.ends_with("-linux-musl") || word.ends_with("-apple-darwin");
            assert!(!is_triple || triples().contains(word), "{word} is no target");
        }
    }
}

#[test]
fn the_release_workflow_uses_the_minimum_rust_version() {
    let manifest: toml::Table = read("Cargo.toml").parse().unwrap();
    let wanted = manifest["workspace"]["package"]["rust-version"].as_str().unwrap();
    assert_eq!(workflow()["env"]["RUST"].as_str(), Some(wanted));
}

#[test]
fn only_the_jobs_that_publish_may_write() {
    let workflow = workflow();
    assert_eq!(workflow["permissions"], serde_json::json!({ "contents": "read" }));
    for (name, job) in workflow["jobs"].as_object().unwrap() {
        let publishes =
            job["if"].as_str().is_some_and(|condition| condition.contains("github.event_name == 'push'"));
        assert!(publishes || job.get("permissions").is_none(), "{name} may write without a tag");
        assert!(job["timeout-minutes"].as_u64().is_some(), "{name} has no bound");
    }
}
