//! Teardown state of each step. Pure.
//!
//! A resource that the cloud deletes with its parent counts as deleted only after the parent. If it were
//! forgotten earlier and the parent then stayed, it would remain there as a foreign resource.

/// The teardown state of one step's resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It was never owned.
    NotOurs,
    /// Its undo has not ended.
    Pending,
    /// It is deleted with its parent, which still exists.
    Held,
    /// Its deletion is in progress, and a later run completes it.
    Going,
    /// It is deleted.
    Gone,
    /// It is kept on purpose.
    Kept,
    /// Its deletion failed, because of the failure of this step.
    Lost { by: usize },
}

/// The teardown states of all steps.
#[derive(Debug)]
pub(super) struct Fates {
    /// For each step, those whose resource contains its own.
    parents: Vec<Vec<usize>>,
    fates: Vec<Fate>,
}

/// The result of a held resource.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Resolved {
    /// It was deleted.
    Went { step: usize },
    /// It stays, because its parent stays.
    Stays { step: usize, with: usize },
    /// It stays, because the deletion of its parent failed.
    Lost { step: usize, by: usize },
}

impl Fates {
    pub(super) fn new(parents: Vec<Vec<usize>>, ours: impl Iterator<Item = bool>) -> Self {
        let fates = ours.map(|ours| if ours { Fate::Pending } else { Fate::NotOurs }).collect();
        Self { parents, fates }
    }

    pub(super) fn of(&self, step: usize) -> Fate {
        self.fates[step]
    }

    pub(super) fn set(&mut self, step: usize, fate: Fate) {
        self.fates[step] = fate;
    }

    /// Returns the steps whose resource still waits for its parent's deletion.
    pub(super) fn held(&self) -> Vec<usize> {
        (0..self.fates.len()).filter(|&step| self.fates[step] == Fate::Held).collect()
    }

    /// Decides every held step that can be decided now, parents first.
    pub(super) fn resolve(&mut self) -> Vec<Resolved> {
        let mut resolved = Vec::new();
        // Parents have smaller indices, so one pass propagates a decision to the last child.
        for step in self.held() {
            let (parent, fate) = self.above(step);
            match fate {
                Fate::Gone => resolved.push(Resolved::Went { step }),
                Fate::Kept => resolved.push(Resolved::Stays { step, with: parent }),
                Fate::Lost { by } => resolved.push(Resolved::Lost { step, by }),
                Fate::NotOurs | Fate::Pending | Fate::Held | Fate::Going => continue,
            }
            self.fates[step] = fate;
        }
        resolved
    }

    /// Returns the state that decides a step: the worst of its parents' states. A parent that is not owned is
    /// replaced by its own parents. Returns `Gone` without an owned parent.
    fn above(&self, step: usize) -> (usize, Fate) {
        let weight = |fate: Fate| match fate {
            Fate::Lost { .. } => 3,
            Fate::Kept => 2,
            Fate::Pending | Fate::Held | Fate::Going => 1,
            Fate::Gone | Fate::NotOurs => 0,
        };
        let one = |&parent: &usize| match self.fates[parent] {
            Fate::NotOurs => self.above(parent),
            fate => (parent, fate),
        };
        let worst = self.parents[step].iter().map(one).max_by_key(|(_, fate)| weight(*fate));
        worst.unwrap_or((step, Fate::Gone))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A valley, a lake in it, a fish in the lake, and a boat on the lake.
    fn valley(ours: [bool; 4]) -> Fates {
        let mut fates = Fates::new(vec![vec![], vec![0], vec![1], vec![1]], ours.into_iter());
        for step in (1..4).filter(|&step| ours[step]) {
            fates.set(step, Fate::Held);
        }
        fates
    }

    #[test]
    fn what_goes_with_its_parent_is_gone_when_the_parent_is() {
        let mut fates = valley([true; 4]);
        assert!(fates.resolve().is_empty());
        fates.set(0, Fate::Gone);
        assert_eq!(fates.resolve(), [1, 2, 3].map(|step| Resolved::Went { step }));
        assert!(fates.held().is_empty());
    }

    #[test]
    fn what_would_go_with_a_parent_that_stays_stays() {
        let mut fates = valley([true, false, true, false]);
        fates.set(0, Fate::Kept);
        assert_eq!(fates.resolve(), [Resolved::Stays { step: 2, with: 0 }]);
    }

    #[test]
    fn a_failure_above_is_told_to_all_below() {
        let mut fates = valley([true; 4]);
        fates.set(0, Fate::Lost { by: 0 });
        assert_eq!(fates.resolve(), [1, 2, 3].map(|step| Resolved::Lost { step, by: 0 }));
        assert_eq!(fates.of(3), Fate::Lost { by: 0 });
    }

    #[test]
    fn with_nothing_of_ours_above_there_is_nothing_to_wait_for() {
        let mut fates = valley([false, false, true, false]);
        assert_eq!(fates.resolve(), [Resolved::Went { step: 2 }]);
    }
}
