//! Every cause that the doctor knows, created by an out-of-band change or by the cloud: the doctor reports it
//! as the root cause. The tests create one environment, and each case breaks a copy of it.

mod certificates;
mod clusters;
mod gateways;
mod identity;
mod incomplete;
mod names;
mod operator;
mod out_of_band;
mod renewals;
mod routes;

use crate::{fixture::Fixture, settings};
use futures::{StreamExt, future::BoxFuture, stream};
use landfall_diagnose::doctor::{Diagnosis, DoctorContext, DoctorTimeouts, diagnose};
use landfall_engine::{Journal, JournalState};
use landfall_sim::{Options, Speed};
use landfall_steps::settings::Settings;
use out_of_band::OutOfBand;
use serde_json::json;
use std::{
    path::{Path, PathBuf},
    time::Duration,
};
use tempfile::TempDir;

/// The maximum number of diagnoses while a fault propagates through the cloud.
const DIAGNOSES_MAX: usize = 6;
/// The number of copies that are broken concurrently.
const CONCURRENT_CASES: usize = 4;

/// A case: a way to break an environment, and the expected root cause.
struct Case {
    name: &'static str,
    code: &'static str,
    /// The text that the evidence or the consequences must contain.
    expected_text: &'static str,
    inject: for<'a> fn(&'a OutOfBand<'a>) -> BoxFuture<'a, ()>,
}

/// Defines a case: its name, the code of its root cause, a part of its evidence, and the code that causes it.
macro_rules! case {
    ($name:literal, $code:literal, $expected_text:literal, $out_of_band:ident => $inject:expr) => {
        $crate::doctor::Case {
            name: $name,
            code: $code,
            expected_text: $expected_text,
            inject: |$out_of_band| Box::pin(async move { $inject }),
        }
    };
}
use case;

/// A running environment with its zone, as files.
struct Template {
    home: TempDir,
    adapt: fn(&mut Settings),
}

impl Template {
    /// Returns the one environment that all tests of this process copy.
    async fn shared() -> &'static Self {
        static TEMPLATE: tokio::sync::OnceCell<Template> = tokio::sync::OnceCell::const_new();
        TEMPLATE.get_or_init(|| Self::new(|_| {})).await
    }

    /// Returns an environment with other settings.
    async fn new(adapt: fn(&mut Settings)) -> Self {
        let mut fixture = Fixture::with(serving()).await;
        adapt(&mut fixture.settings);
        let group = fixture.path("/resourceGroups/rg-names");
        fixture.put(&group, json!({ "location": "eastus" })).await;
        let zone = format!("{group}/providers/Microsoft.Network/dnszones/{}", settings::DOMAIN);
        fixture.put(&zone, json!({ "location": "global" })).await;
        fixture.up_ready().await;
        let Fixture { sim, home, .. } = fixture;
        sim.close().await;
        Self { home, adapt }
    }

    /// Creates a copy for one case.
    async fn copy(&self) -> Fixture {
        self.copy_with(serving()).await
    }

    async fn copy_with(&self, options: Options) -> Fixture {
        let home = TempDir::new().unwrap();
        copy(self.home.path(), home.path());
        let mut fixture = Fixture::in_home(home, options).await;
        (self.adapt)(&mut fixture.settings);
        fixture
    }
}

fn serving() -> Options {
    Options { speed: Speed::Instant, traffic: true, ..Options::default() }
}

fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let (entry, to) = (entry.unwrap().path(), to.to_owned());
        let target: PathBuf = to.join(entry.file_name().unwrap());
        if entry.is_dir() {
            std::fs::create_dir(&target).unwrap();
            copy(&entry, &target);
        } else {
            std::fs::copy(&entry, &target).unwrap();
        }
    }
}

/// Returns the current diagnosis.
pub async fn current_diagnosis(fixture: &Fixture) -> Diagnosis {
    diagnosis_at(fixture, fixture.clients.clock().now()).await
}

/// Returns the diagnosis at a given time.
async fn diagnosis_at(fixture: &Fixture, now: jiff::Timestamp) -> Diagnosis {
    let journal_state = Journal::read(&fixture.state())
        .unwrap()
        .map_or_else(JournalState::default, |(_, journal_state)| journal_state);
    let listeners = fixture.sim.wait_for_listeners().await;
    let address_map = landfall_cloud::AddressMap::new(
        listeners.into_iter().map(|((address, port), socket)| ((address.into(), port), socket)),
    );
    let timeouts = DoctorTimeouts { external: Duration::from_secs(2), ..DoctorTimeouts::default() };
    diagnose(&DoctorContext {
        clients: &fixture.clients,
        environment: &fixture.description(&journal_state),
        address_map: Some(&address_map),
        timeouts,
        now,
        failed: &[],
    })
    .await
}

