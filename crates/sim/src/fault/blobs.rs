//! Faults of the blob service: lost answers, busy partitions, lost rights and lost leases. All of them concern
//! appends, because those are what a journal consists of.

use super::row::{Injection, Kind, RequestContext, Row};
use super::variants::Fault;
use crate::blob::{BlobError, fault_hooks as hooks, serve};
use crate::request::{Delivery, Reply};
use crate::state::CloudState;

const fn row(
    fault: Fault,
    name: &'static str,
    kind: Kind,
    what: &'static str,
    client: &'static str,
    heals: bool,
    injection: Injection,
) -> Row {
    Row { fault, name, kind, method: "PUT", path: ".blob.", what, client, heals, injection }
}

/// The rows of this topic.
pub(super) const ROWS: &[Row] = &[
    row(
        Fault::AppendAnswerLost,
        "append-answer-lost",
        Kind::Transport,
        "an append to a blob takes effect, but the connection breaks before the response",
        "appends again at the same position, and takes the 412 for its own success if the bytes are there",
        true,
        Injection::After(answer_lost),
    ),
    row(
        Fault::AppendBusy,
        "append-busy",
        Kind::Refusal,
        "503 `ServerBusy` for an append",
        "appends again at the same position",
        true,
        Injection::Respond(|state, context| refuse(state, context, &BlobError::busy())),
    ),
    row(
        Fault::AppendForbidden,
        "append-forbidden",
        Kind::Refusal,
        "403 `AuthorizationPermissionMismatch` for an append",
        "ends the run, and names the missing role",
        true,
        Injection::Respond(|state, context| refuse(state, context, &BlobError::permission())),
    ),
    row(
        Fault::LeaseExpired,
        "lease-expired",
        Kind::StateChange,
        "the holder of a blob's lease was paused until the lease expired: 412 `LeaseLost`",
        "renews it, since no other client took it, and appends again",
        true,
        Injection::Before(|state, context| hooks::expire_lease(state, context.request, context.now)),
    ),
    row(
        Fault::LeaseBroken,
        "lease-broken",
        Kind::StateChange,
        "another client breaks the lease of a blob: 412 `LeaseNotPresentWithBlobOperation`",
        "starts nothing new and ends, with exit code 4",
        true,
        Injection::Before(|state, context| hooks::break_lease(state, context.request, context.now)),
    ),
    row(
        Fault::LeaseTaken,
        "lease-taken",
        Kind::StateChange,
        "the lease of a blob expired and another client holds it: 412 `LeaseIdMismatchWithBlobOperation`",
        "starts nothing new and ends, with exit code 4",
        true,
        Injection::Before(|state, context| hooks::take_lease(state, context.request, context.now)),
    ),
];

fn answer_lost(_: &mut CloudState, context: &RequestContext<'_>, reply: &mut Reply) -> bool {
    let applies = hooks::is_append(context.request) && reply.status.is_success();
    if applies {
        reply.delivery = Delivery::Cut;
    }
    applies
}

fn refuse(state: &CloudState, context: &RequestContext<'_>, error: &BlobError) -> Option<Reply> {
    let reply = hooks::is_append(context.request).then(|| error.reply())?;
    Some(serve::with_common_headers(state, context.request, context.now, reply))
}
