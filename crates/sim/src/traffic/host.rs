//! Hostnames of listeners and routes: matching, intersection and specificity.
//!
//! Source: the Gateway API's `Listener.hostname` and `HTTPRouteSpec.hostnames`: a wildcard stands for one or
//! more labels at the front, and never for none.

use std::cmp::Ordering;

/// A hostname, optionally with a leading wildcard. Lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    /// An exact name.
    Exact(String),
    /// A suffix, which begins with a dot.
    Wildcard(String),
    /// All names.
    Any,
}

impl Host {
    /// Parses a hostname; an empty one, or a lone `*`, matches all names.
    pub fn read(name: &str) -> Self {
        let name = name.to_ascii_lowercase();
        match name.strip_prefix('*') {
            _ if name.is_empty() => Self::Any,
            Some("") => Self::Any,
            Some(suffix) => Self::Wildcard(suffix.to_owned()),
            None => Self::Exact(name),
        }
    }

    /// Returns whether it matches a name, which is in lower case and without a port.
    pub fn matches(&self, name: &str) -> bool {
        match self {
            Self::Exact(own) => own == name,
            Self::Wildcard(suffix) => name.len() > suffix.len() && name.ends_with(suffix.as_str()),
            Self::Any => true,
        }
    }

    /// Returns the intersection: the more specific of the two, if they have a name in common.
    pub fn intersection(&self, other: &Self) -> Option<Self> {
        let (wide, narrow) =
            if self.specificity(other) == Ordering::Greater { (other, self) } else { (self, other) };
        let common = match (wide, narrow) {
            (Self::Any, _) => true,
            (wide, Self::Exact(name)) => wide.matches(name),
            (Self::Wildcard(wide), Self::Wildcard(narrow)) => narrow.ends_with(wide.as_str()),
            _ => false,
        };
        common.then(|| narrow.clone())
    }

    /// Compares the specificity: exact names before wildcards, longer names before shorter ones.
    pub fn specificity(&self, other: &Self) -> Ordering {
        self.rank().cmp(&other.rank())
    }

    fn rank(&self) -> (u8, usize) {
        match self {
            Self::Exact(name) => (2, name.len()),
            Self::Wildcard(suffix) => (1, suffix.len()),
            Self::Any => (0, 0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wildcard_matches_one_or_more_labels() {
        let wildcard = Host::read("*.Example.com");
        assert!(wildcard.matches("a.example.com") && wildcard.matches("a.b.example.com"));
        assert!(!wildcard.matches("example.com") && !wildcard.matches("aexample.com"));
        assert!(Host::read("").matches("anything") && Host::read("*").matches("anything"));
    }

    #[test]
    fn the_intersection_of_a_listener_and_a_route_is_the_narrower_name() {
        let shared = |one: &str, other: &str| Host::read(one).intersection(&Host::read(other));
        for (listener, route, common) in [
            ("", "a.example.com", Some("a.example.com")),
            ("*.example.com", "a.example.com", Some("a.example.com")),
            ("very.specific.com", "*.specific.com", Some("very.specific.com")),
            ("*.wildcard.io", "*.foo.wildcard.io", Some("*.foo.wildcard.io")),
            ("*.anotherwildcard.io", "anotherwildcard.io", None),
            ("very.specific.com", "non.matching.com", None),
            ("*.a.io", "*.b.io", None),
        ] {
            let common = common.map(Host::read);
            assert_eq!(shared(listener, route), common, "{listener} and {route}");
            assert_eq!(shared(route, listener), common, "{route} and {listener}");
        }
    }
}
