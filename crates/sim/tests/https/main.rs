//! The simulated cloud over real HTTPS, tested with a client that shares no code with it.

mod admin_api;
mod certificates;
mod client;
mod containers;
mod resources;
mod sdk;
mod serving;
mod signing_in;
