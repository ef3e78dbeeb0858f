//! The operations of Azure DNS, with URLs of their own form: only the deletion of a zone is one.

use serde_json::json;

use crate::arm::error::ArmError;
use crate::arm::operation::{self, Operation, Plan, Style};
use crate::arm::{Call, Route, id, versions};
use crate::durations;
use crate::request::{Reply, with_retry_after};
use crate::state::CloudState;

const STATUS: &str = "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.Network/dnsOperationStatuses/{operation}";
const RESULT: &str = "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.Network/dnsOperationResults/{operation}";

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::any("GET", STATUS, "Microsoft.Network/dnsOperationStatuses", versions::DNS, status),
        Route::any("GET", RESULT, "Microsoft.Network/dnsOperationResults", versions::DNS, result),
    ]
}

/// Starts the operation that deletes a zone, and returns the reply that announces it.
pub(super) fn begin(state: &mut CloudState, call: &Call<'_>, zone: &str) -> Reply {
    let plan = Plan {
        resource: zone,
        provider: "Microsoft.Network",
        location: "global",
        name: "DeleteZoneOperation",
        style: Style::Both,
        api_version: &call.api_version,
        retry_after: Some(durations::DNS_PUT),
        signed: true,
    };
    let ends = call.timing.after(call.now, durations::DNS_PUT);
    let operation = operation::begin(state, &plan, call.now, ends);
    announced(state, call, &operation)
}

fn announced(state: &CloudState, call: &Call<'_>, operation: &Operation) -> Reply {
    let zone = &operation.resource;
    let target = |collection: &str| {
        let scope = zone.split("/providers/").next().unwrap_or_default();
        format!(
            "{}{scope}/providers/Microsoft.Network/{collection}/{};{};Regular?api-version={}&{}",
            state.arm_origin(),
            operation.id,
            id::name(zone),
            operation.api_version,
            operation.signature
        )
    };
    let reply = Reply::empty(202)
        .with_header("azure-asyncoperation", &target("dnsOperationStatuses"))
        .with_header("location", &target("dnsOperationResults"));
    with_retry_after(reply, &call.timing, operation.retry_after)
}

fn status(state: &mut CloudState, call: &Call<'_>) -> Result<Reply, ArmError> {
    let operation = operation::find(state, call)?;
    Ok(Reply::json(200, &json!({ "status": operation.state(call.now) })))
}

fn result(state: &mut CloudState, call: &Call<'_>) -> Result<Reply, ArmError> {
    let operation = operation::find(state, call)?;
    Ok(match operation.is_over(call.now) {
        true => Reply::empty(200),
        false => announced(state, call, &operation),
    })
}
