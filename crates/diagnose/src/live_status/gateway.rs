//! Status of a gateway, and of the objects that the controller created for it.

use crate::{
    object_fields::{display_name, label, list, name, number, space, text},
    route_model::Gateway,
};
use landfall_cloud::kubernetes::{
    DynamicObject,
    readiness::{self, Readiness},
};

/// The label that names the gateway for which an object was created.
const GATEWAY_LABEL: &str = "gateway.networking.k8s.io/gateway-name";

/// A gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GatewayStatus {
    /// Its name, with the namespace unless that is `default`.
    pub name: String,
    /// Its class.
    pub class: String,
    /// Its addresses.
    pub addresses: Vec<String>,
    /// The reason why it is not ready; `None` if it is.
    pub problem: Option<String>,
    /// Its listeners: name, protocol and port, number of attached routes.
    pub listeners: Vec<(String, String, i64)>,
    /// The objects that the controller created for it.
    pub created: CreatedObjects,
}

/// The objects that the controller created for a gateway.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CreatedObjects {
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
    pub min_available: i64,
    /// The number of pods that may be evicted now.
    pub evictable: i64,
}

/// All objects in the cluster that may belong to a gateway.
pub(super) struct ObjectLists {
    pub deployments: Vec<DynamicObject>,
    pub services: Vec<DynamicObject>,
    pub autoscalers: Vec<DynamicObject>,
    pub budgets: Vec<DynamicObject>,
}

impl GatewayStatus {
    pub(super) fn read(gateway: &DynamicObject, lists: &ObjectLists) -> Self {
        let problem = match readiness::gateway(gateway) {
            Readiness::Ready(_) => None,
            Readiness::Waiting(why) | Readiness::Broken(why) => Some(why),
        };
        let (spec, status) = (&gateway.data["spec"], &gateway.data["status"]);
        let attached = |name: &str| {
            let mut listener_status = list(status, "/listeners").iter();
            let own = listener_status.find(|listener_status| text(listener_status, "/name") == name);
            own.and_then(|own| own["attachedRoutes"].as_i64()).unwrap_or(0)
        };
        let listeners = Gateway::read(gateway).listeners.into_iter().map(|listener| {
            let routes = attached(&listener.name);
            (listener.name, format!("{} {}", listener.protocol, listener.port), routes)
        });
        let addresses = list(status, "/addresses").iter().map(|address| text(address, "/value").to_owned());
        Self {
            name: display_name(gateway),
            class: text(spec, "/gatewayClassName").to_owned(),
            addresses: addresses.filter(|address| !address.is_empty()).collect(),
            problem,
            listeners: listeners.collect(),
            created: CreatedObjects::read(gateway, lists),
        }
    }

    /// Returns whether it is programmed and its Envoys are ready.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        self.problem.is_none() && self.created.deployment.as_ref().is_some_and(|(_, ready, _)| *ready > 0)
    }
}

impl CreatedObjects {
    fn read(gateway: &DynamicObject, lists: &ObjectLists) -> Self {
        let own = Some(name(gateway));
        let of = |all: &[DynamicObject]| -> Option<DynamicObject> {
            let mut created = all.iter().filter(|created| space(created) == space(gateway));
            created.find(|created| label(created, GATEWAY_LABEL) == own).cloned()
        };
        let deployment = of(&lists.deployments).map(|deployment| {
            let (ready, wanted) =
                (number(&deployment, "/status/readyReplicas"), number(&deployment, "/spec/replicas"));
            (display_name(&deployment), ready, wanted)
        });
        let service = of(&lists.services).map(|service| {
            let ports =
                list(&service.data, "/spec/ports").iter().filter_map(|port| port["port"].as_i64()).collect();
            (display_name(&service), text(&service.data, "/spec/type").to_owned(), ports)
        });
        let autoscaler = of(&lists.autoscalers).map(|autoscaler| Autoscaler {
            least: number(&autoscaler, "/spec/minReplicas"),
            most: number(&autoscaler, "/spec/maxReplicas"),
            now: number(&autoscaler, "/status/currentReplicas"),
        });
        let budget = of(&lists.budgets).map(|budget| Budget {
            min_available: number(&budget, "/spec/minAvailable"),
            evictable: number(&budget, "/status/disruptionsAllowed"),
        });
        Self { deployment, service, autoscaler, budget }
    }
}
