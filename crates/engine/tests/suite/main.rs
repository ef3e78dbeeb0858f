//! Tests of the engine against a small simulated cloud of its own: results of runs, crashes, leftovers.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]

mod action_policy;
mod cancel;
mod cloud;
mod deadlines;
mod down;
mod format;
mod memory_store;
mod optional;
mod plan;
mod recorded;
mod remote;
mod speculative;
mod stale_output;
mod stop;
mod storm;
mod up;
mod waiting;
