//! Conversion of Azure SDK errors into [`ApiError`].
//!
//! The SDK's own `Display` hides causes ("non-transport error occurred which will not be retried"). The whole
//! chain is therefore kept as `source`, and the kind comes from the innermost layer that knows it.

use super::{ApiError, ApiErrorKind, SendStatus, from_response};
use crate::{
    auth::SignInFailed,
    foreign_answer::{self, ForeignAnswer},
    http_client::{ResponseTooLarge, UntrustedCertificate},
    pipeline::{EarlierAttemptLost, ForeignOrigin, UnreadResponse},
    resolve::NameNotResolved,
    write_gate::WriteStopped,
};
use azure_core::{error::ErrorKind, http::RawResponse};
use std::error::Error;

/// Converts an error of the SDK. `method` and `path` describe the request.
pub(crate) fn from_sdk(error: azure_core::Error, method: &'static str, path: &str) -> ApiError {
    let mut api_error = if let Some(stopped) = find::<WriteStopped>(&error) {
        ApiError::new(ApiErrorKind::Failed, stopped.to_string()).with_sent(SendStatus::Never)
    } else if find::<ForeignOrigin>(&error).is_some() {
        ApiError::new(ApiErrorKind::Protocol, "send a token to a foreign server").with_sent(SendStatus::Never)
    } else if let Some(foreign) = find::<ForeignAnswer>(&error) {
        let (kind, sent) = match error.kind() {
            ErrorKind::Credential => (ApiErrorKind::SignIn, SendStatus::Never),
            _ => (ApiErrorKind::Protocol, SendStatus::Answered),
        };
        ApiError::new(kind, foreign.to_string()).with_sent(sent).with_code(foreign_answer::CODE)
    } else if let Some(too_large) = find::<ResponseTooLarge>(&error) {
        // The status may have been a success, so a write may have taken effect.
        let sent =
            if *error.kind() == ErrorKind::Credential { SendStatus::Never } else { SendStatus::Unknown };
        ApiError::new(ApiErrorKind::Protocol, too_large.to_string()).with_sent(sent)
    } else if let Some(failed) = find::<SignInFailed>(&error) {
        let mut api_error =
            ApiError::new(ApiErrorKind::SignIn, failed.message.clone()).with_sent(SendStatus::Never);
        api_error.code.clone_from(&failed.code);
        api_error.details.clone_from(&failed.failures);
        api_error
    } else if let ErrorKind::Credential = error.kind() {
        sign_in(&error)
    } else {
        no_response(&error)
    };
    // A lost attempt to get a token, deeper in the chain, is unrelated to the request that needed the token.
    let (earlier, unread) = match error.kind() {
        ErrorKind::Credential => {
            (error.source().and_then(|inner| inner.downcast_ref::<EarlierAttemptLost>()), None)
        }
        _ => (find::<EarlierAttemptLost>(&error), find::<UnreadResponse>(&error)),
    };
    if let Some(earlier) = earlier {
        api_error = api_error.at_least(earlier.sent);
    }
    let status =
        unread.map(|unread| unread.status).or(api_error.status.filter(|status| (300..400).contains(status)));
    api_error = api_error.with_request(method, path);
    if let Some(status) = status {
        api_error = api_error.with_response_status(status);
    }
    api_error.with_source(error)
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
    let (mut api_error, mut innermost) = (None, String::new());
    for layer in layers {
        // The outer layers only name the credential; an inner one says "az not found on PATH".
        innermost = layer.to_string();
        match layer.kind() {
            ErrorKind::HttpResponse { raw_response: Some(raw), error_code, .. } => {
                api_error = Some(refused(raw, error_code.as_deref()));
            }
            ErrorKind::Connection | ErrorKind::Io => api_error = Some(no_response(layer)),
            _ => {}
        }
    }
    let api_error =
        api_error.unwrap_or_else(|| ApiError::new(ApiErrorKind::SignIn, extract_cause(&innermost)));
    api_error.with_sent(SendStatus::Never)
}

