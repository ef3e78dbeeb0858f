//! Edits of flow style, which includes JSON: `{…}` and `[…]`.
//!
//! An entry is added after the last one, with its leading space, and removed with the comma before it, so
//! that every other byte stays. As in [`super::text`], the result is parsed and compared. An unsupported form
//! yields `None` and does no harm.

use std::ops::Range;

use serde_json::Value;

use super::document::{Document, Entries};
use super::text::{ReplacedLine, has_content, is_mark};
use super::{Added, CURRENT};
use crate::yaml;

/// A sequence or mapping in flow style.
struct Collection {
    open: usize,
    entries: Vec<Entry>,
}

/// An entry of it, without the surrounding space.
struct Entry {
    /// The position of the comma or bracket before it.
    delimiter: usize,
    span: Range<usize>,
    /// The position of the colon in a mapping's entry.
    colon: Option<usize>,
}

impl Entry {
    /// Returns the range of its value.
    fn value(&self, text: &str) -> Range<usize> {
        let Some(colon) = self.colon else { return self.span.clone() };
        let value = &text[colon + 1..self.span.end];
        self.span.end - value.trim_start().len()..self.span.end
    }

    fn key(&self, text: &str) -> Option<String> {
        let key = yaml::read(&text[self.span.start..self.colon?]).ok()?;
        key.as_str().map(str::to_owned)
    }
}

/// Finds the flow mapping that is the whole document, and returns the position of its brace.
pub(super) fn document(text: &str) -> Option<usize> {
    let mut offset = 0;
    for line in text.split_inclusive('\n') {
        if line.trim_start().starts_with('{') {
            return Some(offset + line.len() - line.trim_start().len());
        }
        if has_content(line) && (!is_mark(line) || line.contains('{')) {
            return None;
        }
        offset += line.len();
    }
    None
}

/// Adds entries to the document whose brace is at `open`, and sets their context as current.
pub(super) fn insert_entries(
    text: &mut String,
    open: usize,
    entries: &Entries,
    replaced_lines: &mut Vec<ReplacedLine>,
) -> Option<()> {
    for (section, name, item) in entries.each() {
        let entry = format!("\"{section}\": [{item}]");
        match find(text, open, section)? {
            None => {
                replaced_lines.push((section.to_owned(), None));
                append(text, open, &entry)?;
            }
            Some(found) => {
                let value = found.value(text);
                match &text[value.clone()] {
                    list if list.starts_with('[') => insert_into_list(text, value.start, name, item)?,
                    "" | "null" | "~" => {
                        replaced_lines.push((section.to_owned(), Some(text[found.span.clone()].to_owned())));
                        text.replace_range(found.span, &entry);
                    }
                    _ => return None,
                }
            }
        }
    }
    let entry = format!("\"{CURRENT}\": {}", Value::from(entries.context.as_str()));
    match find(text, open, CURRENT)? {
        None => {
            replaced_lines.push((CURRENT.to_owned(), None));
            append(text, open, &entry)?;
        }
        Some(found) => {
            let current = yaml::read(&text[found.value(text)]).ok()?;
            if current != entries.context.as_str() {
                replaced_lines.push((CURRENT.to_owned(), Some(text[found.span.clone()].to_owned())));
                text.replace_range(found.span, &entry);
            }
        }
    }
    Some(())
}

/// Removes entries from the document whose brace is at `open`; `replaced_lines` contains the values to restore, by
/// key.
pub(super) fn remove_entries(
    text: &mut String,
    open: usize,
    document: &Document,
    added: &Added,
    replaced_lines: &[(&str, Option<&str>)],
) -> Option<()> {
    let replaced_lines =
        |key: &str| replaced_lines.iter().find(|(known, _)| *known == key).map(|(_, line)| *line);
    let restore = |text: &mut String, key: &str| match replaced_lines(key) {
        Some(Some(before)) => {
            let found = find(text, open, key)??;
            text.replace_range(found.span, before);
            Some(())
        }
        Some(None) => remove(text, open, |text, entry| entry.key(text).as_deref() == Some(key)),
        None => Some(()),
    };
    for (section, name) in added.names() {
        if document.place(section, name).is_none() {
            continue;
        }
        let list = find(text, open, section)??.value(text).start;
        remove_from_list(text, list, name)?;
        if collection(text, list)?.entries.is_empty() {
            restore(text, section)?;
        }
    }
    if document.current_context() == Some(added.context.as_str()) {
        restore(text, CURRENT)?;
    }
    Some(())
}

/// Adds an item to the list whose bracket is at `open`, and replaces the item of this name if there is one.
pub(super) fn insert_into_list(text: &mut String, open: usize, name: &str, item: &Value) -> Option<()> {
    let list = collection(text, open)?;
    match list.entries.iter().find(|entry| is_named(text, entry, name)) {
        Some(entry) => {
            text.replace_range(entry.span.clone(), &item.to_string());
            Some(())
        }
        None => append(text, open, &item.to_string()),
    }
}

/// Removes the item of this name from the list whose bracket is at `open`.
pub(super) fn remove_from_list(text: &mut String, open: usize, name: &str) -> Option<()> {
    remove(text, open, |text, entry| is_named(text, entry, name))
}

