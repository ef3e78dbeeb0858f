//! Names of the gateway controller that AKS runs with app routing.
//! <https://learn.microsoft.com/azure/aks/app-routing-gateway-api>

/// The namespace of the control plane.
pub const NAMESPACE: &str = "aks-istio-system";
/// The Deployment of the control plane.
pub const CONTROL_PLANE: &str = "istiod";
/// The GatewayClass that the control plane accepts.
pub const CLASS: &str = "approuting-istio";
