//! Default values, in one place for the settings sources, the schema and the written template.

/// The domain of the demonstration.
pub const DOMAIN: &str = "demo.example.com";
/// The region.
pub const LOCATION: &str = "eastus";
/// The resource group.
pub const RESOURCE_GROUP: &str = "rg-aks-istio-gateway-demo";
/// The suffix of the node resource group, after the name of the resource group.
pub const NODE_GROUP_SUFFIX: &str = "-nodes";
/// The tags of every resource that supports tags.
pub const TAGS: [(&str, &str); 3] =
    [("Environment", "Demo"), ("Project", "AKS-Istio-Gateway-API"), ("ManagedBy", "landfall")];
/// The virtual network.
pub const NETWORK: &str = "vnet-aks-istio-demo";
/// The nodes' subnet.
pub const SUBNET: &str = "snet-aks";
/// The network's range.
pub const ADDRESS_SPACE: &str = "10.0.0.0/16";
/// The subnet's range.
pub const SUBNET_PREFIX: &str = "10.0.0.0/22";
/// The certificate's name in the vault.
pub const CERTIFICATE: &str = "gateway-tls-cert";
/// The cluster.
pub const CLUSTER: &str = "aks-istio-gateway-demo";
/// The initial number of nodes.
pub const NODES: u32 = 2;
/// The nodes' VM size.
pub const NODE_SIZE: &str = "Standard_D4s_v5";
/// The autoscaler's lower bound.
pub const NODES_MIN: u32 = 1;
/// The autoscaler's upper bound.
pub const NODES_MAX: u32 = 3;
/// The services' range.
pub const SERVICE_CIDR: &str = "10.1.0.0/16";
/// The cluster DNS's address.
pub const DNS_SERVICE_IP: &str = "10.1.0.10";
/// The percentage of requests to the stable version.
pub const STABLE: u8 = 90;
/// The percentage of requests to the canary.
pub const CANARY: u8 = 10;
/// The default time scale of the simulated cloud.
pub const SPEED: f64 = 60.0;
