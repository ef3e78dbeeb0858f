//! Parsing of URL paths.

use std::sync::Arc;

use http::Method;

use super::aggregation;
use super::definition::Definition;
use super::store::Store;

/// A subresource of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subresource {
    /// The object itself.
    Main,
    /// `/status`.
    Status,
    /// `/scale`.
    Scale,
    /// `/log`, the log of a pod's container.
    Log,
    /// `/token`, a token of a service account.
    Token,
    /// A subresource of a real cluster that needs a running program, by its name.
    Unavailable(&'static str),
}

/// The unavailable subresources, by the resource they belong to.
const UNAVAILABLE: [(&str, &str); 5] =
    [("pods", "exec"), ("pods", "attach"), ("pods", "portforward"), ("pods", "proxy"), ("services", "proxy")];

impl Subresource {
    /// Returns the name in the path; empty for the object itself.
    pub fn name(self) -> &'static str {
        match self {
            Self::Main => "",
            Self::Status => "status",
            Self::Scale => "scale",
            Self::Log => "log",
            Self::Token => "token",
            Self::Unavailable(name) => name,
        }
    }

    /// Returns the unavailable subresource of a core resource with this path below the object.
    fn unavailable(plural: &str, path: &[&str]) -> Option<Self> {
        let (part, below) = path.split_first()?;
        let names = UNAVAILABLE.iter().filter(|(resource, name)| *resource == plural && name == part);
        // Only a proxy has paths below it.
        let mut names = names.filter(|(_, name)| below.is_empty() || *name == "proxy");
        names.next().map(|(_, name)| Self::Unavailable(name))
    }
}

/// The target of a path.
#[derive(Debug, Clone, PartialEq)]
pub enum RequestTarget {
    /// Objects of a kind, or one of them.
    Objects(ResourcePath),
    /// `/api`.
    CoreVersions,
    /// `/apis`.
    Groups,
    /// `/apis/{group}`.
    Group(String),
    /// `/api/v1` or `/apis/{group}/{version}`.
    GroupVersion(String, String),
    /// `/version`.
    Version,
    /// `/readyz`, `/livez`, `/healthz`.
    Health,
    /// `/openapi/v2`.
    OpenApiV2,
    /// `/openapi/v3`, and the group version below it, `apis/apps/v1`.
    OpenApi(Option<String>),
    /// A path below an aggregated API without a backend.
    Unavailable,
    /// An unknown resource within a served group and version.
    UnknownResource,
    /// An unknown path.
    Unknown,
}

/// The location of objects.
#[derive(Debug, Clone, PartialEq)]
pub struct ResourcePath {
    /// The kind of the objects.
    pub definition: Arc<Definition>,
    /// The namespace; `None` for cluster-scoped kinds and for all namespaces.
    pub namespace: Option<String>,
    /// The name of a single object.
    pub name: Option<String>,
    /// The subresource.
    pub subresource: Subresource,
}

impl ResourcePath {
    /// Returns the namespace in the format of stores.
    pub fn namespace(&self) -> &str {
        self.namespace.as_deref().unwrap_or_default()
    }

    /// Returns the name in the format of stores.
    pub fn name(&self) -> &str {
        self.name.as_deref().unwrap_or_default()
    }

    /// Returns the authorization verb of a method.
    pub fn verb(&self, method: &Method, watching: bool) -> &'static str {
        match (method.as_str(), self.name.is_some()) {
            ("GET" | "HEAD", _) if watching => "watch",
            ("GET" | "HEAD", true) => "get",
            ("GET" | "HEAD", false) => "list",
            ("POST", _) => "create",
            ("PUT", _) => "update",
            ("PATCH", _) => "patch",
            ("DELETE", true) => "delete",
            ("DELETE", false) => "deletecollection",
            _ => "unknown",
        }
    }
}

/// Parses a path from its decoded segments.
pub fn parse(store: &Store, segments: &[String]) -> RequestTarget {
    let parts: Vec<&str> = segments.iter().map(String::as_str).collect();
    match parts.as_slice() {
        ["version"] => RequestTarget::Version,
        ["readyz" | "livez" | "healthz", ..] => RequestTarget::Health,
        ["openapi", "v2"] => RequestTarget::OpenApiV2,
        ["openapi", "v3"] => RequestTarget::OpenApi(None),
        ["openapi", "v3", rest @ ..] => RequestTarget::OpenApi(Some(rest.join("/"))),
        ["api"] => RequestTarget::CoreVersions,
        ["apis"] => RequestTarget::Groups,
        ["api", version, rest @ ..] => parse_resource(store, "", version, rest),
        ["apis", group] if serves_group(store, group) => RequestTarget::Group((*group).to_owned()),
        ["apis", group, version, rest @ ..] => parse_resource(store, group, version, rest),
        _ => RequestTarget::Unknown,
    }
}

