//! The manifests of the crates: what publishing them needs.

use crate::releases::root;
use landfall_packaging::names;
use std::{
    fs,
    path::{Path, PathBuf},
};
use toml::Table;

fn manifest(folder: &Path) -> Table {
    fs::read_to_string(folder.join("Cargo.toml")).unwrap().parse().unwrap()
}

/// Returns the folders of all crates with their manifests.
fn crates() -> Vec<(PathBuf, Table)> {
    let workspace = manifest(root());
    let members = workspace["workspace"]["members"].as_array().unwrap().clone();
    let folders = members.iter().map(|member| root().join(member.as_str().unwrap()));
    [root().to_owned()].into_iter().chain(folders).map(|folder| (folder.clone(), manifest(&folder))).collect()
}

fn is_published(manifest: &Table) -> bool {
    manifest["package"].get("publish").and_then(toml::Value::as_bool) != Some(false)
}

#[test]
fn every_published_crate_says_what_a_registry_asks_for() {
    let mut published = 0;
    for (folder, manifest) in crates().into_iter().filter(|(_, manifest)| is_published(manifest)) {
        let package = &manifest["package"];
        for field in ["description", "license", "repository", "readme", "rust-version"] {
            assert!(package.get(field).is_some(), "{} has no {field}", folder.display());
        }
        let readme = fs::read_to_string(folder.join("README.md")).unwrap();
        let is_program = folder == root();
        assert_eq!(
            !is_program,
            readme.contains("Internal to landfall: no stability."),
            "{}",
            folder.display()
        );
        let license = fs::read_to_string(folder.join("LICENSE")).unwrap();
        assert_eq!(license, fs::read_to_string(root().join("LICENSE")).unwrap(), "{}", folder.display());
        published += 1;
    }
    assert_eq!(published, 6);
}

#[test]
fn every_path_dependency_has_the_version_of_the_workspace() {
    let workspace = manifest(root());
    let mut own = 0;
    for (name, dependency) in workspace["workspace"]["dependencies"].as_table().unwrap() {
        if dependency.get("path").is_some() {
            let version = dependency.get("version").and_then(toml::Value::as_str);
            assert_eq!(version, Some(names::VERSION), "{name} needs the version of the workspace");
            own += 1;
        }
    }
    assert_eq!(own, 5);
}

/// Returns the string arguments of the macros that embed files.
fn embedded(source: &str) -> Vec<&str> {
    let product = source.split("#[cfg(test)]").next().unwrap();
    ["include_str!(", "include_bytes!(", "include_dir!("]
        .into_iter()
        .flat_map(|call| product.split(call).skip(1))
        .filter_map(|rest| rest.split('"').nth(1))
        .collect()
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        let name = entry.file_name();
        if path.is_dir() {
            // The tests of a crate are not a part of what it builds, and a folder with a manifest is another crate.
            let is_other = name == "tests" || name == "target" || name.to_string_lossy().starts_with('.');
            if !is_other && !path.join("Cargo.toml").exists() {
                sources(&path, found);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn no_crate_embeds_a_file_from_outside_its_folder() {
    let mut number = 0;
    for (folder, _) in crates().into_iter().filter(|(_, manifest)| is_published(manifest)) {
        let mut files = Vec::new();
        sources(&folder, &mut files);
        for file in files {
            let text = fs::read_to_string(&file).unwrap();
            for path in embedded(&text) {
                let embedded = match path.strip_prefix("$CARGO_MANIFEST_DIR/") {
                    Some(rest) => folder.join(rest),
                    None => file.parent().unwrap().join(path),
                };
                let embedded = embedded.canonicalize().unwrap();
                let folder = folder.canonicalize().unwrap();
                assert!(embedded.starts_with(&folder), "{} embeds {}", file.display(), embedded.display());
                number += 1;
            }
        }
    }
    assert!(number > 10, "only {number} embedded files were found");
}
