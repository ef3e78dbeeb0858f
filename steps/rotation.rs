//! What a rotation came to, out of what the journal remembers from before it and after it.

use crate::{
    certificate::{HeldCertificate, Replaced},
    deployment::Handles,
};
use jiff::Timestamp;
use landfall_engine::{Graph, Memory, State};
use std::time::Duration;

/// The steps between the vault and the names: a rotation is over when all of them have seen it.
const AFTERWARDS: [&str; 3] = ["tls-secret", "gateways", "dns"];

/// A rotation that has come to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rotation {
    /// The certificate that is no longer in use; none when nothing was replaced.
    pub was: Option<Replaced>,
    /// The one in its place.
    pub is: HeldCertificate,
    /// Real time from the end of the import until the Secret carried it, when both were in this run.
    pub carried_after: Option<Duration>,
}

/// Returns what the certificate of the journal takes the place of, when that is not over: the cluster does not carry it,
/// or what stands on it has not been looked at since.
#[must_use]
pub fn unfinished(graph: &Graph, handles: &Handles, memory: &Memory) -> Option<Replaced> {
    let replaced = graph.output(handles.certificate, memory)?.replaces?;
    let imported = finished_at(memory, "certificate");
    let seen = |step: &str| {
        let ready = memory.past(step).is_some_and(|past| past.state == State::Ready);
        ready && finished_at(memory, step) >= imported
    };
    (!AFTERWARDS.iter().all(|step| seen(step))).then_some(replaced)
}

/// Compares what was remembered before a run that was ready in the end with what is remembered after it.
#[must_use]
pub fn rotation(graph: &Graph, handles: &Handles, before: &Memory, after: &Memory) -> Option<Rotation> {
    let is = graph.output(handles.certificate, after)?;
    let held = graph.output(handles.certificate, before);
    if held.as_ref().is_some_and(|held| held.thumbprint == is.thumbprint) {
        return Some(Rotation { was: unfinished(graph, handles, before), is, carried_after: None });
    }
    let was = held.map(|held| Replaced { thumbprint: held.thumbprint, not_after: held.not_after });
    let times = (finished_at(after, "certificate"), finished_at(after, "tls-secret"));
    let carried_after = match times {
        (Some(imported), Some(carried)) => Duration::try_from(carried - imported).ok(),
        _ => None,
    };
    Some(Rotation { was, is, carried_after })
}

fn finished_at(memory: &Memory, step: &str) -> Option<Timestamp> {
    memory.past(step)?.finished_at.as_deref()?.parse().ok()
}
