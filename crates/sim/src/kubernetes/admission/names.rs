//! The formats of names, labels and keys, with the messages of the API server.

use serde_json::{Value, json};

use crate::kubernetes::schema::validate::matches;
use crate::kubernetes::status::FieldError;

const SUBDOMAIN: &str = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*";
const LABEL: &str = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";
const LABEL_VALUE: &str = "(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?";
const QUALIFIED: &str = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]";
const SUBDOMAIN_MAX: usize = 253;
const LABEL_MAX: usize = 63;
const PORT_NAME_MAX: usize = 15;

/// Returns why a text is not a DNS subdomain; empty if it is one.
pub fn subdomain(text: &str) -> Vec<String> {
    let mut why = too_long(text, SUBDOMAIN_MAX);
    if !matches(&format!("^{SUBDOMAIN}$"), text) {
        why.push(
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and \
             must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is \
             '"
                .to_owned()
                + SUBDOMAIN
                + "')",
        );
    }
    why
}

/// Returns why a text is not a DNS label; empty if it is one.
pub fn dns_label(text: &str) -> Vec<String> {
    let mut why = too_long(text, LABEL_MAX);
    if matches(&format!("^{LABEL}$"), text) {
        return why;
    }
    why.push(if matches(&format!("^{SUBDOMAIN}$"), text) {
        "must not contain dots".to_owned()
    } else {
        "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start \
         and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '"
            .to_owned()
            + LABEL
            + "')"
    });
    why
}

/// Returns why a text is not the name of a container port; empty if it is one.
pub fn port_name(text: &str) -> Vec<String> {
    let mut why = too_long(text, PORT_NAME_MAX);
    for (holds, rule) in [
        (
            matches("^[-a-z0-9]+$", text),
            "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)",
        ),
        (matches("[a-z]", text), "must contain at least one letter (a-z)"),
        (!text.contains("--"), "must not contain consecutive hyphens"),
        (!text.starts_with('-') && !text.ends_with('-'), "must not begin or end with a hyphen"),
    ] {
        if !holds {
            why.push(rule.to_owned());
        }
    }
    why
}

fn too_long(text: &str, most: usize) -> Vec<String> {
    let is_long = text.len() > most;
    is_long.then(|| format!("must be no more than {most} characters")).into_iter().collect()
}

/// Returns the errors of a text in a field: one for each reason.
pub fn errors(field: &str, text: &str, why: &[String]) -> Vec<FieldError> {
    why.iter().map(|why| FieldError::invalid(field, &json!(text), why)).collect()
}

/// Returns the errors of a map of labels.
pub fn labels(labels: &Value, field: &str) -> Vec<FieldError> {
    let mut found = Vec::new();
    for (key, value) in labels.as_object().into_iter().flatten() {
        found.extend(errors(field, key, &qualified(key)));
        let Some(text) = value.as_str() else { continue };
        if text.len() > LABEL_MAX {
            let why = format!("must be no more than {LABEL_MAX} bytes");
            found.push(FieldError::invalid(field, value, &why));
        } else if !matches(&format!("^{LABEL_VALUE}$"), text) {
            let why =
                "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or \
                 '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or \
                 '12345', regex used for validation is '"
                    .to_owned()
                    + LABEL_VALUE
                    + "')";
            found.push(FieldError::invalid(field, value, &why));
        }
    }
    found
}

/// Returns why a text is not the key of a label or annotation; empty if it is one.
pub fn qualified(key: &str) -> Vec<String> {
    const EXAMPLES: &str = "(e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '";
    const CHARACTERS: &str = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end \
                              with an alphanumeric character";
    let parts: Vec<&str> = key.split('/').collect();
    let (prefix, name) = match parts.as_slice() {
        [name] => (None, *name),
        [prefix, name] => (Some(*prefix), *name),
        _ => {
            let prefixed = "with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')";
            return vec![format!("a valid label key {CHARACTERS} {EXAMPLES}{QUALIFIED}') {prefixed}")];
        }
    };
    let mut why = match prefix {
        None => Vec::new(),
        Some("") => vec!["prefix part must be non-empty".to_owned()],
        Some(prefix) => subdomain(prefix).iter().map(|why| format!("prefix part {why}")).collect(),
    };
    if name.is_empty() {
        why.push("name part must be non-empty".to_owned());
    } else if name.len() > LABEL_MAX {
        why.push(format!("name part must be no more than {LABEL_MAX} bytes"));
    } else if !matches(&format!("^{QUALIFIED}$"), name) {
        why.push(format!("name part {CHARACTERS} {EXAMPLES}{QUALIFIED}')"));
    }
    why
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_format_names_its_rule() {
        assert!(dns_label("1abc").is_empty());
        assert_eq!(dns_label("a.b"), ["must not contain dots"]);
        assert_eq!(dns_label(&"a".repeat(64)), ["must be no more than 63 characters"]);
        assert!(dns_label("Web")[0].starts_with("a lowercase RFC 1123 label"));
        assert_eq!(port_name("abcdefghijklmnop"), ["must be no more than 15 characters"]);
        assert_eq!(port_name("80"), ["must contain at least one letter (a-z)"]);
        assert!(qualified("example.com/name").is_empty());
        assert!(qualified("a b")[0].starts_with("name part must consist"));
        assert!(qualified("a/b/c")[0].starts_with("a valid label key must consist"));
        assert_eq!(qualified("/a"), ["prefix part must be non-empty"]);
    }
}
