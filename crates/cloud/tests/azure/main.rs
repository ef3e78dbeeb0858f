//! The clients against a real HTTPS server with scripted answers.

mod bounds;
mod cloud;
mod operations;
mod requests;
mod sign_in;
mod strangers;
mod unreadable;
mod vault;
