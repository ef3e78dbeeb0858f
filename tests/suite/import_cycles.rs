//! The imports between the files of the simulated cloud have no cycles.
//!
//! A file of a cycle cannot be read, tested or moved without all others of it. Clusters are exempt: a controller and the
//! table of controllers know each other, as do a kind and the table of kinds.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fs,
    path::Path,
};

use crate::tidy::{root, sources};

/// The folders whose files may form cycles.
const EXEMPT: [&str; 3] = ["aks::", "kubernetes::", "tests::"];

/// Returns the module of a file, such as `arm::groups`; the empty text for the crate.
fn module(source: &Path, file: &Path) -> String {
    let path = file.strip_prefix(source).unwrap().with_extension("");
    let mut parts: Vec<&str> = path.iter().map(|part| part.to_str().unwrap()).collect();
    parts.pop_if(|last| ["mod", "lib"].contains(last));
    parts.join("::")
}

/// Returns the code of a file, without comments and without its tests.
fn code(file: &Path) -> String {
    let text = fs::read_to_string(file).unwrap();
    let text = ["mod tests {", "pub(crate) mod tests {"]
        .iter()
        .fold(text.as_str(), |text, tests| text.split(&format!("#[cfg(test)]\n{tests}")).next().unwrap());
    text.lines().map(|line| line.split("//").next().unwrap()).collect::<Vec<_>>().join("\n")
}

/// Expands `a::{b, c::{d, e}}` into its paths.
fn expand(prefix: &str, tree: &str, paths: &mut Vec<String>) {
    let (mut depth, mut start) = (0, 0);
    let mut items = Vec::new();
    for (at, letter) in tree.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                items.push(&tree[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    items.push(&tree[start..]);
    for item in items.iter().map(|item| item.trim()).filter(|item| !item.is_empty()) {
        match item.split_once('{') {
            Some((head, rest)) => {
                expand(&format!("{prefix}{}", head.trim()), &rest[..rest.rfind('}').unwrap()], paths);
            }
            None => paths.push(format!("{prefix}{}", item.split(" as ").next().unwrap())),
        }
    }
}

/// Returns the paths in a file: those of its `use` items, and those that start with `crate`, `super` or a submodule.
fn paths(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("use ") {
        let before = code[..at].rsplit('\n').next().unwrap().trim();
        let tree = code[at + 4..].split(';').next().unwrap();
        if (before.is_empty() || before.starts_with("pub")) && !tree.contains('"') {
            expand("", tree, &mut found);
        }
    }
    let is_name = |letter: char| letter.is_alphanumeric() || letter == '_' || letter == ':';
    let submodules = code.lines().filter_map(|line| line.trim().strip_suffix(';')?.rsplit_once("mod "));
    let starts: Vec<String> = ["crate", "super"]
        .into_iter()
        .chain(submodules.map(|(_, name)| name))
        .map(|it| format!("{it}::"))
        .collect();
    for start in &starts {
        for (at, _) in code.match_indices(start).filter(|(at, _)| !code[..*at].ends_with(is_name)) {
            let path: String = code[at..].chars().take_while(|letter| is_name(*letter)).collect();
            // A `use` tree is expanded above.
            found.extend(Some(path).filter(|path| !path.ends_with("::")));
        }
    }
    found
}

/// Returns the module that a path in another module is in.
fn resolve(own: &str, path: &str, modules: &BTreeSet<String>) -> Option<String> {
    let mut parts: Vec<&str> = own.split("::").filter(|part| !part.is_empty()).collect();
    let mut names = path.split("::").filter(|name| !name.is_empty()).peekable();
    match *names.peek()? {
        "crate" => parts.clear(),
        "super" => while names.next_if_eq(&"super").is_some() && parts.pop().is_some() {},
        "self" => {}
        name if modules.contains(&[own, name].join("::")) => {}
        _ => return None,
    }
    parts.extend(names.filter(|name| !["crate", "self"].contains(name)));
    while !modules.contains(&parts.join("::")) {
        parts.pop()?;
    }
    Some(parts.join("::")).filter(|found| found != own)
}

/// Returns the shortest cycle through a module.
fn cycle(start: &str, imports: &BTreeMap<String, BTreeSet<String>>) -> Option<Vec<String>> {
    let mut queue = VecDeque::from([vec![start.to_owned()]]);
    let mut seen = BTreeSet::new();
    while let Some(way) = queue.pop_front() {
        for next in &imports[way.last().unwrap()] {
            if next == start {
                return Some(way);
            }
            if seen.insert(next.clone()) {
                queue.push_back([way.clone(), vec![next.clone()]].concat());
            }
        }
    }
    None
}

#[test]
fn the_files_of_the_simulated_cloud_import_each_other_without_cycles() {
    let source = root().join("crates/sim/src");
    let files = sources("crates/sim/src");
    let modules: BTreeSet<String> = files.iter().map(|file| module(&source, file)).collect();
    let imports: BTreeMap<String, BTreeSet<String>> = files
        .iter()
        .map(|file| {
            let own = module(&source, file);
            let found = paths(&code(file)).iter().filter_map(|path| resolve(&own, path, &modules)).collect();
            (own, found)
        })
        .collect();
    assert!(imports["cloud"].contains("arm::middleware"), "the imports are found");
    let checked = modules
        .iter()
        .filter(|module| !EXEMPT.iter().any(|exempt| format!("{module}::").starts_with(exempt)));
    let cycles: Vec<String> =
        checked.filter_map(|module| cycle(module, &imports)).map(|cycle| cycle.join(" → ")).collect();
    assert!(
        cycles.is_empty(),
        "each of these files imports the next, the last one the first:\n{}",
        cycles.join("\n")
    );
}
