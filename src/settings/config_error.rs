//! The source of a value, and its error.

use std::fmt;

/// The source of a value, named so that the user can find it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A flag, without its dashes.
    Flag(&'static str),
    /// An environment variable.
    Environment(&'static str),
    /// A line of the settings file; 1-based, `None` for the whole file.
    File {
        /// The path of the file, as given.
        file: String,
        /// The line, if it is known.
        line: Option<usize>,
    },
    /// The default.
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

/// A value with its setting and its source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sourced<T> {
    /// The value.
    pub value: T,
    /// The setting, as `landfall.toml` spells it: `cluster.nodes`.
    pub key: &'static str,
    /// The source.
    pub place: Place,
}

impl<T> Sourced<T> {
    /// Returns the same source with another value.
    pub fn with<U>(&self, value: U) -> Sourced<U> {
        Sourced { value, key: self.key, place: self.place.clone() }
    }

    /// Returns an error about this value.
    pub fn wrong(&self, message: impl Into<String>) -> ConfigErrorWithoutHint {
        ConfigErrorWithoutHint { place: self.place.clone(), key: self.key, message: message.into() }
    }

    /// Returns whether the user set it.
    pub fn is_set_by_user(&self) -> bool {
        self.place != Place::Default
    }

    /// Returns `cluster.nodes = 5`, with the source if the values of a pair have different ones.
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

/// One error in the settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// The source of the value.
    pub place: Place,
    /// The setting; empty if the error concerns none.
    pub key: &'static str,
    /// The error: a lowercase fragment that names the value.
    pub message: String,
    /// The remedy.
    pub hint: String,
}

impl ConfigError {
    /// Starts an error that concerns no single setting.
    pub fn at(place: Place, message: impl Into<String>) -> ConfigErrorWithoutHint {
        ConfigErrorWithoutHint { place, key: "", message: message.into() }
    }
}

/// An incomplete error, without its remedy.
#[must_use = "a config error needs a hint"]
pub struct ConfigErrorWithoutHint {
    place: Place,
    key: &'static str,
    message: String,
}

impl ConfigErrorWithoutHint {
    /// Sets the remedy.
    pub fn hint(self, hint: impl Into<String>) -> ConfigError {
        ConfigError { place: self.place, key: self.key, message: self.message, hint: hint.into() }
    }
}

/// Returns the name most similar to a misspelt one, if any is similar enough.
pub fn nearest<'a>(misspelt: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Below this share of common letters a suggestion is a guess, and a wrong guess is worse than none.
    const SIMILARITY_MIN: f32 = 0.6;
    names
        .into_iter()
        .map(|name| (similar::TextDiff::from_chars(misspelt, name).ratio(), name))
        .filter(|(ratio, _)| *ratio >= SIMILARITY_MIN)
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_name_yields_the_nearest_one() {
        let names = ["nodes", "nodes_min", "nodes_max", "node_size"];
        assert_eq!(nearest("node_max", names), Some("nodes_max"));
        assert_eq!(nearest("nodesize", names), Some("node_size"));
        assert_eq!(nearest("colour", names), None);
    }
}
