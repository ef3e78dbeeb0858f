//! YAML parser with the rules that authors of manifests and kubeconfigs expect.
//!
//! `0644` is octal as in kubectl, and a duplicate key is an error. `no` and `on` are strings, except in
//! manifests: there they are the booleans that kubectl reads. A key is always a string.

use serde_json::Value;
use serde_saphyr::UserMessageFormatter;

/// An error, with its line number from 1.
#[derive(Debug)]
pub(crate) struct ParseError {
    pub line: Option<u64>,
    pub message: String,
}

/// Parses one document; empty input is `Null`.
pub(crate) fn read(text: &str) -> Result<Value, ParseError> {
    parse(text, true)
}

/// Parses one document of a manifest: unquoted `yes`, `no`, `on`, `off`, `y` and `n` are booleans, as in YAML
/// 1.1 and kubectl. <https://yaml.org/type/bool.html>
pub(crate) fn read_manifest(text: &str) -> Result<Value, ParseError> {
    parse(text, false)
}

fn parse(text: &str, strict_booleans: bool) -> Result<Value, ParseError> {
    let options = serde_saphyr::options! { strict_booleans: strict_booleans, legacy_octal_numbers: true };
    serde_saphyr::from_str_with_options(text, options).map_err(|cause| {
        let shown = cause.without_snippet().render_with_formatter(&UserMessageFormatter);
        // The message contains no position, because the caller has the line and the text.
        let message = shown.split(" at line ").next().unwrap_or(&shown).trim_end_matches([':', ',', '.']);
        ParseError { line: cause.location().map(|at| at.line()), message: message.to_owned() }
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn scalars_are_parsed_like_kubectl_or_as_text() {
        let text = "a: no\nb: 0644\nc: true\nd: 1.5\ne: '1'\nf:\ng: 0x1f\nh: 2026-01-01\ni: 12:30\nj: .inf.\nk: 1_000\n";
        let value = json!({"a": "no", "b": 420, "c": true, "d": 1.5, "e": "1", "f": null, "g": 31,
            "h": "2026-01-01", "i": "12:30", "j": ".inf.", "k": 1000});
        assert_eq!(read(text).ok(), Some(value));
    }

    #[test]
    fn yaml_1_1_booleans_of_manifests_are_booleans_unless_quoted() {
        let text =
            "a: [yes, On, Y, TRUE]\nb: [no, OFF, n, false]\nc: ['no', \"on\", !!str yes, nope]\non: ok\n";
        let value = json!({"a": [true, true, true, true], "b": [false, false, false, false],
            "c": ["no", "on", "yes", "nope"], "on": "ok"});
        assert_eq!(read_manifest(text).ok(), Some(value));
    }

    #[test]
    fn a_parse_error_has_a_line_and_a_message() {
        for (text, line, message) in [
            ("a: 1\na: 2\n", 2, "duplicate mapping key `a` is not allowed here"),
            ("a: [1\n", 1, "unclosed bracket '['"),
            ("a: 1\nb: c: d\n", 2, "mapping values are not allowed in this context"),
        ] {
            let parse_error = read(text).unwrap_err();
            assert_eq!((parse_error.line, parse_error.message.as_str()), (Some(line), message));
        }
    }
}
