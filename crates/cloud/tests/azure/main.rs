//! The clients against a real HTTPS server with scripted answers.

mod cloud;
mod foreign_servers;
mod operations;
mod requests;
mod response_limits;
mod sign_in;
mod unreadable;
mod vault;
