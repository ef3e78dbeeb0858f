//! Tests against recordings of real servers.

mod recorded_errors;
