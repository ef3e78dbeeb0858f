//! A kubeconfig as lines, and its smallest edits.
//!
//! Only files in block style, whose keys stand at the left edge, can be edited so. Every function that finds
//! another form returns `None`, and the caller serializes the file. The scan need not be as careful as a
//! parser, because the result is parsed and compared.

use serde_json::Value;

use super::document::{Document, Entries};
use super::{Added, CURRENT, emit, flow};
use crate::yaml;

/// A replaced line: its key, and its former text.
pub(super) type ReplacedLine = (String, Option<String>);

/// The lines of a file, each with its line end.
pub(super) struct Text {
    lines: Vec<String>,
    /// The line end of this file.
    end: &'static str,
}

/// The range of a top-level key and its value.
struct Section {
    /// The line of the key.
    start: usize,
    /// The line after the last that belongs to it; comments before the next key count to this one.
    end: usize,
    /// The text after the colon, without a comment.
    value: String,
}

/// The items of a list.
struct Items {
    indent: usize,
    /// First line, and line after the last with content.
    ranges: Vec<(usize, usize)>,
}

impl Text {
    pub fn new(text: &str) -> Self {
        let end = if text.contains("\r\n") { "\r\n" } else { "\n" };
        Self { lines: text.split_inclusive('\n').map(str::to_owned).collect(), end }
    }

    pub fn finish(&self) -> String {
        self.lines.concat()
    }

    /// Ends the last line if it has no line end; returns whether that was so.
    pub fn end_line(&mut self) -> bool {
        match self.lines.last_mut() {
            Some(last) if !last.ends_with('\n') => {
                last.push_str(self.end);
                true
            }
            _ => false,
        }
    }

    /// Removes the line end of the last line.
    pub fn remove_line_end(&mut self) {
        if let Some(last) = self.lines.last_mut() {
            // Only the added characters: a carriage return before them may be the user's.
            let kept =
                last.strip_suffix(self.end).unwrap_or_else(|| last.trim_end_matches(['\r', '\n'])).len();
            last.truncate(kept);
        }
    }

    /// Adds lines at the end of the document.
    pub fn append(&mut self, text: &str) {
        let at = self.document_end();
        self.insert(at, text);
    }

    /// Returns the line of the marker that ends the document, `...`, or the line after the last.
    fn document_end(&self) -> usize {
        let is_end = |line: &String| line.strip_prefix("...").is_some_and(|rest| !has_content(rest));
        self.lines.iter().position(is_end).unwrap_or(self.lines.len())
    }

    /// Returns the position in the whole text of the bracket that begins the value of a section, if it is a
    /// list in flow style.
    fn bracket(&self, section: &Section) -> Option<usize> {
        let mut offset: usize = self.lines[..section.start].iter().map(String::len).sum();
        for (number, line) in self.lines[section.start..section.end].iter().enumerate() {
            let from = if number == 0 { line.find(':')? + 1 } else { 0 };
            let value = line[from..].trim_start();
            if has_content(value) {
                return value.starts_with('[').then(|| offset + line.len() - value.len());
            }
            offset += line.len();
        }
        None
    }

    /// Changes the whole text.
    fn change(&mut self, change: impl FnOnce(&mut String) -> Option<()>) -> Option<()> {
        let mut text = self.lines.concat();
        change(&mut text)?;
        self.lines = text.split_inclusive('\n').map(str::to_owned).collect();
        Some(())
    }

    fn insert(&mut self, at: usize, text: &str) {
        let lines: Vec<String> = text.lines().map(|line| format!("{line}{}", self.end)).collect();
        self.lines.splice(at..at, lines);
    }

    /// Adds entries and sets their context as current; records the replaced lines.
    pub fn insert_entries(
        &mut self,
        entries: &Entries,
        replaced_lines: &mut Vec<ReplacedLine>,
    ) -> Option<()> {
        for (section, name, item) in entries.each() {
            self.insert_item(section, name, item, replaced_lines)?;
        }
        let line = format!("{CURRENT}: {}", emit::scalar(&Value::from(entries.context.as_str())));
        match self.section(CURRENT)? {
            Some(found) => {
                // A replacement of the line works only for a value on the line of its key. In a block scalar,
                // what looks like a comment is text.
                let block = found.value.starts_with(['|', '>']);
                if block || self.lines[found.start + 1..found.end].iter().any(|line| has_content(line)) {
                    return None;
                }
                if found.value.trim_matches(['"', '\'']) != entries.context {
                    replaced_lines.push((CURRENT.to_owned(), Some(self.bare(found.start))));
                    self.turn(found.start, &line);
                }
            }
            None => {
                replaced_lines.push((CURRENT.to_owned(), None));
                self.append(&line);
            }
        }
        Some(())
    }

    fn insert_item(
        &mut self,
        key: &str,
        name: &str,
        item: &Value,
        replaced_lines: &mut Vec<ReplacedLine>,
    ) -> Option<()> {
        let Some(section) = self.section(key)? else {
            replaced_lines.push((key.to_owned(), None));
            self.append(&format!("{key}:\n{}", emit::item(item, 0)));
            return Some(());
        };
        match section.value.as_str() {
            "" => {}
            "[]" | "null" | "~" | "[ ]" => {
                replaced_lines.push((key.to_owned(), Some(self.bare(section.start))));
                self.turn(section.start, &format!("{key}:"));
                self.insert(section.start + 1, &emit::item(item, 0));
                return Some(());
            }
            _ if self.bracket(&section).is_none() => return None,
            _ => {}
        }
        if let Some(bracket) = self.bracket(&section) {
            return self.change(|text| flow::insert_into_list(text, bracket, name, item));
        }
        let items = self.items(&section)?;
        let Some(&(_, last)) = items.ranges.last() else {
            replaced_lines.push((key.to_owned(), Some(self.bare(section.start))));
            self.insert(section.start + 1, &emit::item(item, 0));
            return Some(());
        };
        match self.place(&items, name) {
            Some(place) => {
                let (start, end) = items.ranges[place];
                self.lines.drain(start..end);
                self.insert(start, &emit::item(item, items.indent));
            }
            None => self.insert(last, &emit::item(item, items.indent)),
        }
        Some(())
    }

