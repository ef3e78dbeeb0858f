//! Container logs, derived from the stored objects.
//!
//! Most programs do not run, and nothing is recorded of them: their log is computed from the objects, so it reports what
//! happened to them and no more. Istiod, the gateway proxies and the pods of the Key Vault add-on log their
//! actions. Every other container only logs that it runs. Containers that really run have the lines that they wrote, in
//! files of a folder for each pod.

mod mesh;
mod vault;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::condition;
use super::object::{list, namespace, text, uid};
use crate::clock::SimTime;
use crate::kubernetes::Store;

/// A log line.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LogLine {
    /// The time of the line.
    pub at: SimTime,
    /// The text, without a line break.
    pub text: String,
}

/// The container that writes the log.
struct Writer<'s> {
    store: &'s Store,
    pod: &'s Value,
    image: &'s str,
    /// The start time of the container.
    since: SimTime,
}

impl Writer<'_> {
    /// Creates a line in the format of the mesh's programs; an event before the start is logged at the start.
    fn line(&self, at: SimTime, level: &str, scope: &str, message: &str) -> LogLine {
        let at = at.max(self.since);
        LogLine { at, text: format!("{}\t{level}\t{scope}\t{message}", at.rfc3339()) }
    }

    fn is_ready_since(&self, pod: &Value) -> Option<SimTime> {
        condition::is_true(pod, "Ready").then(|| {
            let ready = list(pod, "/status/conditions").iter().find(|line| text(line, "/type") == "Ready");
            ready.and_then(|line| parse_time(text(line, "/lastTransitionTime"))).unwrap_or(self.since)
        })
    }
}

/// Parses an RFC 3339 time.
fn parse_time(time: &str) -> Option<SimTime> {
    let time: jiff::Timestamp = time.parse().ok()?;
    Some(SimTime(time.as_millisecond()))
}

/// Returns the log files of a container in the folder of its pod: the one before the current one, and the current one.
pub(crate) fn log_files(folder: &Path, container: &str) -> [PathBuf; 2] {
    ["log.1", "log"].map(|ending| folder.join(format!("{container}.{ending}")))
}

/// Reads the log of a container that really ran. A line is its time, a space and the text.
pub(crate) fn read_log(folder: &Path, container: &str) -> Vec<LogLine> {
    let texts = log_files(folder, container).map(|path| fs::read(path).unwrap_or_default());
    let lines =
        texts.iter().flat_map(|text| text.split(|byte| *byte == b'\n')).filter(|line| !line.is_empty());
    let parsed = lines.filter_map(|line| {
        let line = String::from_utf8_lossy(line);
        let (at, text) = line.split_once(' ')?;
        Some(LogLine { at: parse_time(at)?, text: text.to_owned() })
    });
    parsed.collect()
}

