//! The steps of landfall and their wiring: the only crate that connects engine and cloud.
//!
//! Each step has one file, [`deployment`] wires them, and `doing.rs` is the only place that converts a cloud
//! error to a message. To add a step, write the file and one line of wiring; the trait's page,
//! [`landfall_engine::Step`], explains how. The file also declares what the step owns (`resource.rs`): checks
//! before a run, recorded names and teardown follow from that.

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
mod resource;
pub mod resource_group;
pub mod role_assignment;
mod rotation;
pub mod settings;
mod survey;
mod takeover;
pub mod tls_secret;
mod watching;
mod wiring;

pub use cluster_body::PODS_PER_NODE;
pub use deployment::{Records, deployment, deployment_with};
pub use description::description;
pub use doing::step_error;
pub use facts::{CertificateFacts, DnsFacts, Facts, Gateway, facts};
pub use holdings::{Holdings, keep_whole};
pub use key_vault::Retention;
pub use landfall_cloud::{Clouds, Clusters, Opened};
pub use manifests::DOMAIN;
pub use objects::{Applied, FIELD_MANAGER, ObjectRef, strangers::listed};
pub use recorded::Renamed;
pub use resource::{ListedResource, Resources};
pub use role_assignment::Granted;
pub use rotation::{Rotation, rotation, unfinished};
pub use survey::{Locked, Survey, Unread, survey};
pub use wiring::{Unwrapped, Wrap};

/// Returns the objects to replace that are in no manifest of these settings.
#[must_use]
pub fn unknown_replacements(settings: &settings::Settings) -> Vec<String> {
    let manifests = manifests::Manifests::new(settings);
    manifests.unknown_replacements().into_iter().map(ToString::to_string).collect()
}
