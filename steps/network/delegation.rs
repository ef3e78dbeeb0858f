//! Delegation of the nodes' subnet to a service, which AKS refuses.
//! <https://learn.microsoft.com/azure/aks/configure-azure-cni#prerequisites>

use crate::{network::body::subnet_of, settings::Network};
use landfall_engine::{Kind, Leftover, StepError};
use serde_json::Value;

/// The code of the error that AKS returns.
pub(crate) const CODE: &str = "SubnetIsDelegated";

/// Returns the error for a subnet that is delegated to a service.
pub(crate) fn refusal(body: &Value, desired: &Network) -> Option<StepError> {
    let subnet = subnet_of(body, &desired.subnet)?;
    let delegations = subnet["properties"]["delegations"].as_array()?;
    let services: Vec<&str> =
        delegations.iter().filter_map(|one| one["properties"]["serviceName"].as_str()).collect();
    let service = services.join(", ");
    (!services.is_empty()).then(|| {
        StepError::new(Kind::Refused, format!("use subnet {} of {} for nodes", desired.subnet, desired.name))
            .code(CODE)
            .cause(format!(
                "subnet {} of {} is delegated to {service}, and AKS refuses a delegated subnet",
                desired.subnet, desired.name
            ))
            .hint("set network.subnet and network.subnet_prefix to another subnet, or ask the owner of the network to remove the delegation")
            .leftover(Leftover::Nothing)
    })
}
