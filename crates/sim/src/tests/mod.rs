//! Tests of the whole library.

mod recorded;
