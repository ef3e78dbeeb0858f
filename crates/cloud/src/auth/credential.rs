//! The credential of all clients: it selects a source once, caches tokens, and drops a refused one.

use super::{
    Identity, SignIn, SignInFacts,
    credential_sources::{self, CredentialSource},
};
use crate::{
    ApiError, Endpoints, RequestCounter,
    endpoints::CLUSTER_SCOPE,
    error::from_sdk,
    http_client::{HttpClient, TOKEN_RESPONSE_BYTES_MAX},
    request_budget::RequestBudgets,
};
use async_trait::async_trait;
use azure_core::{
    Error,
    credentials::{AccessToken, TokenCredential, TokenRequestOptions},
    error::ErrorKind,
    time::OffsetDateTime,
};
use std::{collections::HashMap, fmt, sync::Arc};
use tokio::sync::Mutex;

/// The time before its expiry at which a token is renewed; if its lifetime is less than twice that, at half
/// of it.
const RENEW_BEFORE_S: i64 = 300;

/// The source of tokens. Clones share the tokens; the first use requests a token.
#[derive(Clone)]
pub struct Credential(Arc<Inner>);

struct Inner {
    sources: Vec<CredentialSource>,
    /// The only audiences of token requests, whatever a challenge names.
    scopes: Vec<String>,
    /// The requested tenant.
    tenant: Option<String>,
    state: Mutex<State>,
    /// The request budgets of the principal.
    budgets: RequestBudgets,
}

#[derive(Default)]
struct State {
    chosen: Option<Chosen>,
    tokens: HashMap<String, CachedToken>,
    failures: Vec<(String, String)>,
}

struct Chosen {
    source: usize,
    credential: Arc<dyn TokenCredential>,
}

struct CachedToken {
    token: AccessToken,
    renew_at: OffsetDateTime,
}

impl Credential {
    /// Prepares the sign-in; sends nothing yet.
    ///
    /// Fails if the HTTPS client cannot be set up from `endpoints`.
    pub fn new(
        sign_in: &SignIn,
        facts: &SignInFacts,
        endpoints: &Endpoints,
        request_counter: &RequestCounter,
    ) -> Result<Self, ApiError> {
        let http_client = HttpClient::new(endpoints, request_counter)?
            .with_response_limit(TOKEN_RESPONSE_BYTES_MAX)
            .ungated();
        let tenant = match sign_in {
            SignIn::ServicePrincipal { tenant, .. } | SignIn::WorkloadIdentity { tenant, .. } => {
                Some(tenant.clone())
            }
            _ => facts.tenant.clone(),
        };
        Ok(Self::from_sources(
            credential_sources::sources(sign_in, facts, endpoints, &http_client),
            endpoints,
            tenant,
        ))
    }

    fn from_sources(sources: Vec<CredentialSource>, endpoints: &Endpoints, tenant: Option<String>) -> Self {
        let mut scopes = vec![endpoints.arm_scope(), endpoints.vault_scope(), endpoints.storage_scope()];
        scopes.extend(endpoints.cluster_scope().map(str::to_owned));
        // Only an id can be compared with the token's; a tenant may also be given as one of its domains.
        let tenant = tenant.filter(|tenant| uuid::Uuid::parse_str(tenant).is_ok());
        let (state, budgets) = (Mutex::default(), RequestBudgets::default());
        Self(Arc::new(Inner { sources, scopes, tenant, state, budgets }))
    }

    /// Returns the identity of the principal, from the claims of a token for `scope`.
    ///
    /// Fails with [`SignIn`](crate::ApiErrorKind::SignIn) if no source works or the token is of another
    /// tenant.
    pub async fn identity(&self, scope: &str) -> Result<Identity, ApiError> {
        let token = self.token(scope).await.map_err(|error| from_sdk(error, "", ""))?;
        let via = self.via().await.unwrap_or_default();
        Identity::from_token(token.token.secret(), &via)
    }

    /// Returns a token for the API servers of clusters with Entra integration.
    ///
    /// Fails with [`SignIn`](crate::ApiErrorKind::SignIn) like [`identity`](Self::identity).
    pub(crate) async fn cluster_token(&self) -> Result<AccessToken, ApiError> {
        self.token(CLUSTER_SCOPE).await.map_err(|error| from_sdk(error, "", ""))
    }

    /// Returns the source that worked, "Azure CLI"; `None` before the first token.
    pub async fn via(&self) -> Option<String> {
        let state = self.0.state.lock().await;
        state.chosen.as_ref().map(|chosen| self.0.sources[chosen.source].name.to_owned())
    }

