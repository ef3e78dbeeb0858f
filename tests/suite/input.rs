//! Bad input ends with exit 2 before anything is touched, each with its own words.
