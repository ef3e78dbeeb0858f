//! The connected target, simulated or Azure: the only module that knows both. Its output is clients and some
//! texts.

use crate::{
    endpoint_consent::Allowed,
    exit::Exit,
    failure::Failure,
    proxy_check,
    settings::{
        checks::{
            endpoints,
            state::{StateAccount, StateConfig},
        },
        file_schema::{AuthName, CloudName},
        sources::Environment,
        target::TargetConfig,
    },
    sim_target::{self, SimHandle},
    telemetry,
};
use jiff::SignedDuration;
use landfall_cloud::{
    AddressMap, ApiError, ArmClient, Clients, Clock, Clusters, ConnectionPool, Credential, Endpoints,
    RequestCounter, Roots, Secret, SignIn, SignInFacts, Vaults,
    acme::Acme,
    arm::{Subscription, SubscriptionClient},
    blob::BlobContainer,
};
use landfall_diagnose::rotation_diagnosis::RotationDiagnosis;
use landfall_engine::{Journal, TimeScale};
use landfall_steps::JournalGate;
use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};
use tokio::sync::Mutex;

/// A connected cloud.
pub struct Target {
    /// The clients.
    pub clients: Clients,
    /// `sim` or `azure`.
    pub cloud: &'static str,
    /// The target as display text, for the first line of a run.
    pub text: String,
    /// A remark for a person, before the first creation.
    pub remark: Option<String>,
    /// A caution for a person, before the first use.
    pub caution: Option<&'static str>,
    /// The time scale of the cloud.
    pub time_scale: TimeScale,
    request_counter: RequestCounter,
    sim: Option<SimHandle>,
    /// The journal whose records come before the requests.
    journal: OnceLock<Arc<Journal>>,
}

/// The sign-ins of a command. The environments of a fleet share them, and with them connections, tokens and the request
/// budgets of each principal.
#[derive(Default)]
pub struct SignIns(Mutex<HashMap<String, SharedSignIn>>);

/// A prepared sign-in.
#[derive(Clone)]
struct SharedSignIn {
    endpoints: Endpoints,
    credential: Credential,
}

impl SignIns {
    /// Returns the sign-in of these settings, prepared at the first use.
    async fn of(
        &self,
        place: &TargetConfig,
        environment: &Environment,
        request_counter: &RequestCounter,
    ) -> Result<SharedSignIn, Failure> {
        // Azure CLI selects the tenant of the subscription, if no other is named.
        let selects_tenant = matches!(place.auth, AuthName::Auto | AuthName::Cli) && place.tenant.is_none();
        let subscription = place.subscription.as_ref().filter(|_| selects_tenant);
        let key = format!("{:?} {:?} {subscription:?} {:?}", place.auth, place.tenant, place.endpoints);
        let prepared = self.shared(key, async || {
            let endpoints = endpoints::resolve(&place.endpoints);
            proxy_check::check(environment, &endpoints).await?;
            let facts = facts(place, environment);
            let sign_in_method = sign_in_method(place.auth, &facts)?;
            let credential = Credential::new(&sign_in_method, &facts, &endpoints, request_counter);
            let credential = credential.map_err(|error| Failure::of_api("prepare the sign-in", &error))?;
            Ok(SharedSignIn { endpoints, credential })
        });
        prepared.await
    }

    /// Returns the sign-in with this key, prepared at the first use.
    async fn shared(
        &self,
        key: String,
        prepare: impl AsyncFnOnce() -> Result<SharedSignIn, Failure>,
    ) -> Result<SharedSignIn, Failure> {
        let mut known = self.0.lock().await;
        if let Some(known) = known.get(&key) {
            return Ok(known.clone());
        }
        let prepared = prepare().await?;
        known.insert(key, prepared.clone());
        Ok(prepared)
    }
}

/// Returns the cloud's name in journals and JSON.
pub fn name(cloud: CloudName) -> &'static str {
    match cloud {
        CloudName::Sim => "sim",
        CloudName::Azure => "azure",
    }
}

/// The mode of a simulated cloud's gateways while it is open. Azure's always answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gateways {
    /// They receive no requests.
    WithoutTraffic,
    /// They receive requests from outside.
    WithTraffic,
}

