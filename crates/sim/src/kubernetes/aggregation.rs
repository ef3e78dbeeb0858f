//! Aggregated APIs: groups that a Service in the cluster serves, registered with an APIService.
//!
//! Containers do not run here, so such a Service has no backend. The API server behaves like a real one
//! without the backend: the group stays in `/apis`, its discovery is stale, and every path below it answers
//! 503. Contract: <https://kubernetes.io/docs/tasks/extend-kubernetes/configure-aggregation-layer/>.

use serde_json::Value;

use super::store::Store;
use crate::request::Reply;

/// The resource of the registrations, in the format of stores.
pub const RESOURCE: &str = "apiservices.apiregistration.k8s.io";

/// Returns group and version of a registration with a Service.
fn registered(api_service: &Value) -> Option<(&str, &str)> {
    let spec = &api_service["spec"];
    spec["service"].as_object()?;
    Some((spec["group"].as_str()?, spec["version"].as_str()?))
}

/// Returns group and version of every aggregated API that the server does not serve itself.
pub(super) fn all(store: &Store) -> Vec<(String, String)> {
    let served: Vec<_> = store.served().collect();
    let by_itself =
        |group: &str, version: &str| served.iter().any(|kind| kind.group == group && kind.version == version);
    let registered = store.list(RESOURCE, None).into_iter().filter_map(registered);
    let aggregated = registered.filter(|(group, version)| !by_itself(group, version));
    aggregated.map(|(group, version)| (group.to_owned(), version.to_owned())).collect()
}

/// Returns whether an aggregated API has this group, and this version if one is given.
pub(super) fn has(store: &Store, group: &str, version: Option<&str>) -> bool {
    all(store).iter().any(|(known, known_version)| {
        known == group && version.is_none_or(|version| known_version == version)
    })
}

/// Returns the answer of the aggregator when no backend is available.
pub(super) fn unavailable() -> Reply {
    Reply::text(503, "service unavailable\n")
}
