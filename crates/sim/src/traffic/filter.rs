//! Route filters: redirects, URL rewrites, and header changes. Pure functions.
//!
//! Source: `HTTPRequestRedirectFilter`, `HTTPURLRewriteFilter` and `HTTPHeaderFilter` of
//! gateway.networking.k8s.io/v1.

use http::{HeaderMap, HeaderName, HeaderValue};

use super::spec::{Headers, Path, Redirect};

/// The entry point of a request.
#[derive(Debug, Clone, Copy)]
pub struct RequestOrigin<'a> {
    /// `http` or `https`.
    pub scheme: &'a str,
    /// The port of the listener.
    pub port: u16,
    /// The requested host, without a port.
    pub host: &'a str,
}

/// Returns the status and the location of a redirect. The query stays unchanged.
pub fn redirect(
    config: &Redirect,
    origin: RequestOrigin<'_>,
    path: &str,
    prefix: &str,
    query: Option<&str>,
) -> (u16, String) {
    let scheme = config.scheme.as_deref().unwrap_or(origin.scheme);
    let host = config.hostname.as_deref().unwrap_or(origin.host);
    let usual = |scheme: &str| if scheme == "https" { 443 } else { 80 };
    // A scheme without a port implies the default port of the scheme. With neither, the port is the
    // listener's.
    let port =
        config.port.unwrap_or_else(|| if config.scheme.is_some() { usual(scheme) } else { origin.port });
    let port = if port == usual(scheme) { String::new() } else { format!(":{port}") };
    let path = config.path.as_ref().map_or_else(|| path.to_owned(), |config| replaced(config, path, prefix));
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    (config.status_code.unwrap_or(302), format!("{scheme}://{host}{port}{path}{query}"))
}

/// Returns the replacement of the requested path.
pub fn replaced(config: &Path, path: &str, prefix: &str) -> String {
    if let Some(whole) = &config.replace_full_path {
        return if whole.is_empty() { "/".to_owned() } else { whole.clone() };
    }
    let Some(replacement) = &config.replace_prefix_match else { return path.to_owned() };
    let rest = path.strip_prefix(prefix.trim_end_matches('/')).unwrap_or(path);
    let replaced = format!("{}{rest}", replacement.trim_end_matches('/'));
    if replaced.is_empty() { "/".to_owned() } else { replaced }
}

/// Changes headers: set, then add, then remove. Invalid headers are skipped.
pub fn change(headers: &mut HeaderMap, config: &Headers) {
    let read = |name: &str, value: &str| {
        Some((HeaderName::try_from(name).ok()?, HeaderValue::try_from(value).ok()?))
    };
    for (name, value) in config.set.iter().filter_map(|one| read(&one.name, &one.value)) {
        headers.insert(name, value);
    }
    for (name, value) in config.add.iter().filter_map(|one| read(&one.name, &one.value)) {
        headers.append(name, value);
    }
    for name in &config.remove {
        headers.remove(name.as_str());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const ORIGIN: RequestOrigin<'_> = RequestOrigin { scheme: "http", port: 80, host: "example.org" };

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
    fn http_route_redirect_and_rewrite_path() {
        let prefix =
            |replacement: &str| Path { replace_prefix_match: Some(replacement.into()), ..Path::default() };
        for (path, matched, replacement, wanted) in [
            ("/foo/bar", "/foo", "/xyz", "/xyz/bar"),
            ("/foo/bar", "/foo", "/xyz/", "/xyz/bar"),
            ("/foo/bar", "/foo/", "/xyz", "/xyz/bar"),
            ("/foo", "/foo", "/xyz", "/xyz"),
            ("/foo/", "/foo", "/xyz", "/xyz/"),
            ("/foo/bar", "/foo", "", "/bar"),
            ("/foo/", "/foo", "", "/"),
            ("/foo", "/foo", "", "/"),
            ("/foo/", "/foo", "/", "/"),
            ("/foo", "/foo", "/", "/"),
            ("/bar", "/", "/xyz", "/xyz/bar"),
        ] {
            assert_eq!(
                replaced(&prefix(replacement), path, matched),
                wanted,
                "{path} {matched} {replacement}"
            );
        }
        let whole = Path { replace_full_path: Some("/one".into()), ..Path::default() };
        assert_eq!(replaced(&whole, "/full/path", "/full"), "/one");
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
