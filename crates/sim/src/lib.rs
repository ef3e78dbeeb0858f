//! A simulated Azure inside the process, which speaks the services' own HTTPS protocols.

pub mod aks;
pub mod arm;
pub mod clock;
pub mod durations;
pub mod entra;
pub mod fault;
pub mod kubernetes;
pub mod options;
pub mod request;
pub mod vault;
pub mod world;

pub use clock::Speed;
pub use options::{Facts, Options};
