//! The real kubectl against a simulated cluster.
//!
//! The program is the value of `KUBECTL`, or `kubectl`; without it the tests print a line about it and pass.

mod applying;
mod creating;
mod describing;
mod fixture;
mod manifest;
mod reading;
mod server_queries;
mod watching;
