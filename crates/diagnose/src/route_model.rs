//! The fields of Gateways and HTTPRoutes that the diagnoses evaluate, with the API server's defaults. Pure.
//!
//! Source: `GatewaySpec` and `HTTPRouteSpec` of gateway.networking.k8s.io/v1.
//! <https://gateway-api.sigs.k8s.io/reference/spec/>

use crate::object_fields::{name, space};
use jiff::Timestamp;
use landfall_cloud::kubernetes::{DynamicObject, manifest::Manifest};
use serde::{Deserialize, de::DeserializeOwned};

/// A Gateway.
#[derive(Debug, Clone)]
pub(crate) struct Gateway {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) listeners: Vec<Listener>,
}

/// An HTTPRoute.
#[derive(Debug, Clone)]
pub(crate) struct Route {
    pub(crate) namespace: String,
    pub(crate) name: String,
    /// The time of its creation; `None` for a manifest.
    pub(crate) created: Option<Timestamp>,
    pub(crate) spec: RouteSpec,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct GatewaySpec {
    listeners: Vec<Listener>,
}

/// One port of a Gateway, for the hosts it accepts.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Listener {
    pub(crate) name: String,
    pub(crate) port: u16,
    pub(crate) protocol: String,
    pub(crate) hostname: String,
    pub(crate) tls: Tls,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Tls {
    pub(crate) mode: Option<String>,
    pub(crate) certificate_refs: Vec<Reference>,
}

/// A reference to an object.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Reference {
    pub(crate) kind: Option<String>,
    pub(crate) namespace: Option<String>,
    pub(crate) name: String,
    pub(crate) section_name: Option<String>,
    pub(crate) port: Option<u16>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct RouteSpec {
    pub(crate) parent_refs: Vec<Reference>,
    pub(crate) hostnames: Vec<String>,
    pub(crate) rules: Vec<Rule>,
}

/// A rule. Each of its matches leads to the filters and backends; without matches every request does.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Rule {
    pub(crate) matches: Vec<Match>,
    pub(crate) filters: Vec<Filter>,
    pub(crate) backend_refs: Vec<Backend>,
}

/// Conditions that must all hold.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Match {
    pub(crate) path: Option<ValueMatch>,
    pub(crate) method: Option<String>,
    pub(crate) headers: Vec<ValueMatch>,
    pub(crate) query_params: Vec<ValueMatch>,
}