    /// Removes entries from the file that `document` was read from, and restores the replaced lines.
    pub fn remove_entries(
        &mut self,
        document: &Document,
        added: &Added,
        replaced_lines: &[(&str, Option<&str>)],
    ) -> Option<()> {
        let replaced_lines =
            |key: &str| replaced_lines.iter().find(|(known, _)| *known == key).map(|(_, line)| *line);
        for (key, name) in added.names() {
            if document.place(key, name).is_none() {
                continue;
            }
            let section = self.section(key)??;
            if let Some(bracket) = self.bracket(&section) {
                self.change(|text| flow::remove_from_list(text, bracket, name))?;
                continue;
            }
            let items = self.items(&section)?;
            let (start, end) = items.ranges[self.place(&items, name)?];
            self.lines.drain(start..end);
            if items.ranges.len() == 1 {
                match replaced_lines(key) {
                    Some(Some(line)) => self.turn(section.start, line),
                    Some(None) => {
                        self.lines.remove(section.start);
                    }
                    // Others removed the entries of a list that existed: an empty list remains.
                    None => self.turn(section.start, &format!("{key}: []")),
                }
            }
        }
        if document.current_context() == Some(added.context.as_str()) {
            let start = self.section(CURRENT)??.start;
            match replaced_lines(CURRENT).flatten() {
                Some(line) => self.turn(start, line),
                None => {
                    self.lines.remove(start);
                }
            }
        }
        Some(())
    }

    /// Returns whether there are only comments and markers, which can stand before any text.
    pub fn is_preface(&self) -> bool {
        self.lines.iter().all(|line| !has_content(line) || is_mark(line))
    }

    /// Returns the comments and markers of a file that landfall created, without the keys that every
    /// kubeconfig has.
    pub fn without_skeleton(mut self, line_ended: bool) -> String {
        self.lines.retain(|line| !has_content(line) || is_mark(line));
        if line_ended {
            self.remove_line_end();
        }
        self.finish()
    }

    /// Replaces the text of a line, which keeps its own line end: a file may have both kinds.
    fn turn(&mut self, at: usize, text: &str) {
        let end = match &self.lines[at] {
            line if line.ends_with("\r\n") => "\r\n",
            line if line.ends_with('\n') => "\n",
            _ => self.end,
        };
        self.lines[at] = format!("{text}{end}");
    }

    /// Returns a line without its line end.
    fn bare(&self, line: usize) -> String {
        self.lines[line].trim_end_matches(['\r', '\n']).to_owned()
    }

    /// Finds a top-level key: `Some(None)` if it does not exist, `None` if the file is not in block style.
    fn section(&self, key: &str) -> Option<Option<Section>> {
        let mut found: Option<Section> = None;
        let document_end = self.document_end();
        for (number, line) in self.lines[..document_end].iter().enumerate() {
            if !has_content(line) {
                continue;
            }
            if line.starts_with(['{', '[', '\t', '?', '&', '!', '*']) {
                return None;
            }
            // A key may begin with a dash; an item has a space after it.
            let item =
                line.strip_prefix('-').is_some_and(|rest| rest.starts_with(['-', ' ', '\t', '\r', '\n']));
            if item || line.starts_with([' ', '.', '%', '}', ']']) {
                continue;
            }
            let (name, rest) = line.split_once(':')?;
            if let Some(found) = &mut found
                && found.end == document_end
            {
                found.end = number;
            }
            if name.trim().trim_matches(['"', '\'']) == key {
                let value = without_comment(rest).to_owned();
                found = Some(Section { start: number, end: document_end, value });
            }
        }
        Some(found)
    }

    /// Finds the items of a list in block style; none if it is empty.
    fn items(&self, section: &Section) -> Option<Items> {
        let mut items = Items { indent: 0, ranges: Vec::new() };
        for number in section.start + 1..section.end {
            let line = &self.lines[number];
            if !has_content(line) {
                continue;
            }
            let indent = line.len() - line.trim_start_matches(' ').len();
            let dash =
                line[indent..].strip_prefix('-').is_some_and(|rest| rest.starts_with([' ', '\r', '\n']));
            if items.ranges.is_empty() {
                items.indent = indent;
            }
            if dash && indent == items.indent {
                items.ranges.push((number, number + 1));
            } else {
                items.ranges.last_mut()?.1 = number + 1;
            }
        }
        Some(items)
    }

    /// Finds the item of a name by parsing each one separately.
    fn place(&self, items: &Items, name: &str) -> Option<usize> {
        items.ranges.iter().position(|(start, end)| {
            let item = yaml::read(&self.lines[*start..*end].concat());
            item.is_ok_and(|item| item[0]["name"] == name)
        })
    }
}

/// Returns whether a line is a directive, or begins or ends a document.
pub(super) fn is_mark(line: &str) -> bool {
    line.starts_with("---") || line.starts_with("...") || line.starts_with('%')
}

pub(super) fn has_content(line: &str) -> bool {
    let line = line.trim();
    !line.is_empty() && !line.starts_with('#')
}

/// Returns the text before a comment.
fn without_comment(rest: &str) -> &str {
    let rest = rest.trim();
    if rest.starts_with('#') {
        return "";
    }
    rest.split(" #").next().unwrap_or(rest).trim_end()
}
