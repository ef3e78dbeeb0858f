//! Checks of the preconditions: the subscription, its registered providers and the resource group.

use super::{
    Finding,
    picture::Picture,
    walk::{Walk, Way},
};
use landfall_cloud::arm::Registration;

pub(super) fn judge(p: &Picture<'_>, walk: &mut Walk) -> Way {
    if let Ok(Some(subscription)) = &p.subscription
        && !["enabled", "warned"].contains(&subscription.state.to_ascii_lowercase().as_str())
    {
        let finding = Finding::new(
            "SUBSCRIPTION_DISABLED",
            format!("subscription {} is not enabled", subscription.name),
            "fix what the portal reports under Subscriptions; a disabled subscription is read-only",
        );
        walk.name(finding.evidence(format!("state is {}", subscription.state)));
        return Way::Break(());
    }
    let gone = matches!(p.group, Ok(None));
    if gone && !p.environment.is_recorded {
        let finding = Finding::new(
            "ENVIRONMENT_NEVER_MADE",
            format!("the environment {} was never created", p.environment.name),
            "landfall up",
        );
        let finding = finding
            .evidence("the journal records no created resource")
            .evidence(format!("resource group {} does not exist", p.environment.resource_group));
        walk.lacks(finding);
        return Way::Break(());
    }
    // An existing cluster was created while everything was registered, and continues to work.
    if matches!(p.cluster, Ok(None)) {
        providers(p, walk);
        features(p, walk);
    }
    if gone {
        let group = &p.environment.resource_group;
        let finding = Finding::new(
            "RESOURCE_GROUP_MISSING",
            format!("the resource group {group} was deleted, with everything in it"),
            "landfall up: it recreates everything, and recovers the vault",
        );
        walk.lacks(finding.evidence(format!("GET resource group {group}: 404, but the journal records it")));
        return Way::Break(());
    }
    Way::Continue(())
}

fn providers(p: &Picture<'_>, walk: &mut Walk) {
    let Ok(listed) = &p.providers else { return };
    let state = |namespace: &str| {
        listed.iter().find(|(known, _)| known.eq_ignore_ascii_case(namespace)).map(|(_, state)| state)
    };
    for namespace in &p.environment.providers {
        let finding = match state(namespace) {
            Some(Registration::Registered) => continue,
            Some(Registration::Underway(word)) => Finding::new(
                "PROVIDER_REGISTERING",
                format!("the resource provider {namespace} is still being registered"),
                "wait some minutes, then landfall up; if it takes more than an hour, unregister it and \
                 register it again",
            )
            .evidence(format!("registrationState of {namespace} is {word}")),
            Some(Registration::Absent) | None => Finding::new(
                "PROVIDER_NOT_REGISTERED",
                format!("the subscription has not registered the resource provider {namespace}"),
                format!("landfall up registers it; or az provider register -n {namespace} --wait"),
            )
            .evidence(format!("registrationState of {namespace} is NotRegistered")),
        };
        walk.name(finding);
    }
}

fn features(p: &Picture<'_>, walk: &mut Walk) {
    for (flag, state) in &p.features {
        let Registration::Underway(word) = state else { continue };
        let (namespace, name) = flag.split_once('/').unwrap_or(("Microsoft.ContainerService", flag));
        let finding = Finding::new(
            "FEATURE_REGISTERING",
            format!("the preview feature {name} is still being registered"),
            format!(
                "wait, typically 10 to 15 minutes, then landfall up; az feature show --namespace {namespace} \
                 --name {name} --query properties.state shows the state. If it takes hours, unregister it \
                 and register it again"
            ),
        );
        walk.name(finding.evidence(format!("properties.state of {flag} is {word}")));
    }
}