fn is_named(text: &str, entry: &Entry, name: &str) -> bool {
    yaml::read(&text[entry.span.clone()]).is_ok_and(|item| item["name"] == name)
}

/// Finds the entry of a key: `Some(None)` if it does not exist.
fn find(text: &str, open: usize, key: &str) -> Option<Option<Entry>> {
    let entries = collection(text, open)?.entries;
    Some(entries.into_iter().find(|entry| entry.key(text).as_deref() == Some(key)))
}

/// Adds an entry after the last one.
fn append(text: &mut String, open: usize, entry: &str) -> Option<()> {
    let found = collection(text, open)?;
    match found.entries.last() {
        Some(last) => {
            let before = &text[..last.span.start];
            let space = before[before.trim_end().len()..].to_owned();
            text.insert_str(last.span.end, &format!(",{space}{entry}"));
        }
        None => text.insert_str(found.open + 1, entry),
    }
    Some(())
}

fn remove(text: &mut String, open: usize, is_it: impl Fn(&str, &Entry) -> bool) -> Option<()> {
    let entries = collection(text, open)?.entries;
    let place = entries.iter().position(|entry| is_it(text, entry))?;
    let entry = &entries[place];
    let range = match entries.get(place + 1) {
        _ if place > 0 => entry.delimiter..entry.span.end,
        Some(next) => entry.span.start..next.span.start,
        None => entry.span.clone(),
    };
    text.replace_range(range, "");
    Some(())
}

/// Parses the sequence or mapping whose bracket is at `open`.
fn collection(text: &str, open: usize) -> Option<Collection> {
    let bytes = text.as_bytes();
    let mut found = Collection { open, entries: Vec::new() };
    let (mut depth, mut delimiter, mut at) = (0_usize, open, open + 1);
    let (mut start, mut end, mut colon): (Option<usize>, usize, Option<usize>) = (None, 0, None);
    let mut push = |start: &mut Option<usize>, end: usize, colon: &mut Option<usize>, delimiter: usize| {
        if let Some(start) = start.take() {
            found.entries.push(Entry { delimiter, span: start..end, colon: colon.take() });
        }
    };
    loop {
        let byte = *bytes.get(at)?;
        let before = bytes[at - 1];
        let next = match byte {
            b' ' | b'\t' | b'\r' | b'\n' => {
                at += 1;
                continue;
            }
            b'#' if before.is_ascii_whitespace() => {
                at += bytes[at..].iter().position(|byte| *byte == b'\n')?;
                continue;
            }
            b',' if depth == 0 => {
                push(&mut start, end, &mut colon, delimiter);
                delimiter = at;
                at += 1;
                continue;
            }
            b']' | b'}' if depth == 0 => {
                push(&mut start, end, &mut colon, delimiter);
                return Some(found);
            }
            b'"' | b'\'' if before.is_ascii_whitespace() || b"[{,:".contains(&before) => quoted(bytes, at)?,
            b'[' | b'{' => {
                depth += 1;
                at + 1
            }
            b']' | b'}' => {
                depth -= 1;
                at + 1
            }
            b':' if depth == 0 && colon.is_none() => {
                let after = *bytes.get(at + 1)?;
                if after.is_ascii_whitespace() || b",[]{}\"'".contains(&after) || b"\"'".contains(&before) {
                    colon = Some(at);
                }
                at + 1
            }
            _ => at + 1,
        };
        start.get_or_insert(at);
        (at, end) = (next, next);
    }
}

/// Returns the position after a quoted text that begins at `at`.
fn quoted(bytes: &[u8], at: usize) -> Option<usize> {
    let quote = bytes[at];
    let mut at = at + 1;
    loop {
        match *bytes.get(at)? {
            b'\\' if quote == b'"' => at += 2,
            byte if byte == quote && quote == b'\'' && bytes.get(at + 1) == Some(&quote) => at += 2,
            byte if byte == quote => return Some(at + 1),
            _ => at += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spans(text: &str) -> Vec<&str> {
        let found = collection(text, 0).unwrap();
        found.entries.iter().map(|entry| &text[entry.span.clone()]).collect()
    }

    #[test]
    fn entries_end_at_commas_of_their_nesting_level() {
        assert_eq!(
            spans(r#"[ {"a": "x,]"}, 'it''s, ]' , [1,2] ]"#),
            [r#"{"a": "x,]"}"#, "'it''s, ]'", "[1,2]"]
        );
        assert_eq!(spans("{a: 1, # b, c\n \"d\\\"\":2,\n}"), ["a: 1", "\"d\\\"\":2"]);
        assert_eq!(spans("[]"), [""; 0]);
        assert!(collection("[1, {", 0).is_none());
    }

    #[test]
    fn a_value_follows_its_colon() {
        let text = r#"{"a":{"b":1}, url: http://x:1, "c" : }"#;
        let found = collection(text, 0).unwrap();
        let values: Vec<&str> = found.entries.iter().map(|entry| &text[entry.value(text)]).collect();
        assert_eq!(values, [r#"{"b":1}"#, "http://x:1", ""]);
        assert_eq!(found.entries[2].key(text).as_deref(), Some("c"));
    }
}
