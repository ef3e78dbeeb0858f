//! Route filters: redirects, URL rewrites, and header changes. Pure functions.
//!
//! Source: `HTTPRequestRedirectFilter`, `HTTPURLRewriteFilter` and `HTTPHeaderFilter` of
//! gateway.networking.k8s.io/v1.

use http::{HeaderMap, HeaderName, HeaderValue};

use super::request_target::split_authority;
use super::spec::{Headers, Path, Redirect, RouteFilter};

/// The entry point of a request.
#[derive(Debug, Clone, Copy)]
pub struct RequestOrigin<'a> {
    /// `http` or `https`.
    pub scheme: &'a str,
    /// The port of the listener.
    pub port: u16,
    /// The authority as the client sent it: the host, with a port or without.
    pub authority: &'a str,
}

/// Returns the status and the location of a redirect.
///
/// The location starts from the authority of the request, with its port. A configured port replaces that
/// port, unless it is the default port of the scheme: Istio leaves that one out, and Envoy then keeps the port
/// of the request. A change of the scheme drops the default port of the old scheme.
/// <https://github.com/istio/istio/blob/master/pilot/pkg/networking/core/route/route.go>, `ApplyRedirect`.
pub fn redirect(
    config: &Redirect,
    origin: RequestOrigin<'_>,
    path: &str,
    prefix: &str,
    query: Option<&str>,
) -> (u16, String) {
    let default_port = |scheme: &str| if scheme == "https" { 443 } else { 80 };
    let scheme = config.scheme.as_deref().unwrap_or(origin.scheme);
    // With neither a port nor a scheme, the port is the listener's.
    let port = config.port.or_else(|| config.scheme.is_none().then_some(origin.port));
    let port = port.filter(|port| *port != default_port(scheme));
    let (host, request_port) = split_authority(origin.authority);
    let is_port_dropped = port.is_some()
        || scheme != origin.scheme
            && request_port.and_then(|port| port.parse().ok()) == Some(default_port(origin.scheme));
    let host = match &config.hostname {
        Some(hostname) => hostname,
        None if is_port_dropped => host,
        None => origin.authority,
    };
    let port = port.map(|port| format!(":{port}")).unwrap_or_default();
    let path =
        config.path.as_ref().map_or_else(|| path.to_owned(), |config| redirect_path(config, path, prefix));
    // A query in the replacement has precedence over that of the request.
    let query = query.filter(|_| !path.contains('?')).map(|query| format!("?{query}")).unwrap_or_default();
    (config.status_code.unwrap_or(302), format!("{scheme}://{host}{port}{path}{query}"))
}

/// Returns the path of a redirect. An empty replacement is none for Envoy, so the path stays.
fn redirect_path(config: &Path, path: &str, prefix: &str) -> String {
    match (&config.replace_full_path, &config.replace_prefix_match) {
        (Some(full), _) if !full.is_empty() => full.clone(),
        (None, Some(replacement)) if !replacement.is_empty() => {
            format!("{replacement}{}", after_prefix(path, prefix))
        }
        _ => path.to_owned(),
    }
}

/// Returns the authority and the path that a backend receives.
pub fn rewrite(filters: &[&RouteFilter], authority: &str, path: &str, prefix: &str) -> (String, String) {
    let (mut authority, mut path) = (authority.to_owned(), path.to_owned());
    for config in filters.iter().filter_map(|filter| filter.url_rewrite.as_ref()) {
        authority = config.hostname.clone().unwrap_or(authority);
        if let Some(config) = &config.path {
            path = rewrite_path(config, &path, prefix);
        }
    }
    (authority, path)
}

/// Returns the path of a rewrite.
///
/// Istio drops the trailing slash of a replaced prefix. If nothing is left, the prefix goes with the slashes
/// after it, so that the path keeps exactly one.
fn rewrite_path(config: &Path, path: &str, prefix: &str) -> String {
    if let Some(full) = &config.replace_full_path {
        return if full.is_empty() { "/".to_owned() } else { full.clone() };
    }
    let Some(replacement) = &config.replace_prefix_match else { return path.to_owned() };
    let rest = after_prefix(path, prefix);
    match replacement.strip_suffix('/').unwrap_or(replacement) {
        "" => format!("/{}", rest.trim_start_matches('/')),
        replacement => format!("{replacement}{rest}"),
    }
}

