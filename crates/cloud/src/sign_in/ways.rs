//! The credential sources, in the order in which they are tried.

use super::{SignIn, SignInFacts, credential::SignInFailed};
use crate::{Endpoints, Secret, error::sign_in_reason, pipeline, pipeline::TryAgain, transport::Wire};
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
const WAY_TIME_MAX: Duration = Duration::from_secs(30);

/// The timeout of the connection to an Azure machine's metadata service. Elsewhere the address is
/// unreachable, often without a response, and a longer timeout would delay every sign-in with `az`.
const METADATA_TIME_MAX: Duration = Duration::from_millis(300);

/// The instance metadata service, with the same address on every Azure machine
/// (<https://learn.microsoft.com/azure/virtual-machines/instance-metadata-service>).
const METADATA: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(169, 254, 169, 254)), 80);

type Make = Box<dyn Fn() -> azure_core::Result<Arc<dyn TokenCredential>> + Send + Sync>;

/// One credential source.
pub(super) struct Way {
    /// Its display name.
    pub(super) name: &'static str,
    /// True if it was configured on purpose: if it fails, no other source is tried.
    pub(super) deliberate: bool,
    /// True if it first checks that a metadata service exists.
    probe: bool,
    /// Creates the SDK's credential, without cached tokens.
    pub(super) make: Make,
}

impl Way {
    fn new(
        name: &'static str,
        make: impl Fn() -> azure_core::Result<Arc<dyn TokenCredential>> + Send + Sync + 'static,
    ) -> Self {
        Self { name, deliberate: false, probe: false, make: Box::new(make) }
    }

    fn deliberate(mut self) -> Self {
        self.deliberate = true;
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
        let credential = (self.make)()?;
        match tokio::time::timeout(WAY_TIME_MAX, credential.get_token(&[scope], None)).await {
            Ok(token) => Ok((credential, token?)),
            Err(_) => {
                Err(SignInFailed::new(format!("no response within {} s", WAY_TIME_MAX.as_secs())).into())
            }
        }
    }
}

/// Returns the error of a source, in one line.
pub(super) fn reason(error: &azure_core::Error) -> String {
    sign_in_reason(error)
}

/// Returns the sources that `sign_in` allows, in order.
pub(super) fn ways(sign_in: &SignIn, facts: &SignInFacts, endpoints: &Endpoints, wire: &Wire) -> Vec<Way> {
    let retried = options(endpoints, wire, true);
    match sign_in {
        SignIn::Auto => automatic(facts, endpoints, wire),
        SignIn::Cli => vec![cli(facts).deliberate()],
        SignIn::ServicePrincipal { tenant, client_id, secret } => {
            vec![service_principal(tenant, client_id, secret, retried)]
        }
        SignIn::WorkloadIdentity { tenant, client_id, token_file } => {
            vec![workload_identity(tenant, client_id, token_file, retried)]
        }
        SignIn::ManagedIdentity { client_id } => {
            vec![managed_identity(client_id.clone(), options(endpoints, wire, false)).deliberate()]
        }
        SignIn::AzureDeveloperCli => vec![developer_cli(facts).deliberate()],
    }
}

/// Returns the chain of `auto`: explicit configuration, then the machine's identity, then a user's stored
/// login.
fn automatic(facts: &SignInFacts, endpoints: &Endpoints, wire: &Wire) -> Vec<Way> {
    let retried = options(endpoints, wire, true);
    let mut ways = Vec::new();
    let missing = "AZURE_TENANT_ID or AZURE_CLIENT_ID is not set";
    ways.push(match (&facts.tenant, &facts.client_id, &facts.client_secret) {
        (Some(tenant), Some(id), Some(secret)) => service_principal(tenant, id, secret, retried.clone()),
        (_, _, Some(_)) => absent("service principal", missing),
        _ => absent("service principal", "AZURE_CLIENT_SECRET is not set"),
    });
    ways.push(match (&facts.tenant, &facts.client_id, &facts.federated_token_file) {
        (Some(tenant), Some(id), Some(file)) => workload_identity(tenant, id, file, retried),
        (_, _, Some(_)) => absent("workload identity", missing),
        _ => absent("workload identity", "AZURE_FEDERATED_TOKEN_FILE is not set"),
    });
    let mut managed = managed_identity(facts.client_id.clone(), options(endpoints, wire, false));
    managed.probe = !facts.identity_endpoint;
    ways.extend([managed, cli(facts), developer_cli(facts)]);
    ways
}

