//! Host names of listeners and routes: which requests they take, and which of two is the more specific.
//!
//! Source: the Gateway API's `Listener.hostname` and `HTTPRouteSpec.hostnames`: a wildcard stands for one or more
//! labels at the front, and never for none.

use std::cmp::Ordering;

/// A host name that may begin with a wildcard. Lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    /// This one name.
    Exact(String),
    /// Whatever ends with this, which begins with a dot.
    Wildcard(String),
    /// Every name.
    Any,
}

impl Host {
    /// Reads a name; an empty one, or a lone `*`, stands for all.
    pub fn read(name: &str) -> Self {
        let name = name.to_ascii_lowercase();
        match name.strip_prefix('*') {
            _ if name.is_empty() => Self::Any,
            Some("") => Self::Any,
            Some(suffix) => Self::Wildcard(suffix.to_owned()),
            None => Self::Exact(name),
        }
    }

    /// Tells whether it takes requests for this name, which is lower case and without a port.
    pub fn takes(&self, name: &str) -> bool {
        match self {
            Self::Exact(own) => own == name,
            Self::Wildcard(suffix) => name.len() > suffix.len() && name.ends_with(suffix.as_str()),
            Self::Any => true,
        }
    }

    /// Returns what both take: the more specific of the two, when they have a name in common at all.
    pub fn intersection(&self, other: &Self) -> Option<Self> {
        let (wide, narrow) =
            if self.specificity(other) == Ordering::Greater { (other, self) } else { (self, other) };
        let common = match (wide, narrow) {
            (Self::Any, _) => true,
            (wide, Self::Exact(name)) => wide.takes(name),
            (Self::Wildcard(wide), Self::Wildcard(narrow)) => narrow.ends_with(wide.as_str()),
            _ => false,
        };
        common.then(|| narrow.clone())
    }

    /// Compares: an exact name is more specific than a wildcard, and a longer one than a shorter one.
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
    fn a_wildcard_stands_for_one_label_or_more_and_never_for_none() {
        let wildcard = Host::read("*.Example.com");
        assert!(wildcard.takes("a.example.com") && wildcard.takes("a.b.example.com"));
        assert!(!wildcard.takes("example.com") && !wildcard.takes("aexample.com"));
        assert!(Host::read("").takes("anything") && Host::read("*").takes("anything"));
    }

    #[test]
    fn what_a_listener_and_a_route_share_is_the_narrower_name() {
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
