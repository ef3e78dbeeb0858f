//! What fuzzing promises, one module per target, each with `check(data)`: it returns, or it panics and has found a bug.
//!
//! The same functions are driven by libFuzzer (`fuzz_targets/`) and by the seeded short run (`tests/short.rs`), so
//! that what one finds the other replays. [`TARGETS`] lists them by name; `corpus/<name>/` holds what they start from.

pub mod answering;
pub mod arm;
pub mod cluster;
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

/// A target: its name, and what must hold for any bytes.
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

/// Makes a folder for a target's files, in memory where the system has such a place: the checks write and sync a lot.
fn folder() -> tempfile::TempDir {
    let memory = std::path::Path::new("/dev/shm");
    let made = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    made.expect("a temporary folder can be made")
}
