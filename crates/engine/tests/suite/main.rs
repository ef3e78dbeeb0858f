//! Tests of the engine against a small simulated cloud of its own: results of runs, crashes, leftovers.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]

mod ahead;
mod cancel;
mod doubt;
mod down;
mod format;
mod guard;
mod lasting;
mod optional;
mod plan;
mod recorded;
mod stop;
mod storm;
mod up;
mod waiting;
mod world;
