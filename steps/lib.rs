//! The steps of landfall and their wiring: the only crate that connects engine and cloud.
//!
//! Each step has one file, `graph.rs` wires them, and `error_context.rs` is the only place that converts a cloud
//! error to a message. To add a step, write the file and one line of wiring; the trait's page,
//! [`landfall_engine::Step`], explains how. The file also declares what the step owns (`resource_spec.rs`): checks
//! before a run, recorded names and teardown follow from that.

pub mod apps;
pub mod certificate;
pub mod cluster;
mod cluster_access;
pub mod cluster_ready;
mod diagnosis_input;
pub mod dns;
mod error_context;
pub mod expiry;
pub mod federated_credential;
mod field_conflicts;
pub mod gateways;
mod graph;
mod graph_builder;
pub mod identity;
pub mod identity_mode;
pub mod istio;
mod journal_store;
pub mod key_vault;
pub mod kubeconfig;
mod manifests;
pub mod names;
pub mod network;
mod objects;
mod operation;
pub mod operator;
mod other_vaults;
mod policy_overrides;
pub mod preflight;
pub mod provider_registration;
mod read_only;
mod recorded_names;
mod renewal;
pub mod resource_group;
mod resource_spec;
pub mod role_assignment;
mod rotation_result;
pub mod settings;
mod summary;
mod tags;
mod teardown;
pub mod tls_secret;
mod topology;
mod watch;

pub use cluster::body::PODS_PER_NODE;
pub use diagnosis_input::description;
pub use error_context::step_error;
pub use graph::{Records, StepTables, deployment, deployment_with};
pub use graph_builder::{Unwrapped, Wrap};
pub use journal_store::{BlobJournalStore, JournalGate, StoredEnvironment};
pub use key_vault::Retention;
pub use landfall_cloud::{Clients, ClusterSession, Clusters};
pub use manifests::DOMAIN;
pub use objects::{Applied, FIELD_MANAGER, ObjectRef, foreign::listed};
pub use recorded_names::RenamedSetting;
pub use renewal::{RenewalState, RenewalTarget};
pub use resource_spec::{ListedResource, Resources};
pub use role_assignment::RoleAssignments;
pub use rotation_result::{Rotation, rotation, unfinished_rotation};
pub use summary::{CertificateSummary, DnsSummary, GatewaySummary, Summary, summarize};
pub use teardown::inventory::{TeardownInventory, keep_connected};
pub use teardown::preconditions::{Locked, ReadFailure, TeardownPreconditions, preconditions};
pub use topology::{Route, Rule, Topology, topology};

/// Returns the objects to replace that are in no manifest of these settings.
#[must_use]
pub fn unknown_replacements(settings: &settings::Settings) -> Vec<String> {
    let manifests = manifests::Manifests::new(settings);
    manifests.unknown_replacements().into_iter().map(ToString::to_string).collect()
}
