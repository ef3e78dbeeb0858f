//! The Gateway API's core conformance cases for matching and precedence, with their original names.

use super::*;
use serde_json::{Value as Json, json};

struct Route(&'static str, &'static str, Json);

fn table(listener: &str, routes: &[Route]) -> Table {
    let source = |route: &'_ Route| RouteSource {
        created: route.1,
        namespace: "infra",
        name: route.0,
        spec: serde_json::from_value(route.2.clone()).unwrap(),
    };
    // Leaked, so that a test can borrow the names of its routes.
    let routes: &'static [Route] =
        routes.iter().map(|r| Route(r.0, r.1, r.2.clone())).collect::<Vec<_>>().leak();
    Table::of(&Host::read(listener), routes.iter().map(source).collect())
}

/// Sends `METHOD host/path?query` with headers; returns the backend, or `404`.
fn backend_for(table: &Table, line: &str, headers: &[(&str, &str)]) -> String {
    let (method, rest) = line.split_once(' ').unwrap();
    let (host, rest) = rest.split_once('/').unwrap();
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    let query = crate::traffic::request_target::query_parameters(query);
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(http::HeaderName::try_from(*name).unwrap(), value.parse().unwrap());
    }
    let path = format!("/{path}");
    let head = RequestHead { host, path: &path, query: &query, method, headers: &map };
    let route_match = table.find(&head);
    route_match.map_or_else(|| "404".to_owned(), |route_match| route_match.rule.backend_refs[0].name.clone())
}

fn to(backend: &str, matches: Json) -> Json {
    json!({ "matches": matches, "backendRefs": [{ "name": backend, "port": 8080 }] })
}

fn prefix(value: &str) -> Json {
    json!({ "path": { "type": "PathPrefix", "value": value } })
}

fn exact(value: &str) -> Json {
    json!({ "path": { "type": "Exact", "value": value } })
}

fn header(name: &str, value: &str) -> Json {
    json!({ "name": name, "value": value })
}

const OLD: &str = "2026-01-01T00:00:00Z";
const NEW: &str = "2026-02-01T00:00:00Z";

#[test]
fn http_route_matching() {
    let spec = json!({ "rules": [
        to("v1", json!([prefix("/"), { "headers": [header("version", "one")] }])),
        to("v2", json!([prefix("/v2"), { "headers": [header("version", "two")] }])),
    ] });
    let table = table("", &[Route("matching", OLD, spec)]);
    for (line, version, wanted) in [
        ("GET x.test/", None, "v1"),
        ("GET x.test/example", None, "v1"),
        ("GET x.test/", Some("one"), "v1"),
        ("GET x.test/v2", None, "v2"),
        ("GET x.test/v2example", None, "v1"),
        ("GET x.test/foo/v2/example", None, "v1"),
        ("GET x.test/", Some("two"), "v2"),
        ("GET x.test/v2/", None, "v2"),
    ] {
        let headers: Vec<(&str, &str)> = version.map(|version| ("Version", version)).into_iter().collect();
        assert_eq!(backend_for(&table, line, &headers), wanted, "{line} {version:?}");
    }
}

#[test]
fn http_route_matching_across_routes() {
    let one = json!({ "hostnames": ["example.com", "example.net"], "rules": [
        to("v1", json!([prefix("/"), { "headers": [header("version", "one")] }])),
    ] });
    let other = json!({ "hostnames": ["example.com"], "rules": [
        to("v2", json!([prefix("/v2"), { "headers": [header("version", "two")] }])),
    ] });
    let table = table("", &[Route("part1", OLD, one), Route("part2", NEW, other)]);
    for (line, version, wanted) in [
        ("GET example.com/", None, "v1"),
        ("GET example.com/example", None, "v1"),
        ("GET example.net/example", None, "v1"),
        ("GET example.com/example", Some("one"), "v1"),
        ("GET example.com/v2", None, "v2"),
        // The most specific hostname has no such route.
        ("GET example.net/v2", None, "v1"),
        ("GET example.com/", Some("two"), "v2"),
        ("GET example.com/v2example", None, "v1"),
        ("GET other.org/", None, "404"),
    ] {
        let headers: Vec<(&str, &str)> = version.map(|version| ("version", version)).into_iter().collect();
        assert_eq!(backend_for(&table, line, &headers), wanted, "{line} {version:?}");
    }
}

