//! The record of an attempt to apply a set: its announced, created and existing objects.

use super::{
    Applied, ObjectRef,
    diff::SetDiff,
    recorded_ownership::{Ownership, is_created_by_landfall},
    reference_of, uid_of,
};
use landfall_cloud::kubernetes::{Creation, DynamicObject};
use landfall_engine::{Leftover, StepError};

/// The result of the apply of one object.
pub(super) struct ApplyResult {
    pub(super) object: ObjectRef,
    /// The evidence that the request created the object.
    pub(super) creation: Created,
    /// The UID of the object that was deleted before.
    pub(super) replaces: Option<String>,
}

/// The evidence that a request of landfall created an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Created {
    /// It created the object.
    Yes,
    /// The object existed, and its UID identifies the owner.
    No,
}

/// Evaluates an answer; after a lost one the object itself decides.
pub(super) fn evaluate_creation(creation: Creation, object: &DynamicObject) -> Created {
    match creation {
        Creation::Created => Created::Yes,
        Creation::Existed => Created::No,
        Creation::Unknown if is_created_by_landfall(object) => Created::Yes,
        Creation::Unknown => Created::No,
    }
}

/// An attempt in progress. Its ticket contains the existing and the applied objects, each once.
pub(super) struct Progress {
    ticket: Applied,
    /// The number of applied objects at the end of the ticket's list.
    applied: usize,
}

impl Progress {
    /// Starts with the existing objects of the set, and those of an earlier attempt.
    pub(super) fn start(cluster_uid: &str, ownership: &Ownership, diff: &SetDiff) -> Self {
        let mut objects: Vec<ObjectRef> = diff.live.iter().map(reference_of).collect();
        objects.extend(diff.left.to_prune.iter().chain(&diff.left.kept).cloned());
        let foreign = diff.live.iter().filter(|object| !ownership.owns(object));
        let found = foreign.map(|object| uid_of(object).to_owned()).collect();
        let fingerprint = Some(diff.fingerprint.clone());
        let ticket = Applied {
            found,
            creating: Some(Vec::new()),
            fingerprint,
            jobs: diff.jobs.clone(),
            ..Applied::of(cluster_uid, objects)
        };
        Self { ticket, applied: 0 }
    }

    /// Returns the current ticket for the journal.
    pub(super) fn ticket(&self) -> &Applied {
        &self.ticket
    }

    /// Records what the next requests may create.
    pub(super) fn record_planned(&mut self, names: impl Iterator<Item = ObjectRef>) {
        self.ticket.creating.get_or_insert_default().extend(names);
    }

    /// Records an answer.
    pub(super) fn record_result(&mut self, outcome: ApplyResult) {
        let ApplyResult { object, creation, replaces } = outcome;
        self.forget(&object);
        let known = self.ticket.objects.iter().any(|one| one.uid == object.uid);
        // The replacement of a foreign object in a found environment is kept with that environment.
        let for_foreign = replaces.is_some_and(|uid| self.ticket.found.contains(&uid));
        if for_foreign || (creation == Created::No && !known) {
            self.ticket.found.push(object.uid.clone());
        }
        let before = self.ticket.objects.len();
        self.ticket.objects.retain(|one| !same_place(one, &object));
        debug_assert!(before - self.ticket.objects.len() <= 1, "an object stands in a set once");
        self.ticket.objects.push(object);
        self.applied += 1;
    }

    /// Records a failure; a request that was certainly refused created nothing.
    pub(super) fn record_failure(&mut self, name: &ObjectRef, error: &StepError) {
        if error.leftover == Leftover::Nothing {
            self.forget(name);
        }
    }

    fn forget(&mut self, object: &ObjectRef) {
        self.ticket.creating.get_or_insert_default().retain(|name| !same_place(name, object));
    }

    /// Returns the output: the applied objects in their order, and those that stay from an earlier attempt.
    pub(super) fn finish(mut self, kept: Vec<ObjectRef>) -> Applied {
        let others = self.ticket.objects.len() - self.applied;
        self.ticket.objects.drain(..others);
        self.ticket.objects.extend(kept);
        let objects = &self.ticket.objects;
        self.ticket.found.retain(|uid| objects.iter().any(|object| object.uid == *uid));
        Applied { creating: None, ..self.ticket }
    }
}

fn same_place(one: &ObjectRef, other: &ObjectRef) -> bool {
    let space = |object: &ObjectRef| object.namespace.clone().unwrap_or_else(|| "default".to_owned());
    // A kind may be served in several versions.
    (one.group(), &one.kind, &one.name, space(one)) == (other.group(), &other.kind, &other.name, space(other))
}
