//! Paged lists: `$top`, and an opaque `$skiptoken` in an absolute `nextLink`.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::arm::Call;
use crate::arm::dns::bad_request;
use crate::arm::error::ArmError;
use crate::request::Reply;
use crate::state::CloudState;

/// The maximum page size.
const TOP_MAX: usize = 100;

/// Returns one page of a list.
///
/// # Errors
/// 400 if `$top` or `$skiptoken` is invalid.
pub(super) fn of(state: &CloudState, call: &Call<'_>, all: Vec<Value>) -> Result<Reply, ArmError> {
    let top = match call.request.query("$top") {
        None => TOP_MAX,
        Some(text) => match text.parse::<usize>() {
            Ok(top @ 1..=TOP_MAX) => top,
            _ => {
                return Err(bad_request(format!(
                    "The value '{text}' of $top must be between 1 and {TOP_MAX}."
                )));
            }
        },
    };
    let skip = match call.request.query("$skiptoken") {
        None => 0,
        Some(token) => position(token).ok_or_else(|| bad_request("The $skiptoken is not valid."))?,
    };
    let more = all.len() > skip.saturating_add(top);
    let value: Vec<Value> = all.into_iter().skip(skip).take(top).collect();
    let mut body = json!({ "value": value });
    if more {
        body["nextLink"] = json!(next(state, call, skip + top));
    }
    Ok(Reply::json(200, &body))
}

fn position(token: &str) -> Option<usize> {
    let text = URL_SAFE_NO_PAD.decode(token).ok()?;
    std::str::from_utf8(&text).ok()?.strip_prefix("after:")?.parse().ok()
}

fn next(state: &CloudState, call: &Call<'_>, position: usize) -> String {
    let token = URL_SAFE_NO_PAD.encode(format!("after:{position}"));
    let kept = call.request.query.iter().filter(|(name, _)| !name.eq_ignore_ascii_case("$skiptoken"));
    let query = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(kept)
        .append_pair("$skiptoken", &token)
        .finish();
    format!("{}{}?{query}", state.arm_origin(), call.request.path)
}
