//! Resource providers, and preview flags that a service may still require.

use crate::{
    Clients,
    error_context::ErrorContext,
    operation,
    resource_spec::{PROVIDER, Resource, ResourceSpec, Resources},
};
use landfall_cloud::{
    ApiError, ApiErrorKind,
    arm::{Registration, SubscriptionClient},
};
use landfall_engine::{Check, Context, Poll, Step, StepError, UndoOutcome, Wait};
use serde::{Deserialize, Serialize};
use std::time::Duration;

const LIST: &str = "list the resource providers";

/// Registers the resource providers in the subscription.
///
/// The Gateway API and its Istio implementation are generally available, so this step requests no preview
/// flag. If a region still requires one, the service names it, and the cluster step registers it.
pub struct Features {
    azure: SubscriptionClient,
    resources: Resources,
}

/// The registered providers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registered {
    /// Their namespaces.
    pub providers: Vec<String>,
}

impl Features {
    /// Returns the step.
    #[must_use]
    pub fn new(c: &Clients, resources: &Resources) -> Self {
        Self { azure: c.azure.clone(), resources: resources.clone() }
    }

    fn registered(&self) -> Registered {
        let providers = self.resources.providers();
        Registered { providers: providers.into_iter().map(str::to_owned).collect() }
    }

    /// Returns the required providers that are not registered yet, each with its state.
    async fn outstanding(&self) -> Result<Vec<(&'static str, Registration)>, ApiError> {
        let listed = self.azure.providers().await?;
        let state = |wanted: &str| {
            let found = listed.iter().find(|(namespace, _)| namespace.eq_ignore_ascii_case(wanted));
            found.map_or(Registration::Absent, |(_, registration)| registration.clone())
        };
        let all = self.resources.providers().into_iter().map(|namespace| (namespace, state(namespace)));
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
        if self.outstanding().await.context(LIST)?.is_empty() {
            cx.note("all resource providers are registered");
            return Ok(Check::InSync(self.registered()));
        }
        // A registration belongs to the subscription: it is shared, and landfall does not own it.
        Ok(Check::InProgress)
    }

    async fn apply(&self, cx: &Context, (): &()) -> Result<Registered, StepError> {
        let outstanding = self.outstanding().await.context(LIST)?;
        for (namespace, _) in outstanding.iter().filter(|(_, r)| *r == Registration::Absent) {
            let response = self.azure.register_provider(namespace).await;
            response.context(format!("register {namespace}"))?;
        }
        let wait =
            Wait::new("the providers to be registered", Duration::from_secs(60), operation::REGISTRATION_MAX);
        operation::poll_until(
            cx,
            wait,
            LIST,
            || self.outstanding(),
            |outstanding| {
                let names: Vec<&str> = outstanding.iter().map(|(namespace, _)| *namespace).collect();
                Ok(if names.is_empty() {
                    Poll::Ready(self.registered())
                } else {
                    Poll::not_yet(format!("registering {}", names.join(", ")))
                })
            },
        )
        .await
    }

    async fn undo(&self, _: &Context, _: Registered) -> Result<UndoOutcome, StepError> {
        // A provider serves the whole subscription, and other resources may need its registration.
        Ok(UndoOutcome::Kept { why: "other resources of the subscription may use them".to_owned() })
    }
}

impl Resource for Features {
    fn resource(&self) -> ResourceSpec {
        ResourceSpec::undeletable("resource provider registrations").of_type(PROVIDER)
    }
}

/// Registers a preview flag that the service requires, and waits until it has propagated. A flag that no
/// longer exists is generally available: the caller then repeats the request without it.
pub(crate) async fn enable(cx: &Context, azure: &SubscriptionClient, flag: &str) -> Result<(), StepError> {
    let (namespace, name) = flag.split_once('/').unwrap_or(("Microsoft.ContainerService", flag));
    let what = format!("register the feature {flag}");
    match azure.register_feature(namespace, name).await {
        Err(error) if error.kind == ApiErrorKind::NotFound => {
            cx.note(format!("{flag} no longer exists: generally available"));
            return Ok(());
        }
        response => drop(response.context(&what)?),
    }
    let wait = Wait::new("the feature to be registered", Duration::from_secs(300), Duration::from_secs(2700));
    operation::poll_until(
        cx,
        wait,
        &what,
        || azure.feature(namespace, name),
        |found| match found {
            Some(Registration::Registered) => Ok(Poll::Ready(())),
            Some(Registration::InProgress(state)) => Ok(Poll::not_yet(format!("{flag} is {state}"))),
            Some(Registration::Absent) => Ok(Poll::not_yet(format!("{flag} is not registered yet"))),
            None => Ok(Poll::Ready(())),
        },
    )
    .await?;
    azure.register_provider(namespace).await.context(format!("propagate the feature to {namespace}"))?;
    Ok(())
}
