//! The timer queue of the controllers: the only time-driven part of a cluster.
//!
//! Everything else is level-triggered: controllers read the stored objects and create what is missing.
//! Delayed work is an entry here with its due time. The queue is stored with the state, so a stopped server
//! delays nothing.

use serde::{Deserialize, Serialize};

use crate::clock::Moment;

/// The name and uid of one object; the uid distinguishes it from a later one of the same name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Named {
    pub namespace: String,
    pub name: String,
    pub uid: String,
}

/// A delayed task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "task", rename_all = "kebab-case")]
pub(super) enum Task {
    /// Serves the kinds of the managed Gateway API installation.
    InstallGatewayApi,
    /// Writes the GatewayClasses, not accepted yet.
    WriteClasses,
    /// Accepts the GatewayClasses as their controller.
    AcceptClasses,
    /// Reverts changes in the namespace of the mesh.
    RepairMesh,
    /// Mounts one volume of a pod; `attempt` counts the attempts.
    Mount { pod: Named, volume: String, attempt: u32 },
    /// Starts the containers of a pod.
    StartPod { pod: Named },
    /// Removes a pod that is being deleted.
    EndPod { pod: Named },
    /// Marks a rollout that exceeds its progress deadline.
    GiveUpProgress { deployment: Named, replica_set: String },
    /// Polls the vault for new versions of the mounted objects of a pod.
    Rotate { pod: Named },
    /// Creates the Secrets that mounted classes request.
    SyncSecrets,
    /// Assigns an address of the cloud's load balancer to a Service.
    Balance { service: Named, attempt: u32 },
    /// Releases the load balancer of a Service that is being deleted.
    Release { service: Named },
    /// Reconciles all gateways and routes.
    LookAtGateways,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Entry {
    at: Moment,
    task: Task,
}

/// Tasks in the order of their due times; equal times keep the insertion order.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Agenda(Vec<Entry>);

impl Agenda {
    /// Adds a task.
    pub fn enter(&mut self, at: Moment, task: Task) {
        let place = self.0.partition_point(|entry| entry.at <= at);
        self.0.insert(place, Entry { at, task });
    }

    /// Adds a task unless the same one is waiting already.
    pub fn enter_once(&mut self, at: Moment, task: Task) {
        if !self.holds(|waiting| *waiting == task) {
            self.enter(at, task);
        }
    }

    /// Returns whether a matching task is waiting.
    pub fn holds(&self, like: impl Fn(&Task) -> bool) -> bool {
        self.0.iter().any(|entry| like(&entry.task))
    }

    /// Removes every matching task.
    pub fn forget(&mut self, like: impl Fn(&Task) -> bool) {
        self.0.retain(|entry| !like(&entry.task));
    }

    /// Returns the due time of the first task.
    pub fn next(&self) -> Option<Moment> {
        self.0.first().map(|entry| entry.at)
    }

    /// Returns the due time of the first matching task.
    pub fn next_like(&self, like: impl Fn(&Task) -> bool) -> Option<Moment> {
        self.0.iter().find(|entry| like(&entry.task)).map(|entry| entry.at)
    }

    /// Removes and returns the first task if it is due by `upto`.
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
