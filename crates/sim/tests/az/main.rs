//! What people use with Azure works with the simulated cloud: names without a resolver, and az.

mod names;
mod program;
mod script;
