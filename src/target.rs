//! The connected target, simulated or Azure: the only module that knows both. Its output is clients and some
//! texts.

use crate::{
    consent::Allowed,
    exit::Exit,
    failure::Failure,
    rehearsal::{self, Rehearsed},
    settings::{
        checks::endpoints,
        file::{AuthName, CloudName},
        layers::Environment,
        target::Where,
    },
};
use landfall_cloud::{
    Arm, Clouds, Clusters, Credential, Endpoints, Meter, Roots, Secret, SignIn, SignInFacts, Vaults, Ways,
    arm::{Azure, Subscription},
};
use landfall_diagnose::rotation_links::RotationDiagnosis;
use landfall_engine::Pace;
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

/// A connected cloud.
pub struct Target {
    /// The clients.
    pub clouds: Clouds,
    /// `sim` or `azure`.
    pub cloud: &'static str,
    /// The target as display text, for the first line of a run.
    pub words: String,
    /// A remark for a person, before the first creation.
    pub remark: Option<String>,
    /// A caution for a person, before the first use.
    pub caution: Option<&'static str>,
    /// The time scale of the cloud.
    pub pace: Pace,
    meter: Meter,
    world: Option<Rehearsed>,
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
    Rest,
    /// They receive requests from outside.
    Answer,
}

/// Opens the simulated cloud or signs in to Azure, and finds the subscription.
///
/// `remembered` is the journal's subscription, which is the default if no other is configured.
pub async fn connect(
    allowed: Allowed<'_>,
    environment: &Environment,
    folder: &Path,
    remembered: Option<&str>,
    gateways: Gateways,
) -> Result<Target, Failure> {
    let place = allowed.place();
    match place.cloud {
        CloudName::Sim => {
            let traffic = gateways == Gateways::Answer;
            rehearse(rehearsal::open(&place.sim, folder, traffic).await?)
        }
        CloudName::Azure => sign_in(place, environment, remembered).await,
    }
}

/// Creates clients that send no requests, to inspect the graph.
pub fn offline(subscription: &str) -> Result<Clouds, Failure> {
    let (endpoints, meter) = (Endpoints::public(), Meter::new());
    let credential = Credential::new(&SignIn::Cli, &SignInFacts::default(), &endpoints, &meter);
    let credential = credential.map_err(|error| Failure::of_api("prepare the clients", &error))?;
    let arm = resource_manager(&endpoints, &credential, &meter)?;
    clouds(&endpoints, &credential, &meter, arm, subscription)
}

impl Target {
    /// Returns the number of requests so far.
    pub fn requests(&self) -> u64 {
        self.meter.requests()
    }

    /// Returns the current address map of the gateways.
    pub async fn ways(&self) -> Ways {
        match &self.world {
            Some(world) => world.ways().await,
            None => Ways::default(),
        }
    }

    /// Closes the cloud.
    pub async fn close(self) {
        if let Some(world) = self.world {
            world.close().await;
        }
    }
}

/// Creates clients of the simulated cloud.
fn rehearse(world: Rehearsed) -> Result<Target, Failure> {
    let facts = world.facts().clone();
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
        pace: facts.pace,
        carrier: None,
    };
    if !endpoints.is_loopback() {
        return Err(Failure::new(Exit::Input, "use the simulated cloud")
            .cause("its addresses are not on this machine")
            .hint("take sim/serving.json out of the state folder of the environment"));
    }
    let sign_in = SignIn::ServicePrincipal {
        tenant: facts.tenant,
        client_id: facts.client_id,
        secret: Secret::new(facts.client_secret),
    };
    let meter = Meter::new();
    let credential = Credential::new(&sign_in, &SignInFacts::default(), &endpoints, &meter);
    let credential = credential.map_err(|error| Failure::of_api("prepare the sign-in", &error))?;
    let arm = resource_manager(&endpoints, &credential, &meter)?;
    Ok(Target {
        clouds: clouds(&endpoints, &credential, &meter, arm, &facts.subscription)?,
        cloud: name(CloudName::Sim),
        pace: Pace::new(facts.pace),
        meter,
        words: "simulated cloud".to_owned(),
        remark: Some(world.remark()),
        caution: world
            .rests()
            .then_some("  (they answer on Azure, or while `landfall sim` runs in another terminal)"),
        world: Some(world),
    })
}

