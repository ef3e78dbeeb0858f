//! The check that each gateway serves the vault's newest version, which must be valid and cover all hosts.

use super::{
    CheckId,
    finding::{Fault, Finding},
    promise::DoorWay,
    scene::Scene,
};
use crate::{http_probe::Lost, peer_certificate::Shown};
use jiff::Timestamp;

/// Checks the served certificate of every host.
pub(super) async fn check(scene: &Scene<'_>) -> Finding {
    let ways: Vec<&DoorWay> = scene.promises.doors.iter().filter(|way| way.secure).collect();
    let (pinned, own): (Vec<&DoorWay>, Vec<&DoorWay>) = ways.into_iter().partition(|way| way.pinned);
    if pinned.is_empty() {
        return Finding::Inapplicable("no listener has a Secret with the vault's certificate".to_owned());
    }
    let leaf = scene.trust.leaf();
    let mut faults: Vec<Fault> = Vec::new();
    let uncovered = pinned.iter().filter(|way| !leaf.covers(&way.host));
    faults.extend(uncovered.map(|way| {
        Fault::new(format!("{} is not among its names: {}", way.host, leaf.names.join(", ")))
            .hint("use one that covers every host: landfall rotate --pfx FILE")
    }));
    if leaf.not_after <= Timestamp::now() {
        let ended = format!("it expired on {}", leaf.not_after.strftime("%Y-%m-%d"));
        faults.push(Fault::new(ended).hint("landfall rotate replaces it"));
    }
    let looks = pinned.iter().map(|way| look(scene, way));
    let shown: Vec<Result<Shown, Fault>> = futures::future::join_all(looks).await;
    let vouched = shown.iter().flatten().all(|shown| shown.is_vouched_for);
    faults.extend(shown.into_iter().filter_map(Result::err));
    match faults.is_empty() {
        true => Finding::Holds(told(scene, pinned.len(), own.len(), vouched)),
        false => Finding::Broken(faults),
    }
}

async fn look(scene: &Scene<'_>, way: &DoorWay) -> Result<Shown, Fault> {
    let door = scene.door(way)?;
    let (opened, shown) = scene.client.open(&door).await;
    let host = &way.host;
    match (opened, shown) {
        (Ok(_), Some(shown)) if shown.is_the_vaults => Ok(shown),
        (_, Some(shown)) if !shown.is_the_vaults => {
            let served = shown
                .leaf
                .as_ref()
                .map_or_else(|| "an unreadable certificate".to_owned(), |leaf| short(&leaf.thumbprint_sha1));
            let wanted = short(&scene.stored.thumbprint_sha1_hex);
            let text = format!("{host} serves {served}, but the vault's newest version is {wanted}");
            Err(Fault::new(text).hint(
                "the add-on polls the vault every two minutes; if it persists, another writer changes the \
                 Secret: landfall up waits for it and names the cause",
            ))
        }
        (Err(Lost::Untrusted(why)), _) => Err(Fault::new(format!("{host}: {why}"))),
        (Err(lost), _) => Err(scene.lost(way, &lost)),
        (Ok(_), _) => Err(Fault::new(format!("{host} presents no certificate"))),
    }
}

fn told(scene: &Scene<'_>, pinned: usize, own: usize, vouched: bool) -> String {
    let leaf = scene.trust.leaf();
    let by = match (leaf.issuer == leaf.subject, vouched) {
        (_, true) => "trusted by a root of this system and pinned",
        (true, false) => "self-signed, pinned",
        (false, false) => "pinned, since no root of this system trusts it",
    };
    let beside = match own {
        0 => String::new(),
        _ => format!("; {own} with {} of another Secret", CheckId::Certificate.name()),
    };
    format!(
        "served = vault version {} ({}), covers {pinned} of {pinned} names, until {}; {by}{beside}",
        scene.stored.version.get(..8).unwrap_or(&scene.stored.version),
        short(&scene.stored.thumbprint_sha1_hex),
        leaf.not_after.strftime("%Y-%m-%d"),
    )
}

/// Returns the first and last digits of a thumbprint: `SHA-1 5E3A…9A10`.
fn short(thumbprint: &str) -> String {
    let upper = thumbprint.to_ascii_uppercase();
    match (upper.get(..4), upper.len().checked_sub(4).and_then(|from| upper.get(from..))) {
        (Some(head), Some(tail)) => format!("SHA-1 {head}…{tail}"),
        _ => format!("SHA-1 {upper}"),
    }
}
