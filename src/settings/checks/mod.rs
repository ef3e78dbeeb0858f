//! What makes a setting right, one family a file. Every check names the value and what to do about it.

pub mod canary;
pub mod certificate;
pub mod cidrs;
pub mod cluster;
pub mod dns;
pub mod endpoints;
pub mod kubeconfig;
pub mod manifests;
pub mod names;