async fn sign_in(
    place: &Where,
    environment: &Environment,
    remembered: Option<&str>,
) -> Result<Target, Failure> {
    let endpoints = endpoints::resolve(&place.endpoints);
    let facts = facts(place, environment);
    let way = way(place.auth, &facts)?;
    let meter = Meter::new();
    let credential = Credential::new(&way, &facts, &endpoints, &meter);
    let credential = credential.map_err(|error| Failure::of_api("prepare the sign-in", &error))?;
    let arm = resource_manager(&endpoints, &credential, &meter)?;
    let identity = arm.identity().await.map_err(|error| Failure::of_api("sign in to Azure", &error))?;
    let wanted = place.subscription.as_deref().or(remembered);
    let subscription = subscription(&arm, wanted).await?;
    let tail = subscription.id.get(subscription.id.len().saturating_sub(4)..).unwrap_or_default();
    let who = identity.name.as_deref().unwrap_or(&identity.object_id);
    Ok(Target {
        clouds: clouds(&endpoints, &credential, &meter, arm, &subscription.id)?,
        cloud: name(CloudName::Azure),
        pace: Pace::new(endpoints.pace),
        meter,
        words: format!("Azure subscription {} (…{tail})", subscription.name),
        remark: Some(format!("Signed in as {who} with {}.", identity.via)),
        caution: None,
        world: None,
    })
}

/// Finds the subscription: the configured one, or the only one.
async fn subscription(arm: &Arm, wanted: Option<&str>) -> Result<Subscription, Failure> {
    let doing = "find the subscription";
    if let Some(id) = wanted {
        let found = arm.subscription(id).await.map_err(|error| Failure::of_api(doing, &error))?;
        return found.ok_or_else(|| {
            Failure::new(Exit::Refused, format!("find the subscription {id}"))
                .cause("it does not exist, or this sign-in may not see it")
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
            .hint("sign in with an identity that has a role in one")),
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
fn resource_manager(endpoints: &Endpoints, credential: &Credential, meter: &Meter) -> Result<Arm, Failure> {
    let correlation = uuid::Uuid::new_v4().to_string();
    let arm = Arm::new(endpoints, credential, meter, &correlation);
    arm.map_err(|error| Failure::of_api("prepare the clients", &error))
}

fn clouds(
    endpoints: &Endpoints,
    credential: &Credential,
    meter: &Meter,
    arm: Arm,
    subscription: &str,
) -> Result<Clouds, Failure> {
    let vaults = Vaults::new(endpoints, credential, meter);
    let azure = Azure::new(arm, subscription);
    Ok(Clouds {
        clusters: Clusters::new(azure.clone(), endpoints, meter.clone()),
        vaults: vaults.map_err(|error| Failure::of_api("prepare the clients", &error))?,
        sync_diagnosis: Arc::new(RotationDiagnosis),
        azure,
    })
}

/// Returns the sign-in facts of the environment, from Azure's own standard variables.
fn facts(place: &Where, environment: &Environment) -> SignInFacts {
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

fn way(auth: AuthName, facts: &SignInFacts) -> Result<SignIn, Failure> {
    let need = |value: &Option<String>, variable: &str, way: &str| {
        value.clone().ok_or_else(|| {
            Failure::new(Exit::Input, format!("sign in as a {way}"))
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
        mistake::{Given, Place},
        target::{Endpoints as Own, Rehearsal},
    };

    fn azure(own: Own) -> Where {
        let speed = Given { value: 60.0, key: "sim.speed", place: Place::Default };
        Where {
            cloud: CloudName::Azure,
            subscription: None,
            tenant: Some("contoso.com".into()),
            auth: AuthName::Auto,
            sim: Rehearsal { speed, seed: None, faults: Vec::new() },
            endpoints: own,
            consent: Consent::Given,
        }
    }

    #[test]
    fn a_sovereign_cloud_needs_no_more_than_its_addresses() {
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
    fn a_chosen_way_of_signing_in_names_what_it_lacks() {
        let environment = [("AZURE_CLIENT_ID".to_owned(), "app".to_owned())].into_iter().collect();
        let facts = facts(&azure(Own::default()), &environment);
        let failure = way(AuthName::ServicePrincipal, &facts).err().unwrap();
        assert_eq!(failure.exit, Exit::Input);
        assert!(failure.text(crate::render::paint::Paint::PLAIN).contains("AZURE_CLIENT_SECRET is not set"));
        assert!(matches!(
            way(AuthName::ManagedIdentity, &facts),
            Ok(SignIn::ManagedIdentity { client_id: Some(_) })
        ));
    }
}
