//! The faults.

use serde::{Deserialize, Serialize};

macro_rules! faults {
    ($($(#[$doc:meta])* $fault:ident,)*) => {
        /// A fault.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum Fault {
            $($(#[$doc])* $fault,)*
        }

        impl Fault {
            /// All faults, in the order of the table's topics.
            pub const ALL: &'static [Self] = &[$(Self::$fault,)*];
        }
    };
}

faults! {
    /// 429 with `Retry-After`; a request before its end restarts the wait.
    Throttled,
    /// 429 without `Retry-After`.
    ThrottledSilently,
    /// 500 before the request had any effect.
    ServerError,
    /// 503 before the request had any effect, with a body that is not JSON.
    Unavailable,
    /// 502 before the request had any effect, with a body that is not JSON.
    BadGateway,
    /// 504: the provider did not respond to Resource Manager in time.
    GatewayTimeout,
    /// The connection breaks before the request had any effect.
    ResetBefore,
    /// The request takes effect and the connection breaks before the response.
    ResetAfter,
    /// The request takes effect and the response breaks off in the middle.
    Truncated,
    /// The response takes half a minute of cloud time.
    Slow,
    /// The request has no effect, and no response ever arrives.
    StalledBefore,
    /// The request takes effect, and no response ever arrives.
    StalledAfter,
    /// 401 during the run: the token has expired.
    TokenExpired,
    /// A write takes effect, and its success is a proxy's page.
    AnswerPage,
    /// A write takes effect, and its success is half a document.
    AnswerHalf,
    /// A write takes effect, and its operation's address leads to another server.
    AnswerForeign,
    /// A write takes effect, and it is answered with a redirect.
    AnswerMoved,
    /// 400 `NoRegisteredProviderFound` for a valid api-version.
    NoRegisteredProvider,
    /// A write of a cluster conflicts in the provider's store: 409 `EtagMismatch`, or 412 for `If-Match`.
    EtagMismatch,
    /// Another client writes to the cluster: 409 `OperationNotAllowed`.
    OperationNotAllowed,
    /// AKS's own throttling: 429 `Throttled` without an envelope.
    ClusterThrottled,
    /// Resource Manager and AKS limit requests as Azure does.
    RequestsLimited,
    /// Resource Manager and AKS admit only a few requests a second.
    RequestsFew,
    /// Another client writes to the network: 429 `RetryableError`.
    AnotherOperation,
    /// A region of Resource Manager does not know a new group yet.
    GroupLate,
    /// A region of Resource Manager does not know a new identity yet.
    ParentLate,
    /// Another client writes to the vault.
    VaultConflict,
    /// A group of that name is still being deleted: 409 `ResourceGroupBeingDeleted`.
    GroupDeprovisioned,
    /// Another client has locked the resource group.
    GroupLocked,
    /// The operation ends `Failed`.
    OperationFailed,
    /// The operation ends `Canceled`.
    OperationCanceled,
    /// A write by another client preempts the operation.
    OperationPreempted,
    /// The operation shows undocumented states.
    OperationStrange,
    /// The URL of the operation is unknown.
    OperationForgotten,
    /// A role assignment takes effect only after minutes.
    GrantsLate,
    /// The directory does not know the principal yet.
    PrincipalNotFound,
    /// Another client created the same assignment under another name.
    RoleExists,
    /// A vault of that name was soft-deleted in this subscription.
    VaultSoftDeleted,
    /// A foreign vault has the name.
    VaultTaken,
    /// The vault's name does not resolve yet.
    VaultUnresolved,
    /// The caller's role is not effective in the vault yet.
    ForbiddenYet,
    /// A certificate of that name was soft-deleted.
    CertificateSoftDeleted,
    /// The preview feature no longer exists.
    FeatureVanished,
    /// The preview feature exists and is required.
    FeatureThere,
    /// The resource provider was unregistered.
    ProviderUnregistered,
    /// The core quota of the subscription is small.
    CoresFew,
    /// The public address quota of the subscription is small.
    AddressesFew,
    /// The default VM size is not available to the subscription.
    SizeWithheld,
    /// A policy denies clusters.
    PolicyDenies,
    /// A policy rewrites a tag of every resource.
    PolicyModifies,
    /// The caller loses the right to assign roles.
    RoleLost,
    /// The gateway class is accepted minutes after the cluster succeeded.
    ClassLate,
    /// The add-on has no identity after the write succeeded.
    IdentityLate,
    /// A federated credential takes effect only after minutes.
    CredentialLate,
    /// Another client writes a credential of the same identity.
    CredentialConflict,
    /// The answer to the write of a cluster does not name its issuer.
    IssuerLate,
    /// A node pool is `Failed` in a cluster that is `Succeeded`.
    PoolFailed,
    /// Another client stopped the cluster.
    ClusterStopped,
    /// The operator of application routing reacts minutes later.
    OperatorLate,
    /// ExternalDNS starts before the workload identity webhook.
    ExternalDnsEarly,
    /// The load balancer gets its address minutes later.
    AddressLate,
    /// The cloud cannot create load balancers any more.
    BalancerFails,
    /// All kubelets stop responding.
    NodesLost,
    /// The node of a Job's pod is drained.
    NodeDrained,
    /// The memory of a Job's pod runs out.
    PodOutOfMemory,
    /// The last pod that mounts the Secret is permanently removed.
    HolderGone,
    /// A watch breaks off in the middle of an event.
    WatchBroken,
    /// The resource version at which a watch starts is too old.
    WatchGone,
    /// 429 of the Kubernetes API.
    ApiThrottled,
    /// The Kubernetes API responds with 503 for a while.
    ApiDown,
    /// The backend of an aggregated API is gone.
    AggregatedApiDown,
    /// kubectl owns a field that is applied.
    KubectlOwns,
    /// Another client writes the record set between a read and a write.
    DnsRace,
    /// The record set has a second address without a server.
    DnsStale,
    /// A valid nonce is refused.
    AcmeBadNonce,
    /// 503 of a CA with a body that is not JSON, and `Retry-After`.
    AcmeUnavailable,
    /// 429 of a CA.
    AcmeRateLimited,
    /// A CA has paused the names of the order.
    AcmePaused,
    /// A CA has new terms of service.
    AcmeTermsChanged,
    /// A CA has forgotten the account.
    AcmeAccountGone,
    /// A CA has forgotten the order.
    AcmeOrderGone,
    /// A failed authorization leaves its order pending.
    AcmeOrderStaysPending,
    /// A validation fails at a secondary place.
    AcmeSecondaryFails,
    /// The issuance takes minutes.
    AcmeSlowIssuance,
    /// A CAA record forbids the CA to issue.
    AcmeCaa,
    /// A CA refuses that an order replaces a certificate.
    AcmeReplacesRefused,
    /// An order does not show which certificate it replaces.
    AcmeReplacesHidden,
    /// An order without a profile gets a random one.
    AcmeProfileRandom,
    /// New accounts need an external account binding.
    AcmeBindingRequired,
    /// A CA wants all certificates renewed.
    AcmeIncident,
    /// The renewal window is empty.
    AcmeWindowInvalid,
    /// A name server fails.
    DnsServerDown,
    /// A write reaches a name server minutes later.
    DnsServerLate,
    /// The parents of the zones delegate to other name servers.
    DnsZoneUndelegated,
    /// The caller may not write a record.
    DnsWriteDenied,
    /// An append takes effect and its response is lost.
    AppendAnswerLost,
    /// 503 for an append.
    AppendBusy,
    /// 403 for an append.
    AppendForbidden,
    /// The lease of a blob expired.
    LeaseExpired,
    /// Another client broke the lease of a blob.
    LeaseBroken,
    /// Another client holds the lease of a blob.
    LeaseTaken,
    /// The proxies of the gateways keep their certificates.
    GatewayKeepsCertificate,
}
