//! Validation of the settings, one file per family. Every check names the value and the fix.

pub mod acme;
pub mod canary;
pub mod certificate;
pub mod cidrs;
pub mod cluster;
pub mod dns;
pub mod endpoints;
pub mod images;
pub mod kubeconfig;
pub mod manifests;
pub mod names;
pub mod proxy;
pub mod state;
