//! Fault injection around the handling of a request.

use super::delay;
use super::row::{Injection, RequestContext};
use super::variants::Fault;
use crate::arm::middleware;
use crate::names::is_resource_manager;
use crate::request::Reply;
use crate::state::CloudState;

/// Handles a request and injects at most one matching fault.
pub(crate) fn inject(state: &mut CloudState, context: &RequestContext<'_>) -> Reply {
    let reply = inject_one(state, context);
    delay::count(state, &reply, context.now);
    reply
}

fn inject_one(state: &mut CloudState, context: &RequestContext<'_>) -> Reply {
    let matching = state.faults.matching(context.request, context.now);
    if !matching.is_empty() {
        state.touch();
    }
    let mut later: Vec<(usize, Fault)> = Vec::new();
    for (at, fault) in matching {
        match fault.row().injection {
            Injection::After(_) => later.push((at, fault)),
            Injection::Disrupt(disrupt) => {
                state.faults.record_injection(at, context.now, context.timing);
                let mut reply = context.serve(state);
                disrupt(&mut reply);
                return reply.with_fault(fault.name());
            }
            Injection::Respond(answer) => {
                if let Some(reply) = answer(state, context) {
                    state.faults.record_injection(at, context.now, context.timing);
                    return with_arm_headers(state, context, reply).with_fault(fault.name());
                }
            }
            Injection::Before(plant) => {
                if plant(state, context) {
                    state.faults.record_injection(at, context.now, context.timing);
                    return context.serve(state).with_fault(fault.name());
                }
            }
        }
    }
    let mut reply = context.serve(state);
    for (at, fault) in later {
        if let Injection::After(change) = fault.row().injection
            && change(state, context, &mut reply)
        {
            state.faults.record_injection(at, context.now, context.timing);
            return reply.with_fault(fault.name());
        }
    }
    reply
}

/// Adds the common headers of Resource Manager to a response in its place.
fn with_arm_headers(state: &CloudState, context: &RequestContext<'_>, reply: Reply) -> Reply {
    match is_resource_manager(context.request) && reply.delivery.is_answered() {
        true => middleware::with_common_headers(state, context.request, context.now, reply),
        false => reply,
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{arm, group};
    use crate::fault::Fault;
    use crate::request_log::RequestRecord;
    use crate::test_cloud::TestCloud;
    use http::Method;
    use serde_json::json;

    #[test]
    fn every_arm_response_has_a_request_id_even_an_injected_one() {
        for fault in ["throttled", "throttled-silently", "server-error", "unavailable", "bad-gateway"] {
            let mut cloud = TestCloud::new();
            arm(&mut cloud, fault);
            let at = group(&cloud, "web");
            let inject_one = cloud.get(&at);
            assert!(!inject_one.status.is_success(), "{fault}");
            assert_eq!(inject_one.headers["x-ms-request-id"].len(), 36, "{fault}");
            assert!(inject_one.headers.contains_key("x-ms-correlation-request-id"), "{fault}");
        }
        let mut cloud = TestCloud::new();
        let at = group(&cloud, "rg");
        assert!(cloud.get(&at).headers.contains_key("x-ms-request-id"));
        assert!(cloud.get("/nowhere").headers.contains_key("x-ms-request-id"));
        arm(&mut cloud, "server-error@.vault.");
        cloud.make_vault("kv-demo");
        let reply = cloud.vault("kv-demo", Method::GET, "/certificates?api-version=7.4", None);
        assert!(!reply.headers.contains_key("x-ms-routing-request-id"), "a vault is not Resource Manager");
    }

    #[test]
    fn the_request_log_has_the_injected_fault_of_each_request() {
        // One fault per kind of injection: instead of the service, in the delivery, before and after the
        // service.
        for (text, fault) in [
            ("server-error@PUT web", Fault::ServerError),
            ("stalled-after@PUT web", Fault::StalledAfter),
            ("group-deprovisioned@PUT web", Fault::GroupDeprovisioned),
        ] {
            let mut cloud = TestCloud::new();
            arm(&mut cloud, text);
            let request = cloud.request(Method::GET, &group(&cloud, "web"));
            let reply = cloud.send(&request);
            assert_eq!(RequestRecord::of(&request, &reply, String::new(), cloud.now).fault, "", "{text}");
            let request =
                cloud.request(Method::PUT, &group(&cloud, "web")).with_json(&json!({ "location": "eastus" }));
            let reply = cloud.send(&request);
            assert_eq!(RequestRecord::of(&request, &reply, String::new(), cloud.now).fault, fault.name());
        }
    }
}
