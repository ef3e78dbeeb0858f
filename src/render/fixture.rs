//! Fixture: a run in progress, for the snapshots of all displays.

use landfall_engine::{Event, EventKind, How, Kind, Leftover, Progress, StepError, StepInfo};
use std::time::{Duration, SystemTime};

const STARTED_AT: Duration = Duration::from_secs(1_795_426_262);

fn at(ms: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + STARTED_AT + Duration::from_millis(ms)
}

/// Returns the time of the snapshot.
pub fn now() -> SystemTime {
    at(2_300)
}

/// Returns the steps of the run.
pub fn steps() -> Vec<StepInfo> {
    let step = |id, title: &str, after: &[&'static str], typical_duration| StepInfo {
        id,
        title: title.to_owned(),
        after: after.to_vec(),
        typical_duration: Duration::from_secs(typical_duration),
        deadline: Duration::from_secs(typical_duration * 10),
        enabled: true,
    };
    vec![
        step("preflight", "14 checks", &[], 1),
        step("resource-group", "resource group rg-aks-istio-gateway-demo", &["preflight"], 2),
        step("key-vault", "key vault kv-aks-istio-6743 in eastus", &["resource-group"], 14),
        step("certificate", "certificate gateway-tls-cert", &["key-vault"], 60),
        step("cluster-ready", "cluster aks-istio-gateway-demo", &["resource-group"], 280),
        step("istio", "gateway class approuting-istio", &["cluster-ready"], 60),
        step("tls-secret", "secret gateway-tls-secret", &["cluster-ready", "certificate"], 15),
        step("gateways", "2 gateways and 6 routes", &["istio", "tls-secret"], 40),
        step("dns", "4 records", &["gateways"], 1),
    ]
}

/// Returns the events so far: some steps done, two running, the others waiting.
pub fn events() -> Vec<Event> {
    let finished = |step, how, ms| EventKind::Finished { step, how, elapsed: Duration::from_millis(ms) };
    let started =
        |step, title: &str| EventKind::Started { step, title: title.into(), creating: true, attempt: 1 };
    let progress = Progress { so_far: Duration::from_secs(83), typical_duration: Duration::from_secs(280) };
    [
        (0, EventKind::Opened { environment: "default".into(), steps: steps() }),
        (1, EventKind::Checking { step: "preflight" }),
        (412, finished("preflight", How::Found, 411)),
        (413, EventKind::Checking { step: "resource-group" }),
        (420, started("resource-group", "resource group rg-aks-istio-gateway-demo")),
        (700, finished("resource-group", How::Created, 287)),
        (701, EventKind::Checking { step: "key-vault" }),
        (702, EventKind::Checking { step: "cluster-ready" }),
        (720, started("cluster-ready", "cluster aks-istio-gateway-demo")),
        (900, finished("key-vault", How::Changed, 199)),
        (901, EventKind::Checking { step: "certificate" }),
        (920, started("certificate", "certificate gateway-tls-cert")),
        (
            1_000,
            EventKind::Retrying {
                step: "certificate",
                because: "ForbiddenByRbac".into(),
                wait: Duration::from_secs(2),
            },
        ),
        (
            2_120,
            EventKind::Note {
                step: "cluster-ready",
                text: "Creating, 83 s of about 280 s".into(),
                progress: Some(progress),
            },
        ),
    ]
    .map(|(ms, what)| Event { at: at(ms), what })
    .into()
}

/// Returns the events of a failed cluster step.
pub fn failure() -> Vec<Event> {
    [
        (
            2_400,
            EventKind::Failed { step: "cluster-ready", error: error(), elapsed: Duration::from_secs(192) },
        ),
        (2_401, EventKind::Blocked { step: "istio", by: "cluster-ready".into() }),
        (2_402, EventKind::Interrupted { step: "certificate" }),
    ]
    .map(|(ms, what)| Event { at: at(ms), what })
    .into()
}

/// Returns an error with every field set.
pub fn error() -> StepError {
    StepError::new(Kind::Refused, "create cluster aks-istio-gateway-demo")
        .code("QuotaExceeded")
        .cause("quota exceeded for Standard DSv5 Family vCPUs in eastus (need 16, limit 10)")
        .cause("PUT /subscriptions/…/managedClusters/aks-istio-gateway-demo returned 409 QuotaExceeded")
        .leftover(Leftover::Nothing)
        .request_id("7a1c0b7e-0000-4000-8000-000000000001")
        .hint(
            "set nodes_max = 2 under [cluster] in landfall.toml, or request a quota increase: \
             https://aka.ms/quota",
        )
}
