//! Crashes at every request and at every journal entry of a rotation, continued with `rotate`, `up` and
//! `down`.
//!
//! Any number of crashes results in one new version, in the Secret and served by listeners that stay
//! programmed.

use crate::{
    environment::{Command, Environment, replayable},
    inventory, settings,
    snapshot::Snapshot,
    sweep::{RecordedRun, check_down, record, sweep_recorded},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use landfall_cloud::certificate::Leaf;
use landfall_sim::state::CloudState;
use serde_json::Value;

/// The certificate's state in the vault and the cluster.
#[derive(Debug)]
pub struct CertificateState {
    /// The number of versions in the vault.
    pub versions: usize,
    /// The thumbprint of the newest.
    pub newest: String,
    /// The thumbprint in the Secret.
    pub secret: String,
}

pub async fn certificate_state(env: &Environment) -> CertificateState {
    let uri = format!("https://{}.{}", settings::VAULT, env.sim.connection().vault_suffix);
    let vault = env.clients().vaults.at(&uri).unwrap();
    let versions = vault.versions("gateway-tls-cert").await.unwrap().len();
    let newest = vault.certificate("gateway-tls-cert").await.unwrap().unwrap().thumbprint_sha1_hex;
    let sim = serde_json::to_value(env.sim.read(CloudState::clone)).unwrap();
    let clusters = sim["clusters"]["all"].as_object().unwrap();
    let secret = |cluster: &Value| {
        let objects = &cluster["store"]["objects"]["secrets"];
        let mut all = objects.as_object().unwrap().iter();
        all.find(|(name, _)| name.ends_with("gateway-tls-secret")).map(|(_, secret)| secret.clone())
    };
    let secret = clusters.values().find_map(secret).unwrap();
    let pem = STANDARD.decode(secret["data"]["tls.crt"].as_str().unwrap()).unwrap();
    CertificateState { versions, newest, secret: Leaf::from_pem(&pem).unwrap().thumbprint_sha1 }
}

/// Continues from a snapshot to the end; returns the differences from the expected state.
fn check_continued(
    recorded: &RecordedRun,
    snapshot: &Snapshot,
    command: Command,
    self_signed: bool,
) -> Vec<String> {
    replayable(2, async {
        let env = recorded.restore(snapshot);
        if let Err(why) = env.run_to_success(command).await {
            return vec![format!("{command:?}: {why}")];
        }
        let certificate_state = certificate_state(&env).await;
        // An `up` completes an import that has arrived, and requests no new certificate unless one is given.
        let no_rotation_needed = command == Command::Up && self_signed && certificate_state.versions == 1;
        // After the DNS step the rotation was complete, and a second `rotate` is another rotation.
        let again = command == Command::Rotate && self_signed && is_rotation_complete(snapshot);
        let wanted = if again { 3 } else { 2 };
        let mut wrong = Vec::new();
        if !(certificate_state.versions == wanted || no_rotation_needed)
            || certificate_state.secret != certificate_state.newest
        {
            wrong.push(format!("{command:?}: {certificate_state:?} after {}", snapshot.last_entries()));
        }
        let mut differs =
            inventory::differences(&recorded.up, &inventory::collect(&env.sim.read(CloudState::clone)));
        if self_signed {
            // A new key results in a different certificate each time.
            differs.retain(|line| {
                !line.contains("/certificates/") && !line.starts_with("secrets default/gateway-tls")
            });
        }
        wrong.extend(differs);
        let request_log = env.sim.request_log();
        let lines = recorded
            .request_log
            .iter()
            .filter(|line| line.n as usize <= snapshot.requests)
            .chain(&request_log);
        wrong.extend(inventory::created_twice(lines.filter(|line| !line.path.ends_with("/import"))));
        wrong.extend(recorded.foreign_resources.changed(&env, true).await);
        wrong
    })
}

/// Returns whether the rotation's own run had completed the DNS step; the run before it ended with that step
/// too.
fn is_rotation_complete(snapshot: &Snapshot) -> bool {
    let entries = snapshot.last_entries();
    entries.contains(r#""entry":"finished","step":"dns""#) && !entries.contains(r#""entry":"opened""#)
}

fn check_all(recorded: &RecordedRun, snapshot: &Snapshot, self_signed: bool) -> Vec<String> {
    let mut wrong = check_continued(recorded, snapshot, Command::Rotate, self_signed);
    wrong.extend(check_continued(recorded, snapshot, Command::Up, self_signed));
    wrong.extend(check_down(recorded, snapshot).into_iter().map(|wrong| format!("then down: {wrong}")));
    wrong
}

#[test]
fn all_commands_converge_after_a_crash_at_any_instant_of_a_rotation_to_a_given_certificate() {
    let given = |env: &mut Environment| env.settings.certificate.given = Some(settings::pfx("ec.pfx"));
    let recorded = record(|_| {}, &[Command::Up], Command::Rotate, given);
    sweep_recorded("a rotation to a PFX", "three", recorded, |recorded, snapshot| {
        check_all(recorded, snapshot, false)
    });
}

#[test]
fn all_commands_converge_after_a_crash_at_any_instant_of_a_rotation_to_a_self_signed_certificate() {
    let self_signed = |env: &mut Environment| env.settings.certificate.given = None;
    let recorded = record(self_signed, &[Command::Up], Command::Rotate, self_signed);
    sweep_recorded("a rotation of our own", "three", recorded, |recorded, snapshot| {
        check_all(recorded, snapshot, true)
    });
}
