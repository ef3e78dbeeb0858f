//! The simulated cloud over real HTTPS, tested with a client that shares no code with it.

mod client;
mod machinery;
mod resources;
mod serving;
mod signing_in;
