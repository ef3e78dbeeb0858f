//! Events of the driver on the pods, and the failed stage that each one indicates.

use super::{
    Finding, RotationContext, SelfRecovery,
    identity::{self, ClassIdentity, Presented},
    message_summary,
    mounting_pod::MountingPod,
    vault,
};
use jiff::Timestamp;
use landfall_cloud::kubernetes::DynamicObject;

/// Event reasons of failures: of the kubelet's mounts, of the driver's rotation, and of its writes to
/// Secrets.
const FAILURES: [&str; 4] =
    ["FailedMount", "MountRotationFailed", "SecretRotationFailed", "FailedToCreateSecret"];
/// Event reasons that supersede all earlier failures.
const SUCCESSES: [&str; 2] = ["MountRotationComplete", "SecretRotationComplete"];

/// A failure without a later success.
pub(super) struct SyncFailure<'a> {
    pod: &'a str,
    reason: &'a str,
    message: &'a str,
    count: i64,
}

/// Returns the latest failure of the holders since the creation of the version.
pub(super) fn latest<'a>(
    events: &'a [DynamicObject],
    mounting_pods: &[MountingPod<'_>],
    since: Option<Timestamp>,
) -> Option<SyncFailure<'a>> {
    let outcomes = events.iter().filter_map(|event| {
        let pod = event.data["involvedObject"]["name"].as_str()?;
        let mounting_pod = mounting_pods.iter().find(|mounting_pod| mounting_pod.name == pod)?;
        let reason = event.data["reason"].as_str()?;
        let at: Timestamp = event.data["lastTimestamp"].as_str()?.parse().ok()?;
        // The event of a failed mount stays after a later mount succeeded, and is then obsolete.
        let is_obsolete = reason == "FailedMount" && mounting_pod.is_running;
        let known = FAILURES.contains(&reason) || SUCCESSES.contains(&reason);
        (known && !is_obsolete && since.is_none_or(|since| at >= since)).then_some((at, reason, pod, event))
    });
    let (_, reason, pod, event) = outcomes.max_by_key(|(at, ..)| *at)?;
    FAILURES.contains(&reason).then(|| SyncFailure {
        pod,
        reason,
        message: event.data["message"].as_str().unwrap_or_default(),
        count: event.data["count"].as_i64().unwrap_or(1),
    })
}

/// Returns the finding for the stage that a failure indicates.
pub(super) fn evaluate(
    failure: &SyncFailure<'_>,
    identity: ClassIdentity<'_>,
    context: &RotationContext<'_>,
) -> Finding {
    let (vault, certificate) = (&context.vault.name, &context.certificate.name);
    let contains = |word: &str| failure.message.contains(word);
    let finding = if contains("ForbiddenByFirewall")
        || contains("ForbiddenByConnection")
        || contains("Client address is not authorized")
    {
        vault::firewall(context)
    } else if contains("SecretDisabled") {
        vault::disabled(context)
    } else if contains("AADSTS70021") {
        let finding = identity::not_trusted(&identity.noun());
        match Presented::read(failure.message) {
            Some(presented) => finding.evidence(presented.describe()),
            None => finding,
        }
    } else if contains("AADSTS700016") {
        identity::missing(&identity.noun())
    } else if contains("failed to fetch token") {
        Finding::new(
            "SERVICE_ACCOUNT_MISSING",
            "the service account of the sync workload does not exist",
            "run landfall up: it recreates the service account",
        )
    } else if contains("ForbiddenByRbac")
        || contains("ForbiddenByPolicy")
        || contains("AccessDenied")
        || contains("RESPONSE 403")
    {
        Finding::new(
            "VAULT_ACCESS_MISSING",
            format!("{} may not read {vault}", identity.noun()),
            "run landfall up: it grants the roles again; a new role may take ten minutes to take effect",
        )
        .self_recovery(SelfRecovery::Possible)
    } else if contains("RESPONSE 404") {
        Finding::new(
            "VAULT_OBJECT_MISSING",
            format!("{vault} has no {certificate} that the driver can read"),
            "run landfall up: it imports the certificate again",
        )
    } else if contains("Identity not found") || contains("Multiple user assigned identities") {
        Finding::new(
            "IDENTITY_UNKNOWN",
            "the nodes do not have the identity that the SecretProviderClass names",
            "run landfall up: it applies the class with the add-on's identity",
        )
    } else if failure.reason == "FailedToCreateSecret" || failure.reason == "SecretRotationFailed" {
        Finding::new(
            "SECRET_NOT_WRITTEN",
            format!("the driver has the certificate, but cannot create Secret {} from it", context.secret),
            "the event says what is wrong with secretObjects in the SecretProviderClass; run landfall up",
        )
    } else {
        Finding::new(
            "MOUNT_FAILED",
            "the driver cannot mount the certificate",
            "the event says why; fix that, then run landfall up",
        )
        .self_recovery(SelfRecovery::Possible)
    };
    let SyncFailure { pod, reason, count, .. } = failure;
    let times = if *count == 1 { "once".to_owned() } else { format!("{count} times") };
    finding.evidence(format!("event {reason} of pod {pod}, {times}: {}", message_summary(failure.message)))
}
