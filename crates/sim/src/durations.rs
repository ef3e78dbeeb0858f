//! How long things take in the real cloud, in seconds, before the speed bends them.
//!
//! Each value lies within the range that is documented or publicly observed for the service; the word beside
//! it says which kind of evidence there is.

/// Creating a resource group: the answer itself takes that long (observed 1–3 s).
pub const GROUP_PUT: f64 = 2.0;
/// Deleting a resource group over and above what its members take (observed).
pub const GROUP_DELETE: f64 = 10.0;
/// Creating or changing a virtual network or a subnet (observed 3–10 s).
pub const NETWORK_PUT: f64 = 5.5;
/// Deleting a virtual network or a subnet (observed about 10 s).
pub const NETWORK_DELETE: f64 = 10.0;
/// What Network answers as `Retry-After` (seen in public recordings as 10 s gaps).
pub const NETWORK_RETRY_AFTER: f64 = 10.0;
/// What Resource Manager answers as `Retry-After` of a group deletion (documented).
pub const GROUP_RETRY_AFTER: f64 = 15.0;
/// Creating a vault, most of it registering its name (observed 10–60 s).
pub const VAULT_CREATE: f64 = 14.0;
/// Recovering a soft-deleted vault (observed 10–60 s).
pub const VAULT_RECOVER: f64 = 20.0;
/// Purging a soft-deleted vault (observed 10–60 s).
pub const VAULT_PURGE: f64 = 20.0;
/// Making a role assignment: the answer itself (observed 1–3 s).
pub const ROLE_PUT: f64 = 2.0;
/// From a role assignment to its first effect on the data plane (documented 30 s – 5 min).
pub const ROLE_EFFECT: f64 = 60.0;
/// Until the directory answers for a managed identity that was just made (observed, up to minutes).
pub const PRINCIPAL_REPLICATION: f64 = 30.0;
/// Importing a certificate: the answer itself (inferred 1–3 s).
pub const CERTIFICATE_IMPORT: f64 = 2.0;
/// Creating a managed cluster (observed 4–12 min).
pub const CLUSTER_CREATE: f64 = 280.0;
/// Changing a managed cluster (observed 2–8 min; the short end, as for one add-on).
pub const CLUSTER_UPDATE: f64 = 90.0;
/// Deleting a managed cluster (observed 5–10 min).
pub const CLUSTER_DELETE: f64 = 300.0;
/// Registering a resource provider (observed 30 s – 2 min).
pub const PROVIDER_REGISTER: f64 = 60.0;
/// Registering a preview feature (documented as minutes, observed 2–15).
pub const FEATURE_REGISTER: f64 = 300.0;
/// Writing a DNS record set: the answer itself (documented 1 s).
pub const DNS_PUT: f64 = 1.0;
/// From the cluster's success to a ready istiod (inferred 1–3 min).
pub const ISTIOD_READY: f64 = 45.0;
/// From the cluster's success to an accepted GatewayClass (inferred, shortly after istiod).
pub const CLASS_ACCEPTED: f64 = 50.0;
/// A pod scheduled, its image pulled, its probes passed (inferred).
pub const POD_READY: f64 = 8.0;
/// Mounting secrets from a vault once access is granted (documented 2–10 s).
pub const CSI_MOUNT: f64 = 3.0;
/// First wait of the kubelet after a failed mount; it doubles (Kubernetes source).
pub const KUBELET_BACKOFF_FIRST: f64 = 0.5;
/// Longest wait of the kubelet between mounts (Kubernetes source: 2 min 2 s).
pub const KUBELET_BACKOFF_LAST: f64 = 122.0;
/// From a LoadBalancer Service to its address (observed 30–120 s).
pub const LOAD_BALANCER_ADDRESS: f64 = 30.0;
/// From the deletion of a LoadBalancer Service to the end of its load balancer (inferred).
pub const LOAD_BALANCER_RELEASE: f64 = 20.0;
/// From a Gateway to its ready deployment (inferred).
pub const GATEWAY_DEPLOYMENT: f64 = 10.0;
/// How often the Secrets Store driver looks for new versions when it is told to (documented: 2 min).
pub const ROTATION: f64 = 120.0;
/// How long an access token of the directory lasts, in real seconds at any speed (documented 60–90 min).
pub const TOKEN_LIFETIME_REAL: f64 = 3600.0;
/// How long the status of an operation can be asked for after its end (RPC: at least 24 h).
pub const OPERATION_KEPT: f64 = 24.0 * 3600.0;
/// Deleting a vault as part of its group (inferred; the call by itself answers at once).
pub const VAULT_DELETE: f64 = 5.0;
/// Making a certificate that signs itself (observed, 5–20 s).
pub const CERTIFICATE_CREATE: f64 = 10.0;
/// From the deletion of a certificate until it is listed as deleted (observed, some seconds).
pub const CERTIFICATE_DELETE: f64 = 5.0;
/// Recovering a deleted certificate (observed, some seconds).
pub const CERTIFICATE_RECOVER: f64 = 5.0;
/// Changing nothing but the tags of a managed cluster (inferred).
pub const CLUSTER_TAGS: f64 = 20.0;