/// Returns the log of a container since its start, in order; empty before it runs.
pub(crate) fn lines(store: &Store, pod: &Value, container: &str) -> Vec<LogLine> {
    let folder = store.pod_folder().map(|all| all.join(uid(pod)));
    if let Some(folder) = folder.filter(|folder| folder.is_dir()) {
        return read_log(&folder, container);
    }
    let status = list(pod, "/status/containerStatuses").iter().find(|status| status["name"] == *container);
    let started = |state: &str| parse_time(text(status?, &format!("/state/{state}/startedAt")));
    let since = started("running").or_else(|| started("terminated"));
    let spec = list(pod, "/spec/containers").iter().find(|spec| spec["name"] == *container);
    let (Some(since), Some(spec)) = (since, spec) else { return Vec::new() };
    let writer = Writer { store, pod, image: text(spec, "/image"), since };
    let program = writer.image.rsplit('/').next().unwrap_or_default().split([':', '@']).next();
    let mut lines = match program {
        Some("pilot") => mesh::control_plane(&writer),
        Some("proxyv2") => mesh::proxy(&writer),
        Some("provider-azure") if namespace(pod) == "kube-system" => vault::provider(&writer),
        Some("driver") if namespace(pod) == "kube-system" => vault::driver(&writer),
        _ => vec![LogLine {
            at: since,
            text: format!(
                "{} container {container} runs {}; the program itself is simulated and writes nothing",
                since.rfc3339(),
                writer.image
            ),
        }],
    };
    // The sort is stable: lines of the same time stay in order.
    lines.sort_by_key(|line| line.at);
    lines
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::aks::fixture::{ClusterFixture, OBJECTS, class, gateway, holder, http, https};

    const GATEWAYS: &str = "gateways.gateway.networking.k8s.io";

    /// Returns the logs of all pods with that name prefix, without times.
    fn log(fixture: &ClusterFixture, prefix: &str, container: &str) -> String {
        let pods = fixture.store.list("pods", None).into_iter();
        let pods = pods.filter(|pod| text(pod, "/metadata/name").starts_with(prefix));
        let all: Vec<String> =
            pods.flat_map(|pod| lines(&fixture.store, pod, container)).map(|line| line.text).collect();
        all.join("\n")
    }

    #[test]
    fn the_control_plane_logs_the_conditions_of_a_gateway() {
        let mut fixture = ClusterFixture::running();
        assert!(
            log(&fixture, "istiod-", "discovery").contains("gatewayclass approuting-istio: Accepted is True")
        );
        fixture.request(GATEWAYS, gateway(json!([http(), https("none")])));
        fixture.advance(60.0);
        let log_text = log(&fixture, "istiod-", "discovery");
        for part in [
            "\tinfo\tgateway\tgateway default/web: Programmed is True (Programmed): Resource programmed",
            "\twarn\tgateway\tgateway default/web, listener https: ResolvedRefs is False (InvalidCertificateRef)",
            "\tinfo\tads\tproxy web-approuting-istio-",
        ] {
            assert!(log_text.contains(part), "{part}\n{log_text}");
        }
        assert_eq!(
            log_text.matches("listener https: ResolvedRefs").count(),
            1,
            "one replica leads:\n{log_text}"
        );
        let proxy = log(&fixture, "web-approuting-istio-", "istio-proxy");
        assert!(proxy.contains("listener http is served on port 80"), "{proxy}");
        assert!(!proxy.contains("listener https is served"), "{proxy}");
    }

    #[test]
    fn a_log_is_ordered_and_starts_with_the_container() {
        let mut fixture = ClusterFixture::running();
        fixture.request("deployments.apps", holder());
        fixture.advance(1.0);
        assert_eq!(log(&fixture, "holder-", "pause"), "", "it waits for a class that is not there");
        fixture.request("secretproviderclasses.secrets-store.csi.x-k8s.io", class(OBJECTS));
        fixture.advance(60.0);
        assert!(
            log(&fixture, "holder-", "pause").ends_with("the program itself is simulated and writes nothing")
        );
        for pod in fixture.store.list("pods", None) {
            for container in list(pod, "/spec/containers") {
                let lines = lines(&fixture.store, pod, text(container, "/name"));
                assert!(!lines.is_empty() && lines.is_sorted_by_key(|line| line.at), "{lines:?}");
            }
        }
    }

    #[test]
    fn the_add_on_logs_successful_and_failed_mounts() {
        let mut fixture = ClusterFixture::running();
        fixture.vault.readable_from = None;
        fixture.request("secretproviderclasses.secrets-store.csi.x-k8s.io", class(OBJECTS));
        fixture.request("deployments.apps", holder());
        fixture.advance(20.0);
        let log_text = log(&fixture, "aks-secrets-store-provider-azure-", "aks-secrets-store-provider-azure");
        assert!(
            log_text.contains("failed to mount secrets store objects for pod default/holder-"),
            "{log_text}"
        );
        fixture.vault.readable_from = Some(fixture.now);
        fixture.advance(300.0);
        let log_text = log(&fixture, "aks-secrets-store-provider-azure-", "aks-secrets-store-provider-azure");
        assert!(log_text.contains("secret/tls"), "{log_text}");
        let log_text = log(&fixture, "aks-secrets-store-csi-driver-", "aks-secrets-store-csi-driver");
        assert!(log_text.contains("mounted class default/tls-class into pod default/holder-"), "{log_text}");
    }
}
