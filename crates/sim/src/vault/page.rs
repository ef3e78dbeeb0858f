//! Paged lists: `maxresults` up to 25, and a `nextLink` with a token that clients send back unchanged.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::Asked;
use super::refusal::Refusal;
use crate::request::Reply;
use crate::world::World;

/// The maximum and default page size.
const PAGE: usize = 25;

/// Returns the requested page of `items`.
///
/// # Errors
/// 400 if `maxresults` or the token is invalid.
pub(super) fn reply(world: &World, asked: &Asked<'_>, items: &[Value]) -> Result<Reply, Refusal> {
    let size = match asked.request.query("maxresults").map(str::parse::<usize>) {
        None => PAGE,
        Some(Ok(size)) if (1..=PAGE).contains(&size) => size,
        Some(_) => return Err(Refusal::parameter("The value of maxresults must be between 1 and 25.")),
    };
    let from = match asked.request.query("$skiptoken") {
        None => 0,
        Some(token) => {
            read_token(token).ok_or_else(|| Refusal::parameter("The value of $skiptoken is not valid."))?
        }
    };
    let page: Vec<&Value> = items.iter().skip(from).take(size).collect();
    let next = (from + page.len() < items.len()).then(|| {
        let version = asked.request.query("api-version").unwrap_or_default();
        let path = asked.request.path.trim_matches('/');
        format!(
            "{}{path}?api-version={version}&$skiptoken={}&maxresults={size}",
            world.vault_uri(asked.vault),
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
    fn a_token_comes_back_as_it_was_sent() {
        assert_eq!(super::read_token(&super::write_token(50)), Some(50));
        assert_eq!(super::read_token("MTIz"), None);
    }
}
