//! Conversion of Azure SDK errors into [`ApiError`].
//!
//! The SDK's own `Display` hides causes ("non-transport error occurred which will not be retried"). The whole
//! chain is therefore kept as `source`, and the kind comes from the innermost layer that knows it.

use super::{ApiError, ApiErrorKind, Sent, from_answer};
use crate::{
    pipeline::{AnswerUnread, EarlierTryLost, ForeignOrigin},
    resolve::NameNotResolved,
    sign_in::SignInFailed,
    transport::{AnswerTooLarge, UntrustedCertificate},
};
use azure_core::{error::ErrorKind, http::RawResponse};
use std::error::Error;

/// Converts an error of the SDK. `method` and `path` describe the request.
pub(crate) fn from_sdk(error: azure_core::Error, method: &'static str, path: &str) -> ApiError {
    let mut told = if find::<ForeignOrigin>(&error).is_some() {
        ApiError::new(ApiErrorKind::Protocol, "send a token to a foreign server").with_sent(Sent::Never)
    } else if let Some(too_large) = find::<AnswerTooLarge>(&error) {
        // The status may have been a success, so a write may have taken effect.
        let sent = if *error.kind() == ErrorKind::Credential { Sent::Never } else { Sent::Unknown };
        ApiError::new(ApiErrorKind::Protocol, too_large.to_string()).with_sent(sent)
    } else if let Some(failed) = find::<SignInFailed>(&error) {
        let mut told = ApiError::new(ApiErrorKind::SignIn, failed.message.clone()).with_sent(Sent::Never);
        told.code.clone_from(&failed.code);
        told.details.clone_from(&failed.answers);
        told
    } else if let ErrorKind::Credential = error.kind() {
        sign_in(&error)
    } else {
        unanswered(&error)
    };
    // A lost attempt to get a token, deeper in the chain, is unrelated to the request that needed the token.
    let (lost, unread) = match error.kind() {
        ErrorKind::Credential => {
            (error.source().and_then(|inner| inner.downcast_ref::<EarlierTryLost>()), None)
        }
        _ => (find::<EarlierTryLost>(&error), find::<AnswerUnread>(&error)),
    };
    if let Some(lost) = lost {
        told = told.at_least(lost.sent);
    }
    let status =
        unread.map(|unread| unread.status).or(told.status.filter(|status| (300..400).contains(status)));
    told = told.with_request(method, path);
    if let Some(status) = status {
        told = told.answered_with(status);
    }
    told.with_source(error)
}

/// Returns the reason why a credential source failed, in one line.
pub(crate) fn sign_in_reason(error: &azure_core::Error) -> String {
    match find::<SignInFailed>(error) {
        Some(failed) => failed.message.clone(),
        None => sign_in(error).message.clone(),
    }
}

/// Parses a refusal by the token endpoint, or the reason why it was not reached.
fn sign_in(error: &azure_core::Error) -> ApiError {
    let layers = chain(error).filter_map(|layer| layer.downcast_ref::<azure_core::Error>());
    let (mut told, mut innermost) = (None, String::new());
    for layer in layers {
        // The outer layers only name the credential; an inner one says "az not found on PATH".
        innermost = layer.to_string();
        match layer.kind() {
            ErrorKind::HttpResponse { raw_response: Some(raw), error_code, .. } => {
                told = Some(refused(raw, error_code.as_deref()));
            }
            ErrorKind::Connection | ErrorKind::Io => told = Some(unanswered(layer)),
            _ => {}
        }
    }
    let told = told.unwrap_or_else(|| ApiError::new(ApiErrorKind::SignIn, cause_in(&innermost)));
    told.with_sent(Sent::Never)
}

/// Parses the answer of Entra's token endpoint: `AADSTS700016`, and the message without its trace ids.
fn refused(raw: &RawResponse, codes: Option<&str>) -> ApiError {
    let mut told = from_answer(u16::from(raw.status()), raw.headers(), raw.body());
    if !matches!(told.kind, ApiErrorKind::Unavailable | ApiErrorKind::Throttled) {
        told.kind = ApiErrorKind::SignIn;
    }
    if let Some(number) = codes.and_then(|codes| codes.split(',').next()).filter(|n| !n.is_empty()) {
        told.inner_code = told.code.take();
        told.code = Some(format!("AADSTS{number}"));
    }
    told.message = first_line(&told.message);
    told
}

/// Classifies a request that got no answer, or an unusable one.
fn unanswered(error: &azure_core::Error) -> ApiError {
    let (kind, sent) = match error.kind() {
        ErrorKind::HttpResponse { raw_response: Some(raw), .. } => {
            return from_answer(u16::from(raw.status()), raw.headers(), raw.body());
        }
        ErrorKind::Connection => (ApiErrorKind::Transport, Sent::Never),
        ErrorKind::Io => (ApiErrorKind::Transport, Sent::Unknown),
        _ => (ApiErrorKind::Protocol, Sent::Answered),
    };
    let mut told = ApiError::new(kind, error.to_string()).with_sent(sent);
    if let Some(unresolved) = find::<NameNotResolved>(error) {
        told.code = Some("NameNotResolved".to_owned());
        told.message = unresolved.to_string();
    } else if let Some(untrusted) = find::<UntrustedCertificate>(error) {
        told.code = Some("UntrustedCertificate".to_owned());
        told.message = untrusted.to_string();
    }
    told
}

