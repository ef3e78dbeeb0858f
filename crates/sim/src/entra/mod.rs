//! Entra ID: one tenant, its principals and their tokens.

mod authority;
mod directory;
mod federation;
mod grant;
mod token;

pub use authority::serve;
pub use directory::{AKS_CLIENT, AKS_SERVER, AZURE_CLI, Directory, Principal, PrincipalKind};
pub use federation::{Assertion, exchange};
pub use token::{Caller, TokenError, bearer, challenge, signer, token_for};
