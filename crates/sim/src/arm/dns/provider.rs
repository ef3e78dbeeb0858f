//! The resource family of DNS zones.

use serde_json::Value;

use super::{async_operation, in_group, publication, record_sets, zones};
use crate::arm::{Provider, Route, id, roles};
use crate::clock::{SimTime, Timing};
use crate::state::CloudState;

/// The resource family of DNS zones. All its writes complete at once.
pub const PROVIDER: Provider = Provider { members, delete_members, ..Provider::stateless("dns", routes) };

fn routes() -> Vec<Route> {
    let mut routes = zones::routes();
    routes.extend(record_sets::routes());
    routes.extend(async_operation::routes());
    routes
}

fn members(state: &CloudState, group: &str) -> Vec<Value> {
    state.dns.zones.values().filter(|zone| in_group(&zone.id, group)).map(zones::body).collect()
}

/// Deletes the zones of a group at once, without an intermediate state.
fn delete_members(state: &mut CloudState, group: &str, from: SimTime, _timing: &Timing) -> SimTime {
    let mut deleted_ids = Vec::new();
    state.dns.zones.retain(|_, zone| {
        let dies = in_group(&zone.id, group);
        if dies {
            deleted_ids.push(zone.id.clone());
        }
        !dies
    });
    for scope in deleted_ids {
        publication::forget_zone(state, &id::key(&scope));
        roles::drop_scope(state, &scope);
    }
    from
}