/// Opens the simulated cloud or signs in to Azure, and finds the subscription.
///
/// `recorded_subscription` is the journal's subscription, which is the default if no other is configured.
pub async fn connect(
    allowed: Allowed<'_>,
    environment: &Environment,
    sign_ins: &SignIns,
    folder: &Path,
    recorded_subscription: Option<&str>,
    gateways: Gateways,
) -> Result<Target, Failure> {
    prepare(allowed, environment, sign_ins, folder, gateways).await?.into_target(recorded_subscription).await
}

/// A cloud with a credential, before its subscription is known. The journal may be in this cloud.
pub struct Connection {
    endpoints: Endpoints,
    credential: Credential,
    request_counter: RequestCounter,
    cloud: ConnectedCloud,
}

enum ConnectedCloud {
    Sim(Box<SimHandle>),
    Azure { wanted: Option<String> },
}

/// Opens the simulated cloud, or prepares the sign-in to Azure without a request.
pub async fn prepare(
    allowed: Allowed<'_>,
    environment: &Environment,
    sign_ins: &SignIns,
    folder: &Path,
    gateways: Gateways,
) -> Result<Connection, Failure> {
    let place = allowed.place();
    match place.cloud {
        CloudName::Sim => {
            let traffic = gateways == Gateways::WithTraffic;
            prepare_sim(sim_target::open(&place.sim, folder, traffic).await?, sign_ins).await
        }
        CloudName::Azure => prepare_azure(place, environment, sign_ins).await,
    }
}

impl Connection {
    /// Finds the subscription and creates the clients.
    pub async fn into_target(self, recorded_subscription: Option<&str>) -> Result<Target, Failure> {
        let Self { endpoints, credential, request_counter, cloud } = self;
        let arm = resource_manager(&endpoints, &credential, &request_counter)?;
        let build =
            |arm, subscription: &str| clients(&endpoints, &credential, &request_counter, arm, subscription);
        let time_scale = TimeScale::new(endpoints.time_scale);
        match cloud {
            ConnectedCloud::Sim(sim) => Ok(Target {
                clients: build(arm, &sim.connection().subscription)?,
                cloud: name(CloudName::Sim),
                time_scale,
                request_counter,
                text: "simulated cloud".to_owned(),
                remark: Some(sim.remark()),
                caution: sim
                    .stops_with_process()
                    .then_some("  (they answer on Azure, or while `landfall sim` runs in another terminal)"),
                sim: Some(*sim),
                journal: OnceLock::new(),
            }),
            ConnectedCloud::Azure { wanted } => {
                let identity =
                    arm.identity().await.map_err(|error| Failure::of_api("sign in to Azure", &error))?;
                let subscription = subscription(&arm, wanted.as_deref().or(recorded_subscription)).await?;
                let tail = subscription.id.get(subscription.id.len().saturating_sub(4)..).unwrap_or_default();
                let signed_in_as = identity.name.as_deref().unwrap_or(&identity.object_id);
                Ok(Target {
                    clients: build(arm, &subscription.id)?,
                    cloud: name(CloudName::Azure),
                    time_scale,
                    request_counter,
                    text: format!("Azure subscription {} (…{tail})", subscription.name),
                    remark: Some(format!("Signed in as {signed_in_as} with {}.", identity.via)),
                    caution: None,
                    sim: None,
                    journal: OnceLock::new(),
                })
            }
        }
    }

    /// Returns the container of a journal.
    pub fn container(&self, config: &StateConfig) -> Result<BlobContainer, Failure> {
        let unusable = |error: ApiError| Failure::of_api("prepare the client of the storage account", &error);
        let account = self.account(config)?;
        let mut endpoints = self.endpoints.clone();
        if let Some(pem) = &config.authorities {
            endpoints.roots = Roots::Only(vec![pem.clone()]);
        }
        BlobContainer::new(&endpoints, &self.credential, &self.request_counter, &account, &config.container)
            .map_err(unusable)
    }

