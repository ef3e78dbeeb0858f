//! Fuzz targets, one module each, with `check(data)`: it returns, or it panics and has found a bug.
//!
//! Both libFuzzer (`fuzz_targets/`) and the seeded short run (`tests/short.rs`) call the same functions, so
//! that each replays the findings of the other. [`TARGETS`] lists them by name; `corpus/<name>/` contains
//! their initial inputs.

pub mod arm;
pub mod cluster;
pub mod fake_server;
pub mod front_door;
pub mod journal;
pub mod kubeconfig;
pub mod landfall_toml;
pub mod manifest;
pub mod mutation;
pub mod pfx;
pub mod script;

// The program is no library, so its settings are compiled in from its own files.
#[expect(dead_code, reason = "the program uses more of its settings than their reading")]
#[path = "../../src/settings/mod.rs"]
mod settings;

/// A target: its name, and the check that must hold for any bytes.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: [Target; 8] = [
    ("journal", journal::check),
    ("landfall_toml", landfall_toml::check),
    ("pfx", pfx::check),
    ("kubeconfig", kubeconfig::check),
    ("manifest", manifest::check),
    ("arm", arm::check),
    ("cluster", cluster::check),
    ("front_door", front_door::check),
];

/// Creates a folder for a target's files, in memory if the system has such a place: the checks write and sync
/// a lot.
fn folder() -> tempfile::TempDir {
    let journal_state = std::path::Path::new("/dev/shm");
    let created =
        if journal_state.is_dir() { tempfile::tempdir_in(journal_state) } else { tempfile::tempdir() };
    created.expect("a temporary folder can be made")
}
