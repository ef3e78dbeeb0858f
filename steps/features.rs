//! Resource providers, and the preview flags that a service may still ask for.

use crate::{clouds::Clouds, doing::Doing, operation};
use landfall_cloud::{
    ApiError, ApiErrorKind,
    arm::{Azure, Registration},
};
use landfall_engine::{Check, Context, Look, Step, StepError, Undone, Wait};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What the environment is made of.
pub(crate) const PROVIDERS: [&str; 5] = [
    "Microsoft.ContainerService",
    "Microsoft.KeyVault",
    "Microsoft.Network",
    "Microsoft.Compute",
    "Microsoft.ManagedIdentity",
];

const LIST: &str = "list the resource providers";

/// Sees to it that the subscription may use every service.
///
/// The Gateway API and its Istio implementation are generally available, so no preview flag is
/// asked for here; a flag that a region still insists on is registered by the cluster step, when
/// the service names it.
pub struct Features {
    azure: Azure,
}

/// The providers that are registered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registered {
    /// Their namespaces.
    pub providers: Vec<String>,
}

impl Features {
    /// Returns the step.
    #[must_use]
    pub fn new(c: &Clouds) -> Self {
        Self { azure: c.azure.clone() }
    }

    /// The providers we need that are not registered yet, each with how far it is.
    async fn outstanding(&self) -> Result<Vec<(&'static str, Registration)>, ApiError> {
        let listed = self.azure.providers().await?;
        let state = |wanted: &str| {
            let found = listed.iter().find(|(namespace, _)| namespace.eq_ignore_ascii_case(wanted));
            found.map_or(Registration::Absent, |(_, registration)| registration.clone())
        };
        let all = PROVIDERS.into_iter().map(|namespace| (namespace, state(namespace)));
        Ok(all.filter(|(_, registration)| *registration != Registration::Registered).collect())
    }
}

impl Step for Features {
    type Input = ();
    type Output = Registered;

    fn title(&self) -> String {
        "resource providers and features".to_owned()
    }

    fn deadline(&self) -> Duration {
        Duration::from_secs(660)
    }

    async fn check(&self, cx: &Context, (): &()) -> Result<Check<Registered>, StepError> {
        if self.outstanding().await.doing(LIST)?.is_empty() {
            cx.note("generally available, nothing to register");
            return Ok(Check::Ready(registered()));
        }
        // Registering is the subscription's own business: what we ask for serves everybody and is not ours.
        Ok(Check::Underway)
    }

    async fn apply(&self, cx: &Context, (): &()) -> Result<Registered, StepError> {
        let outstanding = self.outstanding().await.doing(LIST)?;
        for (namespace, _) in outstanding.iter().filter(|(_, r)| *r == Registration::Absent) {
            let asked = self.azure.register_provider(namespace).await;
            asked.doing(format!("register {namespace}"))?;
        }
        let wait =
            Wait::new("the providers to be registered", Duration::from_secs(60), operation::REGISTRATION_MAX);
        operation::look_until(
            cx,
            wait,
            LIST,
            || self.outstanding(),
            |outstanding| {
                let names: Vec<&str> = outstanding.iter().map(|(namespace, _)| *namespace).collect();
                Ok(if names.is_empty() {
                    Look::There(registered())
                } else {
                    Look::not_yet(format!("registering {}", names.join(", ")))
                })
            },
        )
        .await
    }

    async fn undo(&self, _: &Context, _: Registered) -> Result<Undone, StepError> {
        // A provider serves the whole subscription, and unregistering it would break its neighbours.
        Ok(Undone::Kept { why: "the subscription's other resources may use them".to_owned() })
    }
}

fn registered() -> Registered {
    Registered { providers: PROVIDERS.iter().map(|&namespace| namespace.to_owned()).collect() }
}

/// Registers a preview flag that the service has asked for, and waits until it has spread. A flag that is gone has
/// become generally available meanwhile: the service is asked again without it.
pub(crate) async fn enable(cx: &Context, azure: &Azure, flag: &str) -> Result<(), StepError> {
    let (namespace, name) = flag.split_once('/').unwrap_or(("Microsoft.ContainerService", flag));
    let what = format!("register the feature {flag}");
    match azure.register_feature(namespace, name).await {
        Err(error) if error.kind == ApiErrorKind::NotFound => {
            cx.note(format!("{flag} is gone: generally available by now"));
            return Ok(());
        }
        asked => drop(asked.doing(&what)?),
    }
    let wait = Wait::new("the feature to be registered", Duration::from_secs(300), Duration::from_secs(2700));
    operation::look_until(
        cx,
        wait,
        &what,
        || azure.feature(namespace, name),
        |found| match found {
            Some(Registration::Registered) => Ok(Look::There(())),
            Some(Registration::Underway(state)) => Ok(Look::not_yet(format!("{flag} is {state}"))),
            Some(Registration::Absent) => Ok(Look::not_yet(format!("{flag} is not registered yet"))),
            None => Ok(Look::There(())),
        },
    )
    .await?;
    azure.register_provider(namespace).await.doing(format!("spread the feature through {namespace}"))?;
    Ok(())
}
