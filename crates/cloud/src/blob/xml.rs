//! The XML of the blob service: error messages, and pages of a list.

use quick_xml::{Reader, events::Event};

/// The end of a service's message, which repeats the request id and the time.
const TRAILER: &str = "\nRequestId:";

/// One step through a document: the path of open elements, and a text in it.
pub(super) fn walk(body: &[u8], mut visit: impl FnMut(&[String], Step<'_>)) -> Option<()> {
    let text = std::str::from_utf8(body).ok()?.trim_start_matches('\u{feff}');
    let mut reader = Reader::from_str(text);
    let mut path: Vec<String> = Vec::new();
    let mut content = String::new();
    loop {
        match reader.read_event().ok()? {
            Event::Start(start) => {
                path.push(start.name().as_ref().to_owned());
                content.clear();
                visit(&path, Step::Start);
            }
            Event::Text(text) => content.push_str(&text),
            Event::GeneralRef(entity) => content.push(character(&entity)?),
            Event::CData(data) => content.push_str(&data),
            Event::End(_) => {
                visit(&path, Step::End(&content));
                path.pop();
                content.clear();
            }
            Event::Eof => return Some(()),
            _ => {}
        }
    }
}

/// An event of [`walk`].
pub(super) enum Step<'a> {
    /// An element opens.
    Start,
    /// An element closes, with the text since the last tag.
    End(&'a str),
}

/// Returns the character of an entity.
fn character(entity: &str) -> Option<char> {
    match entity {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        other => {
            let number = other.strip_prefix('#')?;
            let code = match number.strip_prefix('x') {
                Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                None => number.parse().ok()?,
            };
            char::from_u32(code)
        }
    }
}

/// Returns the message of an error body, without its trailer.
pub(super) fn message(body: &[u8]) -> Option<String> {
    let mut found = None;
    walk(body, |path, step| {
        if let (["Error", "Message"], Step::End(text)) = (names(path).as_slice(), step) {
            let text = text.split(TRAILER).next().unwrap_or_default().trim().to_owned();
            found = Some(text).filter(|text| !text.is_empty());
        }
    })?;
    found
}

pub(super) fn names(path: &[String]) -> Vec<&str> {
    path.iter().map(String::as_str).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_has_no_trailer_and_decoded_entities() {
        let body = "\u{feff}<?xml version=\"1.0\" encoding=\"utf-8\"?><Error><Code>LeaseLost</Code><Message>A lease &amp; its \
                    id &#x27;x&#39;.\nRequestId:1\nTime:2026</Message></Error>";
        assert_eq!(message(body.as_bytes()).as_deref(), Some("A lease & its id 'x'."));
        assert_eq!(message(b""), None);
        assert_eq!(message(b"<html>"), None);
    }
}
