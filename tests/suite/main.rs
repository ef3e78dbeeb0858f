//! The binary, run as a user runs it, against its own simulated cloud.
//!
//! One test binary with a module for each guarantee. Every test has its own home, state folder and cloud; the
//! tests share nothing and never wait for the clock.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]

mod azure;
mod browser;
mod cancel;
mod certificates;
mod doctor;
mod endpoints;
mod environment;
mod examples;
mod first_run;
mod input;
mod journals;
mod json_documents;
mod killed;
mod kubeconfig;
mod live;
mod locks;
mod manifests;
mod patience;
mod plan;
mod planted;
mod poison;
mod preflight;
mod renamed;
mod resume;
mod rotation;
mod running;
mod screens;
mod secret_values;
mod secrets;
mod sim;
mod teardown;
mod tidy;
mod unreadable;
mod verify;
mod words;
