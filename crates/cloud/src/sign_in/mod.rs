//! Signing in: from what a person gave us to a token, and from the token to who that is.
//!
//! Each way is a credential of azure_identity. [`SignIn::Auto`] tries them in an order that is written down in
//! [`ways`](self) and can be told afterwards: [`Credential::via`] names the way that worked and
//! [`Credential::answers`] what the others said. A way that somebody set up on purpose (a service principal, a
//! federated token) ends the search when it fails: going on would act as somebody else without a word.

mod credential;
mod identity;
mod ways;

pub use credential::Credential;
pub(crate) use credential::SignInFailed;
pub use identity::{Identity, PrincipalKind};

use crate::Secret;
use std::path::PathBuf;

/// How to sign in.
#[derive(Clone)]
pub enum SignIn {
    /// Whatever works first: service principal, workload identity, managed identity, `az`, `azd`.
    Auto,
    /// The account that `az login` left.
    Cli,
    /// An application with a client secret.
    ServicePrincipal {
        /// The directory's id.
        tenant: String,
        /// The application's id.
        client_id: String,
        /// One of its secrets.
        secret: Secret<String>,
    },
    /// An application that trusts a token of somebody else, such as a Kubernetes cluster or a build service.
    WorkloadIdentity {
        /// The directory's id.
        tenant: String,
        /// The application's id.
        client_id: String,
        /// The file in which the other's token stands; it is read again when it is renewed.
        token_file: PathBuf,
    },
    /// The identity of the Azure machine this runs on.
    ManagedIdentity {
        /// The client id of a user-assigned identity; none means the machine's own.
        client_id: Option<String>,
    },
    /// The account that `azd auth login` left.
    AzureDeveloperCli,
}

/// What the environment says about signing in. This crate reads no environment variable itself.
#[derive(Clone, Default)]
pub struct SignInFacts {
    /// `AZURE_TENANT_ID`, or the tenant that was asked for: tokens of another one are refused.
    pub tenant: Option<String>,
    /// `AZURE_CLIENT_ID`.
    pub client_id: Option<String>,
    /// `AZURE_CLIENT_SECRET`.
    pub client_secret: Option<Secret<String>>,
    /// `AZURE_FEDERATED_TOKEN_FILE`.
    pub federated_token_file: Option<PathBuf>,
    /// `IDENTITY_ENDPOINT` is set: the platform itself says that there is a managed identity.
    pub identity_endpoint: bool,
    /// The subscription to work in: `az` and `azd` may be signed in to several accounts.
    pub subscription: Option<String>,
}
