//! Compatibility of the simulated cloud with Azure tools: its names without a resolver, and az.

mod names;
mod program;
mod script;
