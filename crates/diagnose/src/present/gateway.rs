//! Status of a gateway, and of the objects that the controller created for it.

use crate::{
    object_fields::{display_name, label, list, name, number, space, text},
    route_model::Gate,
};
use landfall_cloud::kubernetes::{
    DynamicObject,
    readiness::{self, Readiness},
};

/// The label that names the gateway for which an object was created.
const MADE_FOR: &str = "gateway.networking.k8s.io/gateway-name";

/// A gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Programmed {
    /// Its name, with the namespace unless that is `default`.
    pub name: String,
    /// Its class.
    pub class: String,
    /// Its addresses.
    pub addresses: Vec<String>,
    /// The reason why it is not ready; `None` if it is.
    pub trouble: Option<String>,
    /// Its listeners: name, protocol and port, number of attached routes.
    pub listeners: Vec<(String, String, i64)>,
    /// The objects that the controller created for it.
    pub made: Made,
}

/// The objects that the controller created for a gateway.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Made {
    /// The Deployment of Envoys: name, ready and desired replicas.
    pub deployment: Option<(String, i64, i64)>,
    /// The Service: name, type and ports.
    pub service: Option<(String, String, Vec<i64>)>,
    /// The autoscaler.
    pub autoscaler: Option<Autoscaler>,
    /// The disruption budget.
    pub budget: Option<Budget>,
}

/// An autoscaler of Envoys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Autoscaler {
    /// The minimum number of replicas.
    pub least: i64,
    /// The maximum number of replicas.
    pub most: i64,
    /// The current number of replicas.
    pub now: i64,
}

/// A disruption budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// The minimum number of available pods.
    pub at_least: i64,
    /// The number of pods that may be evicted now.
    pub may_go: i64,
}

/// All objects in the cluster that may belong to a gateway.
pub(super) struct Around {
    pub deployments: Vec<DynamicObject>,
    pub services: Vec<DynamicObject>,
    pub autoscalers: Vec<DynamicObject>,
    pub budgets: Vec<DynamicObject>,
}

impl Programmed {
    pub(super) fn read(gateway: &DynamicObject, around: &Around) -> Self {
        let trouble = match readiness::gateway(gateway) {
            Readiness::Ready(_) => None,
            Readiness::Waiting(why) | Readiness::Broken(why) => Some(why),
        };
        let (spec, status) = (&gateway.data["spec"], &gateway.data["status"]);
        let attached = |name: &str| {
            let mut judged = list(status, "/listeners").iter();
            let own = judged.find(|judged| text(judged, "/name") == name);
            own.and_then(|own| own["attachedRoutes"].as_i64()).unwrap_or(0)
        };
        let listeners = Gate::read(gateway).listeners.into_iter().map(|listener| {
            let routes = attached(&listener.name);
            (listener.name, format!("{} {}", listener.protocol, listener.port), routes)
        });
        let addresses = list(status, "/addresses").iter().map(|address| text(address, "/value").to_owned());
        Self {
            name: display_name(gateway),
            class: text(spec, "/gatewayClassName").to_owned(),
            addresses: addresses.filter(|address| !address.is_empty()).collect(),
            trouble,
            listeners: listeners.collect(),
            made: Made::read(gateway, around),
        }
    }

    /// Returns whether it is programmed and its Envoys are ready.
    #[must_use]
    pub fn is_well(&self) -> bool {
        self.trouble.is_none() && self.made.deployment.as_ref().is_some_and(|(_, ready, _)| *ready > 0)
    }
}

impl Made {
    fn read(gateway: &DynamicObject, around: &Around) -> Self {
        let own = Some(name(gateway));
        let of = |all: &[DynamicObject]| -> Option<DynamicObject> {
            let mut made = all.iter().filter(|made| space(made) == space(gateway));
            made.find(|made| label(made, MADE_FOR) == own).cloned()
        };
        let deployment = of(&around.deployments).map(|deployment| {
            let (ready, wanted) =
                (number(&deployment, "/status/readyReplicas"), number(&deployment, "/spec/replicas"));
            (display_name(&deployment), ready, wanted)
        });
        let service = of(&around.services).map(|service| {
            let ports =
                list(&service.data, "/spec/ports").iter().filter_map(|port| port["port"].as_i64()).collect();
            (display_name(&service), text(&service.data, "/spec/type").to_owned(), ports)
        });
        let autoscaler = of(&around.autoscalers).map(|autoscaler| Autoscaler {
            least: number(&autoscaler, "/spec/minReplicas"),
            most: number(&autoscaler, "/spec/maxReplicas"),
            now: number(&autoscaler, "/status/currentReplicas"),
        });
        let budget = of(&around.budgets).map(|budget| Budget {
            at_least: number(&budget, "/spec/minAvailable"),
            may_go: number(&budget, "/status/disruptionsAllowed"),
        });
        Self { deployment, service, autoscaler, budget }
    }
}
