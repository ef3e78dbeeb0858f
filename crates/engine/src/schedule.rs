//! Scheduler: the steps that may start. Pure: no clock, no tasks, no I/O.

use std::ops::Range;

/// The state of one step in a schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NodeStatus {
    Waiting,
    Running,
    Done,
    Failed,
    Stopped,
    Blocked,
}

/// A schedule of the steps of a graph: forward for `up`, backward for `down`.
///
/// Steps are numbered in the order of their addition, so an edge always refers to a smaller number.
#[derive(Debug, Clone)]
pub struct Schedule {
    /// For each step, those that must be done before it.
    needs: Vec<Vec<usize>>,
    status: Vec<NodeStatus>,
    backward: bool,
}

impl Schedule {
    /// Returns a schedule in which a step runs after all its sources.
    ///
    /// # Panics
    ///
    /// Panics if an edge does not refer to an earlier step; a graph cannot contain such an edge.
    pub fn forward(sources: Vec<Vec<usize>>) -> Self {
        for (index, sources) in sources.iter().enumerate() {
            assert!(sources.iter().all(|&s| s < index), "an edge of step {index} points forwards");
        }
        let status = vec![NodeStatus::Waiting; sources.len()];
        Self { needs: sources, status, backward: false }
    }

    /// Returns the reverse schedule: a step runs after everything that depends on it.
    pub fn backward(sources: Vec<Vec<usize>>) -> Self {
        let Self { needs: sources, status, .. } = Self::forward(sources);
        let mut needs = vec![Vec::new(); sources.len()];
        for (dependant, sources) in sources.iter().enumerate() {
            for &source in sources {
                needs[source].push(dependant);
            }
        }
        Self { needs, status, backward: true }
    }

    /// Marks every step that may start as running, and returns them in schedule order.
    pub fn take_ready(&mut self) -> Vec<usize> {
        let done =
            |status: &[NodeStatus], needs: &[usize]| needs.iter().all(|&n| status[n] == NodeStatus::Done);
        let ready: Vec<usize> = self
            .order()
            .filter(|&i| self.status[i] == NodeStatus::Waiting && done(&self.status, &self.needs[i]))
            .collect();
        for &i in &ready {
            self.status[i] = NodeStatus::Running;
        }
        ready
    }

    /// Records that a running step succeeded.
    ///
    /// # Panics
    ///
    /// Panics if the step is not running.
    pub fn finish(&mut self, index: usize) {
        self.end(index, NodeStatus::Done);
    }

    /// Records that a running step failed, and returns the newly blocked steps in schedule order. Steps
    /// blocked by an earlier failure are not included.
    ///
    /// # Panics
    ///
    /// Panics if the step is not running.
    pub fn fail(&mut self, index: usize) -> Vec<usize> {
        self.end(index, NodeStatus::Failed);
        let mut blocked = Vec::new();
        // Schedule order lists every step after its dependencies, so one pass reaches them all.
        for i in self.order() {
            let lost = |&n: &usize| matches!(self.status[n], NodeStatus::Failed | NodeStatus::Blocked);
            if self.status[i] == NodeStatus::Waiting && self.needs[i].iter().any(lost) {
                self.status[i] = NodeStatus::Blocked;
                blocked.push(i);
            }
        }
        blocked
    }

    /// Records that a running step was interrupted: its dependents keep waiting.
    ///
    /// # Panics
    ///
    /// Panics if the step is not running.
    pub fn stop(&mut self, index: usize) {
        self.end(index, NodeStatus::Stopped);
    }

    /// Returns the running steps, in schedule order.
    pub fn running(&self) -> Vec<usize> {
        self.order().filter(|&i| self.status[i] == NodeStatus::Running).collect()
    }

    /// Returns whether every step succeeded.
    pub fn complete(&self) -> bool {
        self.status.iter().all(|&status| status == NodeStatus::Done)
    }

    /// Returns for each step the steps that must be done before it in this schedule.
    pub fn needs(&self) -> &[Vec<usize>] {
        &self.needs
    }

    /// Returns the numbers of the steps, each after its dependencies.
    pub fn order(&self) -> Order {
        Order { rest: 0..self.needs.len(), backward: self.backward }
    }

