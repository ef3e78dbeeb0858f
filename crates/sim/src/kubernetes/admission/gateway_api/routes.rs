//! The rules of HTTPRoute and GRPCRoute, except those of filters and paths.

use std::time::Duration;

use serde_json::Value;

use super::filters::{backend_has_port, filter_errors};
use super::{Rules, each, grpc, paths};
use crate::kubernetes::status::FieldError;

/// The maximum number of matches in all rules of a route.
const MATCHES_MAX: usize = 128;

/// Returns the violated rules of a route.
pub fn field_errors(object: &Value) -> Vec<FieldError> {
    let spec = &object["spec"];
    let mut errors = Vec::new();
    parent_errors(spec, &mut errors);
    let matches: usize = each(spec, "/rules").map(|(_, rule)| each(rule, "/matches").count()).sum();
    Rules::at("spec.rules", &mut errors).require(
        matches <= MATCHES_MAX,
        "While 16 rules and 64 matches per rule are allowed, the total number of matches across all rules in a \
         route must be less than 128",
    );
    for (index, rule) in each(spec, "/rules") {
        rule_errors(rule, &format!("spec.rules[{index}]"), &mut errors);
    }
    errors
}

fn parent_errors(spec: &Value, errors: &mut Vec<FieldError>) {
    let parents: Vec<&Value> = each(spec, "/parentRefs").map(|(_, parent)| parent).collect();
    let text = |parent: &Value, field: &str| parent[field].as_str().unwrap_or_default().to_owned();
    let section = |parent: &Value| text(parent, "sectionName");
    let is_same = |a: &Value, b: &Value| {
        ["group", "kind", "namespace", "name"].iter().all(|field| text(a, field) == text(b, field))
    };
    let pairs = || {
        let indexed = || parents.iter().enumerate();
        indexed().flat_map(move |(index, a)| indexed().skip(index + 1).map(move |(_, b)| (*a, *b)))
    };
    let same = || pairs().filter(|(a, b)| is_same(a, b));
    let mut rules = Rules::at("spec.parentRefs", errors);
    rules.require(
        same().all(|(a, b)| section(a).is_empty() == section(b).is_empty()),
        "sectionName must be specified when parentRefs includes 2 or more references to the same parent",
    );
    rules.require(
        same().all(|(a, b)| section(a) != section(b)),
        "sectionName must be unique when parentRefs includes 2 or more references to the same parent",
    );
}

fn rule_errors(rule: &Value, at: &str, errors: &mut Vec<FieldError>) {
    let has_backends = each(rule, "/backendRefs").next().is_some();
    let redirects = each(rule, "/filters").any(|(_, filter)| filter.get("requestRedirect").is_some());
    let mut rules = Rules::at(at, errors);
    rules.require(
        !(has_backends && redirects),
        "RequestRedirect filter must not be used together with backendRefs",
    );
    let has_one_prefix = matches_one_prefix(rule);
    for (filter, field) in [("RequestRedirect", "requestRedirect"), ("URLRewrite", "urlRewrite")] {
        let why = format!(
            "When using {filter} filter with path.replacePrefixMatch, exactly one PathPrefix match must be \
             specified"
        );
        rules.require(!replaces_prefix_once(rule, field) || has_one_prefix, &why);
    }
    for (filter, field, when) in
        [("RequestRedirect", "requestRedirect", "when"), ("URLRewrite", "urlRewrite", "When")]
    {
        let within = each(rule, "/backendRefs").filter(|(_, backend)| replaces_prefix_once(backend, field));
        let why = format!(
            "Within backendRefs, {when} using {filter} filter with path.replacePrefixMatch, exactly one \
             PathPrefix match must be specified"
        );
        rules.require(within.count() != 1 || has_one_prefix, &why);
    }
    filter_errors(rule, at, errors);
    for (index, backend) in each(rule, "/backendRefs") {
        let at = format!("{at}.backendRefs[{index}]");
        backend_has_port(backend, &at, errors);
        filter_errors(backend, &at, errors);
    }
    for (index, one) in each(rule, "/matches") {
        let at = format!("{at}.matches[{index}]");
        paths::errors(&one["path"], &format!("{at}.path"), errors);
        grpc::errors(&one["method"], &format!("{at}.method"), errors);
    }
    timeout_errors(&rule["timeouts"], &format!("{at}.timeouts"), errors);
}

/// Returns whether exactly one filter replaces the prefix of a path.
fn replaces_prefix_once(place: &Value, field: &str) -> bool {
    let replaces = |filter: &Value| {
        let path = &filter[field]["path"];
        path["type"] == "ReplacePrefixMatch" && path.get("replacePrefixMatch").is_some()
    };
    each(place, "/filters").filter(|(_, filter)| replaces(filter)).count() == 1
}

fn matches_one_prefix(rule: &Value) -> bool {
    let matches: Vec<&Value> = each(rule, "/matches").map(|(_, one)| one).collect();
    matches!(matches.as_slice(), [one] if one["path"]["type"] == "PathPrefix")
}

fn timeout_errors(timeouts: &Value, at: &str, errors: &mut Vec<FieldError>) {
    let duration = |field: &str| timeouts[field].as_str().map(duration);
    let (Some(request), Some(backend)) = (duration("request"), duration("backendRequest")) else { return };
    Rules::at(at, errors).require(
        request.is_zero() || backend <= request,
        "backendRequest timeout cannot be longer than request timeout",
    );
}

/// Returns a duration that satisfies the schema, such as `1h30m`.
fn duration(text: &str) -> Duration {
    let mut total = Duration::ZERO;
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (number, after) = rest.split_at(end);
        let end = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, after) = after.split_at(end);
        let milliseconds = match unit {
            "h" => 3_600_000,
            "m" => 60_000,
            "s" => 1_000,
            _ => 1,
        };
        total += Duration::from_millis(number.parse::<u64>().unwrap_or(0) * milliseconds);
        rest = after;
    }
    total
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn say(rule: Value) -> Vec<String> {
        let route = json!({"spec": {"rules": [rule]}});
        field_errors(&route).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_redirect_has_no_backends_and_a_path_begins_with_a_slash() {
        let errors = say(json!({
            "matches": [{"path": {"type": "PathPrefix", "value": "shop"}}],
            "filters": [{"type": "RequestRedirect", "requestRedirect": {"scheme": "https"}}],
            "backendRefs": [{"group": "", "kind": "Service", "name": "web"}],
        }));
        assert_eq!(errors.len(), 3, "{errors:?}");
        assert!(errors[0].contains("must not be used together with backendRefs"));
    }

    #[test]
    fn a_replaced_prefix_needs_exactly_one_prefix_match() {
        let rewrite = json!([{"type": "URLRewrite",
            "urlRewrite": {"path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/"}}}]);
        let prefix = json!({"path": {"type": "PathPrefix", "value": "/"}});
        assert!(say(json!({"matches": [prefix], "filters": rewrite})).is_empty());
        assert_eq!(say(json!({"matches": [prefix, prefix], "filters": rewrite})).len(), 1);
    }

    #[test]
    fn a_backend_may_not_take_longer_than_the_request() {
        let timeouts = |request: &str, backend: &str| {
            say(json!({"timeouts": {"request": request, "backendRequest": backend}}))
        };
        assert!(timeouts("1m", "60s").is_empty());
        assert!(timeouts("0s", "2s").is_empty());
        assert_eq!(timeouts("1s500ms", "2s").len(), 1);
    }
}
