//! The body of a response.

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;

/// The body of a response.
pub type Body = UnsyncBoxBody<Bytes, Cut>;

/// The error that cuts a connection instead of a response.
#[derive(Debug, thiserror::Error)]
#[error("the connection is cut")]
pub struct Cut;
