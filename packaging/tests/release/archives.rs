//! Archives, checksums and the formula.

use crate::releases::{Release, root, script};
use flate2::read::GzDecoder;
use landfall_packaging::{archive, checksums, formula, names, tar};
use std::{fs, io::Read as _};

#[test]
fn an_archive_has_the_program_its_completions_its_man_page_and_its_documents() {
    let release = Release::new();
    let triple = names::TARGETS[0].triple;
    let packed = fs::read(release.latest().join(names::archive(triple))).unwrap();
    let mut unpacked = Vec::new();
    GzDecoder::new(packed.as_slice()).read_to_end(&mut unpacked).unwrap();
    let files = tar::read(&unpacked).unwrap();
    let list: Vec<_> = files.iter().map(|(path, entry)| format!("{:o} {path}", entry.mode)).collect();
    let wanted = [
        "755 landfall-x86_64-unknown-linux-musl",
        "644 landfall-x86_64-unknown-linux-musl/CHANGELOG.md",
        "644 landfall-x86_64-unknown-linux-musl/LICENSE",
        "644 landfall-x86_64-unknown-linux-musl/README.md",
        "755 landfall-x86_64-unknown-linux-musl/completions",
        "644 landfall-x86_64-unknown-linux-musl/completions/_landfall",
        "644 landfall-x86_64-unknown-linux-musl/completions/_landfall.ps1",
        "644 landfall-x86_64-unknown-linux-musl/completions/landfall.bash",
        "644 landfall-x86_64-unknown-linux-musl/completions/landfall.elv",
        "644 landfall-x86_64-unknown-linux-musl/completions/landfall.fish",
        "755 landfall-x86_64-unknown-linux-musl/landfall",
        "755 landfall-x86_64-unknown-linux-musl/man",
        "644 landfall-x86_64-unknown-linux-musl/man/landfall.1",
    ];
    assert_eq!(list, wanted);
    let zsh = files.content("landfall-x86_64-unknown-linux-musl/completions/_landfall").unwrap();
    assert_eq!(zsh, b"completions for zsh\n");
}

#[test]
fn the_same_program_gives_the_same_archive() {
    let release = Release::new();
    let again = archive::build(&release.path("program"), names::TARGETS[0].triple, root(), 0).unwrap();
    let first = fs::read(release.latest().join(names::archive(names::TARGETS[0].triple))).unwrap();
    assert_eq!(again, first);
}

#[test]
fn a_program_of_another_version_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("landfall");
    script(&program, "echo landfall 9.9.9");
    let error = archive::build(&program, names::TARGETS[0].triple, root(), 0).unwrap_err().to_string();
    assert!(error.contains("the program is \"landfall 9.9.9\" instead of"), "{error}");
    script(&program, "echo broken >&2; exit 3");
    let error = archive::build(&program, names::TARGETS[0].triple, root(), 0).unwrap_err().to_string();
    assert!(error.contains("exit status: 3: broken"), "{error}");
}

#[test]
fn the_formula_has_the_address_and_the_checksum_of_every_archive() {
    let release = Release::new();
    let list = fs::read_to_string(release.latest().join(names::CHECKSUMS)).unwrap();
    let formula = formula::fill(names::REPOSITORY, names::VERSION, &list).unwrap();
    for target in names::TARGETS {
        let file = names::archive(target.triple);
        let address = names::download(names::REPOSITORY, names::VERSION, &file);
        let sum = checksums::find(&list, &file).unwrap();
        let lines = format!("url \"{address}\"\n      sha256 \"{sum}\"\n");
        assert!(formula.contains(&lines), "{formula}");
    }
    let incomplete = list.lines().skip(1).collect::<Vec<_>>().join("\n");
    assert!(formula::fill(names::REPOSITORY, names::VERSION, &incomplete).is_err());
}