    /// Returns name and error of each source that was tried before the working one.
    pub async fn failures(&self) -> Vec<(String, String)> {
        self.0.state.lock().await.failures.clone()
    }

    /// Returns the request budgets of the principal; clients with the same credential share them.
    pub(crate) fn budgets(&self) -> RequestBudgets {
        self.0.budgets.clone()
    }

    /// Drops a token that a service refused, together with the SDK's cached copy.
    pub(crate) async fn invalidate(&self, refused: &str) {
        let mut state = self.0.state.lock().await;
        let before = state.tokens.len();
        state.tokens.retain(|_, cached| cached.token.token.secret() != refused);
        // The SDK's credential cannot drop a token, so a new credential replaces it. If the refused token is
        // no longer cached, another request has done so already.
        if state.tokens.len() < before
            && let Some(chosen) = &mut state.chosen
            && let Ok(fresh) = (self.0.sources[chosen.source].create)()
        {
            chosen.credential = fresh;
        }
    }

    async fn token(&self, scope: &str) -> azure_core::Result<AccessToken> {
        if !self.0.scopes.iter().any(|known| known == scope) {
            return Err(SignInFailed::new(format!("{scope} is not an audience of this cloud")).into());
        }
        let mut state = self.0.state.lock().await;
        let now = OffsetDateTime::now_utc();
        if let Some(cached) = state.tokens.get(scope).filter(|cached| now < cached.renew_at) {
            return Ok(cached.token.clone());
        }
        let token = match self.obtain(&mut state, scope).await {
            Ok(token) => token,
            // A renewal that fails early does no harm while the old token is valid.
            Err(error) => match state.tokens.get(scope).filter(|cached| now < cached.token.expires_on) {
                Some(cached) => return Ok(cached.token.clone()),
                None => return Err(error),
            },
        };
        self.check_tenant(&token)?;
        let half = (token.expires_on - now).whole_seconds() / 2;
        let renew_at = token.expires_on - azure_core::time::Duration::seconds(half.min(RENEW_BEFORE_S));
        state.tokens.insert(scope.to_owned(), CachedToken { token: token.clone(), renew_at });
        Ok(token)
    }

    /// Requests a token from the selected source, or from each in turn until one is selected.
    async fn obtain(&self, state: &mut State, scope: &str) -> azure_core::Result<AccessToken> {
        if let Some(chosen) = &state.chosen {
            return chosen.credential.get_token(&[scope], None).await;
        }
        state.failures.clear();
        for (index, source) in self.0.sources.iter().enumerate() {
            match source.token(scope).await {
                Ok((credential, token)) => {
                    tracing::debug!(source = source.name, "signed in");
                    state.chosen = Some(Chosen { source: index, credential });
                    return Ok(token);
                }
                Err(error) if source.configured => return Err(error),
                Err(error) => {
                    state.failures.push((source.name.to_owned(), credential_sources::reason(&error)))
                }
            }
        }
        let mut failed = SignInFailed::new("every sign-in method failed".to_owned());
        failed.failures.clone_from(&state.failures);
        Err(failed.into())
    }

    fn check_tenant(&self, token: &AccessToken) -> azure_core::Result<()> {
        let Some(wanted) = &self.0.tenant else { return Ok(()) };
        match Identity::from_token(token.token.secret(), "") {
            Ok(identity) if !identity.tenant.eq_ignore_ascii_case(wanted) => {
                let mut failed = SignInFailed::new(format!(
                    "signed in to tenant {}, but {wanted} was requested",
                    identity.tenant
                ));
                failed.code = Some("TenantMismatch".to_owned());
                Err(failed.into())
            }
            _ => Ok(()),
        }
    }
}

#[async_trait]
impl TokenCredential for Credential {
    async fn get_token(
        &self,
        scopes: &[&str],
        _: Option<TokenRequestOptions<'_>>,
    ) -> azure_core::Result<AccessToken> {
        match scopes {
            [scope] => self.token(scope).await,
            _ => Err(SignInFailed::new("a token is for exactly one audience".to_owned()).into()),
        }
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.sources.iter().map(|source| source.name)).finish()
    }
}

/// The error for a missing token, for a reason of this crate.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct SignInFailed {
    pub(crate) message: String,
    pub(crate) code: Option<String>,
    pub(crate) failures: Vec<(String, String)>,
}

impl SignInFailed {
    pub(crate) fn new(message: String) -> Self {
        Self { message, code: None, failures: Vec::new() }
    }
}

impl From<SignInFailed> for Error {
    fn from(failed: SignInFailed) -> Self {
        Error::with_error(ErrorKind::Credential, failed, "no access token")
    }
}

#[cfg(test)]
mod tests;
