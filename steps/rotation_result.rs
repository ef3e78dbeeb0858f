//! Result of a rotation, from the journal's state before and after it.

use crate::{
    certificate::{Replaced, VaultCertificate},
    graph::Records,
};
use jiff::Timestamp;
use landfall_engine::{JournalState, RecordOf, StepState, StepStatus};
use std::time::Duration;

/// A completed rotation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rotation {
    /// The replaced certificate; `None` if nothing was replaced.
    pub was: Option<Replaced>,
    /// The new certificate.
    pub is: VaultCertificate,
    /// Real time from the end of the import until the Secret contained the certificate, if both happened in
    /// this run.
    pub synced_after: Option<Duration>,
}

/// Returns the certificate that is being replaced, while the rotation is incomplete. It is incomplete if the
/// cluster does not have the new certificate, or a later step has not run since the import.
#[must_use]
pub fn unfinished_rotation(records: &Records, journal_state: &JournalState) -> Option<Replaced> {
    let replaced = journal_state.output_of(records.certificate)?.replaces?;
    let imported = finished_at(journal_state, records.certificate);
    // A rotation is complete when every step that serves the certificate has run after the import.
    let has_run = |step_state: Option<&StepState>, at| {
        step_state.is_some_and(|step_state| step_state.state == StepStatus::Ready) && at >= imported
    };
    let (synced, synced_at) = synced(records, journal_state);
    let complete = has_run(synced, synced_at)
        && has_run(journal_state.past_of(records.gateways), finished_at(journal_state, records.gateways))
        && has_run(journal_state.past_of(records.dns), finished_at(journal_state, records.dns));
    (!complete).then_some(replaced)
}

/// Compares the state before a successful run with the state after it.
#[must_use]
pub fn rotation(records: &Records, before: &JournalState, after: &JournalState) -> Option<Rotation> {
    let is = after.output_of(records.certificate)?;
    let held = before.output_of(records.certificate);
    if held.as_ref().is_some_and(|held| held.thumbprint == is.thumbprint) {
        return Some(Rotation { was: unfinished_rotation(records, before), is, synced_after: None });
    }
    let was = held.map(|held| Replaced { thumbprint: held.thumbprint, not_after: held.not_after });
    let times = (finished_at(after, records.certificate), synced(records, after).1);
    let synced_after = match times {
        (Some(imported), Some(synced)) => Duration::try_from(synced - imported).ok(),
        _ => None,
    };
    Some(Rotation { was, is, synced_after })
}

/// Returns the step that brings the certificate into the cluster, with the end of its last run: the sync workload's, or the
/// operator's if there is no sync workload.
fn synced<'a>(
    records: &Records,
    journal_state: &'a JournalState,
) -> (Option<&'a StepState>, Option<Timestamp>) {
    let is_provided = journal_state.output_of(records.secret).is_none()
        && journal_state.output_of(records.provided).is_some();
    match is_provided {
        true => (journal_state.past_of(records.provided), finished_at(journal_state, records.provided)),
        false => (journal_state.past_of(records.secret), finished_at(journal_state, records.secret)),
    }
}

fn finished_at<T>(journal_state: &JournalState, step: RecordOf<T>) -> Option<Timestamp> {
    journal_state.past_of(step)?.finished_at.as_deref()?.parse().ok()
}
