//! The testable fields of Gateways and HTTPRoutes, with the API server's defaults.
//!
//! Source: `GatewaySpec` and `HTTPRouteSpec` of gateway.networking.k8s.io/v1.
//! <https://gateway-api.sigs.k8s.io/reference/spec/>

use landfall_cloud::kubernetes::{DynamicObject, manifest::Manifest};
use serde::{Deserialize, de::DeserializeOwned};

/// A Gateway.
#[derive(Debug, Clone)]
pub(super) struct Gate {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) listeners: Vec<Listener>,
}

/// An HTTPRoute.
#[derive(Debug, Clone)]
pub(super) struct Route {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) spec: RouteSpec,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct GatewaySpec {
    listeners: Vec<Listener>,
}

/// One port of a Gateway, for the hosts it accepts.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Listener {
    pub(super) name: String,
    pub(super) port: u16,
    pub(super) protocol: String,
    pub(super) hostname: String,
    pub(super) tls: Tls,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Tls {
    pub(super) mode: Option<String>,
    pub(super) certificate_refs: Vec<Reference>,
}

/// A reference to an object.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Reference {
    pub(super) kind: Option<String>,
    pub(super) namespace: Option<String>,
    pub(super) name: String,
    pub(super) section_name: Option<String>,
    pub(super) port: Option<u16>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct RouteSpec {
    pub(super) parent_refs: Vec<Reference>,
    pub(super) hostnames: Vec<String>,
    pub(super) rules: Vec<Rule>,
}

/// A rule. Each of its matches leads to the filters and backends; without matches every request does.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Rule {
    pub(super) matches: Vec<Match>,
    pub(super) filters: Vec<Filter>,
    pub(super) backend_refs: Vec<Backend>,
}

/// Conditions that must all hold.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Match {
    pub(super) path: Option<Compared>,
    pub(super) method: Option<String>,
    pub(super) headers: Vec<Compared>,
    pub(super) query_params: Vec<Compared>,
}

/// A value and its comparison.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Compared {
    /// `Exact`, `PathPrefix` or `RegularExpression`; empty means the default of the field.
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) name: String,
    pub(super) value: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Filter {
    pub(super) request_redirect: Option<Redirect>,
    pub(super) url_rewrite: Option<Rewrite>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Redirect {
    pub(super) scheme: Option<String>,
    pub(super) hostname: Option<String>,
    pub(super) port: Option<u16>,
    pub(super) path: Option<Replacement>,
    pub(super) status_code: Option<u16>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Rewrite {
    pub(super) path: Option<Replacement>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Replacement {
    pub(super) replace_full_path: Option<String>,
    pub(super) replace_prefix_match: Option<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Backend {
    pub(super) name: String,
    pub(super) namespace: Option<String>,
    pub(super) weight: Option<u32>,
}

impl Listener {
    /// Returns whether the listener is encrypted; `None` if it is not HTTP. A TLS passthrough listener is
    /// `None` too, because the workload terminates TLS.
    pub(super) fn is_secure(&self) -> Option<bool> {
        match self.protocol.as_str() {
            "HTTP" => Some(false),
            "HTTPS" if self.tls.mode.as_deref().is_none_or(|mode| mode == "Terminate") => Some(true),
            _ => None,
        }
    }
}

impl Backend {
    pub(super) fn weight(&self) -> u32 {
        self.weight.unwrap_or(1)
    }
}

impl Rule {
    pub(super) fn redirect(&self) -> Option<&Redirect> {
        self.filters.iter().find_map(|filter| filter.request_redirect.as_ref())
    }

    fn rewrite(&self) -> Option<&Replacement> {
        self.filters.iter().find_map(|filter| filter.url_rewrite.as_ref()?.path.as_ref())
    }

    /// Returns the path under which a request arrives at the workload; `prefix` is the part that the rule
    /// matched.
    pub(super) fn arrives_as(&self, path: &str, prefix: &str) -> String {
        self.rewrite().map_or_else(|| path.to_owned(), |wish| wish.applied(path, prefix))
    }
}

impl Replacement {
    /// Returns the path with the replacement of the whole path or of the prefix, which is cut off at a slash.
    pub(super) fn applied(&self, path: &str, prefix: &str) -> String {
        let replaced = match (&self.replace_full_path, &self.replace_prefix_match) {
            (Some(whole), _) => whole.clone(),
            (None, Some(start)) => {
                let rest = path.strip_prefix(prefix.trim_end_matches('/')).unwrap_or(path);
                format!("{}{rest}", start.trim_end_matches('/'))
            }
            (None, None) => path.to_owned(),
        };
        if replaced.is_empty() { "/".to_owned() } else { replaced }
    }
}

/// Parses the Gateways and HTTPRoutes of a set.
pub(super) fn read(manifests: &[Manifest]) -> (Vec<Gate>, Vec<Route>) {
    let of = |kind: &'static str| {
        let objects = manifests.iter().map(|manifest| &manifest.object);
        objects.filter(move |object| object.types.as_ref().is_some_and(|types| types.kind == kind))
    };
    let gate = |object: &DynamicObject| Gate {
        namespace: space(object),
        name: name(object),
        listeners: spec::<GatewaySpec>(object).listeners,
    };
    let route =
        |object: &DynamicObject| Route { namespace: space(object), name: name(object), spec: spec(object) };
    (of("Gateway").map(gate).collect(), of("HTTPRoute").map(route).collect())
}

/// Parses a spec. Applied objects are valid; the step that applies the object reports an invalid one.
fn spec<T: DeserializeOwned + Default>(object: &DynamicObject) -> T {
    serde_json::from_value(object.data["spec"].clone()).unwrap_or_default()
}

pub(super) fn space(object: &DynamicObject) -> String {
    object.metadata.namespace.clone().unwrap_or_else(|| "default".to_owned())
}

pub(super) fn name(object: &DynamicObject) -> String {
    object.metadata.name.clone().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewritten(start: &str, path: &str, prefix: &str) -> String {
        let wish = Replacement { replace_prefix_match: Some(start.into()), replace_full_path: None };
        wish.applied(path, prefix)
    }

    #[test]
    fn a_prefix_is_replaced_up_to_a_slash() {
        assert_eq!(rewritten("/", "/httpbin/anything/x", "/httpbin"), "/anything/x");
        assert_eq!(rewritten("/", "/httpbin", "/httpbin"), "/");
        assert_eq!(rewritten("/new/", "/old/x", "/old/"), "/new/x");
    }
}
