//! Sign-in: from the configured credential to a token, and from the token to its principal.
//!
//! Each source is a credential of azure_identity. [`SignIn::Auto`] tries them in the order that
//! [`credential_sources`](self) defines. [`Credential::via`] names the successful source, and [`Credential::failures`]
//! contains the errors of the others. A source that was configured on purpose (a service principal, a
//! federated token) ends the search if it fails. Otherwise the run would silently use another identity.

mod credential;
mod credential_sources;
mod identity;

pub use credential::Credential;
pub(crate) use credential::SignInFailed;
pub use identity::{Identity, PrincipalKind};

use crate::Secret;
use std::path::PathBuf;

/// The credential source.
#[derive(Clone)]
pub enum SignIn {
    /// The first that works: service principal, workload identity, managed identity, `az`, `azd`.
    Auto,
    /// The account of `az login`.
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
    /// An application that trusts a token of another issuer, such as a Kubernetes cluster or a build service.
    WorkloadIdentity {
        /// The directory's id.
        tenant: String,
        /// The application's id.
        client_id: String,
        /// The file that contains the federated token; it is read again at each renewal.
        token_file: PathBuf,
    },
    /// The identity of the Azure machine that runs the program.
    ManagedIdentity {
        /// The client id of a user-assigned identity; `None` means the system-assigned one.
        client_id: Option<String>,
    },
    /// The account of `azd auth login`.
    AzureDeveloperCli,
}

/// The environment's sign-in variables. This crate reads no environment variable itself.
#[derive(Clone, Default)]
pub struct SignInFacts {
    /// `AZURE_TENANT_ID`, or the requested tenant: tokens of another one are rejected.
    pub tenant: Option<String>,
    /// `AZURE_CLIENT_ID`.
    pub client_id: Option<String>,
    /// `AZURE_CLIENT_SECRET`.
    pub client_secret: Option<Secret<String>>,
    /// `AZURE_FEDERATED_TOKEN_FILE`.
    pub federated_token_file: Option<PathBuf>,
    /// `IDENTITY_ENDPOINT` is set: the platform reports a managed identity.
    pub identity_endpoint: bool,
    /// The subscription to use: `az` and `azd` may be signed in to several accounts.
    pub subscription: Option<String>,
}