/// Returns the part of the path that follows the matched prefix. The prefix `/` is the first slash itself.
fn after_prefix<'a>(path: &'a str, prefix: &str) -> &'a str {
    path.strip_prefix(prefix).unwrap_or(path)
}

/// Changes headers in Envoy's order: remove, then set, then add. Invalid headers are skipped.
pub fn change(headers: &mut HeaderMap, config: &Headers) {
    let read = |name: &str, value: &str| {
        Some((HeaderName::try_from(name).ok()?, HeaderValue::try_from(value).ok()?))
    };
    for name in &config.remove {
        headers.remove(name.as_str());
    }
    for (name, value) in config.set.iter().filter_map(|one| read(&one.name, &one.value)) {
        headers.insert(name, value);
    }
    for (name, value) in config.add.iter().filter_map(|one| read(&one.name, &one.value)) {
        headers.append(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const ORIGIN: RequestOrigin<'_> = RequestOrigin { scheme: "http", port: 80, authority: "example.org" };

    fn redirect_of(
        config: serde_json::Value,
        origin: RequestOrigin<'_>,
        path: &str,
        prefix: &str,
    ) -> (u16, String) {
        redirect(&serde_json::from_value(config).unwrap(), origin, path, prefix, None)
    }

    #[test]
    fn http_route_redirect_host_status_scheme_and_port() {
        let odd = RequestOrigin { port: 8080, ..ORIGIN };
        let secure = RequestOrigin { scheme: "https", port: 443, ..ORIGIN };
        for (config, origin, status, wanted) in [
            (json!({ "hostname": "example.com" }), ORIGIN, 302, "http://example.com/a"),
            (json!({ "hostname": "example.com", "statusCode": 301 }), ORIGIN, 301, "http://example.com/a"),
            (json!({ "scheme": "https" }), ORIGIN, 302, "https://example.org/a"),
            (json!({ "scheme": "https", "port": 443 }), ORIGIN, 302, "https://example.org/a"),
            (json!({ "scheme": "https", "port": 8443 }), ORIGIN, 302, "https://example.org:8443/a"),
            (json!({ "port": 8083 }), ORIGIN, 302, "http://example.org:8083/a"),
            (json!({}), odd, 302, "http://example.org:8080/a"),
            (json!({ "scheme": "http" }), odd, 302, "http://example.org/a"),
            (json!({ "scheme": "http", "port": 80 }), secure, 302, "http://example.org/a"),
            (json!({ "port": 8083 }), secure, 302, "https://example.org:8083/a"),
        ] {
            assert_eq!(
                redirect_of(config.clone(), origin, "/a", "/"),
                (status, wanted.to_owned()),
                "{config}"
            );
        }
        let query = redirect(&Redirect::default(), ORIGIN, "/a", "/", Some("b=1"));
        assert_eq!(query.1, "http://example.org/a?b=1");
    }

    #[test]
    fn a_redirect_keeps_the_authority_of_the_request() {
        let from = |scheme, authority| RequestOrigin { scheme, authority, ..ORIGIN };
        for (config, origin, wanted) in [
            // The port of the request stays, also with a new scheme and with the port that the scheme implies.
            (json!({ "scheme": "https" }), from("http", "Shop.test:8080"), "https://Shop.test:8080/a"),
            (
                json!({ "scheme": "https", "port": 443 }),
                from("http", "shop.test:8080"),
                "https://shop.test:8080/a",
            ),
            (json!({ "port": 80 }), from("http", "shop.test:8080"), "http://shop.test:8080/a"),
            // The default port of the old scheme goes with the scheme.
            (json!({ "scheme": "https" }), from("http", "shop.test:80"), "https://shop.test/a"),
            (json!({ "scheme": "http" }), from("https", "shop.test:443"), "http://shop.test/a"),
            (json!({ "scheme": "http" }), from("http", "shop.test:80"), "http://shop.test:80/a"),
            // Another port replaces it, and a hostname replaces the whole authority.
            (json!({ "port": 8443 }), from("http", "shop.test:8080"), "http://shop.test:8443/a"),
            (json!({ "scheme": "https", "port": 8443 }), from("http", "[::1]:8080"), "https://[::1]:8443/a"),
            (json!({ "scheme": "http", "port": 443 }), from("http", "shop.test"), "http://shop.test:443/a"),
            (json!({ "hostname": "till.test" }), from("http", "shop.test:8080"), "http://till.test/a"),
        ] {
            let (_, location) = redirect_of(config.clone(), origin, "/a", "/");
            assert_eq!(location, wanted, "{config} {}", origin.authority);
        }
    }

    #[test]
    fn a_redirect_replaces_the_prefix_as_it_is_written() {
        for (path, matched, replacement, wanted) in [
            ("/foo/bar", "/foo", "/xyz", "/xyz/bar"),
            ("/foo", "/foo", "/xyz", "/xyz"),
            ("/foo/", "/foo", "/xyz", "/xyz/"),
            // A trailing slash of the replacement is doubled.
            ("/foo/bar", "/foo", "/xyz/", "/xyz//bar"),
            ("/foo", "/foo", "/xyz/", "/xyz/"),
            ("/foo/bar", "/foo", "/", "//bar"),
            ("/foo", "/foo", "/", "/"),
            // The prefix `/` is one character.
            ("/", "/", "/xyz", "/xyz"),
            ("/bar", "/", "/xyz", "/xyzbar"),
            ("/foo/bar", "/foo", "", "/foo/bar"),
        ] {
            let config = json!({ "path": { "replacePrefixMatch": replacement } });
            let (_, location) = redirect_of(config, ORIGIN, path, matched);
            assert_eq!(location, format!("http://example.org{wanted}"), "{path} {matched} {replacement}");
        }
    }

    #[test]
    fn a_query_in_the_replacement_has_precedence() {
        let location = |full: &str| {
            let config = json!({ "path": { "replaceFullPath": full } });
            redirect(&serde_json::from_value(config).unwrap(), ORIGIN, "/a", "/", Some("b=1")).1
        };
        assert_eq!(location("/new?c=2"), "http://example.org/new?c=2");
        assert_eq!(location("/new"), "http://example.org/new?b=1");
        assert_eq!(location(""), "http://example.org/a?b=1");
    }

    #[test]
    fn http_route_rewrite_path() {
        let prefix =
            |replacement: &str| Path { replace_prefix_match: Some(replacement.into()), ..Path::default() };
        for (path, matched, replacement, wanted) in [
            ("/foo/bar", "/foo", "/xyz", "/xyz/bar"),
            ("/foo/bar", "/foo", "/xyz/", "/xyz/bar"),
            ("/foo", "/foo", "/xyz", "/xyz"),
            ("/foo/", "/foo", "/xyz", "/xyz/"),
            ("/foo/bar", "/foo", "", "/bar"),
            ("/foo/", "/foo", "", "/"),
            ("/foo", "/foo", "", "/"),
            ("/foo/", "/foo", "/", "/"),
            ("/foo", "/foo", "/", "/"),
            ("/foo//bar", "/foo", "/", "/bar"),
            ("/", "/", "/xyz", "/xyz"),
            ("/bar", "/", "/xyz", "/xyzbar"),
        ] {
            assert_eq!(
                rewrite_path(&prefix(replacement), path, matched),
                wanted,
                "{path} {matched} {replacement}"
            );
        }
        let whole = Path { replace_full_path: Some("/one".into()), ..Path::default() };
        assert_eq!(rewrite_path(&whole, "/full/path", "/full"), "/one");
    }

    #[test]
    fn headers_are_removed_before_they_are_set_and_added() {
        let mut headers = HeaderMap::new();
        headers.insert("x-size", "old".parse().unwrap());
        let config = json!({
            "set": [{ "name": "X-Size", "value": "set" }],
            "add": [{ "name": "X-Size", "value": "added" }],
            "remove": ["X-Size"],
        });
        change(&mut headers, &serde_json::from_value(config).unwrap());
        assert_eq!(headers.get_all("x-size").iter().collect::<Vec<_>>(), ["set", "added"]);
    }

    #[test]
    fn http_route_header_modifier() {
        let mut headers = HeaderMap::new();
        headers.insert("x-header-set", "some-other-value".parse().unwrap());
        headers.insert("x-header-add", "add-appends".parse().unwrap());
        headers.insert("x-header-remove", "gone".parse().unwrap());
        let config = json!({
            "set": [{ "name": "X-Header-Set", "value": "set-overwrites" }],
            "add": [{ "name": "X-Header-Add", "value": "header-val" }],
            "remove": ["X-Header-Remove"],
        });
        change(&mut headers, &serde_json::from_value(config).unwrap());
        assert_eq!(headers["x-header-set"], "set-overwrites");
        let added: Vec<_> = headers.get_all("x-header-add").iter().collect();
        assert_eq!(added, ["add-appends", "header-val"]);
        assert!(!headers.contains_key("x-header-remove"));
    }
}
