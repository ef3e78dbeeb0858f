//! The way into the machinery for people and tests, under `/_sim/` of any host.
//!
//! * `GET /_sim/world`: what there is, without anything secret.
//! * `GET /_sim/ledger`: the requests since the world was opened.
//! * `GET /_sim/ca.pem`: the authority to trust.
//! * `GET`, `POST`, `DELETE /_sim/faults`: what is armed; `{"faults":["throttled@PUT vaults*2"]}` arms more of them, and
//!   deleting disarms all.
//! * `GET`, `POST /_sim/limits`: how much the subscription may use;
//!   `{"location": "eastus", "limits": {"cores": 10}, "withheld": ["Standard_D4s_v5"]}` changes it as support would.
//! * `GET`, `POST /_sim/policies`: the policies that deny;
//!   `{"policies": [{"name": "p", "field": "location", "operator": "notIn", "values": ["westeurope"]}]}` replaces them.
//! * `POST /_sim/advance`: moves the clock by `{"seconds": 60}` of cloud time, or `{"real_seconds": 3600}`.

use http::Method;
use serde_json::{Value, json};

use crate::arm::family::FAMILIES;
use crate::clock::{Moment, Timing};
use crate::fault::{self, Armed};
use crate::ledger::Ledger;
use crate::request::{Reply, Request};
use crate::world::World;

/// Whether a request is for the machinery.
pub fn is_control(request: &Request) -> bool {
    request.path.starts_with("/_sim/")
}

/// Answers a request to the machinery.
pub fn serve(
    world: &mut World,
    ledger: &Ledger,
    ca_pem: &str,
    request: &Request,
    now: Moment,
    timing: &Timing,
) -> Reply {
    match (&request.method, request.path.trim_end_matches('/')) {
        (&Method::GET, "/_sim/world") => Reply::json(200, &overview(world, now)),
        (&Method::GET, "/_sim/ledger") => Reply::json(200, &ledger.lines()),
        (&Method::GET, "/_sim/ca.pem") => Reply::bytes(200, "application/x-pem-file", ca_pem.to_owned()),
        (&Method::GET, "/_sim/faults") => Reply::json(200, &faults(world)),
        (&Method::POST, "/_sim/faults") => arm(world, request),
        (&Method::DELETE, "/_sim/faults") => {
            world.faults.armed.clear();
            Reply::json(200, &faults(world))
        }
        (&Method::GET, "/_sim/limits") => Reply::json(200, &world.limits.view()),
        (&Method::POST, "/_sim/limits") => limit(world, request),
        (&Method::GET, "/_sim/policies") => Reply::json(200, &json!({ "policies": world.policies })),
        (&Method::POST, "/_sim/policies") => govern(world, request),
        (&Method::POST, "/_sim/advance") => advance(world, request, timing),
        _ => {
            Reply::text(404, "there are /_sim/world, ledger, ca.pem, faults, limits, policies and advance\n")
        }
    }
}

fn overview(world: &World, now: Moment) -> Value {
    let members = |group: &str| -> Vec<Value> {
        FAMILIES.iter().flat_map(|family| (family.members)(world, group)).collect()
    };
    let groups: Vec<Value> = world
        .groups
        .values()
        .map(|group| json!({ "name": group.name, "location": group.location, "resources": members(&group.name) }))
        .collect();
    let operations: Vec<Value> = world
        .operations
        .values()
        .map(|operation| {
            json!({
                "id": operation.id, "name": operation.name, "resource": operation.resource,
                "state": operation.state(now), "ends": operation.ends.rfc3339(),
            })
        })
        .collect();
    let principals: Vec<Value> = world
        .directory
        .principals
        .iter()
        .map(|principal| json!({ "name": principal.name, "objectId": principal.object_id, "clientId": principal.client_id }))
        .collect();
    json!({
        "now": now.rfc3339(),
        "nextDue": world.next_due().map(Moment::rfc3339),
        "seed": world.seed,
        "tenant": world.directory.tenant,
        "subscription": world.subscription,
        "principals": principals,
        "groups": groups,
        "roleAssignments": world.roles.assignments.values().collect::<Vec<_>>(),
        "operations": operations,
        "faults": world.faults.armed,
    })
}

fn faults(world: &World) -> Value {
    let row = |row: &fault::Row| {
        json!({
            "name": row.name, "kind": row.kind, "method": row.method, "path": row.path, "what": row.what,
            "client": row.client, "heals": row.heals,
        })
    };
    let known: Vec<Value> = fault::table().map(row).collect();
    json!({ "armed": world.faults.armed, "known": known })
}

fn arm(world: &mut World, request: &Request) -> Reply {
    let body: Value = request.json().unwrap_or_default();
    let Some(texts) = body["faults"].as_array() else {
        return Reply::text(400, "the body must be {\"faults\": [\"name@METHOD path*times\"]}\n");
    };
    match texts.iter().map(|text| Armed::read(text.as_str().unwrap_or_default())).collect() {
        Ok(armed) => world.faults.armed.extend::<Vec<Armed>>(armed),
        Err(error) => return Reply::text(400, format!("failed to {error}\n")),
    }
    Reply::json(200, &faults(world))
}

fn limit(world: &mut World, request: &Request) -> Reply {
    let body: Value = request.json().unwrap_or_default();
    match world.limits.change(&body) {
        Ok(()) => Reply::json(200, &world.limits.view()),
        Err(why) => Reply::text(400, format!("{why}\n")),
    }
}

fn govern(world: &mut World, request: &Request) -> Reply {
    let body: Value = request.json().unwrap_or_default();
    match serde_json::from_value(body["policies"].clone()) {
        Ok(policies) => world.policies = policies,
        Err(error) => return Reply::text(400, format!("failed to read the policies: {error}\n")),
    }
    Reply::json(200, &json!({ "policies": world.policies }))
}

fn advance(world: &mut World, request: &Request, timing: &Timing) -> Reply {
    let body: Value = request.json().unwrap_or_default();
    let real = match (body["seconds"].as_f64(), body["real_seconds"].as_f64()) {
        (Some(cloud), None) => timing.real(cloud).as_secs_f64(),
        (None, Some(real)) => real,
        _ => return Reply::text(400, "the body must be {\"seconds\": n} or {\"real_seconds\": n}\n"),
    };
    if !(0.0..=1e9).contains(&real) {
        return Reply::text(400, "the clock only goes forward, by at most a thousand million seconds\n");
    }
    world.ahead_ms += (real * 1000.0).ceil() as i64;
    world.settle(world.now(), timing);
    Reply::json(200, &json!({ "now": world.now().rfc3339() }))
}
