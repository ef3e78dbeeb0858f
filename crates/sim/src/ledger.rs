//! The ledger: one line for every request and what was answered, in order, without bodies and without secrets.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::clock::Moment;
use crate::request::{Reply, Request};

/// One request and its answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// Counts from 1 over the world's life.
    pub n: u64,
    /// When it arrived, RFC 3339.
    pub at: String,
    /// The verb.
    pub method: String,
    /// The host, lower case, without port.
    pub host: String,
    /// The path as sent.
    pub path: String,
    /// The query, decoded.
    pub query: Vec<(String, String)>,
    /// The status; 0 when the connection was cut in place of an answer.
    pub status: u16,
    /// The object id of the caller, or nothing.
    pub by: String,
    /// `x-ms-client-request-id`, or nothing.
    pub client_request_id: String,
    /// `x-ms-correlation-request-id` as sent, or nothing.
    pub correlation_id: String,
    /// `x-ms-request-id` as answered, or nothing.
    pub request_id: String,
    /// The size of the request's body.
    pub request_bytes: usize,
    /// The size of the answer's body, without what streams later.
    pub reply_bytes: usize,
    /// The name of the fault that bit it, or nothing.
    #[serde(default)]
    pub fault: String,
}

impl Line {
    /// Writes down a request and its answer.
    pub fn of(request: &Request, reply: &Reply, by: String, at: Moment) -> Self {
        let sent = |name: &str| request.header(name).unwrap_or_default().to_owned();
        let answered = reply.headers.get("x-ms-request-id").and_then(|value| value.to_str().ok());
        Self {
            n: request.number,
            at: at.rfc3339(),
            method: request.method.to_string(),
            host: request.host.clone(),
            path: request.path.clone(),
            query: request.query.clone(),
            status: if reply.delivery.is_answered() { reply.status.as_u16() } else { 0 },
            by,
            client_request_id: sent("x-ms-client-request-id"),
            correlation_id: sent("x-ms-correlation-request-id"),
            request_id: answered.unwrap_or_default().to_owned(),
            request_bytes: request.body.len(),
            reply_bytes: reply.body.len(),
            fault: reply.fault.map(|fault| fault.name().to_owned()).unwrap_or_default(),
        }
    }
}

/// The lines since the world was opened, and the file that keeps all of them.
#[derive(Debug)]
pub struct Ledger {
    /// None for a world that nobody keeps.
    file: Option<File>,
    last: u64,
    lines: Vec<Line>,
}

impl Ledger {
    /// Opens the file of a world and goes on counting where it ends.
    ///
    /// # Errors
    /// When the file cannot be opened or read.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).read(true).mode(0o600).open(path)?;
        let mut last = 0;
        for line in BufReader::new(&file).lines() {
            // A torn last line has no number; the next one gets the number it would have had.
            if let Ok(line) = serde_json::from_str::<Line>(&line?) {
                last = line.n;
            }
        }
        Ok(Self { file: Some(file), last, lines: Vec::new() })
    }

    /// Returns a ledger without a file.
    pub const fn unkept() -> Self {
        Self { file: None, last: 0, lines: Vec::new() }
    }

    /// Returns the number of the next request.
    pub fn next_number(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    /// Appends a line; it is with the operating system when this returns.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn append(&mut self, line: Line) -> io::Result<()> {
        if let Some(file) = &mut self.file {
            let mut text = serde_json::to_vec(&line).map_err(io::Error::other)?;
            text.push(b'\n');
            file.write_all(&text)?;
        }
        self.lines.push(line);
        Ok(())
    }

    /// Returns the lines since the world was opened.
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// Returns the lines since the world was opened that have a higher number.
    pub fn after(&self, number: u64) -> &[Line] {
        &self.lines[self.lines.partition_point(|line| line.n <= number)..]
    }
}
