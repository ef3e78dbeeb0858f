//! Answers that no Azure service and no API server sends: the redirect or the HTML page of a proxy or of a captive
//! portal, which answers in place of the service.

use crate::header_text::HeaderText;
use azure_core::{
    Error,
    error::ErrorKind,
    http::headers::{CONTENT_TYPE, HeaderName, Headers},
};
use std::fmt;
use url::Url;

const LOCATION: HeaderName = HeaderName::from_static("location");

/// The code of the [`ApiError`](crate::ApiError) for such an answer.
pub(crate) const CODE: &str = "NotFromService";

/// The first bytes of an HTML page, in lower case.
const HTML: [&str; 3] = ["<!doctype html", "<html", "<head"];

/// An answer that is not the service's. Its text fits after "failed to sign in: ".
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ForeignAnswer {
    /// The server that was asked.
    server: String,
    what: What,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum What {
    /// A redirect, with the origin that it names; `None` for a path of the same server.
    Redirect(Option<String>),
    /// A page.
    Page,
}

impl ForeignAnswer {
    /// Returns what is foreign about an answer of `server`; `None` for the answer of a service.
    ///
    /// The APIs never redirect (303 after a write excepted), and answer in JSON or plain text. Gateway errors
    /// (408, 429, 5xx) are transient whatever their body, and 401 starts a sign-in.
    pub(crate) fn detect(
        server: &str,
        status: u16,
        content_type: Option<&str>,
        location: Option<&str>,
        body: &[u8],
    ) -> Option<Self> {
        let what = match status {
            301 | 302 | 307 | 308 => What::Redirect(location.and_then(origin)),
            401 | 408 | 429 | 500.. => return None,
            _ if is_html(content_type, body) => What::Page,
            _ => return None,
        };
        Some(Self { server: server.to_owned(), what })
    }

    /// Like [`ForeignAnswer::detect`], for the headers of the SDK.
    pub(crate) fn of_headers(server: &str, status: u16, headers: &Headers, body: &[u8]) -> Option<Self> {
        let header = |name: &HeaderName| headers.text(name);
        Self::detect(server, status, header(&CONTENT_TYPE), header(&LOCATION), body)
    }

    /// Converts it to an error of the SDK, which is not retried.
    pub(crate) fn into_sdk_error(self) -> Error {
        let message = self.to_string();
        Error::with_error(ErrorKind::Other, self, message)
    }
}

impl fmt::Display for ForeignAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { server, what } = self;
        match what {
            What::Redirect(Some(to)) => write!(f, "the answer of {server} is a redirect to {to}")?,
            What::Redirect(None) => write!(f, "the answer of {server} is a redirect")?,
            What::Page => write!(f, "the answer of {server} is an HTML page, not JSON")?,
        }
        f.write_str(": a proxy or a captive portal answered in its place")
    }
}

impl std::error::Error for ForeignAnswer {}

fn is_html(content_type: Option<&str>, body: &[u8]) -> bool {
    if let Some(kind) = content_type {
        let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        if kind == "text/html" || kind == "application/xhtml+xml" {
            return true;
        }
    }
    let start = body.iter().position(|byte| !byte.is_ascii_whitespace()).unwrap_or(body.len());
    HTML.iter().any(|html| {
        body.get(start..start + html.len()).is_some_and(|head| head.eq_ignore_ascii_case(html.as_bytes()))
    })
}

/// Returns scheme and host of an absolute address. Path and query are omitted: they may contain a secret.
fn origin(location: &str) -> Option<String> {
    let url = Url::parse(location).ok()?;
    url.host_str().map(|host| format!("{}://{host}", url.scheme()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn detect(status: u16, content_type: Option<&str>, location: Option<&str>, body: &str) -> Option<String> {
        ForeignAnswer::detect("login.example", status, content_type, location, body.as_bytes())
            .map(|foreign| foreign.to_string())
    }

    #[test]
    fn a_redirect_and_a_page_are_foreign_and_name_the_server() {
        let redirected = detect(302, None, Some("http://portal.hotel.example/in?token=hunter2"), "");
        let expected = "the answer of login.example is a redirect to http://portal.hotel.example: a proxy or a \
                        captive portal answered in its place";
        assert_eq!(redirected.as_deref(), Some(expected));
        assert!(detect(307, None, Some("/elsewhere"), "").unwrap().contains("is a redirect:"));
        for (status, content_type, body) in [
            (200, Some("text/html; charset=utf-8"), ""),
            (200, None, "\r\n <!DOCTYPE html><title>Sign in</title>"),
            (403, Some("TEXT/HTML"), "blocked"),
            (404, None, "<HTML>"),
        ] {
            let page = detect(status, content_type, None, body).unwrap();
            assert!(page.contains("an HTML page, not JSON"), "{page}");
        }
    }

    #[test]
    fn the_answers_of_services_and_gateway_errors_are_not_foreign() {
        for (status, content_type, body) in [
            (200, Some("application/json"), "{}"),
            (202, None, ""),
            (303, None, ""),
            (401, Some("text/html"), "<html>"),
            (404, Some("text/plain"), "404 page not found"),
            (429, Some("text/html"), "<html>"),
            (502, Some("text/html"), "<html>"),
        ] {
            assert_eq!(detect(status, content_type, None, body), None, "{status} {body}");
        }
    }
}
