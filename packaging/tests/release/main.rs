//! The parts of a release, from a program that stands for landfall: archives, installer, action, images, and
//! the names that all of them share.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]

mod action;
mod archives;
mod images;
mod installer;
mod manifests;
mod names;
mod releases;