/// A value and its comparison.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(default)]
pub(crate) struct ValueMatch {
    /// `Exact`, `PathPrefix` or `RegularExpression`; empty means the default of the field.
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) value: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Filter {
    pub(crate) request_redirect: Option<Redirect>,
    pub(crate) url_rewrite: Option<Rewrite>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Redirect {
    pub(crate) scheme: Option<String>,
    pub(crate) hostname: Option<String>,
    pub(crate) port: Option<u16>,
    pub(crate) path: Option<Replacement>,
    pub(crate) status_code: Option<u16>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Rewrite {
    pub(crate) path: Option<Replacement>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Replacement {
    pub(crate) replace_full_path: Option<String>,
    pub(crate) replace_prefix_match: Option<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Backend {
    pub(crate) kind: Option<String>,
    pub(crate) name: String,
    pub(crate) namespace: Option<String>,
    pub(crate) port: Option<u16>,
    pub(crate) weight: Option<u32>,
}

impl Gateway {
    /// Parses a Gateway.
    pub(crate) fn read(object: &DynamicObject) -> Self {
        Self {
            namespace: space(object).to_owned(),
            name: name(object).to_owned(),
            listeners: spec::<GatewaySpec>(object).listeners,
        }
    }

    /// Returns namespace and name of every Secret that a listener names.
    pub(crate) fn secrets(&self) -> impl Iterator<Item = (String, String)> {
        self.listeners.iter().flat_map(|listener| listener.secrets(&self.namespace))
    }
}

impl Route {
    /// Parses an HTTPRoute.
    pub(crate) fn read(object: &DynamicObject) -> Self {
        Self {
            namespace: space(object).to_owned(),
            name: name(object).to_owned(),
            created: object.metadata.creation_timestamp.as_ref().map(|created| created.0),
            spec: spec(object),
        }
    }

    /// Returns whether a gateway of this name is one of the parents.
    pub(crate) fn has_parent(&self, gateway: &str) -> bool {
        self.spec.parent_refs.iter().any(|parent| parent.name == gateway)
    }

    /// Returns the hosts without wildcards.
    pub(crate) fn plain_hosts(&self) -> impl Iterator<Item = &String> {
        self.spec.hostnames.iter().filter(|host| !host.starts_with('*'))
    }
}

impl Reference {
    /// Returns the name of the listener; empty if the reference names the whole gateway.
    pub(crate) fn section(&self) -> &str {
        self.section_name.as_deref().unwrap_or_default()
    }
}

impl Listener {
    /// Returns namespace and name of the Secrets; `namespace` is the gateway's.
    pub(crate) fn secrets(&self, namespace: &str) -> impl Iterator<Item = (String, String)> {
        let secrets =
            self.tls.certificate_refs.iter().filter(|one| {
                matches!(one.kind.as_deref(), None | Some("" | "Secret")) && !one.name.is_empty()
            });
        secrets.map(move |one| {
            let named = one.namespace.as_deref().filter(|named| !named.is_empty());
            (named.unwrap_or(namespace).to_owned(), one.name.clone())
        })
    }

    /// Returns whether the listener is encrypted; `None` if it is not HTTP. A TLS passthrough listener is
    /// `None` too, because the workload terminates TLS.
    pub(crate) fn is_secure(&self) -> Option<bool> {
        match self.protocol.as_str() {
            "HTTP" => Some(false),
            "HTTPS" if self.tls.mode.as_deref().is_none_or(|mode| mode == "Terminate") => Some(true),
            _ => None,
        }
    }
}

impl Backend {
    /// Returns whether the backend is a Service.
    pub(crate) fn is_service(&self) -> bool {
        matches!(self.kind.as_deref(), None | Some("" | "Service"))
    }

    pub(crate) fn weight(&self) -> u32 {
        self.weight.unwrap_or(1)
    }
}

impl Rule {
    pub(crate) fn redirect(&self) -> Option<&Redirect> {
        self.filters.iter().find_map(|filter| filter.request_redirect.as_ref())
    }

    /// Returns whether a plain GET of `/` can match the rule.
    pub(crate) fn may_match_root(&self) -> bool {
        let may = |one: &Match| {
            one.path.as_ref().is_none_or(|path| path.value == "/" || path.kind == "RegularExpression")
        };
        self.matches.is_empty() || self.matches.iter().any(may)
    }

    fn rewrite(&self) -> Option<&Replacement> {
        self.filters.iter().find_map(|filter| filter.url_rewrite.as_ref()?.path.as_ref())
    }

    /// Returns the path under which a request arrives at the workload; `prefix` is the part that the rule
    /// matched.
    pub(crate) fn upstream_path(&self, path: &str, prefix: &str) -> String {
        self.rewrite().map_or_else(|| path.to_owned(), |replacement| replacement.rewritten(path, prefix))
    }
}

impl Replacement {
    /// Returns the path under which a request arrives at a workload. Istio drops the trailing slash of a
    /// replaced prefix, and a prefix that is replaced by nothing goes with the slashes after it.
    pub(crate) fn rewritten(&self, path: &str, prefix: &str) -> String {
        let replaced = match (&self.replace_full_path, &self.replace_prefix_match) {
            (Some(whole), _) => whole.clone(),
            (None, Some(start)) => match start.strip_suffix('/').unwrap_or(start) {
                "" => format!("/{}", after_prefix(path, prefix).trim_start_matches('/')),
                start => format!("{start}{}", after_prefix(path, prefix)),
            },
            (None, None) => path.to_owned(),
        };
        if replaced.is_empty() { "/".to_owned() } else { replaced }
    }

    /// Returns the path of a redirect, which may have a query of its own. Envoy puts the replacement in front
    /// of the rest as it is written; an empty one leaves the path unchanged.
    pub(crate) fn redirected(&self, path: &str, prefix: &str) -> String {
        match (&self.replace_full_path, &self.replace_prefix_match) {
            (Some(whole), _) if !whole.is_empty() => whole.clone(),
            (None, Some(start)) if !start.is_empty() => format!("{start}{}", after_prefix(path, prefix)),
            _ => path.to_owned(),
        }
    }
}

/// Returns the part of a path after the matched prefix. The prefix `/` is the first slash itself.
fn after_prefix<'a>(path: &'a str, prefix: &str) -> &'a str {
    let prefix = match prefix.trim_end_matches('/') {
        "" => "/",
        prefix => prefix,
    };
    path.strip_prefix(prefix).unwrap_or(path)
}

/// Parses the Gateways and HTTPRoutes of a set.
pub(crate) fn read(manifests: &[Manifest]) -> (Vec<Gateway>, Vec<Route>) {
    let of = |kind: &'static str| {
        let objects = manifests.iter().map(|manifest| &manifest.object);
        objects.filter(move |object| object.types.as_ref().is_some_and(|types| types.kind == kind))
    };
    (of("Gateway").map(Gateway::read).collect(), of("HTTPRoute").map(Route::read).collect())
}

/// Parses a spec. Applied objects are valid; the step that applies the object reports an invalid one.
fn spec<T: DeserializeOwned + Default>(object: &DynamicObject) -> T {
    serde_json::from_value(object.data["spec"].clone()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn prefix(start: &str) -> Replacement {
        Replacement { replace_prefix_match: Some(start.into()), replace_full_path: None }
    }

    #[test]
    fn a_rewrite_replaces_a_prefix_up_to_a_segment_boundary() {
        let rewritten = |start: &str, path: &str, matched: &str| prefix(start).rewritten(path, matched);
        assert_eq!(rewritten("/", "/httpbin/anything/x", "/httpbin"), "/anything/x");
        assert_eq!(rewritten("/", "/httpbin//anything", "/httpbin"), "/anything");
        assert_eq!(rewritten("/", "/httpbin", "/httpbin"), "/");
        assert_eq!(rewritten("/new/", "/old/x", "/old/"), "/new/x");
        assert_eq!(rewritten("/new", "/", "/"), "/new");
    }

    #[test]
    fn a_redirect_puts_the_replacement_in_front_of_the_rest_as_it_is_written() {
        let redirected = |start: &str, path: &str, matched: &str| prefix(start).redirected(path, matched);
        assert_eq!(redirected("/new", "/old/x", "/old"), "/new/x");
        assert_eq!(redirected("/new/", "/old/x", "/old"), "/new//x");
        assert_eq!(redirected("/", "/old", "/old"), "/");
        assert_eq!(redirected("", "/old/x", "/old"), "/old/x");
        let full =
            |whole: &str| Replacement { replace_full_path: Some(whole.into()), ..Replacement::default() };
        assert_eq!(full("/new?a=1").redirected("/old", "/old"), "/new?a=1");
        assert_eq!(full("").redirected("/old", "/old"), "/old");
    }

    #[test]
    fn a_rule_without_matches_or_without_a_path_takes_the_root() {
        let takes = |rule: Value| serde_json::from_value::<Rule>(rule).unwrap().may_match_root();
        let path = |path: Value| takes(json!({ "matches": [{ "path": path }] }));
        assert!(takes(json!({ "backendRefs": [] })));
        assert!(takes(json!({ "matches": [{ "headers": [] }] })));
        assert!(path(json!({ "type": "PathPrefix", "value": "/" })));
        assert!(path(json!({ "type": "RegularExpression", "value": "/.*" })));
        assert!(!path(json!({ "type": "PathPrefix", "value": "/get" })));
        assert!(!path(json!({ "type": "Exact", "value": "/index" })));
    }
}
