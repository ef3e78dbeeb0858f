//! The steps of landfall and how they hang together: the only place where engine and cloud meet.

pub mod facts;
pub mod settings;
