//! The request log: one line per request and response, in order, without bodies and secrets.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::clock::SimTime;
use crate::request::{Reply, Request};

/// A request with its response.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestRecord {
    /// The request number, counted from 1 over the lifetime of the state.
    pub n: u64,
    /// The arrival time, RFC 3339.
    pub at: String,
    /// The HTTP method.
    pub method: String,
    /// The host, lower case, without port.
    pub host: String,
    /// The path in its original form.
    pub path: String,
    /// The query, decoded.
    pub query: Vec<(String, String)>,
    /// The response status; 0 if the connection was cut instead of a response.
    pub status: u16,
    /// The object id of the caller, or empty.
    pub by: String,
    /// The `x-ms-client-request-id`, or empty.
    pub client_request_id: String,
    /// The `x-ms-correlation-request-id` of the request, or empty.
    pub correlation_id: String,
    /// The header `traceparent`, if the request has one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub traceparent: String,
    /// The `x-ms-request-id` of the response, or empty.
    pub request_id: String,
    /// The size of the request body in bytes.
    pub request_bytes: usize,
    /// The size of the response body in bytes, without a later stream.
    pub reply_bytes: usize,
    /// The name of the injected fault, or empty.
    #[serde(default)]
    pub fault: String,
}

impl RequestRecord {
    /// Returns whether the request is a dry run, which changes nothing.
    pub fn is_dry_run(&self) -> bool {
        self.query.iter().any(|(name, value)| name == "dryRun" && value == "All")
    }

    /// Creates the line of a request and its response.
    pub fn of(request: &Request, reply: &Reply, by: String, at: SimTime) -> Self {
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
            traceparent: sent("traceparent"),
            request_id: answered.unwrap_or_default().to_owned(),
            request_bytes: request.body.len(),
            reply_bytes: reply.body.len(),
            fault: reply.fault.unwrap_or_default().to_owned(),
        }
    }
}

/// The lines since the start, and the file with all lines.
#[derive(Debug)]
pub struct RequestLog {
    /// The file; `None` for a state without a folder.
    file: Option<File>,
    last: u64,
    lines: Vec<RequestRecord>,
}

impl RequestLog {
    /// Opens the file and continues its numbers.
    ///
    /// # Errors
    /// The file cannot be opened or read.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).read(true).mode(0o600).open(path)?;
        let mut last = 0;
        for line in BufReader::new(&file).lines() {
            // A torn last line has no number; the next line gets that number.
            if let Ok(line) = serde_json::from_str::<RequestRecord>(&line?) {
                last = line.n;
            }
        }
        Ok(Self { file: Some(file), last, lines: Vec::new() })
    }

    /// Returns a request log without a file.
    pub const fn in_memory() -> Self {
        Self { file: None, last: 0, lines: Vec::new() }
    }

    /// Returns the number of the next request.
    pub fn next_number(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    /// Appends a line; the operating system has it when this returns.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn append(&mut self, line: RequestRecord) -> io::Result<()> {
        if let Some(file) = &mut self.file {
            let mut text = serde_json::to_vec(&line).map_err(io::Error::other)?;
            text.push(b'\n');
            file.write_all(&text)?;
        }
        self.lines.push(line);
        Ok(())
    }

    /// Returns the lines since the start.
    pub fn lines(&self) -> &[RequestRecord] {
        &self.lines
    }

    /// Returns the lines since the start with a higher number.
    pub fn after(&self, number: u64) -> &[RequestRecord] {
        &self.lines[self.lines.partition_point(|line| line.n <= number)..]
    }
}
