//! The route table: finding the route of a path, and Azure's errors for an unknown path.

use crate::arm::error::ArmError;
use crate::arm::{Route, id, provider_registration, scope, unavailable};
use crate::request::Request;
use crate::state::CloudState;

/// Finds the route of a path: equal method, literals equal case-insensitively; the first row wins.
pub(super) fn find<'a>(
    routes: &'a [Route],
    method: &str,
    path: &[String],
) -> Option<(&'a Route, Vec<(&'a str, String)>)> {
    routes
        .iter()
        .filter(|route| route.method == method)
        .find_map(|route| Some((route, matched(route.pattern, path)?)))
}

fn matched<'a>(pattern: &'a str, path: &[String]) -> Option<Vec<(&'a str, String)>> {
    let pattern = pattern.trim_start_matches('/');
    let scoped = pattern.strip_prefix("{scope*}/");
    let parts = || scoped.unwrap_or(pattern).split('/').filter(|part| !part.is_empty());
    let scope = path.len().checked_sub(parts().count()).filter(|scope| *scope == 0 || scoped.is_some())?;
    let named = |part: &'a str| part.strip_prefix('{').and_then(|name| name.strip_suffix('}'));
    let own = &path[scope..];
    if !parts().zip(own).all(|(part, segment)| named(part).is_some() || part.eq_ignore_ascii_case(segment)) {
        return None;
    }
    let scope = scoped.map(|_| ("scope", path[..scope].join("/")));
    let params = parts().zip(own).filter_map(|(part, segment)| Some((named(part)?, segment.clone())));
    Some(scope.into_iter().chain(params).collect())
}

/// Returns the error for a path without a route. Azure distinguishes an unknown provider, an unknown type and
/// an invalid path.
pub(super) fn no_route(state: &CloudState, request: &Request, path: &[String]) -> ArmError {
    tracing::warn!(method = %request.method, path = request.path, "no route");
    if let Some(other) = (state.registry.routes)().iter().find(|route| matched(route.pattern, path).is_some())
    {
        let why = unavailable(&format!("{} of {}", request.method, other.kind));
        return ArmError::gateway(405, "UnsupportedHttpMethod", why).with_target(other.kind);
    }
    if let Some(subscription) = id::part(&request.path, "subscriptions")
        && !subscription.eq_ignore_ascii_case(&state.subscription)
    {
        return scope::subscription_not_found(subscription);
    }
    let Some(namespace) =
        path.iter().rposition(|part| part.eq_ignore_ascii_case("providers")).and_then(|at| path.get(at + 1))
    else {
        let why = format!(
            "No HTTP resource was found that matches the request URI '{}{}'.",
            state.arm_origin(),
            request.path
        );
        return ArmError::gateway(404, "NotFound", why);
    };
    if !provider_registration::knows(state, namespace) {
        let why = format!("The resource namespace '{namespace}' is invalid.");
        return ArmError::gateway(404, "InvalidResourceNamespace", why);
    }
    let types = path.iter().rposition(|part| part == namespace).map_or(&[][..], |at| &path[at + 1..]);
    let types: Vec<&str> = types.iter().step_by(2).map(String::as_str).collect();
    let why = unavailable(&format!("The resource type {namespace}/{}", types.join("/")));
    ArmError::gateway(404, "InvalidResourceType", why)
}

/// Returns the api-versions that a request may have, newest last; `None` if no route takes it.
#[cfg(test)]
pub(crate) fn accepted_versions(method: &http::Method, path: &str) -> Option<&'static [&'static str]> {
    let (route, _) =
        find((crate::registry::REGISTRY.routes)(), method.as_str(), &crate::request::segments(path))?;
    Some(if route.versions.is_empty() { &["2024-11-01"] } else { route.versions })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::REGISTRY;

    #[test]
    fn no_two_rows_of_the_table_take_the_same_request() {
        let routes = (REGISTRY.routes)();
        for (at, route) in routes.iter().enumerate() {
            let path: Vec<String> = route
                .pattern
                .split('/')
                .filter(|part| !part.is_empty())
                .map(|part| format!("x{part}"))
                .collect();
            let path: Vec<String> =
                path.iter().map(|part| part.replace("x{", "{").trim_start_matches('x').to_owned()).collect();
            let (found, _) = find(routes, route.method, &path).expect("a row takes its own pattern");
            assert!(
                std::ptr::eq(found, &routes[at]),
                "{} {} is taken by {}",
                route.method,
                route.pattern,
                found.pattern
            );
        }
    }
}
