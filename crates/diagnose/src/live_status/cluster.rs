//! Status of the cluster, and of the control plane of its gateways.

use crate::object_fields::{display_name, is_condition_true, label, space, text};
use landfall_cloud::kubernetes::{DynamicObject, readiness};
use serde_json::Value;

/// A cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClusterStatus {
    /// Its name.
    pub name: String,
    /// `Succeeded`, or another provisioning state.
    pub provisioning: String,
    /// `ClusterStatus` or `Stopped`.
    pub power: String,
    /// The patch version of its control plane.
    pub version: String,
    /// The numbers of ready nodes and of all nodes.
    pub nodes: (usize, usize),
}

impl ClusterStatus {
    pub(super) fn read(name: &str, body: &Value) -> Self {
        let property = |pointer: &str| text(body, pointer).to_owned();
        let running = property("/properties/currentKubernetesVersion");
        let desired = || property("/properties/kubernetesVersion");
        Self {
            name: name.to_owned(),
            provisioning: property("/properties/provisioningState"),
            power: property("/properties/powerState/code"),
            version: if running.is_empty() { desired() } else { running },
            nodes: (0, 0),
        }
    }

    pub(super) fn count(&mut self, nodes: &[DynamicObject]) {
        let ready = nodes.iter().filter(|node| is_condition_true(&node.data["status"], "Ready")).count();
        self.nodes = (ready, nodes.len());
    }

    /// Returns whether it is running, without an operation in progress or a failure.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        self.provisioning == "Succeeded" && self.power != "Stopped"
    }
}

/// The controller that reconciles Gateways into load balancers and Envoys.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ControlPlane {
    /// The classes, each with `true` if its controller has accepted it.
    pub classes: Vec<(String, bool)>,
    /// The numbers of ready istiod pods and of all istiod pods.
    pub istiod: (usize, usize),
    /// Their namespace.
    pub namespace: String,
}

impl ControlPlane {
    pub(super) fn read(classes: &[DynamicObject], pods: &[DynamicObject]) -> Self {
        let accepted =
            |class: &DynamicObject| (display_name(class), readiness::gateway_class(class).is_ready());
        let istiod: Vec<&DynamicObject> =
            pods.iter().filter(|pod| label(pod, "app") == Some("istiod")).collect();
        let ready = istiod.iter().filter(|pod| is_condition_true(&pod.data["status"], "Ready")).count();
        Self {
            classes: classes.iter().map(accepted).collect(),
            istiod: (ready, istiod.len()),
            namespace: istiod.first().map(|pod| space(pod).to_owned()).unwrap_or_default(),
        }
    }

    /// Returns whether a controller reconciles the gateways.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        self.istiod.0 > 0 && self.classes.iter().any(|(_, accepted)| *accepted)
    }
}
