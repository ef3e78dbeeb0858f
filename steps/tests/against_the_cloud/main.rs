//! The steps against the simulated cloud, over real HTTPS: their results, and the resulting request log.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]

mod adoption;
mod again;
mod begun;
mod bench;
mod certificate;
mod cluster;
mod dns;
mod doctor;
mod drift;
mod drift_refused;
mod features;
mod group;
mod immutable;
mod killed;
mod kubectl;
mod network;
mod objects;
mod ownership;
mod preflight;
mod present;
mod real_cluster;
mod roles;
mod settings;
mod strangers;
mod teardown;
mod traffic;
mod unexamined;
mod vault;
mod verify;
mod waits;
