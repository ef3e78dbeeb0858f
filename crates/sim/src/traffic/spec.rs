//! An HTTPRoute spec, parsed from its JSON, with the defaults of the API server.
//!
//! Source: `HTTPRouteSpec` of gateway.networking.k8s.io/v1.

use serde::Deserialize;

/// The kind of gateways in a store.
pub(super) const GATEWAYS: &str = "gateways.gateway.networking.k8s.io";
/// The kind of routes in a store.
pub(super) const ROUTES: &str = "httproutes.gateway.networking.k8s.io";

/// The part of a route spec that traffic uses.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Spec {
    pub hostnames: Vec<String>,
    pub rules: Vec<Rule>,
}

/// A rule: if any of its matches holds, its filters and backends apply.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Rule {
    pub matches: Vec<Match>,
    pub filters: Vec<RouteFilter>,
    pub backend_refs: Vec<Backend>,
    pub timeouts: Timeouts,
}

/// A match, of which all conditions must hold.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Match {
    pub path: Option<Value>,
    pub method: Option<String>,
    pub headers: Vec<Value>,
    pub query_params: Vec<Value>,
}

/// A value with its match type; headers and query parameters have a name.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Value {
    /// `Exact`, `PathPrefix` or `RegularExpression`; if empty, the default of the field.
    #[serde(rename = "type")]
    pub kind: String,
    pub name: String,
    pub value: String,
}

/// A filter of a request or its response.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RouteFilter {
    pub request_header_modifier: Option<Headers>,
    pub response_header_modifier: Option<Headers>,
    pub request_redirect: Option<Redirect>,
    pub url_rewrite: Option<Rewrite>,
}

/// Header changes, applied in the order remove, set, add.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Headers {
    pub set: Vec<Value>,
    pub add: Vec<Value>,
    pub remove: Vec<String>,
}

/// A redirect response.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Redirect {
    pub scheme: Option<String>,
    pub hostname: Option<String>,
    pub port: Option<u16>,
    pub path: Option<Path>,
    pub status_code: Option<u16>,
}

/// A rewrite of the hostname or the path.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Rewrite {
    pub hostname: Option<String>,
    pub path: Option<Path>,
}

/// A replacement of the full path, or of the matched prefix.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Path {
    pub replace_full_path: Option<String>,
    pub replace_prefix_match: Option<String>,
}

/// A backend with a share of the requests.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Backend {
    pub group: String,
    pub kind: String,
    pub name: String,
    pub namespace: Option<String>,
    pub port: Option<u16>,
    pub weight: u32,
    pub filters: Vec<RouteFilter>,
}

impl Default for Backend {
    fn default() -> Self {
        Self {
            group: String::new(),
            kind: "Service".into(),
            name: String::new(),
            namespace: None,
            port: None,
            weight: 1,
            filters: Vec::new(),
        }
    }
}

/// The timeouts of a response: GEP-2257 durations such as `500ms`; no limit if absent.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Timeouts {
    pub request: Option<String>,
    pub backend_request: Option<String>,
}

impl Timeouts {
    /// Returns the shorter of the two timeouts; `0s` disables one.
    pub fn bound(&self) -> Option<std::time::Duration> {
        [&self.request, &self.backend_request]
            .into_iter()
            .filter_map(|text| duration(text.as_deref()?))
            .filter(|bound| !bound.is_zero())
            .min()
    }
}

/// Parses a GEP-2257 duration: `1h30m`, `10s500ms`; returns `None` if it is malformed.
fn duration(text: &str) -> Option<std::time::Duration> {
    let mut total = 0u64;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|letter: char| !letter.is_ascii_digit()).filter(|at| *at > 0)?;
        let number: u64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let unit = rest.find(|letter: char| letter.is_ascii_digit()).unwrap_or(rest.len());
        total += number
            * match &rest[..unit] {
                "h" => 3_600_000,
                "m" => 60_000,
                "s" => 1_000,
                "ms" => 1,
                _ => return None,
            };
        rest = &rest[unit..];
    }
    Some(std::time::Duration::from_millis(total))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_follow_the_gateway_api() {
        let ms = |text: &str| duration(text).map(|d| d.as_millis());
        assert_eq!((ms("1h30m"), ms("10s500ms"), ms("0s")), (Some(5_400_000), Some(10_500), Some(0)));
        assert_eq!((ms("1.5s"), ms("s"), ms("5")), (None, None, None));
        let timeouts = Timeouts { request: Some("500ms".into()), backend_request: Some("0s".into()) };
        assert_eq!(timeouts.bound().map(|d| d.as_millis()), Some(500));
    }
}