    /// Returns the address of the storage account of a journal.
    pub fn account(&self, config: &StateConfig) -> Result<url::Url, Failure> {
        let address = match (&config.account, &self.cloud) {
            (StateAccount::At(url), _) => return Ok(url.clone()),
            (StateAccount::Named(account), ConnectedCloud::Sim(sim)) => {
                let facts = sim.connection();
                format!("https://{account}.{}:{}", facts.blob_suffix, facts.port)
            }
            (StateAccount::Named(account), ConnectedCloud::Azure { .. }) => {
                format!("https://{account}.{}", self.endpoints.storage_suffix())
            }
        };
        url::Url::parse(&address).map_err(|error| {
            Failure::new(Exit::Failed, format!("read the address {address} of the storage account"))
                .caused_by(&error)
        })
    }

    /// Closes the cloud.
    pub async fn close(self) {
        if let ConnectedCloud::Sim(sim) = self.cloud {
            sim.close().await;
        }
    }
}

/// Creates clients that send no requests, to inspect the graph.
pub fn offline(subscription: &str) -> Result<Clients, Failure> {
    let (endpoints, request_counter) = (Endpoints::public(), RequestCounter::new());
    let credential = Credential::new(&SignIn::Cli, &SignInFacts::default(), &endpoints, &request_counter);
    let credential = credential.map_err(|error| Failure::of_api("prepare the clients", &error))?;
    let arm = resource_manager(&endpoints, &credential, &request_counter)?;
    clients(&endpoints, &credential, &request_counter, arm, subscription)
}

impl Target {
    /// Lets no request change anything whose record in this journal is not durable.
    pub fn guard_writes(&self, journal: &Arc<Journal>) {
        self.request_counter.set_write_gate(Arc::new(JournalGate::new(journal)));
        // It stays the first one: a target has one journal.
        let _ = self.journal.set(journal.clone());
    }

    /// Returns the number of requests so far.
    pub fn requests(&self) -> u64 {
        self.request_counter.requests()
    }

    /// Returns the current address map of the gateways.
    pub async fn address_map(&self) -> AddressMap {
        match &self.sim {
            Some(sim) => sim.address_map().await,
            None => AddressMap::default(),
        }
    }

    /// Closes the cloud. If it ends with this process and holds the journal, the journal is closed first: its lease could not be
    /// released afterwards.
    pub async fn close(self) {
        let Some(sim) = self.sim else { return };
        if let Some(journal) = self.journal.get().filter(|_| sim.stops_with_process()) {
            journal.close().await;
        }
        sim.close().await;
    }
}

/// Prepares the sign-in to the simulated cloud.
async fn prepare_sim(sim: SimHandle, sign_ins: &SignIns) -> Result<Connection, Failure> {
    let facts = sim.connection().clone();
    let url = |text: &str| {
        url::Url::parse(text).map_err(|error| {
            Failure::new(Exit::Failed, format!("read the address {text} of the simulated cloud"))
                .caused_by(&error)
        })
    };
    let endpoints = Endpoints {
        login: url(&facts.login)?,
        arm: url(&facts.arm)?,
        arm_audience: facts.arm_audience,
        vault_suffix: facts.vault_suffix,
        vault_audience: facts.vault_audience,
        roots: Roots::Only(vec![facts.ca_pem]),
        time_scale: facts.time_scale,
        transport: None,
        acme_directory: url(&facts.acme_directory)?,
        acme_staging: url(&facts.acme_staging)?,
        acme_roots: Roots::Only(facts.acme_roots),
        name_servers: facts.name_servers,
        clock: Clock::ahead_by(SignedDuration::from_millis(facts.clock_ahead_ms)),
        connections: ConnectionPool::default(),
    };
    if !endpoints.is_loopback() {
        return Err(Failure::new(Exit::Input, "connect to the simulated cloud")
            .cause("sim/serving.json in the state folder contains addresses of another machine")
            .hint("delete this file: `landfall sim` writes it again"));
    }
    let sign_in = SignIn::ServicePrincipal {
        tenant: facts.tenant,
        client_id: facts.client_id,
        secret: Secret::new(facts.client_secret),
    };
    let request_counter = telemetry::request_counter();
    let key = format!("sim {} {}", endpoints.arm, sim.connection().ca_pem);
    let shared = sign_ins.shared(key, async || {
        let credential = Credential::new(&sign_in, &SignInFacts::default(), &endpoints, &request_counter);
        let credential = credential.map_err(|error| Failure::of_api("prepare the sign-in", &error))?;
        Ok(SharedSignIn { endpoints: endpoints.clone(), credential })
    });
    let SharedSignIn { endpoints: shared, credential } = shared.await?;
    // The clock may have been advanced since.
    let endpoints = Endpoints { connections: shared.connections, ..endpoints };
    Ok(Connection { endpoints, credential, request_counter, cloud: ConnectedCloud::Sim(Box::new(sim)) })
}

