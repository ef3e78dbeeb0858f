//! A value that cannot be printed, compared or stored by accident.

/// A password, key or token.
///
/// It has neither `Debug` nor `Serialize`, so it cannot get into a log line or a journal. Code that needs the
/// value calls [`expose`](Secret::expose), which is easy to search for.
#[derive(Clone)]
pub struct Secret<T>(T);

impl<T> Secret<T> {
    /// Wraps the value.
    pub fn new(value: T) -> Self {
        Self(value)
    }

    /// Returns the value itself; the caller keeps it out of messages, files and command lines.
    pub fn expose(&self) -> &T {
        &self.0
    }
}

impl<T> From<T> for Secret<T> {
    fn from(value: T) -> Self {
        Self(value)
    }
}
