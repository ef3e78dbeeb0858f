//! YAML output in the style of kubectl: block mappings, lists at the indentation of their key.

use serde_json::Value;

/// Words that YAML 1.1, which kubectl reads, does not parse as strings.
const WORDS: [&str; 10] = ["y", "n", "yes", "no", "on", "off", "true", "false", "null", "~"];

/// Writes a mapping as a document.
pub(crate) fn block(value: &Value) -> String {
    let mut text = String::new();
    write(value, 0, &mut text);
    text
}

/// Writes a list item with its dash, at an indentation.
pub(super) fn item(value: &Value, indent: usize) -> String {
    let mut inner = String::new();
    write(value, indent + 2, &mut inner);
    format!("{}- {}", " ".repeat(indent), inner.trim_start_matches(' '))
}

/// Writes one scalar.
pub(super) fn scalar(value: &Value) -> String {
    match value {
        Value::String(text) if is_plain(text) => text.clone(),
        // Every JSON string is a double-quoted YAML string.
        other => other.to_string(),
    }
}

fn write(value: &Value, indent: usize, text: &mut String) {
    let pad = " ".repeat(indent);
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (key, value) in fields {
                let key = scalar(&Value::from(key.as_str()));
                match value {
                    Value::Object(fields) if !fields.is_empty() => {
                        text.push_str(&format!("{pad}{key}:\n"));
                        write(value, indent + 2, text);
                    }
                    Value::Array(items) if !items.is_empty() => {
                        text.push_str(&format!("{pad}{key}:\n"));
                        items.iter().for_each(|value| text.push_str(&item(value, indent)));
                    }
                    Value::String(lines) if is_literal(lines) => {
                        text.push_str(&format!("{pad}{key}: |\n"));
                        lines.lines().for_each(|line| text.push_str(&format!("{pad}  {line}\n")));
                    }
                    value => text.push_str(&format!("{pad}{key}: {}\n", scalar(value))),
                }
            }
        }
        Value::Array(items) if !items.is_empty() => {
            items.iter().for_each(|value| text.push_str(&item(value, indent)));
        }
        value => text.push_str(&format!("{pad}{}\n", scalar(value))),
    }
}

/// Returns whether a text is written as a literal block: lines of printable ASCII, each ended, none empty or with spaces
/// around it.
fn is_literal(text: &str) -> bool {
    let is_line = |line: &str| {
        !line.is_empty() && line.trim() == line && line.chars().all(|c| c.is_ascii_graphic() || c == ' ')
    };
    text.len() > 1 && text.ends_with('\n') && text[..text.len() - 1].split('\n').all(is_line)
}

/// Returns whether every YAML parser reads the text as a string without quotes.
fn is_plain(text: &str) -> bool {
    let inside = |c: char| c.is_ascii_alphanumeric() || "_./+=-@".contains(c);
    let colons_inside = !text.ends_with(':') && text.chars().all(|c| inside(c) || c == ':');
    let first = text.chars().next();
    // A leading digit, sign or point may begin a number, a date or a time.
    first.is_some_and(|first| first.is_ascii_alphabetic() || first == '_' || first == '/')
        && colons_inside
        && !WORDS.contains(&text.to_ascii_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn read(text: &str) -> Value {
        crate::yaml::read(text).unwrap()
    }

    #[test]
    fn output_matches_the_style_of_kubectl() {
        let value = json!({"clusters": [{"cluster": {"server": "https://a.b:443"}, "name": "c"}], "preferences": {},
            "odd": ["yes", "1e3", "", "a: b", "- x", null, 1, true], "users": [], "deep": [[1, 2], [{"a": [3]}]]});
        let text = block(&value);
        assert!(
            text.starts_with(
                "clusters:\n- cluster:\n    server: https://a.b:443\n  name: c\npreferences: {}\n"
            ),
            "{text}"
        );
        assert_eq!(read(&text), value);
    }

    proptest! {
        #[test]
        fn every_text_survives_a_round_trip(text in "\\PC*", key in "\\PC{1,8}") {
            let value = json!({key: [text.clone(), {"a": text}]});
            prop_assert_eq!(read(&block(&value)), value);
        }
    }
}
