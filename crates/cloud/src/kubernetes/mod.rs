//! Kubernetes client: server-side apply, reads, watches, and the evaluation of object states.
//!
//! [`Cluster`] builds requests with the types of `kube-core`, sends them over hyper and parses the answers itself.
//! One module (`request_sender`) sends, retries and converts a refusal into an [`ApiError`](crate::ApiError). So
//! `Retry-After`, audit ids and plain-text bodies are preserved. [`manifest`], [`differences`] and
//! [`readiness`] are pure.

mod api_server_http;
mod apply;
mod client;
mod client_from_kubeconfig;
mod cluster_contents;
mod confidential;
mod current_context;
mod differences;
mod entra_access;
mod exported;
mod http_proxy;
mod immutable;
mod into_api_error;
pub mod istio;
mod kind;
mod kind_lookup;
pub mod manifest;
mod quantity;
pub mod readiness;
mod request_sender;
mod retry;
mod string_type_check;
mod system_objects;
#[cfg(test)]
mod tests;
pub mod tls_secret;
mod user_kubeconfig;
mod watch;

pub use apply::{Creation, FIELD_MANAGER, Force};
pub use client::{Cluster, Connection};
pub use cluster_contents::{AggregatedApi, ObjectList};
pub use confidential::Confidential;
pub use differences::{Difference, confirmed, differences};
pub use entra_access::{ClusterOrigin, NOT_REACHABLE, ROLE_MISSING};
pub use http_proxy::ProxyRules;
pub use immutable::immutable_differences;
pub use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
pub use kind::Kind;
pub use kube_core::{DynamicObject, TypeMeta};
pub use user_kubeconfig::user_context;
pub use watch::Selection;
