//! The durations of the real cloud in seconds, before time scaling.
//!
//! Each value is within the documented or publicly observed range of the service. The comment states the kind
//! of evidence.

/// Creation of a resource group, the duration of the response (observed 1–3 s).
pub const GROUP_PUT: f64 = 2.0;
/// Deletion of a resource group, in addition to its members (observed).
pub const GROUP_DELETE: f64 = 10.0;
/// Creation or update of a virtual network or a subnet (observed 3–10 s).
pub const NETWORK_PUT: f64 = 5.5;
/// Deletion of a virtual network or a subnet (observed about 10 s).
pub const NETWORK_DELETE: f64 = 10.0;
/// The `Retry-After` of Network (10 s gaps in public recordings).
pub const NETWORK_RETRY_AFTER: f64 = 10.0;
/// The `Retry-After` of Resource Manager for a group deletion (documented).
pub const GROUP_RETRY_AFTER: f64 = 15.0;
/// Creation of a vault, mostly its DNS registration (observed 10–60 s).
pub const VAULT_CREATE: f64 = 14.0;
/// Recovery of a soft-deleted vault (observed 10–60 s).
pub const VAULT_RECOVER: f64 = 20.0;
/// Purge of a soft-deleted vault (observed 10–60 s).
pub const VAULT_PURGE: f64 = 20.0;
/// Creation of a role assignment, the duration of the response (observed 1–3 s).
pub const ROLE_PUT: f64 = 2.0;
/// The delay between a role assignment and its first effect on the data plane (documented 30 s – 5 min).
pub const ROLE_EFFECT: f64 = 60.0;
/// The delay before the directory returns a new managed identity (observed, up to minutes).
pub const PRINCIPAL_REPLICATION: f64 = 30.0;
/// Creation of a user-assigned identity, the duration of the response (observed 2–4 s).
pub const IDENTITY_PUT: f64 = 2.0;
/// Write of a federated credential, the duration of the response (observed, below 1 s).
pub const FEDERATED_CREDENTIAL_PUT: f64 = 0.5;
/// The delay between a federated credential and its effect at the token endpoint (documented: seconds to minutes).
pub const FEDERATED_CREDENTIAL_EFFECT: f64 = 20.0;
/// Creation of a storage account (observed 15–25 s).
pub const STORAGE_ACCOUNT_PUT: f64 = 18.0;
/// The `Retry-After` of Storage (observed 17 s).
pub const STORAGE_RETRY_AFTER: f64 = 17.0;
/// Import of a certificate, the duration of the response (inferred 1–3 s).
pub const CERTIFICATE_IMPORT: f64 = 2.0;
/// Creation of a managed cluster (observed 4–12 min).
pub const CLUSTER_CREATE: f64 = 280.0;
/// Update of a managed cluster (observed 2–8 min; the short end, as for one add-on).
pub const CLUSTER_UPDATE: f64 = 90.0;
/// Deletion of a managed cluster (observed 5–10 min).
pub const CLUSTER_DELETE: f64 = 300.0;
/// Registration of a resource provider (observed 30 s – 2 min).
pub const PROVIDER_REGISTER: f64 = 60.0;
/// Registration of a preview feature (documented as minutes, observed 2–15).
pub const FEATURE_REGISTER: f64 = 300.0;
/// Write of a DNS record set, the duration of the response (documented 1 s).
pub const DNS_PUT: f64 = 1.0;
/// The maximum delay between the write of a record set and its publication on a name server (documented 60 s).
pub const DNS_PUBLICATION_MAX: f64 = 60.0;
/// The delay between the cluster's success and a ready istiod (inferred 1–3 min).
pub const ISTIOD_READY: f64 = 45.0;
/// The delay between the cluster's success and an accepted GatewayClass (inferred, shortly after istiod).
pub const CLASS_ACCEPTED: f64 = 50.0;
/// The additional delay of the acceptance of gateway classes, if a fault delays it (inferred: up to 2 min and more).
pub const LATE_CLASS: f64 = 180.0;
/// The additional delay of a load balancer's address, if a fault delays it (inferred).
pub const LATE_ADDRESS: f64 = 120.0;
/// Start of a pod: scheduling, image pull and probes (inferred).
pub const POD_READY: f64 = 8.0;
/// Mount of vault objects once access is granted (documented 2–10 s).
pub const CSI_MOUNT: f64 = 3.0;
/// The first delay of the kubelet after a failed mount; it doubles (Kubernetes source).
pub const KUBELET_BACKOFF_FIRST: f64 = 0.5;
/// The maximum delay of the kubelet between mounts (Kubernetes source: 2 min 2 s).
pub const KUBELET_BACKOFF_LAST: f64 = 122.0;
/// The delay between a LoadBalancer Service and its address (observed 30–120 s).
pub const LOAD_BALANCER_ADDRESS: f64 = 30.0;
/// The delay between the deletion of a LoadBalancer Service and that of its load balancer (inferred).
pub const LOAD_BALANCER_RELEASE: f64 = 20.0;
/// The delay between a Gateway and its ready deployment (inferred).
pub const GATEWAY_DEPLOYMENT: f64 = 10.0;
/// The default rotation poll interval of the Secrets Store driver, if rotation is enabled (documented: 2
/// min).
pub const ROTATION: f64 = 120.0;
/// The lifetime of an access token in real seconds at any speed (documented 60–90 min).
pub const TOKEN_LIFETIME_REAL: f64 = 3600.0;
/// The retention of an operation's status after its end (RPC: at least 24 h).
pub const OPERATION_RETENTION: f64 = 24.0 * 3600.0;
/// Deletion of a vault with its group (inferred; the request itself completes at once).
pub const VAULT_DELETE: f64 = 5.0;
/// Creation of a self-signed certificate (observed, 5–20 s).
pub const CERTIFICATE_CREATE: f64 = 10.0;
/// The delay between the deletion of a certificate and its listing as deleted (observed, at most 3 s).
pub const CERTIFICATE_DELETE: f64 = 3.0;
/// Recovery of a deleted certificate (observed, some seconds).
pub const CERTIFICATE_RECOVER: f64 = 5.0;
/// The `Retry-After` of a certificate's creation (recorded).
pub const CERTIFICATE_RETRY_AFTER: f64 = 10.0;
/// Update of only the tags of a managed cluster (inferred).
pub const CLUSTER_TAGS: f64 = 20.0;
/// The maximum wait of an ACME validation before its look-up (Pebble: 0–5 s).
pub const ACME_VALIDATION_MAX: f64 = 5.0;
/// The maximum time in which a CA issues the certificate of a finalized order (observed 1–5 s).
pub const ACME_ISSUANCE_MAX: f64 = 5.0;
/// The `Retry-After` of ACME objects that change soon (Boulder source: 3 s).
pub const ACME_RETRY_AFTER: f64 = 3.0;
