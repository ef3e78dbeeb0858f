//! Result of a rotation, from the journal's state before and after it.

use crate::{
    certificate::{HeldCertificate, Replaced},
    deployment::Handles,
};
use jiff::Timestamp;
use landfall_engine::{Graph, Memory, State};
use std::time::Duration;

/// The steps after the import: a rotation is complete when all of them have run.
const AFTERWARDS: [&str; 3] = ["tls-secret", "gateways", "dns"];

/// A completed rotation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rotation {
    /// The replaced certificate; `None` if nothing was replaced.
    pub was: Option<Replaced>,
    /// The new certificate.
    pub is: HeldCertificate,
    /// Real time from the end of the import until the Secret contained the certificate, if both happened in
    /// this run.
    pub carried_after: Option<Duration>,
}

/// Returns the certificate that is being replaced, while the rotation is incomplete. It is incomplete if the
/// cluster does not have the new certificate, or a later step has not run since the import.
#[must_use]
pub fn unfinished(graph: &Graph, handles: &Handles, memory: &Memory) -> Option<Replaced> {
    let replaced = graph.output(handles.certificate, memory)?.replaces?;
    let imported = finished_at(memory, "certificate");
    let seen = |step: &&str| {
        let ready = memory.past(step).is_some_and(|past| past.state == State::Ready);
        ready && finished_at(memory, step) >= imported
    };
    (!AFTERWARDS.iter().all(seen)).then_some(replaced)
}

/// Compares the state before a successful run with the state after it.
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
