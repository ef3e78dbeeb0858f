//! Every cause that the doctor knows, created by an out-of-band change or by the cloud: the doctor reports it
//! as the root cause. The tests create one environment, and each case breaks a copy of it.

mod certificates;
mod clusters;
mod gateways;
mod hand;
mod names;
mod routes;
mod unmade;

use crate::{bench::Bench, settings};
use futures::{StreamExt, future::BoxFuture, stream};
use hand::Hand;
use landfall_diagnose::doctor::{Bounds, Diagnosis, Patient, diagnose};
use landfall_engine::{Journal, Memory};
use landfall_sim::{Options, Speed};
use serde_json::json;
use std::{
    path::{Path, PathBuf},
    time::Duration,
};
use tempfile::TempDir;

/// The maximum number of diagnoses while a fault propagates through the cloud.
const LOOKS_MAX: usize = 6;
/// The number of copies that are broken concurrently.
const AT_ONCE: usize = 4;

/// A case: a way to break an environment, and the expected root cause.
struct Case {
    name: &'static str,
    code: &'static str,
    /// The text that the evidence or the consequences must contain.
    tells: &'static str,
    breaks: for<'a> fn(&'a Hand<'a>) -> BoxFuture<'a, ()>,
}

/// Defines a case: its name, the code of its root cause, a part of its evidence, and the code that causes it.
macro_rules! case {
    ($name:literal, $code:literal, $tells:literal, $hand:ident => $breaks:expr) => {
        $crate::doctor::Case {
            name: $name,
            code: $code,
            tells: $tells,
            breaks: |$hand| Box::pin(async move { $breaks }),
        }
    };
}
use case;

/// A running environment with its zone, as files.
struct Made {
    home: TempDir,
}

impl Made {
    /// Returns the one environment that all tests of this process copy.
    async fn once() -> &'static Self {
        static MADE: tokio::sync::OnceCell<Made> = tokio::sync::OnceCell::const_new();
        MADE.get_or_init(Self::new).await
    }

    async fn new() -> Self {
        let bench = Bench::with(serving()).await;
        let group = bench.path("/resourceGroups/rg-names");
        bench.put(&group, json!({ "location": "eastus" })).await;
        let zone = format!("{group}/providers/Microsoft.Network/dnszones/{}", settings::DOMAIN);
        bench.put(&zone, json!({ "location": "global" })).await;
        bench.up_ready().await;
        let Bench { sim, home, .. } = bench;
        sim.close().await;
        Self { home }
    }

    /// Creates a copy for one case.
    async fn copy(&self) -> Bench {
        self.copy_with(serving()).await
    }

    async fn copy_with(&self, options: Options) -> Bench {
        let home = TempDir::new().unwrap();
        copy(self.home.path(), home.path());
        Bench::in_home(home, options).await
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
async fn look(bench: &Bench) -> Diagnosis {
    look_at(bench, jiff::Timestamp::now()).await
}

/// Returns the diagnosis at a given time.
async fn look_at(bench: &Bench, now: jiff::Timestamp) -> Diagnosis {
    let memory = Journal::read(&bench.state()).unwrap().map_or_else(Memory::default, |(_, memory)| memory);
    let doors = bench.sim.doors_open().await;
    let ways = landfall_cloud::Ways::new(
        doors.into_iter().map(|((address, port), socket)| ((address.into(), port), socket)),
    );
    let bounds = Bounds { outside: Duration::from_secs(2), ..Bounds::default() };
    diagnose(&Patient {
        clouds: &bench.clouds,
        environment: &bench.description(&memory),
        ways: Some(&ways),
        bounds,
        now,
    })
    .await
}

/// Repeats the diagnosis until this is the root cause.
async fn finds(bench: &Bench, code: &str) -> Result<Diagnosis, Diagnosis> {
    let mut found = look(bench).await;
    for _ in 1..LOOKS_MAX {
        if found.root().map(|root| root.code).unwrap_or_default() == code {
            break;
        }
        found = look(bench).await;
    }
    match found.root().map(|root| root.code).unwrap_or_default() == code {
        true => Ok(found),
        false => Err(found),
    }
}

/// Breaks a copy; returns an error if the diagnosis is wrong.
async fn try_case(case: &Case) -> Option<String> {
    let bench = Made::once().await.copy().await;
    let hand = Hand::of(&bench).await;
    (case.breaks)(&hand).await;
    let mark = bench.mark();
    let found = match finds(&bench, case.code).await {
        Ok(found) => found,
        Err(found) => return Some(format!("{}: {} was to be the root: {found:#?}", case.name, case.code)),
    };
    let writes = bench.writes(mark);
    if !writes.is_empty() {
        return Some(format!("{}: looking has changed something: {writes:?}", case.name));
    }
    let root = found.root()?;
    let told = [root.evidence.join("\n"), found.symptoms.join("\n")].join("\n");
    if !told.contains(case.tells) || root.mend.is_empty() || root.evidence.is_empty() {
        return Some(format!("{}: {:?} is not told: {found:#?}", case.name, case.tells));
    }
    None
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_cause_is_the_root_where_it_is_the_cause() {
    let only = std::env::var("LANDFALL_DOCTOR_CASE").unwrap_or_default();
    let tables = [certificates::CASES, clusters::CASES, gateways::CASES, names::CASES, routes::CASES];
    let cases = tables.into_iter().flatten().filter(|case| case.name.contains(&only));
    let tried = cases.map(|case| async move {
        let tried = tokio::spawn(try_case(case)).await;
        tried.unwrap_or_else(|panic| Some(format!("{}: {panic}", case.name)))
    });
    let tried: Vec<Option<String>> = stream::iter(tried).buffer_unordered(AT_ONCE).collect().await;
    let (count, wrong) = (tried.len(), tried.into_iter().flatten().collect::<Vec<_>>());
    assert!(wrong.is_empty(), "{} of {count}:\n{}", wrong.len(), wrong.join("\n\n"));
}

#[tokio::test]
async fn nothing_is_wrong_with_what_is_as_it_should_be() {
    let made = Made::once().await;
    let bench = made.copy().await;
    let found = finds(&bench, "").await.unwrap();
    assert_eq!((&found.symptoms, &found.unseen), (&Vec::new(), &Vec::new()));
    for looked in [(2, "gateway"), (6, "route"), (8, "request from outside"), (4, "DNS record")] {
        assert!(found.looked.contains(&looked), "{:?}", found.looked);
    }
}

/// The vault accepts no expired certificate: one expires while it is in the vault.
#[tokio::test]
async fn a_certificate_expires_where_it_is() {
    let bench = Made::once().await.copy().await;
    let found = look_at(&bench, jiff::Timestamp::MAX).await;
    let root = found.root().unwrap();
    assert_eq!((root.code, found.findings.len()), ("CERTIFICATE_EXPIRED", 1), "{found:#?}");
    assert!(root.evidence[0].contains("valid until") && root.mend.contains("landfall rotate"), "{root:#?}");
}

/// AKS restores the class after a while; at real time that while is observable.
#[tokio::test]
async fn a_class_of_gateways_that_is_gone_is_missing_until_it_is_put_back() {
    let options = Options { speed: Speed::Times(1.0), ..serving() };
    let bench = Made::once().await.copy_with(options).await;
    bench.kubectl().await.delete("/apis/gateway.networking.k8s.io/v1/gatewayclasses/approuting-istio").await;
    let found = look(&bench).await;
    let root = found.root().unwrap();
    assert_eq!((root.code, root.evidence.len()), ("GATEWAY_CLASS_MISSING", 1), "{found:#?}");
}