async fn prepare_azure(
    place: &TargetConfig,
    environment: &Environment,
    sign_ins: &SignIns,
) -> Result<Connection, Failure> {
    let request_counter = telemetry::request_counter();
    let SharedSignIn { endpoints, credential } = sign_ins.of(place, environment, &request_counter).await?;
    let cloud = ConnectedCloud::Azure { wanted: place.subscription.clone() };
    Ok(Connection { endpoints, credential, request_counter, cloud })
}

/// Finds the subscription: the configured one, or the only one.
async fn subscription(arm: &ArmClient, wanted: Option<&str>) -> Result<Subscription, Failure> {
    let doing = "find the subscription";
    if let Some(id) = wanted {
        let found = arm.subscription(id).await.map_err(|error| Failure::of_api(doing, &error))?;
        return found.ok_or_else(|| {
            Failure::new(Exit::Refused, format!("find the subscription {id}"))
                .cause("it does not exist, or the signed-in identity has no permission to read it")
                .hint(
                    "list your subscriptions with `az account list --output table`; select one with \
                       AZURE_SUBSCRIPTION_ID",
                )
        });
    }
    let mut all = arm.subscriptions().await.map_err(|error| Failure::of_api(doing, &error))?;
    all.retain(|subscription| subscription.state.eq_ignore_ascii_case("enabled"));
    match all.len() {
        1 => Ok(all.remove(0)),
        0 => Err(Failure::new(Exit::Refused, doing)
            .cause("this sign-in sees no enabled subscription")
            .hint("sign in with an identity that has a role in the subscription")),
        _ => {
            let list = all.iter().map(|one| format!("{}  {}", one.id, one.name));
            Err(Failure::new(Exit::Input, "choose a subscription")
                .cause(format!("this sign-in sees {}:\n{}", all.len(), list.collect::<Vec<_>>().join("\n")))
                .hint("set AZURE_SUBSCRIPTION_ID, --subscription, or subscription in landfall.toml"))
        }
    }
}

/// Returns the client of Resource Manager. Every request of a run has one correlation id, so that Azure's
/// logs show the run as one.
fn resource_manager(
    endpoints: &Endpoints,
    credential: &Credential,
    request_counter: &RequestCounter,
) -> Result<ArmClient, Failure> {
    let correlation = uuid::Uuid::new_v4().to_string();
    let arm = ArmClient::new(endpoints, credential, request_counter, &correlation);
    arm.map_err(|error| Failure::of_api("prepare the clients", &error))
}

fn clients(
    endpoints: &Endpoints,
    credential: &Credential,
    request_counter: &RequestCounter,
    arm: ArmClient,
    subscription: &str,
) -> Result<Clients, Failure> {
    let vaults = Vaults::new(endpoints, credential, request_counter);
    let azure = SubscriptionClient::new(arm, subscription);
    Ok(Clients {
        clusters: Clusters::new(azure.clone(), endpoints, request_counter.clone()),
        vaults: vaults.map_err(|error| Failure::of_api("prepare the clients", &error))?,
        acme: Acme::new(endpoints, request_counter),
        sync_diagnosis: Arc::new(RotationDiagnosis),
        azure,
    })
}