    fn end(&mut self, index: usize, status: NodeStatus) {
        assert_eq!(self.status[index], NodeStatus::Running, "step {index} ends without running");
        self.status[index] = status;
    }
}

/// The numbers of a schedule's steps, in schedule order.
#[derive(Debug, Clone)]
pub struct Order {
    rest: Range<usize>,
    backward: bool,
}

impl Iterator for Order {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        if self.backward { self.rest.next_back() } else { self.rest.next() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn diamond() -> Vec<Vec<usize>> {
        vec![vec![], vec![0], vec![0], vec![1, 2]]
    }

    #[test]
    fn a_failure_blocks_only_its_dependents() {
        let mut s = Schedule::forward(vec![vec![], vec![0], vec![0], vec![1], vec![3]]);
        assert_eq!(s.take_ready(), [0]);
        s.finish(0);
        assert_eq!(s.take_ready(), [1, 2]);
        assert_eq!(s.fail(1), [3, 4]);
        assert!(s.take_ready().is_empty());
        s.finish(2);
        assert!(!s.complete());
    }

    #[test]
    fn a_step_blocked_by_two_failures_is_reported_once() {
        let mut s = Schedule::forward(vec![vec![], vec![], vec![0, 1]]);
        assert_eq!(s.take_ready(), [0, 1]);
        assert_eq!(s.fail(0), [2]);
        assert!(s.fail(1).is_empty());
    }

    #[test]
    fn a_backward_schedule_runs_a_step_after_its_dependents() {
        let mut s = Schedule::backward(diamond());
        assert_eq!(s.take_ready(), [3]);
        s.finish(3);
        assert_eq!(s.take_ready(), [2, 1]);
        assert_eq!(s.fail(2), [0]);
        s.finish(1);
        assert!(s.take_ready().is_empty());
    }

    #[test]
    fn an_interrupted_step_blocks_nothing_and_starts_nothing() {
        let mut s = Schedule::forward(diamond());
        s.take_ready();
        s.stop(0);
        assert!(s.take_ready().is_empty());
        assert!(!s.complete());
    }

    /// Generates the edges of a random graph: each step selects its sources among the earlier ones.
    fn graphs() -> impl Strategy<Value = Vec<Vec<usize>>> {
        prop::collection::vec(prop::collection::btree_set(0..12_usize, 0..4), 1..12).prop_map(|picks| {
            let earlier =
                |(i, picks): (usize, BTreeSet<usize>)| picks.into_iter().filter(|&p| p < i).collect();
            picks.into_iter().enumerate().map(earlier).collect()
        })
    }

    /// Runs a schedule to its end; `choices` determine the next running step to end, and its result.
    fn walk(mut s: Schedule, choices: &[(usize, bool)]) -> (Vec<usize>, BTreeSet<usize>, BTreeSet<usize>) {
        let (mut ended, mut failed, mut blocked) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
        let mut choices = choices.iter().cycle();
        loop {
            s.take_ready();
            let running = s.running();
            if running.is_empty() {
                return (ended, failed, blocked);
            }
            let &(pick, succeeds) = choices.next().expect("cycled");
            let index = running[pick % running.len()];
            ended.push(index);
            if succeeds {
                s.finish(index);
            } else {
                failed.insert(index);
                for i in s.fail(index) {
                    assert!(blocked.insert(i), "{i} is named twice");
                }
            }
        }
    }

    proptest! {
        #[test]
        fn every_step_ends_or_is_blocked_and_only_below_a_failure(
            sources in graphs(),
            choices in prop::collection::vec((0..8_usize, prop::bool::weighted(0.8)), 1..20),
            backward: bool,
        ) {
            let s = if backward { Schedule::backward(sources) } else { Schedule::forward(sources) };
            let (needs, order) = (s.needs().to_vec(), s.order());
            let (ended, failed, blocked) = walk(s, &choices);
            prop_assert_eq!(ended.len() + blocked.len(), needs.len());
            for (place, &index) in ended.iter().enumerate() {
                prop_assert!(needs[index].iter().all(|n| ended[..place].contains(n) && !failed.contains(n)));
            }
            let mut lost = failed;
            for i in order {
                let below = needs[i].iter().any(|n| lost.contains(n));
                prop_assert_eq!(blocked.contains(&i), below);
                if below {
                    lost.insert(i);
                }
            }
        }
    }
}
