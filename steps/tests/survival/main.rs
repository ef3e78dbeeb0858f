//! The survival tests: after a kill at any instant, under any fault, the next run converges to the same
//! environment. It creates nothing twice, forgets no owned resource, and touches no foreign one.
//!
//! Everything runs in one process, on one thread, with a paused clock: the simulated cloud, the clients and
//! the engine are the real ones. Between them is a carrier that can stop. The same seed repeats the same run.
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