fn serves_group(store: &Store, group: &str) -> bool {
    store.served().any(|kind| !kind.group.is_empty() && kind.group == group)
        || aggregation::has(store, group, None)
}

fn parse_resource(store: &Store, group: &str, version: &str, rest: &[&str]) -> RequestTarget {
    let mut kinds = store.served().filter(|kind| kind.group == group && kind.version == version).peekable();
    if kinds.peek().is_none() {
        let is_aggregated = aggregation::has(store, group, Some(version));
        let serves_other_version = !group.is_empty() && serves_group(store, group) && !rest.is_empty();
        return match (is_aggregated, serves_other_version) {
            (true, _) => RequestTarget::Unavailable,
            (false, true) => RequestTarget::UnknownResource,
            (false, false) => RequestTarget::Unknown,
        };
    }
    // `namespaces` is a resource itself and the prefix of everything inside a namespace.
    let (namespace, rest) = match rest {
        [] => return RequestTarget::GroupVersion(group.to_owned(), version.to_owned()),
        ["namespaces", namespace, inner @ ..]
            if !matches!(inner, []) && (!group.is_empty() || !matches!(inner, ["status" | "finalize"])) =>
        {
            (Some((*namespace).to_owned()), inner)
        }
        rest => (None, rest),
    };
    let (plural, name, subresource) = match rest {
        [plural] => (plural, None, Subresource::Main),
        [plural, name] => (plural, Some((*name).to_owned()), Subresource::Main),
        [plural, name, "status"] => (plural, Some((*name).to_owned()), Subresource::Status),
        [plural, name, "scale"] => (plural, Some((*name).to_owned()), Subresource::Scale),
        [plural, name, "log"] => (plural, Some((*name).to_owned()), Subresource::Log),
        [plural, name, "token"] => (plural, Some((*name).to_owned()), Subresource::Token),
        [plural, name, path @ ..] if group.is_empty() => match Subresource::unavailable(plural, path) {
            Some(subresource) => (plural, Some((*name).to_owned()), subresource),
            None => return RequestTarget::UnknownResource,
        },
        _ => return RequestTarget::UnknownResource,
    };
    let Some(definition) = kinds.find(|kind| kind.plural == *plural) else {
        return RequestTarget::UnknownResource;
    };
    let scope_fits =
        if definition.namespaced { namespace.is_some() || name.is_none() } else { namespace.is_none() };
    let has_part = match subresource {
        Subresource::Main | Subresource::Unavailable(_) => true,
        Subresource::Status => definition.has_status,
        Subresource::Scale => definition.scale.is_some(),
        Subresource::Log => definition.resource() == "pods",
        Subresource::Token => definition.resource() == "serviceaccounts",
    };
    if !scope_fits || !has_part {
        return RequestTarget::UnknownResource;
    }
    RequestTarget::Objects(ResourcePath { definition, namespace, name, subresource })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(path: &str) -> RequestTarget {
        parse(&Store::new("c"), &crate::request::segments(path))
    }

    #[test]
    fn paths_name_objects_lists_and_parts() {
        let resource_path = |path: &str| match read(path) {
            RequestTarget::Objects(resource_path) => resource_path,
            other => panic!("{path} named {other:?}"),
        };
        let all = resource_path("/apis/apps/v1/deployments");
        assert_eq!((all.namespace.as_deref(), all.name.as_deref()), (None, None));
        let one = resource_path("/apis/apps/v1/namespaces/demo/deployments/web/status");
        assert_eq!((one.namespace(), one.name(), one.subresource), ("demo", "web", Subresource::Status));
        let namespace = resource_path("/api/v1/namespaces/demo");
        assert_eq!((namespace.definition.kind.as_str(), namespace.name()), ("Namespace", "demo"));
        assert_eq!(resource_path("/api/v1/namespaces/demo/status").subresource, Subresource::Status);
        assert_eq!(resource_path("/api/v1/namespaces/demo/pods").definition.kind, "Pod");
    }

    #[test]
    fn unserved_resources_and_unknown_paths_are_distinguished() {
        assert_eq!(read("/apis/nope.io/v1/things"), RequestTarget::Unknown);
        assert_eq!(read("/apis/apps/v1/things"), RequestTarget::UnknownResource);
        assert_eq!(read("/apis/apps/v1/deployments/web"), RequestTarget::UnknownResource);
        assert_eq!(read("/api/v1/namespaces/demo/nodes"), RequestTarget::UnknownResource);
        assert_eq!(read("/api/v1/namespaces/demo/configmaps/a/status"), RequestTarget::UnknownResource);
        assert_eq!(read("/api/v1/namespaces/demo/configmaps/a/exec"), RequestTarget::UnknownResource);
        assert_eq!(read("/api/v1/namespaces/demo/pods/a/exec/more"), RequestTarget::UnknownResource);
        assert_eq!(read("/apis/apps/v1/namespaces/demo/deployments/a/exec"), RequestTarget::UnknownResource);
    }
}
