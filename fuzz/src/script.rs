//! The format of inputs with several messages: parts between lines of a single `~`. Each part is like an HTTP
//! message with a first line, headers, an empty line and a body. Any bytes are valid input.

/// One message.
pub struct Message<'a> {
    /// Its first line.
    pub first: String,
    /// Its headers, in order; lines without a colon are left out.
    pub headers: Vec<(String, String)>,
    /// The bytes after the first empty line.
    pub body: &'a [u8],
}

/// Splits an input at its separators.
pub fn parts(data: &[u8]) -> Vec<&[u8]> {
    let mut parts = Vec::new();
    let (mut start, mut line_start) = (0, 0);
    for line in data.split_inclusive(|byte| *byte == b'\n') {
        let next = line_start + line.len();
        if line == b"~\n" || line == b"~" {
            parts.push(&data[start..line_start]);
            start = next;
        }
        line_start = next;
    }
    parts.push(&data[start..]);
    parts
}

/// Parses a part as a message.
pub fn message(part: &[u8]) -> Message<'_> {
    let mut rest = part;
    let mut first = None;
    let mut headers = Vec::new();
    while !rest.is_empty() {
        let end = rest.iter().position(|byte| *byte == b'\n').map_or(rest.len(), |at| at + 1);
        let line = String::from_utf8_lossy(&rest[..end]);
        let line = line.trim_end_matches(['\r', '\n']);
        rest = &rest[end..];
        if first.is_none() {
            first = Some(line.to_owned());
        } else if line.is_empty() {
            break;
        } else if let Some((name, value)) = line.split_once(':') {
            headers.push((name.trim().to_owned(), value.trim().to_owned()));
        }
    }
    Message { first: first.unwrap_or_default(), headers, body: rest }
}
