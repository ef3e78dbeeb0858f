//! Tests of the whole API server.

mod facts;
mod recording;