/// Returns a source that is not configured, so that the report lists it.
fn absent(name: &'static str, why: &'static str) -> Way {
    Way::new(name, move || Err(SignInFailed::new(why.to_owned()).into()))
}

fn service_principal(tenant: &str, client_id: &str, secret: &Secret<String>, options: ClientOptions) -> Way {
    let (tenant, client_id, secret) = (tenant.to_owned(), client_id.to_owned(), secret.clone());
    Way::new("service principal", move || {
        let options = ClientSecretCredentialOptions { client_options: options.clone() };
        let secret = azure_core::credentials::Secret::new(secret.expose().clone());
        Ok(ClientSecretCredential::new(&tenant, client_id.clone(), secret, Some(options))?)
    })
    .deliberate()
}

fn workload_identity(tenant: &str, client_id: &str, file: &Path, options: ClientOptions) -> Way {
    let (tenant, client_id, file) = (tenant.to_owned(), client_id.to_owned(), file.to_owned());
    Way::new("workload identity", move || {
        let options = WorkloadIdentityCredentialOptions {
            credential_options: ClientAssertionCredentialOptions { client_options: options.clone() },
            client_id: Some(client_id.clone()),
            tenant_id: Some(tenant.clone()),
            token_file_path: Some(file.clone()),
        };
        Ok(WorkloadIdentityCredential::new(Some(options))?)
    })
    .deliberate()
}

fn managed_identity(client_id: Option<String>, options: ClientOptions) -> Way {
    Way::new("managed identity", move || {
        let options = ManagedIdentityCredentialOptions {
            user_assigned_id: client_id.clone().map(UserAssignedId::ClientId),
            client_options: options.clone(),
        };
        Ok(ManagedIdentityCredential::new(Some(options))?)
    })
}

fn cli(facts: &SignInFacts) -> Way {
    let (subscription, tenant) = (facts.subscription.clone(), facts.tenant.clone());
    Way::new("Azure CLI", move || {
        // `az` accepts one of the two, and a subscription is more specific than a tenant.
        let tenant_id = if subscription.is_some() { None } else { tenant.clone() };
        let options =
            AzureCliCredentialOptions { subscription: subscription.clone(), tenant_id, ..Default::default() };
        Ok(AzureCliCredential::new(Some(options))?)
    })
}

fn developer_cli(facts: &SignInFacts) -> Way {
    let tenant = facts.tenant.clone();
    Way::new("Azure Developer CLI", move || {
        let options = AzureDeveloperCliCredentialOptions { tenant_id: tenant.clone(), ..Default::default() };
        Ok(AzureDeveloperCliCredential::new(Some(options))?)
    })
}

/// Returns the options of a credential that uses our HTTP client. For managed identities the SDK has its own
/// retry rules.
fn options(endpoints: &Endpoints, wire: &Wire, retried: bool) -> ClientOptions {
    let mut per_call: Vec<Arc<dyn azure_core::http::policies::Policy>> = Vec::new();
    if retried {
        per_call.push(Arc::new(TryAgain::new(endpoints.pace, 0).posts_too()));
    }
    let mut cloud = CustomConfiguration::default();
    cloud.authority_host = endpoints.login.to_string();
    ClientOptions { cloud: Some(Arc::new(cloud.into())), ..pipeline::options(wire, per_call, Vec::new()) }
}

#[cfg(test)]
impl Way {
    /// Returns a source from a function, for tests of the chain.
    pub(super) fn of(
        name: &'static str,
        deliberate: bool,
        make: impl Fn() -> azure_core::Result<Arc<dyn TokenCredential>> + Send + Sync + 'static,
    ) -> Self {
        Self { deliberate, ..Self::new(name, make) }
    }
}
