//! The four patch types.

pub mod apply;
pub mod json_patch;
pub mod merge;
pub mod strategic;

use serde_json::{Value, json};

use super::decode;
use super::definition::Definition;
use super::status::StatusError;
use crate::request::Request;

/// The type of a patch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PatchKind {
    /// Server-side apply.
    Apply,
    /// JSON merge patch (RFC 7386).
    Merge,
    /// JSON patch (RFC 6902).
    Json,
    /// Strategic merge patch, which merges the lists of built-in kinds.
    Strategic,
}

impl PatchKind {
    /// Selects the type by a request's content type.
    ///
    /// # Errors
    /// 415 for other types, and for strategic patches of custom resources.
    pub fn of(request: &Request, definition: &Definition) -> Result<Self, StatusError> {
        let kind = match decode::media_type(request).as_str() {
            "application/apply-patch+yaml" => Self::Apply,
            "application/merge-patch+json" => Self::Merge,
            "application/json-patch+json" => Self::Json,
            "application/strategic-merge-patch+json" if !definition.custom => Self::Strategic,
            other => return Err(unsupported(definition, other)),
        };
        Ok(kind)
    }
}

fn unsupported(definition: &Definition, media_type: &str) -> StatusError {
    let mut accepted = vec!["application/json-patch+json", "application/merge-patch+json"];
    if !definition.custom {
        accepted.push("application/strategic-merge-patch+json");
    }
    accepted.push("application/apply-patch+yaml");
    if media_type == "application/strategic-merge-patch+json" {
        let accepted = accepted.join(", ");
        let message = format!(
            "the body of the request was in an unknown format - accepted media types include: {accepted}"
        );
        return decode::unsupported(&message);
    }
    decode::unsupported("415: Unsupported Media Type").with_details(json!({}))
}

/// Returns an object after a patch other than apply.
///
/// # Errors
/// 400 for an invalid patch, 422 for one that cannot be applied to the object.
pub fn patched(
    kind: PatchKind,
    definition: &Definition,
    object: &Value,
    body: &[u8],
) -> Result<Value, StatusError> {
    match kind {
        PatchKind::Json => json_patch::patched(object, body),
        PatchKind::Strategic => strategic::patched(&definition.schema, object, &decode::json(body)?),
        PatchKind::Merge | PatchKind::Apply => Ok(merge::patched(object, &decode::json(body)?)),
    }
}
