//! The credential sources, in the order in which they are tried.

use super::{SignIn, SignInFacts, credential::SignInFailed};
use crate::{
    Endpoints, Secret, error::sign_in_reason, http_client::HttpClient, pipeline, pipeline::RetryPolicy,
};
use azure_core::{
    cloud::CustomConfiguration,
    credentials::{AccessToken, TokenCredential},
    http::ClientOptions,
};
use azure_identity::{
    AzureCliCredential, AzureCliCredentialOptions, AzureDeveloperCliCredential,
    AzureDeveloperCliCredentialOptions, ClientAssertionCredentialOptions, ClientSecretCredential,
    ClientSecretCredentialOptions, ManagedIdentityCredential, ManagedIdentityCredentialOptions,
    UserAssignedId, WorkloadIdentityCredential, WorkloadIdentityCredentialOptions,
};
use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};

/// The timeout of one source, in real time: `az` starts an interpreter, and a machine's first token is slow.
const SOURCE_TIME_MAX: Duration = Duration::from_secs(30);

/// The timeout of the connection to an Azure machine's metadata service. Elsewhere the address is
/// unreachable, often without a response, and a longer timeout would delay every sign-in with `az`.
const METADATA_TIME_MAX: Duration = Duration::from_millis(300);

/// The instance metadata service, with the same address on every Azure machine
/// (<https://learn.microsoft.com/azure/virtual-machines/instance-metadata-service>).
const METADATA: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(169, 254, 169, 254)), 80);

type CredentialFactory = Box<dyn Fn() -> azure_core::Result<Arc<dyn TokenCredential>> + Send + Sync>;

/// One credential source.
pub(super) struct CredentialSource {
    /// Its display name.
    pub(super) name: &'static str,
    /// True if it was configured on purpose: if it fails, no other source is tried.
    pub(super) configured: bool,
    /// True if it first checks that a metadata service exists.
    probe: bool,
    /// Creates the SDK's credential, without cached tokens.
    pub(super) create: CredentialFactory,
}

impl CredentialSource {
    fn new(
        name: &'static str,
        create: impl Fn() -> azure_core::Result<Arc<dyn TokenCredential>> + Send + Sync + 'static,
    ) -> Self {
        Self { name, configured: false, probe: false, create: Box::new(create) }
    }

    fn configured(mut self) -> Self {
        self.configured = true;
        self
    }

    /// Requests a token from this source, within its timeouts.
    pub(super) async fn token(
        &self,
        scope: &str,
    ) -> azure_core::Result<(Arc<dyn TokenCredential>, AccessToken)> {
        if self.probe {
            let reached =
                tokio::time::timeout(METADATA_TIME_MAX, tokio::net::TcpStream::connect(METADATA)).await;
            if !matches!(reached, Ok(Ok(_))) {
                return Err(SignInFailed::new("this is not an Azure virtual machine".to_owned()).into());
            }
        }
        let credential = (self.create)()?;
        match tokio::time::timeout(SOURCE_TIME_MAX, credential.get_token(&[scope], None)).await {
            Ok(token) => Ok((credential, token?)),
            Err(_) => {
                Err(SignInFailed::new(format!("no response within {} s", SOURCE_TIME_MAX.as_secs())).into())
            }
        }
    }
}

/// Returns the error of a source, in one line.
pub(super) fn reason(error: &azure_core::Error) -> String {
    sign_in_reason(error)
}

/// Returns the sources that `sign_in` allows, in order.
pub(super) fn sources(
    sign_in: &SignIn,
    facts: &SignInFacts,
    endpoints: &Endpoints,
    http_client: &HttpClient,
) -> Vec<CredentialSource> {
    let with_retry = options(endpoints, http_client, true);
    match sign_in {
        SignIn::Auto => automatic(facts, endpoints, http_client),
        SignIn::Cli => vec![cli(facts).configured()],
        SignIn::ServicePrincipal { tenant, client_id, secret } => {
            vec![service_principal(tenant, client_id, secret, with_retry)]
        }
        SignIn::WorkloadIdentity { tenant, client_id, token_file } => {
            vec![workload_identity(tenant, client_id, token_file, with_retry)]
        }
        SignIn::ManagedIdentity { client_id } => {
            vec![managed_identity(client_id.clone(), options(endpoints, http_client, false)).configured()]
        }
        SignIn::AzureDeveloperCli => vec![developer_cli(facts).configured()],
    }
}

