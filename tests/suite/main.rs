//! The binary, driven as a person drives it, against the simulated cloud that it carries.
//!
//! One test binary with a module for each promise. Every test has its own home, its own state
//! folder and so its own cloud; nothing is shared and nothing is waited for by the clock.

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