#[test]
fn http_route_exact_path_matching() {
    let spec = json!({ "rules": [to("v1", json!([exact("/one")])), to("v2", json!([exact("/two")]))] });
    let table = table("", &[Route("exact", OLD, spec)]);
    for (line, wanted) in [
        ("GET x.test/one", "v1"),
        ("GET x.test/two", "v2"),
        ("GET x.test/", "404"),
        ("GET x.test/one/example", "404"),
        ("GET x.test/Two", "404"),
        ("GET x.test/two/", "404"),
    ] {
        assert_eq!(backend_for(&table, line, &[]), wanted, "{line}");
    }
}

#[test]
fn http_route_path_match_order() {
    let spec = json!({ "rules": [
        to("v3", json!([exact("/match/exact/one")])),
        to("v2", json!([exact("/match/exact")])),
        to("v1", json!([exact("/match")])),
        to("v2", json!([prefix("/match/prefix")])),
        to("v1", json!([prefix("/match/prefix/one")])),
        to("v3", json!([prefix("/match")])),
    ] });
    let table = table("", &[Route("order", OLD, spec)]);
    for (line, wanted) in [
        ("GET x.test/match/exact/one", "v3"),
        ("GET x.test/match/exact", "v2"),
        ("GET x.test/match", "v1"),
        ("GET x.test/match/prefix/one/any", "v1"),
        ("GET x.test/match/prefix/any", "v2"),
        ("GET x.test/match/any", "v3"),
    ] {
        assert_eq!(backend_for(&table, line, &[]), wanted, "{line}");
    }
}

#[test]
fn http_route_header_matching() {
    let spec = json!({ "rules": [
        to("v1", json!([{ "headers": [header("version", "one")] }])),
        to("v2", json!([{ "headers": [header("version", "two")] }])),
        to("v1", json!([{ "headers": [header("version", "two"), header("color", "orange")] }])),
        to("v1", json!([{ "headers": [header("color", "blue")] }, { "headers": [header("color", "green")] }])),
        to("v2", json!([{ "headers": [header("color", "red")] }, { "headers": [header("color", "yellow")] }])),
    ] });
    let table = table("", &[Route("headers", OLD, spec)]);
    for (headers, wanted) in [
        (vec![("Version", "one")], "v1"),
        (vec![("Version", "two")], "v2"),
        (vec![("Version", "two"), ("Color", "orange")], "v1"),
        (vec![("Color", "orange")], "404"),
        (vec![("Some-Other-Header", "one")], "404"),
        (vec![("Color", "blue")], "v1"),
        (vec![("Color", "green")], "v1"),
        (vec![("Color", "red")], "v2"),
        (vec![("Color", "yellow")], "v2"),
        (vec![("Color", "purple")], "404"),
        (vec![("Color", "blue"), ("Color", "green")], "404"),
    ] {
        assert_eq!(backend_for(&table, "GET x.test/", &headers), wanted, "{headers:?}");
    }
}

#[test]
fn http_route_method_matching() {
    let method = |method: &str| json!({ "method": method });
    let spec = json!({ "rules": [
        to("v1", json!([method("POST")])),
        to("v2", json!([method("GET")])),
        to("v3", json!([{ "path": { "value": "/path5" } }])),
        to("v1", json!([{ "path": { "value": "/path1" }, "method": "GET" }])),
        to("v2", json!([{ "headers": [header("version", "one")], "method": "PUT" }])),
    ] });
    let table = table("", &[Route("methods", OLD, spec)]);
    assert_eq!(backend_for(&table, "POST x.test/", &[]), "v1");
    assert_eq!(backend_for(&table, "GET x.test/", &[]), "v2");
    assert_eq!(backend_for(&table, "HEAD x.test/", &[]), "404");
    assert_eq!(backend_for(&table, "GET x.test/path1", &[]), "v1");
    assert_eq!(backend_for(&table, "PUT x.test/", &[("version", "one")]), "v2");
    // The longer path has precedence over the method.
    assert_eq!(backend_for(&table, "GET x.test/path5", &[]), "v3");
}

