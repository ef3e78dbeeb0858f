//! Crashes at every request and at every journal entry of an order by ACME, continued with `up` and with `down`.
//!
//! Any number of crashes results in one version in the vault, no pending signing request, one account, and no TXT
//! record.

use crate::{
    environment::{Command, End, Environment, replayable, report_text},
    settings,
    snapshot::Snapshot,
    sweep::{RecordedRun, record, sweep_recorded},
};
use landfall_engine::Outcome;
use landfall_sim::state::CloudState;
use landfall_steps::certificate::acme::{Acme, AcmeDirectory, KeyPlace, Propagation};
use std::{sync::Arc, time::Duration};

/// The steps up to the certificate; the rest of the environment has its own sweep.
pub const STEPS: [&str; 7] =
    ["preflight", "features", "resource-group", "network", "key-vault", "vault-officer", "certificate"];

/// The parts of the requests of an order.
const REQUESTS: [&str; 5] = ["acme", "TXT", "/certificates/", "/secrets/", "at the end"];

pub fn by_acme(env: &mut Environment) {
    env.settings.certificate.given = None;
    env.settings.certificate.acme = Some(Arc::new(Acme {
        directory: AcmeDirectory::Production,
        root: None,
        profile: None,
        names: Vec::new(),
        registration: Default::default(),
        // The clock is paused, so that a query over the network would time out at once.
        propagation: Propagation::Wait(Duration::from_secs(60)),
        rehearse: false,
        key: KeyPlace::Vault,
    }));
}

async fn run(env: &Environment, command: Command) -> Result<(), String> {
    match env.run_with(command, |graph| graph.only(&STEPS)).await {
        End::Reported(report, _) if report.outcome == Outcome::Ready => Ok(()),
        End::Reported(report, _) => Err(format!("{command:?} failed: {}", report_text(&report))),
        End::Cut => Err(format!("{command:?} was cut off")),
    }
}

/// Returns what an order left behind.
pub fn leftovers(env: &Environment) -> Vec<String> {
    let sim = serde_json::to_value(env.sim.read(CloudState::clone)).unwrap();
    let mut found = Vec::new();
    if sim["dns"].to_string().contains("_acme-challenge") {
        found.push("a TXT record is left".to_owned());
    }
    found
}

fn check(recorded: &RecordedRun, snapshot: &Snapshot) -> Vec<String> {
    if !REQUESTS.iter().any(|part| snapshot.label.contains(part)) {
        return Vec::new();
    }
    let mut wrong = replayable(2, async {
        let env = recorded.restore(snapshot);
        if let Err(why) = run(&env, Command::Up).await {
            return vec![format!("{why} after {}", snapshot.last_entries())];
        }
        let mut wrong = leftovers(&env);
        let uri = format!("https://{}.{}", settings::VAULT, env.sim.connection().vault_suffix);
        let vault = env.clients().vaults.at(&uri).unwrap();
        let versions = vault.versions("gateway-tls-cert").await.unwrap().len();
        let pending = vault.pending("gateway-tls-cert").await.unwrap();
        if versions != 1 || pending.is_some_and(|pending| pending.is_in_progress()) {
            wrong.push(format!("{versions} versions, after {}", snapshot.last_entries()));
        }
        let stored = vault.certificate("gateway-tls-cert").await.unwrap().unwrap();
        if stored.tags.get("landfall-acme").map(String::as_str) != Some("production") {
            wrong.push(format!("another issuer: {:?}", stored.tags));
        }
        wrong
    });
    wrong.extend(replayable(3, async {
        let env = recorded.restore(snapshot);
        match run(&env, Command::Down).await {
            Ok(()) => leftovers(&env),
            Err(why) => vec![format!("then down: {why} after {}", snapshot.last_entries())],
        }
    }));
    wrong
}

#[test]
fn an_order_continues_after_a_crash_at_any_instant() {
    let recorded = record(by_acme, &[], Command::Up, by_acme);
    sweep_recorded("an order by ACME", "two", recorded, check);
}
