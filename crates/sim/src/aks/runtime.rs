//! The boundary to a container runtime outside of the simulation: the containers that it must run, and its reports.
//!
//! The simulation decides which containers run, and when they must end. The runtime starts and ends them, and reports
//! what happened. Between two reports the state says what the kubelet knows.

use super::cluster_info::{ClusterInfo, VaultReader};
use super::object::{is_ending, number, object_ref};
use super::reconcile_context::ReconcileContext;
pub(crate) use super::timers::ObjectRef;
pub(crate) use super::workload::ContainerEnd;
use super::{Controllers, run_until_stable, workload};
use crate::clock::{SimTime, Timing};
use crate::kubernetes::Store;

/// A pod with containers for the runtime.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ExternalPod {
    /// The pod.
    pub pod: ObjectRef,
    /// The containers to start now.
    pub start: Vec<String>,
    /// The containers that run, as far as the kubelet knows.
    pub running: Vec<String>,
    /// The real seconds that the containers have to end, if they must.
    pub grace_seconds: Option<i64>,
    /// True if the containers must end at once, as if their memory had run out.
    pub is_out_of_memory: bool,
}

/// A report of the runtime about a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ContainerReport {
    /// It has started.
    Started,
    /// It cannot be created, because its configuration refers to something that is missing.
    Refused(String),
    /// It has ended.
    Ended(ContainerEnd),
    /// It has ended because its node shuts down.
    ShutDown(ContainerEnd),
}

/// Returns the pods with containers for the runtime.
pub(crate) fn external_pods(
    store: &Store,
    controllers: &Controllers,
    cluster_info: &ClusterInfo,
) -> Vec<ExternalPod> {
    if cluster_info.images.is_empty() {
        return Vec::new();
    }
    let owned = |names: Vec<&str>| names.into_iter().map(str::to_owned).collect::<Vec<_>>();
    let pods = store.shared("pods", None).filter(|pod| workload::is_external(cluster_info, pod));
    let all = pods.map(|pod| ExternalPod {
        pod: object_ref(pod),
        start: owned(workload::startable(cluster_info, pod)),
        running: owned(workload::running(pod)),
        grace_seconds: is_ending(pod).then(|| number(pod, "/metadata/deletionGracePeriodSeconds").unwrap_or(0)),
        is_out_of_memory: controllers.out_of_memory.contains(super::object::uid(pod)),
    });
    all.filter(|one| !one.start.is_empty() || !one.running.is_empty()).collect()
}

/// A cluster at one time, for reports.
pub(crate) struct RuntimeContext<'a> {
    pub store: &'a mut Store,
    pub controllers: &'a mut Controllers,
    pub cluster_info: &'a ClusterInfo,
    pub vaults: &'a dyn VaultReader,
    pub timing: &'a Timing,
    pub at: SimTime,
}

impl RuntimeContext<'_> {
    fn apply(&mut self, change: impl FnOnce(&mut ReconcileContext<'_>)) {
        let at = self.at.max(self.controllers.advanced_to);
        let mut cx = ReconcileContext {
            store: self.store,
            state: self.controllers,
            cluster_info: self.cluster_info,
            vaults: self.vaults,
            timing: self.timing,
            at,
            until: at,
        };
        change(&mut cx);
        run_until_stable(&mut cx);
    }

    /// Applies a report about a container, and lets the controllers react.
    pub fn report(&mut self, pod: &ObjectRef, container: &str, report: &ContainerReport) {
        self.apply(|cx| match report {
            ContainerReport::Started => workload::container_started(cx, pod, container),
            ContainerReport::Refused(why) => workload::container_refused(cx, pod, container, why),
            ContainerReport::Ended(end) => {
                // The kernel that ends a container for its memory says so.
                let is_out_of_memory = cx.state.out_of_memory.remove(&pod.uid);
                let killed = ContainerEnd::out_of_memory();
                workload::container_ended(cx, pod, container, if is_out_of_memory { &killed } else { end });
            }
            ContainerReport::ShutDown(end) => {
                if let Some(found) = cx.find("pods", pod) {
                    workload::report_shutdown(cx, &found);
                }
                workload::container_ended(cx, pod, container, end);
            }
        });
    }

    /// Reports that a new runtime begins: the containers of the last one are lost, and pods that waited for an image that
    /// it does not know start without it.
    pub fn begin(&mut self) {
        self.apply(|cx| {
            workload::report_lost(cx);
            workload::adopt_waiting(cx);
        });
    }
}
