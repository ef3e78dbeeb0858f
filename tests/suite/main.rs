//! The binary, run as a user runs it, against its own simulated cloud.
//!
//! One test binary with a module for each guarantee. Every test has its own home, state folder and cloud; the
//! tests share nothing and never wait for the clock.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]

mod azure;
mod azurite;
mod browser;
mod cancel;
mod certificates;
mod changed_names;
mod dns;
mod doctor;
mod endpoints;
mod environment;
mod escaping;
mod examples;
mod failure_messages;
mod first_run;
mod fleet;
mod fleet_budget;
mod fleet_faults;
mod fleet_kubernetes;
mod fleet_manifests;
mod fleet_pods;
mod fleet_sim;
mod fleet_state;
mod generated_journals;
mod import_cycles;
mod input;
mod journals;
mod json_documents;
mod kill_points;
mod kubeconfig;
mod language;
mod live_status;
mod locks;
mod management_cluster;
mod manifests;
mod overridden;
mod plan;
mod preflight;
mod renew;
mod report;
mod restricted_machine;
mod resume;
mod rotation;
mod running_process;
mod screens;
mod script;
mod secret_values;
mod secrets;
mod shared_state;
mod sim;
mod teardown;
mod telemetry;
mod tidy;
mod unreadable_responses;
mod untrusted_state;
mod verify;
mod waits;
