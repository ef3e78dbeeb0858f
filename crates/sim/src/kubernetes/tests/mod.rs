//! Tests of the whole API server.

mod definitions;
mod facts;
mod recording;
