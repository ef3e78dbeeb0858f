//! Checks of the preconditions: the subscription, its registered providers and the resource group.

use super::{
    Finding,
    rules::{Findings, Flow},
    snapshot::Snapshot,
};
use landfall_cloud::arm::Registration;

pub(super) fn evaluate(snapshot: &Snapshot<'_>, findings: &mut Findings) -> Flow {
    if let Ok(Some(subscription)) = &snapshot.subscription
        && !["enabled", "warned"].contains(&subscription.state.to_ascii_lowercase().as_str())
    {
        let finding = Finding::new(
            "SUBSCRIPTION_DISABLED",
            format!("subscription {} is not enabled", subscription.name),
            "fix what the portal reports under Subscriptions; a disabled subscription is read-only",
        );
        findings.report(finding.evidence(format!("state is {}", subscription.state)));
        return Flow::Break(());
    }
    let group_missing = matches!(snapshot.group, Ok(None));
    if group_missing && !snapshot.environment.is_recorded {
        let finding = Finding::new(
            "ENVIRONMENT_NEVER_MADE",
            format!("the environment {} was never created", snapshot.environment.name),
            "landfall up",
        );
        let finding = finding
            .evidence("the journal records no created resource")
            .evidence(format!("resource group {} does not exist", snapshot.environment.resource_group));
        findings.report_missing(finding);
        return Flow::Break(());
    }
    // An existing cluster was created while everything was registered, and continues to work.
    if matches!(snapshot.cluster, Ok(None)) {
        providers(snapshot, findings);
        features(snapshot, findings);
    }
    if group_missing {
        let group = &snapshot.environment.resource_group;
        let finding = Finding::new(
            "RESOURCE_GROUP_MISSING",
            format!("the resource group {group} was deleted, with everything in it"),
            "landfall up: it recreates everything, and recovers the vault",
        );
        findings.report_missing(
            finding.evidence(format!("GET resource group {group}: 404, but the journal records it")),
        );
        return Flow::Break(());
    }
    Flow::Continue(())
}

fn providers(snapshot: &Snapshot<'_>, findings: &mut Findings) {
    let Ok(listed) = &snapshot.providers else { return };
    let state = |namespace: &str| {
        listed.iter().find(|(known, _)| known.eq_ignore_ascii_case(namespace)).map(|(_, state)| state)
    };
    for namespace in &snapshot.environment.providers {
        let finding = match state(namespace) {
            Some(Registration::Registered) => continue,
            Some(Registration::InProgress(word)) => Finding::new(
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
        findings.report(finding);
    }
}

fn features(snapshot: &Snapshot<'_>, findings: &mut Findings) {
    for (flag, state) in snapshot.features.iter().flatten() {
        let Registration::InProgress(word) = state else { continue };
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
        findings.report(finding.evidence(format!("properties.state of {flag} is {word}")));
    }
}
