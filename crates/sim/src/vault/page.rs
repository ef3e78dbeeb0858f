//! Paged lists: `maxresults` up to 25, and a `nextLink` with a token that clients send back unchanged.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::VaultCall;
use super::error::VaultError;
use crate::request::Reply;
use crate::state::CloudState;

/// The maximum and default page size.
const PAGE: usize = 25;

/// Returns the requested page of `items`.
///
/// # Errors
/// 400 if `maxresults` or the token is invalid.
pub(super) fn reply(state: &CloudState, call: &VaultCall<'_>, items: &[Value]) -> Result<Reply, VaultError> {
    let size = match call.request.query("maxresults").map(str::parse::<usize>) {
        None => PAGE,
        Some(Ok(size)) if (1..=PAGE).contains(&size) => size,
        Some(_) => return Err(VaultError::parameter("The value of maxresults must be between 1 and 25.")),
    };
    let from = match call.request.query("$skiptoken") {
        None => 0,
        Some(token) => {
            read_token(token).ok_or_else(|| VaultError::parameter("The value of $skiptoken is not valid."))?
        }
    };
    let page: Vec<&Value> = items.iter().skip(from).take(size).collect();
    let next = (from + page.len() < items.len()).then(|| {
        let version = call.request.query("api-version").unwrap_or_default();
        let path = call.request.path.trim_matches('/');
        format!(
            "{}{path}?api-version={version}&$skiptoken={}&maxresults={size}",
            state.vault_uri(call.vault),
            write_token(from + page.len())
        )
    });
    Ok(Reply::json(200, &json!({"value": page, "nextLink": next})))
}

fn write_token(from: usize) -> String {
    URL_SAFE_NO_PAD.encode(format!("000000!{from}!"))
}

fn read_token(token: &str) -> Option<usize> {
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(token).ok()?).ok()?;
    text.strip_prefix("000000!")?.strip_suffix('!')?.parse().ok()
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_page_token_round_trips() {
        assert_eq!(super::read_token(&super::write_token(50)), Some(50));
        assert_eq!(super::read_token("MTIz"), None);
    }
}
