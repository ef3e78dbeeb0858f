//! `$filter` as clients use it for directories (Microsoft Graph, "use the $filter query parameter"):
//! comparisons joined by `and` and `or`, without parentheses.

use serde_json::Value;

use super::error::GraphError;

/// A filter in disjunctive form: any of the inner lists, of which all terms must match.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Filter(Vec<Vec<Term>>);

/// One comparison. Texts compare case-insensitively.
#[derive(Debug, PartialEq, Eq)]
enum Term {
    Equal(String, String),
    StartsWith(String, String),
    /// A list contains the value.
    Any(String, String),
}

impl Filter {
    /// Parses a filter; an empty one matches everything.
    ///
    /// # Errors
    /// 400 if it is invalid or not supported here.
    pub(super) fn read(text: &str) -> Result<Self, GraphError> {
        if text.trim().is_empty() {
            return Ok(Self(vec![Vec::new()]));
        }
        let all = |text: &str| split(text, " and ").into_iter().map(Term::read).collect();
        split(text, " or ").into_iter().map(all).collect::<Result<_, _>>().map(Self)
    }

    /// Returns whether the filter matches an object.
    ///
    /// # Errors
    /// 400 for a property that the object type does not have.
    pub(super) fn matches(&self, object: &Value) -> Result<bool, GraphError> {
        let mut taken = false;
        for terms in &self.0 {
            let mut fits = true;
            for term in terms {
                fits &= term.matches(object)?;
            }
            taken |= fits;
        }
        Ok(taken)
    }
}

impl Term {
    fn read(text: &str) -> Result<Self, GraphError> {
        let invalid = || GraphError::bad(format!("Invalid filter clause: '{text}'."));
        let text = text.trim();
        if let Some(inside) = text.strip_prefix("startswith(").and_then(|rest| rest.strip_suffix(')')) {
            let (field, value) = inside.split_once(',').ok_or_else(invalid)?;
            return Ok(Self::StartsWith(field.trim().to_owned(), quoted(value).ok_or_else(invalid)?));
        }
        let (left, value) = text.split_once(" eq ").ok_or_else(invalid)?;
        let Some((field, each)) = left.split_once("/any(") else {
            return Ok(Self::Equal(left.trim().to_owned(), quoted(value).ok_or_else(invalid)?));
        };
        let (name, compared) = each.split_once(':').ok_or_else(invalid)?;
        let value = value.trim().strip_suffix(')').and_then(quoted).ok_or_else(invalid)?;
        if name.trim() == compared.trim() { Ok(Self::Any(field.to_owned(), value)) } else { Err(invalid()) }
    }

    fn matches(&self, object: &Value) -> Result<bool, GraphError> {
        let (Self::Equal(field, value) | Self::StartsWith(field, value) | Self::Any(field, value)) = self;
        let Some(own) = object.get(field) else {
            let why = format!(
                "Unsupported or invalid query filter clause specified for property '{field}' of the resource."
            );
            return Err(GraphError::unsupported(why));
        };
        let text = |own: &Value| own.as_str().unwrap_or_default().to_lowercase();
        let value = value.to_lowercase();
        Ok(match self {
            Self::Equal(..) => own.is_string() && text(own) == value,
            Self::StartsWith(..) => text(own).starts_with(&value),
            Self::Any(..) => own.as_array().is_some_and(|list| list.iter().any(|one| text(one) == value)),
        })
    }
}

/// Splits at a word outside quotes.
fn split<'a>(text: &'a str, word: &str) -> Vec<&'a str> {
    let (mut parts, mut from, mut is_quoted) = (Vec::new(), 0, false);
    for (at, letter) in text.char_indices() {
        if letter == '\'' {
            is_quoted = !is_quoted;
        } else if !is_quoted && at >= from && text[at..].starts_with(word) {
            parts.push(&text[from..at]);
            from = at + word.len();
        }
    }
    parts.push(&text[from..]);
    parts
}

/// Parses a quoted text, such as `'it''s'`.
fn quoted(text: &str) -> Option<String> {
    let inside = text.trim().strip_prefix('\'')?.strip_suffix('\'')?;
    let value = inside.replace("''", "'");
    let lone = inside.replace("''", "").contains('\'');
    (!lone).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn matches(filter: &str, object: &Value) -> Option<bool> {
        Filter::read(filter).ok()?.matches(object).ok()
    }

    #[test]
    fn comparisons_are_joined_and_quotes_are_heeded() {
        let object = json!({ "displayName": "Bed and O'Breakfast", "names": ["a", "b"], "mail": null });
        for (filter, wanted) in [
            ("", Some(true)),
            ("displayName eq 'bed and o''breakfast'", Some(true)),
            ("startswith(displayName,'bed') and names/any(n:n eq 'B')", Some(true)),
            ("names/any(n:n eq 'c') or startswith(displayName, 'Bed')", Some(true)),
            ("names/any(n:n eq 'c') and startswith(displayName, 'Bed')", Some(false)),
            ("mail eq 'x'", Some(false)),
            ("phone eq 'x'", None),
            ("names/any(n:m eq 'a')", None),
            ("displayName eq 'it's'", None),
            ("displayName", None),
        ] {
            assert_eq!(matches(filter, &object), wanted, "{filter}");
        }
    }
}