/// Parses the answer of Entra's token endpoint: `AADSTS700016`, and the message without its trace ids.
fn refused(raw: &RawResponse, codes: Option<&str>) -> ApiError {
    let mut api_error = from_response(u16::from(raw.status()), raw.headers(), raw.body());
    if !matches!(api_error.kind, ApiErrorKind::Unavailable | ApiErrorKind::Throttled) {
        api_error.kind = ApiErrorKind::SignIn;
    }
    if let Some(number) = codes.and_then(|codes| codes.split(',').next()).filter(|n| !n.is_empty()) {
        api_error.inner_code = api_error.code.take();
        api_error.code = Some(format!("AADSTS{number}"));
    }
    api_error.message = first_line(&api_error.message);
    api_error
}

/// Classifies a request that got no answer, or an unusable one.
fn no_response(error: &azure_core::Error) -> ApiError {
    let (kind, sent) = match error.kind() {
        ErrorKind::HttpResponse { raw_response: Some(raw), .. } => {
            return from_response(u16::from(raw.status()), raw.headers(), raw.body());
        }
        ErrorKind::Connection => (ApiErrorKind::Transport, SendStatus::Never),
        ErrorKind::Io => (ApiErrorKind::Transport, SendStatus::Unknown),
        _ => (ApiErrorKind::Protocol, SendStatus::Answered),
    };
    let mut api_error = ApiError::new(kind, error.to_string()).with_sent(sent);
    if let Some(unresolved) = find::<NameNotResolved>(error) {
        api_error.code = Some("NameNotResolved".to_owned());
        api_error.message = unresolved.to_string();
    } else if let Some(untrusted) = find::<UntrustedCertificate>(error) {
        api_error.code = Some("UntrustedCertificate".to_owned());
        api_error.inner_code = untrusted.is_about_dates().then(|| "CertificateNotValidNow".to_owned());
        api_error.message = untrusted.to_string();
    }
    api_error
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
fn extract_cause(text: &str) -> String {
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
    fn a_failed_connection_is_distinguished_from_an_interrupted_one() {
        let refused = azure_core::Error::with_message(ErrorKind::Connection, "no connection to a.localhost");
        let broken =
            azure_core::Error::with_message(ErrorKind::Io, "the connection to a.localhost was interrupted");
        assert_eq!(from_sdk(refused, "PUT", "/x").sent, SendStatus::Never);
        let api_error = from_sdk(broken, "PUT", "/x");
        assert_eq!(
            (api_error.kind, api_error.sent, api_error.method),
            (ApiErrorKind::Transport, SendStatus::Unknown, "PUT")
        );
    }

    #[test]
    fn an_unresolved_name_has_a_code_at_any_depth() {
        let lookup =
            NameNotResolved::new("kv.example", std::io::Error::other("nodename nor servname provided"));
        let error =
            azure_core::Error::with_error(ErrorKind::Connection, lookup, "no connection to kv.example");
        let api_error = from_sdk(error, "GET", "/");
        assert_eq!(api_error.code.as_deref(), Some("NameNotResolved"));
        assert_eq!(api_error.message, "no address is known for kv.example");
    }

    #[test]
    fn a_missing_tool_is_reported_with_its_own_message() {
        let inner = azure_core::Error::with_message(ErrorKind::Credential, "az not found on PATH");
        let message =
            "AzureCliCredential authentication failed. az not found on PATH\nTo troubleshoot, visit …";
        let outer = azure_core::Error::with_error(ErrorKind::Credential, inner, message);
        assert_eq!(sign_in_reason(&outer), "az not found on PATH");
    }

    #[test]
    fn the_cause_is_extracted_from_the_output_of_a_tool() {
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
    fn an_entra_error_has_its_aadsts_code_and_one_sentence() {
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
        let api_error = from_sdk(outer, "GET", "/subscriptions");
        assert_eq!((api_error.kind, api_error.sent), (ApiErrorKind::SignIn, SendStatus::Never));
        assert_eq!(api_error.code.as_deref(), Some("AADSTS7000215"));
        assert_eq!(api_error.message, "AADSTS7000215: Invalid client secret provided.");
    }
}
