//! The steps of landfall and their wiring: the only crate that connects engine and cloud.
//!
//! Each step has one file, [`deployment`] wires them, and `doing.rs` is the only place that converts a cloud
//! error to a message. To add a step, write the file and one line of wiring; the trait's page,
//! [`landfall_engine::Step`], explains how.

pub mod apps;
pub mod certificate;
pub mod cluster;
mod cluster_anew;
mod cluster_body;
mod cluster_drift;
pub mod cluster_ready;
mod deployment;
mod description;
pub mod dns;
mod doing;
pub mod expiry;
mod facts;
pub mod features;
pub mod gateways;
mod grant;
mod holdings;
pub mod istio;
pub mod key_vault;
pub mod kubeconfig;
mod manifests;
pub mod names;
pub mod network;
mod network_parts;
mod network_wish;
mod objects;
mod operation;
pub mod preflight;
mod reach;
mod recorded;
pub mod resource_group;
mod rotation;
pub mod settings;
pub mod subnet_role;
mod survey;
mod takeover;
pub mod tls_secret;
pub mod vault_access;
pub mod vault_officer;
mod watching;

pub use cluster_body::PODS_PER_NODE;
pub use deployment::{Handles, deployment};
pub use description::description;
pub use doing::step_error;
pub use facts::{CertificateFacts, DnsFacts, Facts, Gateway, facts};
pub use grant::Granted;
pub use holdings::{Holdings, adoptable, holdings, is_thing, keep, keep_whole};
pub use key_vault::Retention;
pub use landfall_cloud::{Clouds, Clusters, Opened};
pub use manifests::DOMAIN;
pub use objects::{Applied, FIELD_MANAGER, ObjectRef, strangers::listed};
pub use recorded::{Renamed, as_made, renamed};
pub use rotation::{Rotation, rotation, unfinished};
pub use survey::{Locked, Survey, Unread, survey};

/// Returns the objects to replace that are in no manifest of these settings.
#[must_use]
pub fn unknown_replacements(settings: &settings::Settings) -> Vec<String> {
    let manifests = manifests::Manifests::new(settings);
    manifests.unknown_replacements().into_iter().map(ToString::to_string).collect()
}