/// Returns the sign-in facts of the environment, from Azure's own standard variables.
fn facts(place: &TargetConfig, environment: &Environment) -> SignInFacts {
    let get = |name: &str| environment.get(name).map(str::to_owned);
    SignInFacts {
        tenant: place.tenant.clone(),
        client_id: get("AZURE_CLIENT_ID"),
        client_secret: get("AZURE_CLIENT_SECRET").map(Secret::new),
        federated_token_file: get("AZURE_FEDERATED_TOKEN_FILE").map(PathBuf::from),
        identity_endpoint: environment.get("IDENTITY_ENDPOINT").is_some(),
        subscription: place.subscription.clone(),
    }
}

fn sign_in_method(auth: AuthName, facts: &SignInFacts) -> Result<SignIn, Failure> {
    let need = |value: &Option<String>, variable: &str, sign_in_method: &str| {
        value.clone().ok_or_else(|| {
            Failure::new(Exit::Input, format!("sign in as a {sign_in_method}"))
                .cause(format!("{variable} is not set"))
                .hint(format!("set {variable}, or auth = \"auto\" to try every method"))
        })
    };
    Ok(match auth {
        AuthName::Auto => SignIn::Auto,
        AuthName::Cli => SignIn::Cli,
        AuthName::ServicePrincipal => {
            let secret = facts.client_secret.as_ref().map(|secret| secret.expose().clone());
            SignIn::ServicePrincipal {
                tenant: need(&facts.tenant, "AZURE_TENANT_ID", "service principal")?,
                client_id: need(&facts.client_id, "AZURE_CLIENT_ID", "service principal")?,
                secret: Secret::new(need(&secret, "AZURE_CLIENT_SECRET", "service principal")?),
            }
        }
        AuthName::WorkloadIdentity => {
            let file = facts.federated_token_file.as_ref().map(|file| file.display().to_string());
            SignIn::WorkloadIdentity {
                tenant: need(&facts.tenant, "AZURE_TENANT_ID", "workload identity")?,
                client_id: need(&facts.client_id, "AZURE_CLIENT_ID", "workload identity")?,
                token_file: need(&file, "AZURE_FEDERATED_TOKEN_FILE", "workload identity")?.into(),
            }
        }
        AuthName::ManagedIdentity => SignIn::ManagedIdentity { client_id: facts.client_id.clone() },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{
        checks::endpoints::Consent,
        config_error::{Place, Sourced},
        target::{Endpoints as Own, SimConfig},
    };

    fn azure(own: Own) -> TargetConfig {
        let speed = Sourced { value: 60.0, key: "sim.speed", place: Place::Default };
        TargetConfig {
            cloud: CloudName::Azure,
            subscription: None,
            tenant: Some("contoso.com".into()),
            auth: AuthName::Auto,
            sim: SimConfig {
                speed,
                seed: None,
                faults: Vec::new(),
                zones: Vec::new(),
                images: None,
                environment: None,
            },
            endpoints: own,
            state: None,
            consent: Consent::NotNeeded,
        }
    }

    #[test]
    fn a_sovereign_cloud_needs_only_its_addresses() {
        let own = Own {
            login: Some("https://login.microsoftonline.us".parse().unwrap()),
            arm: Some("https://management.usgovcloudapi.net".parse().unwrap()),
            vault_suffix: Some("vault.usgovcloudapi.net".into()),
            ..Own::default()
        };
        let endpoints = endpoints::resolve(&own);
        assert_eq!(endpoints.arm_audience, "https://management.usgovcloudapi.net");
        assert_eq!(endpoints.vault_audience, "https://vault.usgovcloudapi.net");
        assert_eq!(endpoints::resolve(&Own::default()).vault_suffix, "vault.azure.net");
    }

    #[test]
    fn a_sign_in_method_names_its_missing_variables() {
        let environment = [("AZURE_CLIENT_ID".to_owned(), "app".to_owned())].into_iter().collect();
        let facts = facts(&azure(Own::default()), &environment);
        let failure = sign_in_method(AuthName::ServicePrincipal, &facts).err().unwrap();
        assert_eq!(failure.exit, Exit::Input);
        assert!(failure.text(crate::render::style::Styler::PLAIN).contains("AZURE_CLIENT_SECRET is not set"));
        assert!(matches!(
            sign_in_method(AuthName::ManagedIdentity, &facts),
            Ok(SignIn::ManagedIdentity { client_id: Some(_) })
        ));
    }
}
