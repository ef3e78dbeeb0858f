//! The end of an `up`: deletes the owned resources of switched-off steps that nothing uses any more.
//!
//! One resource after the other, dependents first. A resource stays if the step that proves the new state did not
//! succeed in this run, or if a dependent could not be deleted; the next run tries again.

use super::{Walk, down::DeletionContext, with_deadline};
use crate::{
    context::Context,
    error::Leftover,
    event::EventKind,
    journal::{Entry, JournalError},
    step_types::UndoOutcome,
    stop::StopLevel,
};
use std::collections::BTreeSet;
use tokio::time::Instant;

/// Deletes what can be deleted; `has_succeeded` tells for each step whether it succeeded in this run.
pub(super) async fn retire<T: Send + 'static>(
    walk: &mut Walk<'_, T>,
    has_succeeded: impl Fn(usize) -> bool,
) -> Result<(), JournalError> {
    let (graph, run) = (walk.graph, walk.run);
    let retired = graph.retired(&run.journal.journal_state());
    let mut staying = BTreeSet::new();
    for (index, proof) in retired {
        let is_used = graph
            .sources
            .iter()
            .enumerate()
            .any(|(dependent, sources)| staying.contains(&dependent) && sources.contains(&index));
        if is_used || !has_succeeded(proof) || run.stop.level() >= StopLevel::Graceful {
            staying.insert(index);
            continue;
        }
        let node = &*graph.nodes[index];
        let known = DeletionContext::new(graph, run);
        let cx = Context::of_retirement(node.id(), run, &walk.run_requests);
        let began = Instant::now();
        cx.begin_acting();
        let result = with_deadline(node, &cx, known.delete(index, &cx)).await;
        walk.warned(index, cx.take_warnings());
        match result {
            Ok(undone) => {
                if !undone.is_deleted() {
                    staying.insert(index);
                }
                // An operation in progress has its ticket in the journal, and the next run completes it. The parent
                // stays, so nothing is deleted with it.
                if !matches!(undone, UndoOutcome::InProgress | UndoOutcome::DeletedWithParent) {
                    run.journal.append(Entry::Undone { step: node.id().into(), undone: undone.clone() })?;
                }
                run.emit(EventKind::Undone { step: node.id(), title: node.title(), undone: undone.clone() });
                walk.report.undone.push((node.id().to_owned(), undone));
            }
            Err(mut error) => {
                staying.insert(index);
                if error.leftover == Leftover::Nothing {
                    error.leftover = Leftover::Something;
                }
                walk.not_retired(index, error, began.elapsed())?;
            }
        }
    }
    Ok(())
}
