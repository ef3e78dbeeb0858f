//! The parts of a recorded request: its region, its page, and whether the simulated cloud has its type.

use http::Method;

use super::names::REGION;
use crate::arm::routing::accepted_versions;

/// The parts of a vault's data plane that the simulated cloud does not have.
const FOREIGN_IN_VAULT: [&str; 3] =
    ["/certificates/issuers", "/certificates/restore", "/certificates/contacts"];

/// Returns a path whose region is that of the simulated cloud.
pub(super) fn located(path: &str) -> String {
    let mut segments: Vec<&str> = path.split('/').collect();
    if let Some(at) = segments.iter().position(|segment| *segment == "locations")
        && let Some(region) = segments.get_mut(at + 1)
    {
        *region = REGION;
    }
    segments.join("/")
}

/// Returns whether a request asks for a later page, whose token only Azure knows.
pub(super) fn is_page(url: &url::Url) -> bool {
    url.query_pairs().any(|(name, _)| name.to_ascii_lowercase().contains("skiptoken"))
}

/// Returns the type of a request if the simulated cloud does not have it.
pub(super) fn foreign_type(method: &Method, host: &str, path: &str) -> Option<String> {
    let lower = path.to_ascii_lowercase();
    if host.ends_with(".vault.azure.net") {
        let collection = lower.trim_start_matches('/').split('/').next().unwrap_or_default().to_owned();
        let is_foreign = FOREIGN_IN_VAULT.iter().any(|part| lower.starts_with(part))
            || lower.ends_with("/backup")
            || !(collection.ends_with("certificates")
                || (*method == Method::GET && ["keys", "secrets"].contains(&collection.as_str())));
        return is_foreign.then(|| {
            format!(
                "vault: {method} {}",
                lower.trim_start_matches('/').split('/').take(2).collect::<Vec<_>>().join("/")
            )
        });
    }
    // Nothing of landfall writes role definitions.
    let is_custom_role = *method != Method::GET && lower.contains("/roledefinitions/");
    let known = [Method::GET, Method::PUT, Method::DELETE, Method::POST];
    if !is_custom_role && known.iter().any(|method| accepted_versions(method, path).is_some()) {
        return None;
    }
    let kind = path.rsplit_once("/providers/").map_or(path, |(_, kind)| kind);
    let mut parts = kind.split('/');
    let namespace = parts.next().unwrap_or_default();
    let types: Vec<&str> = parts.step_by(2).collect();
    Some(format!("{namespace}/{}", types.join("/")))
}

/// The api-versions that a replay sends.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Versions {
    /// The newest that the simulated cloud accepts.
    Newest,
    /// That of the recording, if the simulated cloud accepts it.
    Recorded,
}

impl Versions {
    /// Returns the api-version for a request.
    pub(super) fn choose<'a>(self, recorded: &'a str, accepted: &[&'a str]) -> &'a str {
        match self {
            Self::Recorded if accepted.contains(&recorded) => recorded,
            _ => accepted.last().copied().unwrap_or(recorded),
        }
    }
}
