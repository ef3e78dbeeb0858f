//! Problem documents (RFC 8555 §6.7, RFC 7807), with the statuses and texts of Boulder.

use serde_json::{Value, json};

use crate::clock::Timing;
use crate::request::{Reply, with_retry_after};

/// The prefix of the types of ACME errors.
const URN: &str = "urn:ietf:params:acme:error:";

/// An error of an ACME server.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Problem {
    /// The type without its prefix, such as `malformed`.
    pub(super) kind: &'static str,
    pub(super) status: u16,
    pub(super) detail: String,
    /// The problems of single names.
    subproblems: Vec<Value>,
    /// The `Retry-After`.
    retry_after: Option<RetryAfter>,
    /// The value of a `Link` header.
    link: Option<String>,
}

/// The wait in a `Retry-After`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum RetryAfter {
    /// Seconds of cloud time.
    Cloud(f64),
    /// Milliseconds of real time.
    RealMs(i64),
}

/// The result of a handler.
pub(super) type Answer = Result<Reply, Problem>;

impl Problem {
    /// Creates a problem without further members.
    pub(super) fn new(status: u16, kind: &'static str, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        Self { kind, status, detail, subproblems: Vec::new(), retry_after: None, link: None }
    }

    /// The request is malformed.
    pub(super) fn malformed(detail: impl Into<String>) -> Self {
        Self::new(400, "malformed", detail)
    }

    /// There is nothing at the URL.
    pub(super) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(404, "malformed", detail)
    }

    /// The account has no right to this.
    pub(super) fn unauthorized(detail: impl Into<String>) -> Self {
        Self::new(403, "unauthorized", detail)
    }

    /// The certificate signing request is unacceptable.
    pub(super) fn bad_csr(detail: impl Into<String>) -> Self {
        Self::new(400, "badCSR", detail)
    }

    /// A limit is exceeded.
    pub(super) fn rate_limited(detail: impl Into<String>, retry_after: Option<RetryAfter>) -> Self {
        let link = Some(link("https://letsencrypt.org/docs/rate-limits", "help"));
        Self { retry_after, link, ..Self::new(429, "rateLimited", detail) }
    }

    /// Returns the problem with a text before its own.
    pub(super) fn prefixed(mut self, prefix: &str) -> Self {
        self.detail = format!("{prefix}{}", self.detail);
        self
    }

    /// Returns the problem with a `Link` header.
    pub(super) fn with_link(mut self, url: &str, relation: &str) -> Self {
        self.link = Some(link(url, relation));
        self
    }

    /// Combines the problems of several names; one alone keeps its type.
    pub(super) fn combined(detail: &str, mut problems: Vec<(String, Self)>) -> Option<Self> {
        let (_, first) = problems.first()?;
        let mut whole = Self { detail: format!("{detail} :: {}", first.detail), ..first.clone() };
        if problems.len() > 1 {
            if problems.iter().any(|(_, problem)| problem.kind != whole.kind) {
                whole.kind = "compound";
            }
            let more = problems.len() - 1;
            whole.detail = format!(
                "{} (and {more} more problems. Refer to sub-problems for more information.)",
                whole.detail
            );
            whole.subproblems = problems
                .drain(..)
                .map(|(name, problem)| {
                    let mut one = problem.document();
                    one["identifier"] = json!({ "type": "dns", "value": name });
                    one
                })
                .collect();
        }
        Some(whole)
    }

    /// Returns the document.
    pub(super) fn document(&self) -> Value {
        let mut document =
            json!({ "type": format!("{URN}{}", self.kind), "detail": self.detail, "status": self.status });
        if !self.subproblems.is_empty() {
            document["subproblems"] = json!(self.subproblems);
        }
        document
    }

    /// Returns the reply without a `Retry-After`.
    pub(super) fn reply_without_wait(&self) -> Reply {
        let body = serde_json::to_vec(&self.document()).expect("plain values serialise");
        let reply = Reply::bytes(self.status, "application/problem+json", body);
        match &self.link {
            Some(link) => append_link(reply, link),
            None => reply,
        }
    }

    /// Returns the reply.
    pub(super) fn reply(&self, timing: &Timing) -> Reply {
        let reply = self.reply_without_wait();
        // Every 500 of Boulder says when to come back.
        match self.retry_after.or((self.status == 500).then_some(RetryAfter::Cloud(60.0))) {
            Some(RetryAfter::Cloud(seconds)) => with_retry_after(reply, timing, Some(seconds)),
            Some(RetryAfter::RealMs(ms)) => {
                let seconds = (ms + 999).div_euclid(1000).max(1);
                reply
                    .with_header("retry-after", &seconds.to_string())
                    .with_header("retry-after-ms", &ms.to_string())
            }
            None => reply,
        }
    }
}

/// Adds a `Link` header (RFC 8288).
pub(super) fn add_link(reply: Reply, url: &str, relation: &str) -> Reply {
    append_link(reply, &link(url, relation))
}

fn link(url: &str, relation: &str) -> String {
    format!("<{url}>;rel=\"{relation}\"")
}

fn append_link(mut reply: Reply, link: &str) -> Reply {
    if let Ok(value) = http::HeaderValue::from_str(link) {
        reply.headers.append(http::header::LINK, value);
    }
    reply
}
