//! Crashes at every request of a renewal on a machine without a state folder, continued with `renew` and with `down`.
//!
//! Any number of crashes results in two versions in the vault, no pending signing request, one account, and no TXT record.
//! There is one order for the renewal. A second one is possible at one point only: the order is placed, and its address is
//! not in the tags yet.

use crate::{
    acme::{STEPS, by_acme, leftovers},
    environment::{Command, End, Environment, replayable, report_text},
    settings,
    snapshot::Snapshot,
    sweep::{RecordedRun, record_after, sweep_recorded},
};
use landfall_engine::Outcome;
use landfall_sim::state::CloudState;
use landfall_steps::RenewalTarget;
use std::time::Duration;

/// The maximum number of runs of `renew` after a crash.
const RUNS_MAX: usize = 3;

/// The certificate as the vault and the server have it.
#[derive(Debug)]
pub struct Renewed {
    pub versions: usize,
    pub pending: bool,
    pub orders: usize,
    pub accounts: usize,
    pub tags: Vec<String>,
}

/// Waits until the certificate is due.
pub async fn wait_until_due(env: &Environment) {
    let clients = env.clients();
    let state = RenewalTarget::find(&clients, &env.settings).await.unwrap().state(&clients).await;
    let wait = state.due_at.duration_since(clients.clock().now());
    tokio::time::advance(Duration::try_from(wait).unwrap_or_default() + Duration::from_secs(1)).await;
}

/// Returns what the tags of a certificate do not say.
pub fn without_settings(env: &mut Environment) {
    env.settings.certificate.given = None;
    env.settings.certificate.acme = None;
}

pub async fn renewed(env: &Environment) -> Renewed {
    let uri = format!("https://{}.{}", settings::VAULT, env.sim.connection().vault_suffix);
    let vault = env.clients().vaults.at(&uri).unwrap();
    let name = &env.settings.certificate.name;
    let pending = vault.pending(name).await.unwrap();
    let tags = vault.certificate(name).await.unwrap().unwrap().tags;
    let sim = serde_json::to_value(env.sim.read(CloudState::clone)).unwrap();
    let count = |what: &str| sim["acme"]["production"][what].as_object().unwrap().len();
    Renewed {
        versions: vault.versions(name).await.unwrap().len(),
        pending: pending.is_some_and(|pending| pending.is_in_progress()),
        orders: count("orders"),
        accounts: count("accounts"),
        tags: tags.into_keys().filter(|name| name.starts_with("landfall-renew-")).collect(),
    }
}

/// Runs `renew` until it has nothing to do.
async fn renew(env: &mut Environment) -> Result<(), String> {
    for _ in 0..RUNS_MAX {
        env.restart();
        match env.run(Command::Renew).await {
            End::Reported(report, _) if report.outcome != Outcome::Ready => {
                return Err(format!("renew failed: {}", report_text(&report)));
            }
            End::Reported(report, _) if report.created + report.changed == 0 => return Ok(()),
            End::Reported(..) => {}
            End::Cut => return Err("renew was cut off".to_owned()),
        }
    }
    Err(format!("renew does not come to its end in {RUNS_MAX} runs"))
}

/// Returns the files that contain a key.
fn keys(env: &Environment) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(env.state()).into_iter().flatten().map(Result::unwrap) {
        let text = String::from_utf8_lossy(&std::fs::read(entry.path()).unwrap()).into_owned();
        if ["PRIVATE KEY", "key_pkcs8"].iter().any(|key| text.contains(key)) {
            found.push(format!("a key is in {}", entry.path().display()));
        }
    }
    found
}

/// Returns whether the order was placed at this instant, and its address is not in the tags yet.
fn is_order_unknown(snapshot: &Snapshot) -> bool {
    let label = &snapshot.label;
    label.starts_with("after") && label.ends_with("/new-order")
        || label.starts_with("before") && label.contains(", PATCH /certificates/")
}

fn check(recorded: &RecordedRun, snapshot: &Snapshot) -> Vec<String> {
    let mut wrong = replayable(2, async {
        let mut env = recorded.restore(snapshot);
        if let Err(why) = renew(&mut env).await {
            return vec![why];
        }
        let mut wrong = leftovers(&env);
        wrong.extend(keys(&env));
        let found = renewed(&env).await;
        let orders = if is_order_unknown(snapshot) { 2..=3 } else { 2..=2 };
        if (found.versions, found.pending, found.accounts) != (2, false, 1)
            || !orders.contains(&found.orders)
            || !found.tags.is_empty()
        {
            wrong.push(format!("{found:?}"));
        }
        wrong
    });
    wrong.extend(replayable(3, async {
        let mut env = recorded.restore(snapshot);
        by_acme(&mut env);
        match env.run_with(Command::Down, |graph| graph.only(&STEPS)).await {
            End::Reported(report, _) if report.outcome == Outcome::Ready => leftovers(&env),
            End::Reported(report, _) => vec![format!("then down: {}", report_text(&report))],
            End::Cut => vec!["then down: cut off".to_owned()],
        }
    }));
    wrong
}

#[test]
fn a_renewal_continues_after_a_crash_at_any_instant() {
    let before = async |env: &mut Environment| {
        match env.run_with(Command::Up, |graph| graph.only(&STEPS)).await {
            End::Reported(report, _) => {
                assert_eq!(report.outcome, Outcome::Ready, "{}", report_text(&report))
            }
            End::Cut => panic!("nothing stops the traffic"),
        }
        wait_until_due(env).await;
    };
    let recorded = record_after(by_acme, before, Command::Renew, without_settings);
    sweep_recorded("a renewal without a state folder", "two", recorded, check);
}