#[test]
fn http_route_query_param_matching() {
    let query = |name: &str, value: &str| json!({ "name": name, "value": value });
    let spec = json!({ "rules": [
        to("v1", json!([{ "queryParams": [query("animal", "whale")] }])),
        to("v2", json!([{ "queryParams": [query("animal", "dolphin")] }])),
        to("v3", json!([{ "queryParams": [query("animal", "dolphin"), query("color", "blue")] }])),
    ] });
    let table = table("", &[Route("query", OLD, spec)]);
    for (line, wanted) in [
        ("GET x.test/?animal=whale", "v1"),
        ("GET x.test/?animal=dolphin", "v2"),
        ("GET x.test/?animal=dolphin&color=blue", "v3"),
        ("GET x.test/?animal=Dolphin", "404"),
        ("GET x.test/?color=blue", "404"),
        ("GET x.test/?animal=whale&otherparam=irrelevant", "v1"),
        ("GET x.test/", "404"),
    ] {
        assert_eq!(backend_for(&table, line, &[]), wanted, "{line}");
    }
}

#[test]
fn http_route_hostname_intersection() {
    let route = |name, hosts: Json| {
        Route(name, OLD, json!({ "hostnames": hosts, "rules": [to("v1", json!([prefix("/s1")]))] }))
    };
    let wildcard = table(
        "*.wildcard.io",
        &[route("r", json!(["non.matching.com", "wildcard.io", "foo.wildcard.io", "*.x.wildcard.io"]))],
    );
    for (line, wanted) in [
        ("GET foo.wildcard.io/s1", "v1"),
        ("GET a.x.wildcard.io/s1", "v1"),
        ("GET foo.wildcard.io/s2", "404"),
        ("GET wildcard.io/s1", "404"),
        ("GET bar.wildcard.io/s1", "404"),
        ("GET non.matching.com/s1", "404"),
    ] {
        assert_eq!(backend_for(&wildcard, line, &[]), wanted, "{line}");
    }
    let exact = table("very.specific.com", &[route("r", json!(["*.specific.com"]))]);
    assert_eq!(backend_for(&exact, "GET very.specific.com/s1", &[]), "v1");
    assert_eq!(backend_for(&exact, "GET less.specific.com/s1", &[]), "404");
}

#[test]
fn hostname_specificity_precedes_path_and_older_routes_precede_newer() {
    let spec = |host: &str, backend: &str, path: &str| json!({ "hostnames": [host], "rules": [to(backend, json!([prefix(path)]))] });
    let names = table(
        "",
        &[
            Route("wide", OLD, spec("*.test", "wide", "/deep/path")),
            Route("narrow", NEW, spec("a.test", "narrow", "/")),
        ],
    );
    assert_eq!(backend_for(&names, "GET a.test/deep/path", &[]), "narrow");
    assert_eq!(backend_for(&names, "GET b.test/deep/path", &[]), "wide");
    let fallback = table(
        "",
        &[
            Route("wide", OLD, spec("*.test", "wide", "/")),
            Route("narrow", NEW, spec("a.test", "narrow", "/deep")),
        ],
    );
    assert_eq!(backend_for(&fallback, "GET a.test/", &[]), "404", "one virtual host serves a name");
    let ages = table(
        "",
        &[Route("a", NEW, spec("a.test", "young", "/")), Route("z", OLD, spec("a.test", "old", "/"))],
    );
    assert_eq!(backend_for(&ages, "GET a.test/", &[]), "old");
    let ties = table(
        "",
        &[Route("z", OLD, spec("a.test", "last", "/")), Route("a", OLD, spec("a.test", "first", "/"))],
    );
    assert_eq!(backend_for(&ties, "GET a.test/", &[]), "first");
}

#[test]
fn a_pattern_matches_to_its_ends_and_comes_after_every_prefix() {
    let spec = json!({ "rules": [
        to("short", json!([{ "path": { "type": "RegularExpression", "value": "/v.*" } }])),
        to("pattern", json!([{ "path": { "type": "RegularExpression", "value": "/v[0-9]+" } }])),
        to("header", json!([{ "headers": [{ "type": "RegularExpression", "name": "x", "value": "a|b" }] }])),
    ] });
    let table = table("", &[Route("r", OLD, spec)]);
    assert_eq!(backend_for(&table, "GET x.test/v12", &[]), "pattern");
    assert_eq!(backend_for(&table, "GET x.test/v12x", &[]), "short", "the longer expression comes first");
    assert_eq!(backend_for(&table, "GET x.test/v12", &[("x", "b")]), "header");
    assert_eq!(backend_for(&table, "GET x.test/xv12", &[]), "404");
    assert_eq!(backend_for(&table, "GET x.test/", &[("x", "ab")]), "404");
}
