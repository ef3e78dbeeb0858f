//! Tests of the CAs with a second client, which has its own JWS code.

mod client;
mod faults;
mod issuance;
mod refusals;
mod renewals;
mod validations;
