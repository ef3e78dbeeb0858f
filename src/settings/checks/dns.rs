//! Checks of domains and zones.

use crate::settings::config_error::{ConfigError, Sourced};

/// The longest label before the domain: `echo-headers.`.
const LONGEST_HOST: usize = "echo-headers.".len();
/// The maximum length of a written name, 253 characters (RFC 1035).
const NAME_MAX: usize = 253;

/// Checks and normalizes a domain: lower case, no dot at the end.
///
/// # Errors
/// Returns an error if it is no host name with at least two labels, or too long for the host names below it.
pub fn domain(given: &Sourced<String>) -> Result<String, ConfigError> {
    let name = given.value.trim().trim_end_matches('.').to_ascii_lowercase();
    let wrong = |why: String| given.wrong(format!("\"{}\" is not a domain: {why}", given.value));
    if let Some((scheme, _)) = name.split_once("://") {
        return Err(
            wrong(format!("it starts with {scheme}://")).hint("use the bare name, such as demo.example.com")
        );
    }
    if let Some(rest) = name.strip_prefix("*.") {
        return Err(wrong("it starts with *.".into())
            .hint(format!("write {rest}; the certificate also covers *.{rest}")));
    }
    if name.len() + LONGEST_HOST > NAME_MAX {
        return Err(wrong(format!(
            "it has {} characters, but at most {} are allowed",
            name.len(),
            NAME_MAX - LONGEST_HOST
        ))
        .hint("a host name has at most 253 characters"));
    }
    for label in name.split('.') {
        if let Some(why) = fault(label) {
            return Err(
                wrong(why).hint("a label has 1 to 63 characters of a-z, 0-9 and -, and no - at either end")
            );
        }
    }
    if !name.contains('.') {
        return Err(
            wrong("it has only one label".into()).hint("use a name with a dot, such as demo.example.com")
        );
    }
    if name.rsplit('.').next().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit())) {
        return Err(wrong("its last label is a number".into()).hint("use a name, not an address"));
    }
    Ok(name)
}

fn fault(label: &str) -> Option<String> {
    if label.is_empty() {
        return Some("a label is empty".into());
    }
    if label.len() > 63 {
        return Some(format!("the label {label} has {} characters", label.len()));
    }
    if let Some(letter) = label.chars().find(|letter| !(letter.is_ascii_alphanumeric() || *letter == '-')) {
        let international = !letter.is_ascii() && letter.is_alphanumeric();
        let punycode = if international { "; write it in its xn-- form" } else { "" };
        return Some(format!("the label {label} contains {letter:?}{punycode}"));
    }
    (label.starts_with('-') || label.ends_with('-'))
        .then(|| format!("the label {label} starts or ends with -"))
}

/// Checks that the zone is the domain or above it.
pub fn zone(given: &Sourced<String>, domain_name: &str) -> Result<String, ConfigError> {
    let zone = domain(given)?;
    match domain_name == zone || domain_name.ends_with(&format!(".{zone}")) {
        true => Ok(zone),
        false => Err(given
            .wrong(format!("the zone \"{zone}\" does not contain the domain {domain_name}"))
            .hint(format!("use {domain_name} or a parent zone"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::config_error::Place;

    fn given(value: &str) -> Sourced<String> {
        Sourced { value: value.to_owned(), key: "domain", place: Place::Flag("domain") }
    }

    #[test]
    fn only_domains_pass() {
        let long = format!("{}.example.com", "a".repeat(64));
        let tried = [
            "Demo.Example.COM.",
            "localhost",
            "a_b.example.com",
            "https://example.com",
            "*.example.com",
            "a..b",
            "-a.example.com",
            "10.0.0.1",
            "münchen.example",
            long.as_str(),
        ];
        let messages: Vec<String> = tried
            .iter()
            .map(|value| match domain(&given(value)) {
                Ok(name) => format!("ok {name}"),
                Err(config_error) => config_error.message,
            })
            .collect();
        insta::assert_snapshot!(messages.join("\n"), @r#"
        ok demo.example.com
        "localhost" is not a domain: it has only one label
        "a_b.example.com" is not a domain: the label a_b contains '_'
        "https://example.com" is not a domain: it starts with https://
        "*.example.com" is not a domain: it starts with *.
        "a..b" is not a domain: a label is empty
        "-a.example.com" is not a domain: the label -a starts or ends with -
        "10.0.0.1" is not a domain: its last label is a number
        "münchen.example" is not a domain: the label münchen contains 'ü'; write it in its xn-- form
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.example.com" is not a domain: the label aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa has 64 characters
        "#);
        assert!(domain(&given(&"abc.".repeat(61))).is_err());
    }

    #[test]
    fn a_zone_is_the_domain_or_above_it() {
        assert_eq!(zone(&given("Example.com"), "demo.example.com").as_deref(), Ok("example.com"));
        assert_eq!(zone(&given("demo.example.com"), "demo.example.com").as_deref(), Ok("demo.example.com"));
        assert!(zone(&given("ample.com"), "demo.example.com").is_err());
        assert!(zone(&given("a.demo.example.com"), "demo.example.com").is_err());
    }
}
