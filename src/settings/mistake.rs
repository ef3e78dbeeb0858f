//! Where a value came from, and what is wrong with it.

use std::fmt;

/// The place a value was given at, named so that the person who gave it finds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A flag, without its dashes.
    Flag(&'static str),
    /// An environment variable.
    Environment(&'static str),
    /// A line of the settings file; 1-based, none where the whole file is meant.
    File {
        /// The file, as it was named.
        file: String,
        /// The line, when it is known.
        line: Option<usize>,
    },
    /// Nobody gave it.
    Default,
}

impl fmt::Display for Place {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Flag(name) => write!(out, "--{name}"),
            Place::Environment(name) => write!(out, "{name}"),
            Place::File { file, line: Some(line) } => write!(out, "{file}:{line}"),
            Place::File { file, line: None } => write!(out, "{file}"),
            Place::Default => write!(out, "the default"),
        }
    }
}

/// A value together with the setting it belongs to and the place it came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given<T> {
    /// The value.
    pub value: T,
    /// The setting, as `landfall.toml` spells it: `cluster.nodes`.
    pub key: &'static str,
    /// Where it was given.
    pub place: Place,
}

impl<T> Given<T> {
    /// Returns the same place with another value.
    pub fn with<U>(&self, value: U) -> Given<U> {
        Given { value, key: self.key, place: self.place.clone() }
    }

    /// Makes a mistake about this value.
    pub fn wrong(&self, message: impl Into<String>) -> Unhinted {
        Unhinted { place: self.place.clone(), key: self.key, message: message.into() }
    }

    /// Returns whether somebody chose it.
    pub fn chosen(&self) -> bool {
        self.place != Place::Default
    }

    /// Returns `cluster.nodes = 5`, with the place added when the two of a pair came from different ones.
    pub fn described(&self) -> String
    where
        T: fmt::Display,
    {
        match self.place {
            Place::Default => format!("{} = {} (the default)", self.key, self.value),
            _ => format!("{} = {}", self.key, self.value),
        }
    }
}

/// One thing that is wrong with what was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Where the value was given.
    pub place: Place,
    /// The setting, empty when it is not about one.
    pub key: &'static str,
    /// What is wrong: a lowercase fragment that names the value.
    pub message: String,
    /// What to do about it.
    pub hint: String,
}

impl Mistake {
    /// Begins a mistake that is about no single setting.
    pub fn at(place: Place, message: impl Into<String>) -> Unhinted {
        Unhinted { place, key: "", message: message.into() }
    }
}

/// A mistake that does not say yet what to do about it, and so is none.
#[must_use = "a mistake needs a hint"]
pub struct Unhinted {
    place: Place,
    key: &'static str,
    message: String,
}

impl Unhinted {
    /// Says what to do about it.
    pub fn hint(self, hint: impl Into<String>) -> Mistake {
        Mistake { place: self.place, key: self.key, message: self.message, hint: hint.into() }
    }
}

/// Returns the name nearest to a misspelt one, when there is one near enough to be meant.
pub fn nearest<'a>(misspelt: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Below this share of letters in common a suggestion is a guess, and a wrong guess costs more than none.
    const NEAR_ENOUGH: f32 = 0.6;
    names
        .into_iter()
        .map(|name| (similar::TextDiff::from_chars(misspelt, name).ratio(), name))
        .filter(|(ratio, _)| *ratio >= NEAR_ENOUGH)
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_name_finds_the_one_that_was_meant() {
        let names = ["nodes", "nodes_min", "nodes_max", "node_size"];
        assert_eq!(nearest("node_max", names), Some("nodes_max"));
        assert_eq!(nearest("nodesize", names), Some("node_size"));
        assert_eq!(nearest("colour", names), None);
    }
}
