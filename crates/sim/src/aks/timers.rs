//! The timer queue of the controllers: the only time-driven part of a cluster.
//!
//! Everything else is level-triggered: controllers read the stored objects and create what is missing.
//! Delayed work is an entry here with its due time. The queue is stored with the state, so a stopped server
//! delays nothing.

use serde::{Deserialize, Serialize};

use crate::clock::SimTime;

/// The name and uid of one object; the uid distinguishes it from a later one of the same name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ObjectRef {
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
    Mount { pod: ObjectRef, volume: String, attempt: u32 },
    /// Starts the containers of a pod.
    StartPod { pod: ObjectRef },
    /// Ends the containers of a pod that is being deleted.
    EndPod { pod: ObjectRef },
    /// Ends the containers of a Job's pod successfully.
    CompletePod { pod: ObjectRef },
    /// Starts a container of a pod again.
    RestartContainer { pod: ObjectRef, container: String },
    /// Reconciles a Job after a delay, or at its deadline.
    ResumeJob { job: ObjectRef },
    /// Deletes a finished Job with a time to live.
    ExpireJob { job: ObjectRef },
    /// Marks a rollout that exceeds its progress deadline.
    #[serde(rename = "give-up-progress")]
    FailRollout { deployment: ObjectRef, replica_set: String },
    /// Polls the vault for new versions of the mounted objects of a pod.
    Rotate { pod: ObjectRef },
    /// Creates the Secrets that mounted classes request.
    SyncSecrets,
    /// Assigns an address of the cloud's load balancer to a Service.
    Balance { service: ObjectRef, attempt: u32 },
    /// Releases the load balancer of a Service that is being deleted.
    Release { service: ObjectRef },
    /// Reconciles all gateways and routes.
    #[serde(rename = "look-at-gateways")]
    ReconcileGateways,
    /// Starts the operator of application routing.
    StartOperator,
    /// Reconciles the objects of the operator.
    ReconcileOperator,
    /// Runs the loop of an ExternalDNS once.
    SyncRecords { deployment: ObjectRef },
    /// Ends an ExternalDNS whose run failed, by the UID of its Deployment.
    FailSync { deployment: String },
    /// Starts the failed container of a pod again.
    RestartPod { pod: ObjectRef },
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Entry {
    at: SimTime,
    task: Task,
}

/// Tasks in the order of their due times; equal times keep the insertion order.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct TimerQueue(Vec<Entry>);

impl TimerQueue {
    /// Adds a task.
    pub fn insert(&mut self, at: SimTime, task: Task) {
        let place = self.0.partition_point(|entry| entry.at <= at);
        self.0.insert(place, Entry { at, task });
    }

    /// Adds a task unless the same one is waiting already.
    pub fn insert_once(&mut self, at: SimTime, task: Task) {
        if !self.holds(|waiting| *waiting == task) {
            self.insert(at, task);
        }
    }

    /// Returns whether a matching task is waiting.
    pub fn holds(&self, predicate: impl Fn(&Task) -> bool) -> bool {
        self.0.iter().any(|entry| predicate(&entry.task))
    }

    /// Removes every matching task.
    pub fn cancel(&mut self, predicate: impl Fn(&Task) -> bool) {
        self.0.retain(|entry| !predicate(&entry.task));
    }

    /// Returns the due time of the first task.
    pub fn next(&self) -> Option<SimTime> {
        self.0.first().map(|entry| entry.at)
    }

    /// Returns the due time of the first matching task.
    pub fn next_matching(&self, predicate: impl Fn(&Task) -> bool) -> Option<SimTime> {
        self.0.iter().find(|entry| predicate(&entry.task)).map(|entry| entry.at)
    }

    /// Removes and returns the first task if it is due by `upto`.
    pub fn pop_due(&mut self, until: SimTime) -> Option<(SimTime, Task)> {
        if self.next()? > until {
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
    fn tasks_are_ordered_by_due_time_then_insertion() {
        let mut timers = TimerQueue::default();
        timers.insert(SimTime(20), Task::RepairMesh);
        timers.insert(SimTime(10), Task::WriteClasses);
        timers.insert(SimTime(20), Task::SyncSecrets);
        timers.insert_once(SimTime(30), Task::SyncSecrets);
        assert_eq!(timers.next(), Some(SimTime(10)));
        assert_eq!(timers.pop_due(SimTime(20)), Some((SimTime(10), Task::WriteClasses)));
        assert_eq!(timers.pop_due(SimTime(20)), Some((SimTime(20), Task::RepairMesh)));
        assert_eq!(timers.pop_due(SimTime(19)), None);
        assert_eq!(timers.pop_due(SimTime(20)), Some((SimTime(20), Task::SyncSecrets)));
        assert_eq!(timers.next(), None);
    }
}
