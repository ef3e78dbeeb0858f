//! The survival tests: after a kill at any instant, under any fault, the next run converges to the same
//! environment. It creates nothing twice, forgets no owned resource, and touches no foreign one.
//!
//! Everything runs in one process, on one thread, with a paused clock: the simulated cloud, the clients and
//! the engine are the real ones. Between them is a transport that can stop. The same seed repeats the same run.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]

/// The allocator of the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

mod acme;
mod conditions;
mod environment;
mod every_step;
mod foreign_resources;
mod inventory;
mod other_writer;
mod points;
mod renewals;
mod restriction;
mod rotation_diagnosis;
mod rotations;
#[path = "../against_the_cloud/settings.rs"]
mod settings;
mod shared_journal;
mod snapshot;
mod storms;
mod sweep;
mod transport;
mod unreadable_responses;
mod years;
