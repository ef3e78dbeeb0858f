//! The parts of a release of landfall: archives, container images, checksums and the Homebrew formula.
//!
//! Everything here is deterministic: the same input gives the same bytes, so that a release can be rebuilt and
//! compared. [`names`] is the list of targets and file names. The installer, the release workflow and the metadata
//! of `cargo binstall` repeat these names, and `tests/names.rs` compares them.

pub mod archive;
pub mod changelog;
pub mod checksums;
pub mod container_root;
pub mod elf;
pub mod error;
pub mod file_tree;
pub mod formula;
pub mod image;
pub mod image_reader;
pub mod names;
pub mod tar;

pub use error::Error;
