//! Teardown state of each step. Pure.
//!
//! A resource that the cloud deletes with its parent counts as deleted only after the parent. If it were
//! forgotten earlier and the parent then stayed, it would remain there as a foreign resource.

/// The teardown state of one step's resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TeardownState {
    /// It was never owned.
    NotOwned,
    /// Its undo has not ended.
    Pending,
    /// It is deleted with its parent, which still exists.
    AwaitsParent,
    /// Its deletion is in progress, and a later run completes it.
    Deleting,
    /// It is deleted.
    Deleted,
    /// It is kept on purpose.
    Kept,
    /// Its deletion failed, because of the failure of this step.
    Failed { by: usize },
}

/// The teardown states of all steps.
#[derive(Debug)]
pub(super) struct TeardownStates {
    /// For each step, those whose resource contains its own.
    parents: Vec<Vec<usize>>,
    teardown_states: Vec<TeardownState>,
}

/// The result of a held resource.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Resolved {
    /// It was deleted.
    Deleted { step: usize },
    /// It stays, because its parent stays.
    Kept { step: usize, with: usize },
    /// It stays, because the deletion of its parent failed.
    Failed { step: usize, by: usize },
}

impl TeardownStates {
    pub(super) fn new(parents: Vec<Vec<usize>>, owned: impl Iterator<Item = bool>) -> Self {
        let teardown_states =
            owned.map(|owned| if owned { TeardownState::Pending } else { TeardownState::NotOwned }).collect();
        Self { parents, teardown_states }
    }

    pub(super) fn of(&self, step: usize) -> TeardownState {
        self.teardown_states[step]
    }

    pub(super) fn set(&mut self, step: usize, teardown_state: TeardownState) {
        self.teardown_states[step] = teardown_state;
    }

    /// Returns the steps whose resource still waits for its parent's deletion.
    pub(super) fn awaiting_parent(&self) -> Vec<usize> {
        (0..self.teardown_states.len())
            .filter(|&step| self.teardown_states[step] == TeardownState::AwaitsParent)
            .collect()
    }

    /// Decides every held step that can be decided now, parents first.
    pub(super) fn resolve(&mut self) -> Vec<Resolved> {
        let mut resolved = Vec::new();
        // Parents have smaller indices, so one pass propagates a decision to the last child.
        for step in self.awaiting_parent() {
            let (parent, teardown_state) = self.deciding_parent(step);
            match teardown_state {
                TeardownState::Deleted => resolved.push(Resolved::Deleted { step }),
                TeardownState::Kept => resolved.push(Resolved::Kept { step, with: parent }),
                TeardownState::Failed { by } => resolved.push(Resolved::Failed { step, by }),
                TeardownState::NotOwned
                | TeardownState::Pending
                | TeardownState::AwaitsParent
                | TeardownState::Deleting => continue,
            }
            self.teardown_states[step] = teardown_state;
        }
        resolved
    }

    /// Returns the state that decides a step: the worst of its parents' states. A parent that is not owned is
    /// replaced by its own parents. Returns `Deleted` without an owned parent.
    fn deciding_parent(&self, step: usize) -> (usize, TeardownState) {
        let weight = |teardown_state: TeardownState| match teardown_state {
            TeardownState::Failed { .. } => 3,
            TeardownState::Kept => 2,
            TeardownState::Pending | TeardownState::AwaitsParent | TeardownState::Deleting => 1,
            TeardownState::Deleted | TeardownState::NotOwned => 0,
        };
        let one = |&parent: &usize| match self.teardown_states[parent] {
            TeardownState::NotOwned => self.deciding_parent(parent),
            teardown_state => (parent, teardown_state),
        };
        let worst =
            self.parents[step].iter().map(one).max_by_key(|(_, teardown_state)| weight(*teardown_state));
        worst.unwrap_or((step, TeardownState::Deleted))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A valley, a lake in it, a fish in the lake, and a boat on the lake.
    fn valley(owned: [bool; 4]) -> TeardownStates {
        let mut teardown_states =
            TeardownStates::new(vec![vec![], vec![0], vec![1], vec![1]], owned.into_iter());
        for step in (1..4).filter(|&step| owned[step]) {
            teardown_states.set(step, TeardownState::AwaitsParent);
        }
        teardown_states
    }

    #[test]
    fn a_contained_resource_is_deleted_with_its_parent() {
        let mut teardown_states = valley([true; 4]);
        assert!(teardown_states.resolve().is_empty());
        teardown_states.set(0, TeardownState::Deleted);
        assert_eq!(teardown_states.resolve(), [1, 2, 3].map(|step| Resolved::Deleted { step }));
        assert!(teardown_states.awaiting_parent().is_empty());
    }

    #[test]
    fn a_contained_resource_stays_with_its_parent() {
        let mut teardown_states = valley([true, false, true, false]);
        teardown_states.set(0, TeardownState::Kept);
        assert_eq!(teardown_states.resolve(), [Resolved::Kept { step: 2, with: 0 }]);
    }

    #[test]
    fn a_failure_propagates_to_all_descendants() {
        let mut teardown_states = valley([true; 4]);
        teardown_states.set(0, TeardownState::Failed { by: 0 });
        assert_eq!(teardown_states.resolve(), [1, 2, 3].map(|step| Resolved::Failed { step, by: 0 }));
        assert_eq!(teardown_states.of(3), TeardownState::Failed { by: 0 });
    }

    #[test]
    fn without_an_owned_parent_there_is_nothing_to_wait_for() {
        let mut teardown_states = valley([false, false, true, false]);
        assert_eq!(teardown_states.resolve(), [Resolved::Deleted { step: 2 }]);
    }
}
