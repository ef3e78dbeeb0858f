//! Escapes for text of servers, files and people: a terminal displays it and does not act on it.
//!
//! [`stream`](super::stream) applies them to all output, so a new message cannot omit them.

use serde_json::Value;
use std::{borrow::Cow, fmt::Write as _, hash::BuildHasher, sync::OnceLock};

/// Returns whether a character moves, clears, hides or reorders text instead of being displayed.
///
/// These are the control characters, the bidirectional controls, the line separators and the invisible characters.
pub fn is_deceptive(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Escapes a text of several lines: `\u{1b}` for the escape character; line ends, tabs and landfall's own
/// colours stay.
pub fn visible(text: &str) -> Cow<'_, str> {
    escaped(text, |character| is_deceptive(character) && character != '\n' && character != '\t')
}

/// Escapes a text for one line: like [`visible`], and line ends and tabs are escaped too.
pub fn inline(text: &str) -> Cow<'_, str> {
    escaped(text, is_deceptive)
}

/// Returns a text for a terminal: [`visible`], with landfall's own colours active.
pub fn terminal(text: &str) -> String {
    visible(text).replace(style_start(), "\x1b[")
}

/// Returns a JSON document whose strings contain deceptive characters as JSON escapes.
pub fn json(value: &Value) -> String {
    json_without(value, is_deceptive)
}

/// Returns a JSON document in ASCII, for a place that takes nothing else.
pub fn ascii_json(value: &Value) -> String {
    json_without(value, |character| !character.is_ascii() || is_deceptive(character))
}

fn json_without(value: &Value, is_unwanted: impl Fn(char) -> bool) -> String {
    let written = value.to_string();
    if !written.contains(&is_unwanted) {
        return written;
    }
    let mut escaped = String::with_capacity(written.len());
    for character in written.chars() {
        match is_unwanted(character) {
            true => {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    // A write to a string cannot fail.
                    let _ = write!(escaped, "\\u{unit:04x}");
                }
            }
            false => escaped.push(character),
        }
    }
    escaped
}

/// Marks an escape sequence as landfall's own, so that [`visible`] leaves it alone.
pub fn own_colour(sequence: &str) -> String {
    sequence.replace("\x1b[", style_start())
}

/// Returns the prefix of landfall's own colour sequences. A number that no server can know distinguishes them
/// from planted ones.
fn style_start() -> &'static str {
    static START: OnceLock<String> = OnceLock::new();
    START.get_or_init(|| {
        let random = std::collections::hash_map::RandomState::new().hash_one(std::process::id());
        format!("\x1b[{random};")
    })
}

fn escaped(text: &str, is_unwanted: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(&is_unwanted) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        let taken = match own_sequence(rest) {
            Some(length) => {
                shown.push_str(&rest[..length]);
                length
            }
            None if is_unwanted(character) => {
                shown.extend(character.escape_unicode());
                character.len_utf8()
            }
            None => {
                shown.push(character);
                character.len_utf8()
            }
        };
        rest = &rest[taken..];
    }
    Cow::Owned(shown)
}

/// Returns the length of an own colour sequence at the beginning of a text.
fn own_sequence(text: &str) -> Option<usize> {
    let rest = text.strip_prefix(style_start())?;
    let end = rest.find(|letter: char| !letter.is_ascii_digit() && letter != ';')?;
    rest[end..].starts_with('m').then(|| text.len() - rest.len() + end + 1)
}

/// A writer that escapes every record before it writes it to the inner one.
pub struct Escaping<W>(pub W);

impl<W: std::io::Write> std::io::Write for Escaping<W> {
    fn write(&mut self, record: &[u8]) -> std::io::Result<usize> {
        self.0.write_all(visible(&String::from_utf8_lossy(record)).as_bytes())?;
        Ok(record.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::style::Styler;
    use serde_json::json;

    /// One character of every deceptive group.
    const PLANTED: &str =
        "a\x1b[2J\x07\r\x7f\u{9b}31m\u{61c}\u{200b}\u{200e}\u{202e}\u{2066}\u{2028}\u{feff}z";

    #[test]
    fn no_deceptive_character_of_a_foreign_text_remains() {
        for shown in [visible(PLANTED), inline(PLANTED), Cow::Owned(terminal(PLANTED))] {
            assert!(!shown.contains(is_deceptive), "{shown:?}");
            assert!(shown.starts_with("a\\u{1b}[2J") && shown.ends_with("\\u{feff}z"), "{shown}");
        }
    }

    #[test]
    fn lines_stay_where_a_text_has_several() {
        assert_eq!(visible("a\n\tb"), "a\n\tb");
        assert_eq!(inline("a\nb"), "a\\u{a}b");
        assert_eq!(visible("Grüße, 世界 👍"), "Grüße, 世界 👍");
    }

    #[test]
    fn only_landfalls_own_colours_reach_the_terminal() {
        let painted = Styler { on: true }.bad("x\x1b[32my");
        assert_eq!(terminal(&painted), "\x1b[1m\x1b[31mx\\u{1b}[32my\x1b[0m");
        assert_eq!(terminal(&visible(&painted)), terminal(&painted), "escaping twice changes nothing");
    }

    #[test]
    fn json_keeps_its_values_and_carries_no_deceptive_character() {
        let value = json!({ "name": format!("{PLANTED}\u{e0041}\"\\\n") });
        let written = json(&value);
        assert!(!written.contains(is_deceptive), "{written:?}");
        assert_eq!(serde_json::from_str::<Value>(&written).unwrap(), value);
    }
}
