//! The text of a header.

use azure_core::http::headers::{HeaderName, Headers};
use std::convert::Infallible;

/// Reads headers without the cost of an error for a missing one: `Headers::get_optional_str` captures a backtrace then.
pub(crate) trait HeaderText {
    /// Returns the value of a header; `None` if there is none.
    fn text(&self, name: &HeaderName) -> Option<&str>;
}

impl HeaderText for Headers {
    fn text(&self, name: &HeaderName) -> Option<&str> {
        self.get_optional_with(name, |value| Ok::<_, Infallible>(value.as_str())).ok().flatten()
    }
}
