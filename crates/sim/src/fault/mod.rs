//! What goes wrong on purpose: one enum of faults, and one table saying of each where it bites, what happens, and what
//! a client should make of it.
//!
//! A fault is armed by a text, `name[@METHOD path-part][#n][*times]`: `throttled@PUT virtualNetworks*2` refuses the
//! next two writes of virtual networks, `reset-after#3` (or `reset-after:3`) spoils the third request it fits. Without a
//! place it bites where the table says, with an empty one (`slow@#3`) at any request; without a number, the first one, once.
//!
//! Where a fault stands for something that somebody else did, it does that to the world through the world's own
//! functions just before the request is served, and what follows is by the ordinary rules. One that finds nothing to do at a request
//! (a cluster cannot be busy before it exists) lets it pass and stays armed.
//!
//! To add one: a variant here, and a row with its bite in the file of its topic.

mod armed;
mod around;
#[cfg(test)]
mod bench;
mod busy;
mod cluster;
mod dns;
mod inside;
pub(crate) mod lag;
mod limits;
mod operations;
mod providers;
mod roles;
mod row;
mod transport;
mod unreadable;
mod vaults;

pub use armed::{Armed, Faults, UnknownFault};
pub use lag::{Held, Lag, Lags};
pub use row::{Kind, Row, markdown, names, table};

pub(crate) use around::{Scene, around};

use serde::{Deserialize, Serialize};

macro_rules! faults {
    ($($(#[$doc:meta])* $fault:ident,)*) => {
        /// Something that can go wrong.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum Fault {
            $($(#[$doc])* $fault,)*
        }

        impl Fault {
            /// Every fault, in the order of the table's topics.
            pub const ALL: &'static [Self] = &[$(Self::$fault,)*];
        }
    };
}

faults! {
    /// 429 with `Retry-After`; asking again too early renews the wait.
    Throttled,
    /// 429 that does not say for how long.
    ThrottledSilently,
    /// 500 before the request had any effect.
    ServerError,
    /// 503 before the request had any effect, with a body that is no JSON.
    Unavailable,
    /// 502 with a body that is no JSON, before the request had any effect.
    BadGateway,
    /// 504: the provider did not answer Resource Manager in time.
    GatewayTimeout,
    /// The connection breaks before the request had any effect.
    ResetBefore,
    /// The request takes effect and the connection breaks before the answer.
    ResetAfter,
    /// The request takes effect and the answer breaks off in its middle.
    Truncated,
    /// The answer takes half a minute of cloud time.
    Slow,
    /// The request has no effect and no answer ever comes.
    StalledBefore,
    /// The request takes effect and no answer ever comes.
    StalledAfter,
    /// 401 in the middle: the token has run out.
    TokenExpired,
    /// A write takes effect, and its success is a proxy's page.
    AnswerPage,
    /// A write takes effect, and its success is half a document.
    AnswerHalf,
    /// A write takes effect, and its operation's address leads to another server.
    AnswerForeign,
    /// A write takes effect, and it is answered with a redirect.
    AnswerMoved,
    /// 400 `NoRegisteredProviderFound` for an api-version that is all right.
    NoRegisteredProvider,
    /// A cluster's write meets another one in the provider's store: 409 `EtagMismatch`, or 412 for `If-Match`.
    EtagMismatch,
    /// Somebody else writes to the cluster: 409 `OperationNotAllowed`.
    OperationNotAllowed,
    /// AKS's own throttling: 429 `Throttled` without an envelope.
    ClusterThrottled,
    /// Somebody else writes to the network: 429 `RetryableError`.
    AnotherOperation,
    /// A group of that name is still being deleted: 409 `ResourceGroupBeingDeleted`.
    GroupDeprovisioned,
    /// Somebody has put a lock on the resource group.
    GroupLocked,
    /// The operation ends `Failed`.
    OperationFailed,
    /// The operation ends `Canceled`.
    OperationCanceled,
    /// Somebody else's write preempts the operation.
    OperationPreempted,
    /// The operation shows states that nobody has heard of.
    OperationStrange,
    /// The URL of the operation is not known.
    OperationForgotten,
    /// A role assignment takes effect only after minutes.
    GrantsLate,
    /// The directory does not know the principal yet.
    PrincipalNotFound,
    /// Somebody made the same assignment under another name.
    RoleExists,
    /// A vault of that name was deleted here.
    VaultSoftDeleted,
    /// A stranger has the vault's name.
    VaultTaken,
    /// The vault's name does not resolve yet.
    VaultUnresolved,
    /// The vault does not know of the caller's role yet.
    ForbiddenYet,
    /// A certificate of that name was deleted.
    CertificateSoftDeleted,
    /// The preview feature is gone.
    FeatureVanished,
    /// The preview feature is there, and asked for.
    FeatureThere,
    /// The resource provider was unregistered.
    ProviderUnregistered,
    /// The subscription may use few cores.
    CoresFew,
    /// The subscription may have few public addresses.
    AddressesFew,
    /// The subscription may not have machines of the usual size.
    SizeWithheld,
    /// A policy denies clusters.
    PolicyDenies,
    /// Whoever is signed in may not grant roles any more.
    RoleLost,
    /// The class of gateways is accepted minutes after the cluster succeeded.
    ClassLate,
    /// The add-on has no identity after the write succeeded.
    IdentityLate,
    /// A node pool is `Failed` in a cluster that is `Succeeded`.
    PoolFailed,
    /// Somebody stopped the cluster.
    ClusterStopped,
    /// The load balancer's address comes minutes later.
    AddressLate,
    /// The cloud cannot make any more load balancers.
    BalancerFails,
    /// No kubelet says anything any more.
    NodesLost,
    /// The last pod that holds the Secret goes away for good.
    HolderGone,
    /// A watch breaks off in the middle of an event.
    WatchBroken,
    /// The number a watch begins at is too old.
    WatchGone,
    /// 429 of the Kubernetes API.
    ApiThrottled,
    /// The Kubernetes API answers 503 for a while.
    ApiDown,
    /// kubectl owns a field that is applied.
    KubectlOwns,
    /// Somebody else writes the record set between a look and a write.
    DnsRace,
    /// The record set has a second address, which leads nowhere.
    DnsStale,
}

impl Fault {
    /// Returns its row of the table.
    pub fn row(self) -> &'static Row {
        table().find(|row| row.fault == self).expect("every fault has its row, which a test looks after")
    }

    /// Returns what it is called in texts.
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// Returns what sort of thing goes wrong.
    pub fn kind(self) -> Kind {
        self.row().kind
    }

    /// Whether running `up` again, alone, gets through it in the end; the others need a person.
    pub fn heals(self) -> bool {
        self.row().heals
    }
}
