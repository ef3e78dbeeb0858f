//! `--select`: which environments of a fleet a command works on.

use super::file::FleetEnvironment;

/// A selection: terms that all must hold.
#[derive(Clone, Debug, PartialEq)]
pub struct Selection(Vec<Term>);

#[derive(Clone, Debug, PartialEq)]
struct Term {
    key: Key,
    /// True if the value must not match.
    negated: bool,
    /// The patterns, of which one must match.
    patterns: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Key {
    Name,
    Ring,
    Subscription,
    Location,
    Domain,
}

impl Selection {
    /// Parses `shop-*,ring=canary,location!=westeurope|northeurope`.
    ///
    /// # Errors
    /// The reason, as a sentence fragment.
    pub fn parse(text: &str) -> Result<Self, String> {
        let terms = text.split(',').map(str::trim).filter(|term| !term.is_empty());
        let terms = terms.map(term).collect::<Result<Vec<_>, _>>()?;
        match terms.is_empty() {
            true => Err("an empty selection selects nothing".to_owned()),
            false => Ok(Self(terms)),
        }
    }

    /// Returns whether an environment is selected.
    pub fn selects(&self, environment: &FleetEnvironment) -> bool {
        self.0.iter().all(|term| term.holds(value(environment, term.key)))
    }
}

fn value(environment: &FleetEnvironment, key: Key) -> &str {
    let settings = &environment.config.settings;
    match key {
        Key::Name => &environment.name,
        Key::Ring => &environment.ring,
        Key::Subscription => environment.subscription(),
        Key::Location => &settings.location,
        Key::Domain => &settings.domain,
    }
}

fn term(text: &str) -> Result<Term, String> {
    let (key, negated, value) = match text.split_once('=') {
        Some((key, value)) => (key.strip_suffix('!').unwrap_or(key).trim(), key.ends_with('!'), value),
        None => ("name", text.starts_with('!'), text.trim_start_matches('!')),
    };
    let key = match key {
        "name" => Key::Name,
        "ring" => Key::Ring,
        "subscription" => Key::Subscription,
        "location" => Key::Location,
        "domain" => Key::Domain,
        other => {
            return Err(format!("\"{other}\" is none of name, ring, subscription, location and domain"));
        }
    };
    let patterns = value.split('|').map(|pattern| pattern.trim().to_owned()).collect();
    Ok(Term { key, negated, patterns })
}

impl Term {
    fn holds(&self, value: &str) -> bool {
        self.patterns.iter().any(|pattern| matches(pattern, value)) != self.negated
    }
}

/// Returns whether a text matches a pattern, in which `*` stands for any characters and `?` for one.
fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut at, mut in_text) = (0, 0);
    // The last `*`, and the text that it has taken so far.
    let mut star: Option<(usize, usize)> = None;
    while in_text < text.len() {
        match pattern.get(at) {
            Some('*') => {
                star = Some((at, in_text));
                at += 1;
            }
            Some(letter) if *letter == '?' || *letter == text[in_text] => {
                at += 1;
                in_text += 1;
            }
            _ => match &mut star {
                Some((before, taken)) => {
                    *taken += 1;
                    (at, in_text) = (*before + 1, *taken);
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(|letter| *letter == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_characters() {
        for (pattern, text, is) in [
            ("shop-*", "shop-eu-001", true),
            ("*-001", "shop-eu-001", true),
            ("*eu*0?1", "shop-eu-001", true),
            ("shop", "shop-eu", false),
            ("*", "", true),
            ("?", "", false),
            ("a*b*c", "aXbYbZc", true),
            ("a*b*c", "aXbYbZ", false),
        ] {
            assert_eq!(matches(pattern, text), is, "{pattern} {text}");
        }
    }

    #[test]
    fn terms_are_named_negated_and_alternative() {
        let holds = |text: &str, value: &str| {
            let Selection(terms) = Selection::parse(text).unwrap();
            terms[0].holds(value)
        };
        assert!(holds("ring=canary|early", "early") && !holds("ring!=canary|early", "early"));
        assert!(holds("!shop-*", "blog") && !holds("!shop-*", "shop-1"));
        assert!(Selection::parse("colour=red").unwrap_err().contains("colour"));
        assert!(Selection::parse(" , ").is_err());
    }
}
