//! Events of the driver on the pods, and the failed stage that each one indicates.

use super::{Finding, Links, Outlook, holder::Holder, source};
use jiff::Timestamp;
use landfall_cloud::kubernetes::DynamicObject;

/// Event reasons of failures: of the kubelet's mounts, of the driver's rotation, and of its writes to
/// Secrets.
const FAILURES: [&str; 4] =
    ["FailedMount", "MountRotationFailed", "SecretRotationFailed", "FailedToCreateSecret"];
/// Event reasons that supersede all earlier failures.
const SUCCESSES: [&str; 2] = ["MountRotationComplete", "SecretRotationComplete"];
/// The maximum length of a displayed message, in characters.
const GIST: usize = 120;

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

/// Summarizes a message of the driver: the request and its response if it contains them, else its last
/// clause.
pub(crate) fn gist(message: &str) -> String {
    let after = |word: &str| message.split_once(word).map(|(_, rest)| rest);
    let word = |text: &str| text.split(['"', '\n', ' ', ',']).next().unwrap_or_default().to_owned();
    if let (Some(url), Some(status)) =
        (after("GET ").map(word), after("RESPONSE ").map(|rest| rest[..3.min(rest.len())].to_owned()))
    {
        let inner =
            after("innererror").and_then(|rest| rest.split_once("\"code\": \"")).map(|(_, code)| word(code));
        let code = inner.or_else(|| after("ERROR CODE: ").map(word)).unwrap_or_default();
        return format!("GET {url} returned {status} {code}").trim_end().to_owned();
    }
    let last = message.rsplit("err: ").next().unwrap_or(message);
    last.lines().next().unwrap_or_default().chars().take(GIST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gist_of_a_refused_read_is_the_request_and_the_innermost_code() {
        let message = "provider mount err: rpc error: code = Unknown desc = failed to mount objects, error: failed to get \
                       objectType:secret, objectName:tls, objectVersion:: GET https://kv.vault.azure.net/secrets/tls/\n---\n\
                       RESPONSE 403: 403 Forbidden\nERROR CODE: Forbidden\n---\n{\n  \"error\": {\n    \"code\": \"Forbidden\",\n \
                       \"innererror\": {\n      \"code\": \"ForbiddenByRbac\"\n    }\n  }\n}\n---";
        assert_eq!(gist(message), "GET https://kv.vault.azure.net/secrets/tls/ returned 403 ForbiddenByRbac");
        assert_eq!(
            gist("a, err: file matching objectName x not found\nmore"),
            "file matching objectName x not found"
        );
    }
}
