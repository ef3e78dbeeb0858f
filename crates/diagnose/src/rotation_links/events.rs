//! Events of the driver on the pods, and the failed stage that each one indicates.

use super::{Finding, Links, Outlook, gist, holder::Holder, source};
use jiff::Timestamp;
use landfall_cloud::kubernetes::DynamicObject;

/// Event reasons of failures: of the kubelet's mounts, of the driver's rotation, and of its writes to
/// Secrets.
const FAILURES: [&str; 4] =
    ["FailedMount", "MountRotationFailed", "SecretRotationFailed", "FailedToCreateSecret"];
/// Event reasons that supersede all earlier failures.
const SUCCESSES: [&str; 2] = ["MountRotationComplete", "SecretRotationComplete"];

/// A failure without a later success.
pub(super) struct Trouble<'a> {
    pod: &'a str,
    reason: &'a str,
    message: &'a str,
    count: i64,
}

/// Returns the latest failure of the holders since the creation of the version.
pub(super) fn latest<'a>(
    events: &'a [DynamicObject],
    holders: &[Holder<'_>],
    since: Option<Timestamp>,
) -> Option<Trouble<'a>> {
    let told = events.iter().filter_map(|event| {
        let pod = event.data["involvedObject"]["name"].as_str()?;
        let holder = holders.iter().find(|holder| holder.name == pod)?;
        let reason = event.data["reason"].as_str()?;
        let at: Timestamp = event.data["lastTimestamp"].as_str()?.parse().ok()?;
        // The event of a failed mount stays after a later mount succeeded, and is then obsolete.
        let over = reason == "FailedMount" && holder.runs;
        let known = FAILURES.contains(&reason) || SUCCESSES.contains(&reason);
        (known && !over && since.is_none_or(|since| at >= since)).then_some((at, reason, pod, event))
    });
    let (_, reason, pod, event) = told.max_by_key(|(at, ..)| *at)?;
    FAILURES.contains(&reason).then(|| Trouble {
        pod,
        reason,
        message: event.data["message"].as_str().unwrap_or_default(),
        count: event.data["count"].as_i64().unwrap_or(1),
    })
}

/// Returns the finding for the stage that a failure indicates.
pub(super) fn judge(trouble: &Trouble<'_>, links: &Links<'_>) -> Finding {
    let (vault, certificate) = (&links.vault.name, &links.certificate.name);
    let says = |word: &str| trouble.message.contains(word);
    let stuck = if says("ForbiddenByFirewall")
        || says("ForbiddenByConnection")
        || says("Client address is not authorized")
    {
        source::firewall(links)
    } else if says("SecretDisabled") {
        source::disabled(links)
    } else if says("ForbiddenByRbac")
        || says("ForbiddenByPolicy")
        || says("AccessDenied")
        || says("RESPONSE 403")
    {
        Finding::new(
            "VAULT_ACCESS_MISSING",
            format!("the add-on's identity may not read {vault}"),
            "run landfall up: it grants the roles again; a new role may take ten minutes to take effect",
        )
        .outlook(Outlook::MayPass)
    } else if says("RESPONSE 404") {
        Finding::new(
            "VAULT_OBJECT_MISSING",
            format!("{vault} has no {certificate} that the driver can read"),
            "run landfall up: it imports the certificate again",
        )
    } else if says("Identity not found") || says("Multiple user assigned identities") {
        Finding::new(
            "IDENTITY_UNKNOWN",
            "the nodes do not have the identity that the SecretProviderClass names",
            "run landfall up: it applies the class with the add-on's identity",
        )
    } else if trouble.reason == "FailedToCreateSecret" || trouble.reason == "SecretRotationFailed" {
        Finding::new(
            "SECRET_NOT_WRITTEN",
            format!("the driver has the certificate, but cannot create Secret {} from it", links.secret),
            "the event says what is wrong with secretObjects in the SecretProviderClass; run landfall up",
        )
    } else {
        Finding::new(
            "MOUNT_FAILED",
            "the driver cannot mount the certificate",
            "the event says why; fix that, then run landfall up",
        )
        .outlook(Outlook::MayPass)
    };
    let Trouble { pod, reason, count, .. } = trouble;
    let times = if *count == 1 { "once".to_owned() } else { format!("{count} times") };
    stuck.evidence(format!("event {reason} of pod {pod}, {times}: {}", gist(trouble.message)))
}
