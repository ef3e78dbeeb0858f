//! Style rules that a test can check: dependencies between the crates, sizes, names.

use std::{
    fs,
    path::{Path, PathBuf},
};

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

pub fn sources(folder: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    found
}

fn all_sources() -> Vec<PathBuf> {
    ["src", "steps", "crates", "tests", "packaging"].into_iter().flat_map(sources).collect()
}

#[test]
fn the_crate_dependencies_have_no_cycles() {
    let manifest = |name: &str| fs::read_to_string(root().join(name)).unwrap();
    let own_crates =
        ["landfall-engine", "landfall-cloud", "landfall-diagnose", "landfall-sim", "landfall-steps"];
    for (name, may) in [
        ("crates/engine/Cargo.toml", &[][..]),
        ("crates/cloud/Cargo.toml", &[]),
        ("crates/diagnose/Cargo.toml", &["landfall-cloud"]),
        ("crates/sim/Cargo.toml", &[]),
        ("steps/Cargo.toml", &["landfall-engine", "landfall-cloud"]),
    ] {
        let text = manifest(name);
        let dependencies =
            text.split("[dependencies]").nth(1).unwrap().split("[dev-dependencies]").next().unwrap();
        for other in own_crates {
            let imports = dependencies.lines().any(|line| line.starts_with(other));
            assert!(!imports || may.contains(&other), "{name} must not depend on {other}");
        }
    }
}

#[test]
fn the_engine_knows_no_cloud() {
    for file in sources("crates/engine") {
        let text = fs::read_to_string(&file).unwrap().to_lowercase();
        for word in ["azure", "kube", "vault"] {
            assert!(!text.contains(word), "{} says {word}", file.display());
        }
    }
}

#[test]
fn no_file_has_outgrown_its_name() {
    for file in all_sources() {
        let lines = fs::read_to_string(&file).unwrap().lines().count();
        assert!(lines <= 600, "{} has {lines} lines: redraw it", file.display());
        let stem = file.file_stem().unwrap().to_str().unwrap();
        let drawers = ["util", "utils", "common", "helper", "helpers", "misc", "types", "imp"];
        assert!(!drawers.contains(&stem), "{} is a drawer: name the thing", file.display());
    }
}

#[test]
fn only_the_program_prints() {
    for file in ["steps", "crates/engine", "crates/cloud", "crates/diagnose", "crates/sim"]
        .into_iter()
        .flat_map(sources)
    {
        if file.components().any(|part| part.as_os_str() == "tests" || part.as_os_str() == "examples") {
            continue;
        }
        let text = fs::read_to_string(&file).unwrap();
        let product = text.split("#[cfg(test)]").next().unwrap();
        for line in product.lines().filter(|line| !line.trim_start().starts_with("//")) {
            for word in ["println!(", "print!(", "eprint!(", "process::exit("] {
                assert!(!line.contains(word), "{} prints: {line}", file.display());
            }
        }
    }
}

#[test]
fn every_command_is_in_the_readme() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    // A command is a file, or a folder whose other files are its parts.
    for entry in fs::read_dir(root().join("src/commands")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        let is_shown = name == "mod" || readme.contains(&format!("landfall {name}"));
        assert!(is_shown, "README.md does not show `landfall {name}`");
    }
}

#[test]
fn every_dependency_says_why_it_is_there() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let table = manifest.split("[workspace.dependencies]").nth(1).unwrap().split("\n[").next().unwrap();
    for line in table.lines().filter(|line| line.contains(" = ") && !line.contains("path = ")) {
        assert!(line.contains("# "), "no word on why: {line}");
    }
}
