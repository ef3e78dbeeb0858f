//! The promise: killed at any instant, under any weather, the next run converges to the same environment, makes
//! nothing twice, forgets nothing that is ours, and touches nothing that is not.
//!
//! Everything here runs in the process, on one thread, with a paused clock: a world, the clients and the engine as they
//! are, and between them a carrier that can stand still. What a seed did once it does again.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]

mod carrier;
mod each;
mod environment;
mod inventory;
mod links;
mod other_writer;
mod points;
mod rotations;
#[path = "../against_the_cloud/settings.rs"]
mod settings;
mod still;
mod storms;
mod strangers;
mod sweep;
mod unreadable;
mod weather;
