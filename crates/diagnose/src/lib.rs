//! Diagnosis of an environment, read-only: doctor, verify, live status, and the certificate's sync.
//!
//! Every diagnosis compares an [`Environment`](landfall_cloud::environment_description::Environment), which is plain data
//! of the steps, with the live state. This crate depends on neither the steps nor the engine.

pub mod doctor;
mod http_probe;
pub mod live_status;
mod object_fields;
mod peer_certificate;
pub mod rotation_diagnosis;
mod route_model;
mod route_precedence;
mod secret_provider_class;
mod snapshot;
pub mod verify;
