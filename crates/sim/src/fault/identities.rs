//! Faults of workload identities: a late credential, a concurrent write of another one, and a late issuer.

use bytes::Bytes;
use serde_json::Value;

use super::row::{Injection, Kind, RequestContext, Row};
use super::variants::Fault;
use crate::arm::resource_type::test_hooks::{postpone, start_write_of_sibling};
use crate::request::Reply;
use crate::state::CloudState;

/// The additional delay of a federated credential in seconds of cloud time (documented: minutes).
const CREDENTIAL: f64 = 180.0;

/// The duration of the write of another client in seconds of cloud time (estimate: it is a synchronous request).
const CONCURRENT_WRITE: f64 = 2.0;

/// The rows of this topic.
pub(super) const ROWS: &[Row] = &[
    Row {
        fault: Fault::CredentialLate,
        name: "credential-late",
        kind: Kind::StateChange,
        method: "PUT",
        path: "/federatedidentitycredentials/",
        what: "the credential takes effect 180 s of cloud time later than usual; until then the token endpoint answers \
               `AADSTS70021`",
        client: "waits for the mount that needs it",
        heals: true,
        injection: Injection::After(credential_late),
    },
    Row {
        fault: Fault::CredentialConflict,
        name: "credential-conflict",
        kind: Kind::Refusal,
        method: "PUT",
        path: "/federatedidentitycredentials/",
        what: "another client writes a credential of the same identity: 409 \
               `ConcurrentFederatedIdentityCredentialsWritesForSingleManagedIdentity`",
        client: "waits, then writes again",
        heals: true,
        injection: Injection::Respond(credential_conflict),
    },
    Row {
        fault: Fault::IssuerLate,
        name: "issuer-late",
        kind: Kind::StateChange,
        method: "PUT",
        path: "/managedclusters/",
        what: "the answer to the write does not name the issuer of the cluster; the cluster does",
        client: "reads the cluster again",
        heals: true,
        injection: Injection::After(issuer_late),
    },
];

fn credential_late(state: &mut CloudState, context: &RequestContext<'_>, reply: &mut Reply) -> bool {
    reply.status.is_success() && postpone(state, &context.id(), CREDENTIAL, context.timing)
}

fn credential_conflict(state: &mut CloudState, context: &RequestContext<'_>) -> Option<Reply> {
    start_write_of_sibling(state, &context.id(), CONCURRENT_WRITE, context.now, context.timing)
        .then(|| context.serve(state))
}

fn issuer_late(_: &mut CloudState, context: &RequestContext<'_>, reply: &mut Reply) -> bool {
    if !reply.status.is_success() || context.request.segments().len() != 8 {
        return false;
    }
    let Ok(mut body) = serde_json::from_slice::<Value>(&reply.body) else { return false };
    let profile = body.pointer_mut("/properties/oidcIssuerProfile").and_then(Value::as_object_mut);
    let removed = profile.and_then(|profile| profile.remove("issuerURL"));
    if removed.is_some() {
        reply.body = Bytes::from(body.to_string());
    }
    removed.is_some()
}
