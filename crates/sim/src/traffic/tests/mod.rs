//! Tests of the gateways over a connection.

pub(super) mod data_plane;
mod envoy_facts;
mod recording;
