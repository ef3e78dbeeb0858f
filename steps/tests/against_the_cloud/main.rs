//! The steps against the simulated cloud, over real HTTPS: their results, and the resulting request log.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]

mod adoption;
mod certificate;
mod cluster;
mod dns;
mod doctor;
mod drift;
mod features;
mod fixture;
mod foreign_resources;
mod group;
mod idempotence;
mod immutable;
mod immutable_settings;
mod incomplete_checks;
mod interrupted_writes;
mod killed;
mod kinds;
mod kubectl;
mod live_status;
mod network;
mod objects;
mod overridden;
mod ownership;
mod preflight;
mod quiet_manifests;
mod real_cluster;
mod restrictions;
mod roles;
mod script;
mod settings;
mod teardown;
mod traffic;
mod vault;
mod verify;
mod waits;