/// Returns the errors from this one to its last cause.
fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

/// Finds an error of a type in an error and its causes.
pub(crate) fn find<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    chain(error).find_map(|layer| layer.downcast_ref::<T>())
}

/// Finds the cause in the output of a tool such as `az`: its last exception, its `ERROR:`, or else its first
/// line.
fn cause_in(text: &str) -> String {
    const TRACEBACK: &str = "Traceback (most recent call last):";
    if let Some((_, frames)) = text.rsplit_once(TRACEBACK) {
        // The frames are indented; the exception is the first line that is not.
        let exception =
            frames.lines().find(|line| !line.is_empty() && !line.starts_with(char::is_whitespace));
        if let Some(exception) = exception {
            return first_line(exception);
        }
    }
    let error = text.lines().map(str::trim).find_map(|line| line.strip_prefix("ERROR:"));
    first_line(error.filter(|error| !error.trim().is_empty()).unwrap_or(text))
}

fn first_line(text: &str) -> String {
    let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("sign in");
    line.split(" Trace ID:").next().unwrap_or(line).trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use azure_core::http::headers::Headers;

    #[test]
    fn a_connection_that_was_never_made_is_told_apart_from_one_that_broke() {
        let refused = azure_core::Error::with_message(ErrorKind::Connection, "no connection to a.localhost");
        let broken =
            azure_core::Error::with_message(ErrorKind::Io, "the connection to a.localhost was interrupted");
        assert_eq!(from_sdk(refused, "PUT", "/x").sent, Sent::Never);
        let told = from_sdk(broken, "PUT", "/x");
        assert_eq!((told.kind, told.sent, told.method), (ApiErrorKind::Transport, Sent::Unknown, "PUT"));
    }

    #[test]
    fn a_name_without_address_has_a_code_however_deep_it_lies() {
        let lookup =
            NameNotResolved::new("kv.example", std::io::Error::other("nodename nor servname provided"));
        let error =
            azure_core::Error::with_error(ErrorKind::Connection, lookup, "no connection to kv.example");
        let told = from_sdk(error, "GET", "/");
        assert_eq!(told.code.as_deref(), Some("NameNotResolved"));
        assert_eq!(told.message, "no address is known for kv.example");
    }

    #[test]
    fn a_tool_that_is_missing_is_told_in_its_own_words() {
        let inner = azure_core::Error::with_message(ErrorKind::Credential, "az not found on PATH");
        let message =
            "AzureCliCredential authentication failed. az not found on PATH\nTo troubleshoot, visit …";
        let outer = azure_core::Error::with_error(ErrorKind::Credential, inner, message);
        assert_eq!(sign_in_reason(&outer), "az not found on PATH");
    }

    #[test]
    fn the_cause_is_found_in_what_a_tool_printed() {
        let traceback = "The command failed with an unexpected error. Here is the traceback:\nTraceback (most recent call last):\n  \
                         File \"a.py\", line 1\n    import x\nImportError: first\n\nDuring handling of the above exception, \
                         another exception occurred:\n\nTraceback (most recent call last):\n  File \"b.py\", line 2, in f\n\
                         ModuleNotFoundError: No module named 'msal'\nTo check existing issues, please visit: https://x\n";
        for (printed, cause) in [
            (traceback, "ModuleNotFoundError: No module named 'msal'"),
            (
                "WARNING: old\nERROR: AADSTS700082: The refresh token has expired.\nRun: az login\n",
                "AADSTS700082: The refresh token has expired.",
            ),
            ("az not found on PATH", "az not found on PATH"),
        ] {
            let inner = azure_core::Error::with_message(ErrorKind::Credential, printed);
            let outer = azure_core::Error::with_error(ErrorKind::Credential, inner, "failed");
            assert_eq!(sign_in_reason(&outer), cause);
        }
    }

    #[test]
    fn entras_refusal_has_its_aadsts_number_and_one_sentence() {
        let body = r#"{"error":"invalid_client","error_description":"AADSTS7000215: Invalid client secret provided. Trace ID: 1 Correlation ID: 2","error_codes":[7000215]}"#;
        let kind = ErrorKind::HttpResponse {
            status: 401.into(),
            error_code: Some("7000215".to_owned()),
            raw_response: Some(Box::new(RawResponse::from_bytes(
                401.into(),
                Headers::new(),
                body.as_bytes().to_vec(),
            ))),
        };
        let inner = azure_core::Error::with_message(kind, "AADSTS7000215: …");
        let outer = azure_core::Error::with_error(
            ErrorKind::Credential,
            inner,
            "ClientSecretCredential authentication failed.",
        );
        let told = from_sdk(outer, "GET", "/subscriptions");
        assert_eq!((told.kind, told.sent), (ApiErrorKind::SignIn, Sent::Never));
        assert_eq!(told.code.as_deref(), Some("AADSTS7000215"));
        assert_eq!(told.message, "AADSTS7000215: Invalid client secret provided.");
    }
}
