//! The Kubernetes API of a simulated cluster.

mod address;
mod admission;
pub mod definition;
pub mod fields;
mod lifecycle;
pub mod ownership;
pub mod schema;
pub mod selector;
pub mod status;
pub mod store;
#[cfg(test)]
mod store_tests;
mod write;

pub use definition::Definition;
pub use lifecycle::Propagation;
pub use store::Store;
