//! Result of a rotation, from the journal's state before and after it.

use crate::{
    certificate::{HeldCertificate, Replaced},
    deployment::Records,
};
use jiff::Timestamp;
use landfall_engine::{Memory, Past, RecordOf, State};
use std::time::Duration;

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
pub fn unfinished(records: &Records, memory: &Memory) -> Option<Replaced> {
    let replaced = memory.output_of(records.certificate)?.replaces?;
    let imported = finished_at(memory, records.certificate);
    // A rotation is complete when every step that serves the certificate has run after the import.
    let has_run =
        |past: Option<&Past>, at| past.is_some_and(|past| past.state == State::Ready) && at >= imported;
    let complete = has_run(memory.past_of(records.secret), finished_at(memory, records.secret))
        && has_run(memory.past_of(records.gateways), finished_at(memory, records.gateways))
        && has_run(memory.past_of(records.dns), finished_at(memory, records.dns));
    (!complete).then_some(replaced)
}

/// Compares the state before a successful run with the state after it.
#[must_use]
pub fn rotation(records: &Records, before: &Memory, after: &Memory) -> Option<Rotation> {
    let is = after.output_of(records.certificate)?;
    let held = before.output_of(records.certificate);
    if held.as_ref().is_some_and(|held| held.thumbprint == is.thumbprint) {
        return Some(Rotation { was: unfinished(records, before), is, carried_after: None });
    }
    let was = held.map(|held| Replaced { thumbprint: held.thumbprint, not_after: held.not_after });
    let times = (finished_at(after, records.certificate), finished_at(after, records.secret));
    let carried_after = match times {
        (Some(imported), Some(carried)) => Duration::try_from(carried - imported).ok(),
        _ => None,
    };
    Some(Rotation { was, is, carried_after })
}

fn finished_at<T>(memory: &Memory, step: RecordOf<T>) -> Option<Timestamp> {
    memory.past_of(step)?.finished_at.as_deref()?.parse().ok()
}
