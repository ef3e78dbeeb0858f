//! What the controllers have to do later: the only clockwork of a cluster.
//!
//! Everything else is level-triggered: controllers look at the stored objects and make what is missing. What takes
//! time is an entry here with the moment it is due, stored with the world, so an hour on disk changes nothing.

use serde::{Deserialize, Serialize};

use crate::clock::Moment;

/// One object, told from a later one of the same name by its uid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Named {
    pub namespace: String,
    pub name: String,
    pub uid: String,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "task", rename_all = "kebab-case")]
pub(super) enum Task {
    /// The managed Gateway API installation serves its kinds.
    InstallGatewayApi,
    /// The classes are written, still without a controller's word.
    WriteClasses,
    /// The controller of the classes says its word.
    AcceptClasses,
    /// What someone changed in the mesh's own namespace is put back.
    RepairMesh,
    /// The kubelet mounts one volume of a pod, for the `attempt`th time.
    Mount { pod: Named, volume: String, attempt: u32 },
    /// The containers of a pod come up.
    StartPod { pod: Named },
    /// A pod that is being deleted is gone.
    EndPod { pod: Named },
    /// A rollout has taken too long.
    GiveUpProgress { deployment: Named, replica_set: String },
    /// The driver looks for new versions of what a pod has mounted.
    Rotate { pod: Named },
    /// The driver makes the Secrets that mounted classes ask for.
    SyncSecrets,
    /// The cloud's load balancer gets an address for a Service.
    Balance { service: Named, attempt: u32 },
    /// The cloud's load balancer lets go of a Service that is being deleted.
    Release { service: Named },
    /// The gateway controller looks at all gateways and routes.
    LookAtGateways,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Entry {
    at: Moment,
    task: Task,
}

/// Tasks in the order in which they are due; equal moments keep the order in which they were entered.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Agenda(Vec<Entry>);

impl Agenda {
    /// Enters a task.
    pub fn enter(&mut self, at: Moment, task: Task) {
        let place = self.0.partition_point(|entry| entry.at <= at);
        self.0.insert(place, Entry { at, task });
    }

    /// Enters a task unless the same one is waiting already.
    pub fn enter_once(&mut self, at: Moment, task: Task) {
        if !self.holds(|waiting| *waiting == task) {
            self.enter(at, task);
        }
    }

    /// Tells whether a task like that is waiting.
    pub fn holds(&self, like: impl Fn(&Task) -> bool) -> bool {
        self.0.iter().any(|entry| like(&entry.task))
    }

    /// Forgets every task like that.
    pub fn forget(&mut self, like: impl Fn(&Task) -> bool) {
        self.0.retain(|entry| !like(&entry.task));
    }

    /// Returns when the first task is due.
    pub fn next(&self) -> Option<Moment> {
        self.0.first().map(|entry| entry.at)
    }

    /// Returns when the first task like that is due.
    pub fn next_like(&self, like: impl Fn(&Task) -> bool) -> Option<Moment> {
        self.0.iter().find(|entry| like(&entry.task)).map(|entry| entry.at)
    }

    /// Takes the first task when it is due by `upto`.
    pub fn take(&mut self, upto: Moment) -> Option<(Moment, Task)> {
        if self.next()? > upto {
            return None;
        }
        let entry = self.0.remove(0);
        Some((entry.at, entry.task))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_come_in_order_of_their_moment_and_then_of_entry() {
        let mut agenda = Agenda::default();
        agenda.enter(Moment(20), Task::RepairMesh);
        agenda.enter(Moment(10), Task::WriteClasses);
        agenda.enter(Moment(20), Task::SyncSecrets);
        agenda.enter_once(Moment(30), Task::SyncSecrets);
        assert_eq!(agenda.next(), Some(Moment(10)));
        assert_eq!(agenda.take(Moment(20)), Some((Moment(10), Task::WriteClasses)));
        assert_eq!(agenda.take(Moment(20)), Some((Moment(20), Task::RepairMesh)));
        assert_eq!(agenda.take(Moment(19)), None);
        assert_eq!(agenda.take(Moment(20)), Some((Moment(20), Task::SyncSecrets)));
        assert_eq!(agenda.next(), None);
    }
}
