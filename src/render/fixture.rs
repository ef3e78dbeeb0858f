//! Fixture: a run in progress, for the snapshots of all displays.

use landfall_engine::{Event, How, Kind, Progress, Residue, StepError, StepInfo, What};
use std::time::{Duration, SystemTime};

const BEGAN: Duration = Duration::from_secs(1_795_426_262);

fn at(ms: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + BEGAN + Duration::from_millis(ms)
}

/// Returns the time of the snapshot.
pub fn now() -> SystemTime {
    at(2_300)
}

/// Returns the steps of the run.
pub fn steps() -> Vec<StepInfo> {
    let step = |id, title: &str, after: &[&'static str], usual| StepInfo {
        id,
        title: title.to_owned(),
        after: after.to_vec(),
        usual: Duration::from_secs(usual),
        deadline: Duration::from_secs(usual * 10),
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
    let finished = |step, how, ms| What::Finished { step, how, elapsed: Duration::from_millis(ms) };
    let started = |step, title: &str| What::Started { step, title: title.into(), making: true, attempt: 1 };
    let progress = Progress { so_far: Duration::from_secs(83), usual: Duration::from_secs(280) };
    [
        (0, What::Opened { environment: "default".into(), steps: steps() }),
        (1, What::Looking { step: "preflight" }),
        (412, finished("preflight", How::Found, 411)),
        (413, What::Looking { step: "resource-group" }),
        (420, started("resource-group", "resource group rg-aks-istio-gateway-demo")),
        (700, finished("resource-group", How::Created, 287)),
        (701, What::Looking { step: "key-vault" }),
        (702, What::Looking { step: "cluster-ready" }),
        (720, started("cluster-ready", "cluster aks-istio-gateway-demo")),
        (900, finished("key-vault", How::Changed, 199)),
        (901, What::Looking { step: "certificate" }),
        (920, started("certificate", "certificate gateway-tls-cert")),
        (
            1_000,
            What::Retrying {
                step: "certificate",
                because: "ForbiddenByRbac".into(),
                wait: Duration::from_secs(2),
            },
        ),
        (
            2_120,
            What::Note {
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
        (2_400, What::Failed { step: "cluster-ready", error: error(), elapsed: Duration::from_secs(192) }),
        (2_401, What::Blocked { step: "istio", by: "cluster-ready".into() }),
        (2_402, What::Interrupted { step: "certificate" }),
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
        .residue(Residue::Nothing)
        .request_id("7a1c0b7e-0000-4000-8000-000000000001")
        .hint(
            "set nodes_max = 2 under [cluster] in landfall.toml, or request a quota increase: \
             https://aka.ms/quota",
        )
}
