//! Entra ID: one tenant, its principals and their tokens.

pub(crate) mod authority;
pub(crate) mod caller;
pub(crate) mod directory;
mod error;
pub(crate) mod federation;
mod grant;
mod token;

pub use caller::{Assertion, Caller, TokenError};
pub use directory::{AKS_CLIENT, AKS_SERVER, AZURE_CLI, Directory, Principal, PrincipalKind};
pub use token::{bearer, challenge, signer, token_for};
