//! Crashes at every request and at every journal entry of a rotation, continued with `rotate`, `up` and
//! `down`.
//!
//! Any number of crashes results in one new version, in the Secret and served by listeners that stay
//! programmed.

use crate::{
    environment::{Command, Environment, replayable},
    inventory, settings,
    still::Still,
    sweep::{Filmed, film, goes_down, swept},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use landfall_cloud::certificate::Leaf;
use landfall_sim::world::World;
use serde_json::Value;

/// The certificate's state in the vault and the cluster.
#[derive(Debug)]
pub struct Carried {
    /// The number of versions in the vault.
    pub versions: usize,
    /// The thumbprint of the newest.
    pub newest: String,
    /// The thumbprint in the Secret.
    pub secret: String,
}

pub async fn carried(here: &Environment) -> Carried {
    let uri = format!("https://{}.{}", settings::VAULT, here.world.facts().vault_suffix);
    let vault = here.clouds().vaults.at(&uri).unwrap();
    let versions = vault.versions("gateway-tls-cert").await.unwrap().len();
    let newest = vault.certificate("gateway-tls-cert").await.unwrap().unwrap().thumbprint_sha1_hex;
    let world = serde_json::to_value(here.world.read(World::clone)).unwrap();
    let clusters = world["clusters"]["all"].as_object().unwrap();
    let secret = |cluster: &Value| {
        let objects = &cluster["store"]["objects"]["secrets"];
        let mut all = objects.as_object().unwrap().iter();
        all.find(|(name, _)| name.ends_with("gateway-tls-secret")).map(|(_, secret)| secret.clone())
    };
    let secret = clusters.values().find_map(secret).unwrap();
    let pem = STANDARD.decode(secret["data"]["tls.crt"].as_str().unwrap()).unwrap();
    Carried { versions, newest, secret: Leaf::from_pem(&pem).unwrap().thumbprint_sha1 }
}

/// Continues from a snapshot to the end; returns the differences from the expected state.
fn goes_on(filmed: &Filmed, still: &Still, command: Command, drawn: bool) -> Vec<String> {
    replayable(2, async {
        let here = filmed.taken_up(still);
        if let Err(why) = here.ready(command).await {
            return vec![format!("{command:?}: {why}")];
        }
        let carried = carried(&here).await;
        // An `up` completes an import that has arrived, and requests no new certificate unless one is given.
        let few = command == Command::Up && drawn && carried.versions == 1;
        // After the DNS step the rotation was complete, and a second `rotate` is another rotation.
        let again = command == Command::Rotate && drawn && is_over(still);
        let wanted = if again { 3 } else { 2 };
        let mut wrong = Vec::new();
        if !(carried.versions == wanted || few) || carried.secret != carried.newest {
            wrong.push(format!("{command:?}: {carried:?} after {}", still.last_entries()));
        }
        let mut differs = inventory::differences(&filmed.up, &inventory::of(&here.world.read(World::clone)));
        if drawn {
            // A new key results in a different certificate each time.
            differs.retain(|line| {
                !line.contains("/certificates/") && !line.starts_with("secrets default/gateway-tls")
            });
        }
        wrong.extend(differs);
        let ledger = here.world.ledger();
        let lines = filmed.ledger.iter().filter(|line| line.n as usize <= still.requests).chain(&ledger);
        wrong.extend(inventory::made_twice(lines.filter(|line| !line.path.ends_with("/import"))));
        wrong.extend(filmed.strangers.harmed(&here, true).await);
        wrong
    })
}

/// Returns whether the rotation's own run had completed the DNS step; the run before it ended with that step
/// too.
fn is_over(still: &Still) -> bool {
    let entries = still.last_entries();
    entries.contains(r#""entry":"finished","step":"dns""#) && !entries.contains(r#""entry":"opened""#)
}

fn everything(filmed: &Filmed, still: &Still, drawn: bool) -> Vec<String> {
    let mut wrong = goes_on(filmed, still, Command::Rotate, drawn);
    wrong.extend(goes_on(filmed, still, Command::Up, drawn));
    wrong.extend(goes_down(filmed, still).into_iter().map(|wrong| format!("then down: {wrong}")));
    wrong
}

#[test]
fn killed_at_any_instant_of_a_rotation_to_a_given_certificate() {
    let given = |here: &mut Environment| here.wish.certificate.given = Some(settings::pfx("ec.pfx"));
    let filmed = film(|_| {}, &[Command::Up], Command::Rotate, given);
    swept("a rotation to a PFX", "three", filmed, |filmed, still| everything(filmed, still, false));
}

#[test]
fn killed_at_any_instant_of_a_rotation_to_a_new_self_signed_certificate() {
    let drawn = |here: &mut Environment| here.wish.certificate.given = None;
    let filmed = film(drawn, &[Command::Up], Command::Rotate, drawn);
    swept("a rotation of our own", "three", filmed, |filmed, still| everything(filmed, still, true));
}