/// Returns the chain of `auto`: explicit configuration, then the machine's identity, then a user's stored
/// login.
fn automatic(facts: &SignInFacts, endpoints: &Endpoints, http_client: &HttpClient) -> Vec<CredentialSource> {
    let with_retry = options(endpoints, http_client, true);
    let mut sources = Vec::new();
    let missing = "AZURE_TENANT_ID or AZURE_CLIENT_ID is not set";
    sources.push(match (&facts.tenant, &facts.client_id, &facts.client_secret) {
        (Some(tenant), Some(id), Some(secret)) => service_principal(tenant, id, secret, with_retry.clone()),
        (_, _, Some(_)) => absent("service principal", missing),
        _ => absent("service principal", "AZURE_CLIENT_SECRET is not set"),
    });
    sources.push(match (&facts.tenant, &facts.client_id, &facts.federated_token_file) {
        (Some(tenant), Some(id), Some(file)) => workload_identity(tenant, id, file, with_retry),
        (_, _, Some(_)) => absent("workload identity", missing),
        _ => absent("workload identity", "AZURE_FEDERATED_TOKEN_FILE is not set"),
    });
    let mut managed = managed_identity(facts.client_id.clone(), options(endpoints, http_client, false));
    managed.probe = !facts.identity_endpoint;
    sources.extend([managed, cli(facts), developer_cli(facts)]);
    sources
}

/// Returns a source that is not configured, so that the report lists it.
fn absent(name: &'static str, why: &'static str) -> CredentialSource {
    CredentialSource::new(name, move || Err(SignInFailed::new(why.to_owned()).into()))
}

fn service_principal(
    tenant: &str,
    client_id: &str,
    secret: &Secret<String>,
    options: ClientOptions,
) -> CredentialSource {
    let (tenant, client_id, secret) = (tenant.to_owned(), client_id.to_owned(), secret.clone());
    CredentialSource::new("service principal", move || {
        let options = ClientSecretCredentialOptions { client_options: options.clone() };
        let secret = azure_core::credentials::Secret::new(secret.expose().clone());
        Ok(ClientSecretCredential::new(&tenant, client_id.clone(), secret, Some(options))?)
    })
    .configured()
}

fn workload_identity(tenant: &str, client_id: &str, file: &Path, options: ClientOptions) -> CredentialSource {
    let (tenant, client_id, file) = (tenant.to_owned(), client_id.to_owned(), file.to_owned());
    CredentialSource::new("workload identity", move || {
        let options = WorkloadIdentityCredentialOptions {
            credential_options: ClientAssertionCredentialOptions { client_options: options.clone() },
            client_id: Some(client_id.clone()),
            tenant_id: Some(tenant.clone()),
            token_file_path: Some(file.clone()),
        };
        Ok(WorkloadIdentityCredential::new(Some(options))?)
    })
    .configured()
}

fn managed_identity(client_id: Option<String>, options: ClientOptions) -> CredentialSource {
    CredentialSource::new("managed identity", move || {
        let options = ManagedIdentityCredentialOptions {
            user_assigned_id: client_id.clone().map(UserAssignedId::ClientId),
            client_options: options.clone(),
        };
        Ok(ManagedIdentityCredential::new(Some(options))?)
    })
}

fn cli(facts: &SignInFacts) -> CredentialSource {
    let (subscription, tenant) = (facts.subscription.clone(), facts.tenant.clone());
    CredentialSource::new("Azure CLI", move || {
        // `az` accepts one of the two, and a subscription is more specific than a tenant.
        let tenant_id = if subscription.is_some() { None } else { tenant.clone() };
        let options =
            AzureCliCredentialOptions { subscription: subscription.clone(), tenant_id, ..Default::default() };
        Ok(AzureCliCredential::new(Some(options))?)
    })
}

fn developer_cli(facts: &SignInFacts) -> CredentialSource {
    let tenant = facts.tenant.clone();
    CredentialSource::new("Azure Developer CLI", move || {
        let options = AzureDeveloperCliCredentialOptions { tenant_id: tenant.clone(), ..Default::default() };
        Ok(AzureDeveloperCliCredential::new(Some(options))?)
    })
}

/// Returns the options of a credential that uses our HTTP client. For managed identities the SDK has its own
/// retry rules.
fn options(endpoints: &Endpoints, http_client: &HttpClient, with_retry: bool) -> ClientOptions {
    let mut per_call: Vec<Arc<dyn azure_core::http::policies::Policy>> = Vec::new();
    if with_retry {
        per_call.push(Arc::new(RetryPolicy::new(http_client, endpoints.time_scale, 0).retry_posts()));
    }
    let mut cloud = CustomConfiguration::default();
    cloud.authority_host = endpoints.login.to_string();
    ClientOptions {
        cloud: Some(Arc::new(cloud.into())),
        ..pipeline::options(http_client, per_call, Vec::new())
    }
}

#[cfg(test)]
impl CredentialSource {
    /// Returns a source from a function, for tests of the chain.
    pub(super) fn of(
        name: &'static str,
        configured: bool,
        create: impl Fn() -> azure_core::Result<Arc<dyn TokenCredential>> + Send + Sync + 'static,
    ) -> Self {
        Self { configured, ..Self::new(name, create) }
    }
}