/// Repeats the diagnosis until this is the root cause.
async fn diagnose_until(fixture: &Fixture, code: &str) -> Result<Diagnosis, Diagnosis> {
    let mut found = current_diagnosis(fixture).await;
    for _ in 1..DIAGNOSES_MAX {
        if found.root().map(|root| root.code).unwrap_or_default() == code {
            break;
        }
        found = current_diagnosis(fixture).await;
    }
    match found.root().map(|root| root.code).unwrap_or_default() == code {
        true => Ok(found),
        false => Err(found),
    }
}

/// Breaks a copy; returns an error if the diagnosis is wrong.
async fn run_case(case: &Case, template: &Template) -> Option<String> {
    let fixture = template.copy().await;
    let out_of_band = OutOfBand::of(&fixture).await;
    (case.inject)(&out_of_band).await;
    let mark = fixture.mark();
    let found = match diagnose_until(&fixture, case.code).await {
        Ok(found) => found,
        Err(found) => return Some(format!("{}: {} was to be the root: {found:#?}", case.name, case.code)),
    };
    let writes = fixture.writes(mark);
    if !writes.is_empty() {
        return Some(format!("{}: looking has changed something: {writes:?}", case.name));
    }
    let root = found.root()?;
    let text = [root.evidence.join("\n"), found.symptoms.join("\n")].join("\n");
    if !text.contains(case.expected_text) || root.remedy.is_empty() || root.evidence.is_empty() {
        return Some(format!("{}: {:?} is not told: {found:#?}", case.name, case.expected_text));
    }
    None
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_cause_is_reported_as_the_root_cause() {
    let only = std::env::var("LANDFALL_DOCTOR_CASE").unwrap_or_default();
    let tables =
        [certificates::CASES, clusters::CASES, gateways::CASES, identity::CASES, names::CASES, routes::CASES];
    let cases = tables.into_iter().flatten().filter(|case| case.name.contains(&only));
    let results = cases.map(|case| async move {
        let results = tokio::spawn(async { run_case(case, Template::shared().await).await }).await;
        results.unwrap_or_else(|panic| Some(format!("{}: {panic}", case.name)))
    });
    let results: Vec<Option<String>> =
        stream::iter(results).buffer_unordered(CONCURRENT_CASES).collect().await;
    let (count, wrong) = (results.len(), results.into_iter().flatten().collect::<Vec<_>>());
    assert!(wrong.is_empty(), "{} of {count}:\n{}", wrong.len(), wrong.join("\n\n"));
}

#[tokio::test]
async fn a_healthy_environment_has_no_findings() {
    let template = Template::shared().await;
    let fixture = template.copy().await;
    let found = diagnose_until(&fixture, "").await.unwrap();
    assert_eq!((&found.symptoms, &found.failed_reads), (&Vec::new(), &Vec::new()));
    for read_counts in [(2, "gateway"), (6, "route"), (8, "request from outside"), (4, "DNS record")] {
        assert!(found.read_counts.contains(&read_counts), "{:?}", found.read_counts);
    }
}

/// The vault accepts no expired certificate: one expires while it is in the vault.
#[tokio::test]
async fn an_expired_certificate_in_the_vault_is_found() {
    let fixture = Template::shared().await.copy().await;
    let found = diagnosis_at(&fixture, jiff::Timestamp::MAX).await;
    let root = found.root().unwrap();
    assert_eq!((root.code, found.findings.len()), ("CERTIFICATE_EXPIRED", 1), "{found:#?}");
    assert!(root.evidence[0].contains("valid until") && root.remedy.contains("landfall rotate"), "{root:#?}");
}

/// AKS restores the class after a while; at real time that while is observable.
#[tokio::test]
async fn a_deleted_gateway_class_is_reported_until_it_is_restored() {
    let options = Options { speed: Speed::Times(1.0), ..serving() };
    let fixture = Template::shared().await.copy_with(options).await;
    fixture
        .kubectl()
        .await
        .delete("/apis/gateway.networking.k8s.io/v1/gatewayclasses/approuting-istio")
        .await;
    let found = current_diagnosis(&fixture).await;
    let root = found.root().unwrap();
    assert_eq!((root.code, root.evidence.len()), ("GATEWAY_CLASS_MISSING", 1), "{found:#?}");
}
