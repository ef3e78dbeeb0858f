//! The check of route weights: the number of requests per backend, compared with the allowed random
//! deviation.

use super::{
    CheckId, binomial,
    finding::{Fault, Finding},
    promise::{Split, with_query},
    scene::Scene,
    workload::Voice,
};
use crate::http_probe::{Answer, Lost};

/// The number of connections per split, with sequential requests on each: as many as a browser opens.
const LINES: u32 = 6;
/// The maximum number of reconnects per connection after the peer closed it.
const REOPENED_MAX: u32 = 20;

/// Sends the requests of every split.
pub(super) async fn check(scene: &Scene<'_>) -> Finding {
    let (telling, others): (Vec<&Split>, Vec<&Split>) =
        scene.promises.splits.iter().partition(|split| tells(split));
    if telling.is_empty() {
        return Finding::Inapplicable(match others.first() {
            Some(split) => {
                format!("the response of {} does not identify its backend", split.way.host)
            }
            None => "no route in the manifests has weights".to_owned(),
        });
    }
    let alarm = binomial::FALSE_ALARM_MAX / telling.len() as f64;
    let judged = futures::future::join_all(telling.iter().map(|split| judge(scene, split, alarm))).await;
    let mut held = Vec::new();
    let mut faults = Vec::new();
    for one in judged {
        match one {
            Ok(detail) => held.push(detail),
            Err(fault) => faults.push(fault),
        }
    }
    if faults.is_empty() { Finding::Holds(held.join("\n")) } else { Finding::Broken(faults) }
}

/// Returns whether the responses identify their backend.
fn tells(split: &Split) -> bool {
    let voices: Vec<&Voice> = split.backends.iter().map(|(workload, _)| &workload.voice).collect();
    let total: u32 = split.backends.iter().map(|(_, weight)| weight).sum();
    let apart = voices.iter().enumerate().all(|(at, voice)| !voices[..at].contains(voice));
    total > 0 && apart && voices.iter().all(|voice| voice.is_known_at(&split.request.path))
}

async fn judge(scene: &Scene<'_>, split: &Split, alarm: f64) -> Result<String, Fault> {
    let total: u32 = split.backends.iter().map(|(_, weight)| weight).sum();
    let shares: Vec<f64> =
        split.backends.iter().map(|(_, weight)| f64::from(*weight) / f64::from(total)).collect();
    // Each backend gets a part of the false-alarm rate, so that the sum stays within it.
    let alarm = alarm / shares.len() as f64;
    let asked = binomial::requests(&shares, alarm);
    let counts = count(scene, split, asked).await?;
    let bounds: Vec<binomial::Interval> =
        shares.iter().map(|share| binomial::interval(asked, *share, alarm)).collect();
    let names = || split.backends.iter().map(|(workload, _)| workload.name.as_str());
    let seen: Vec<String> = names().zip(&counts).map(|(name, count)| format!("{count} {name}")).collect();
    let weights: Vec<String> = split.backends.iter().map(|(_, weight)| weight.to_string()).collect();
    // With two backends, the bound of the last one (the canary) is sufficient.
    let (last, bound) = (split.backends.last(), bounds.last());
    let bound = match (last, bound) {
        (Some((workload, _)), Some(bound)) => format!("{} to {} {}", bound.least, bound.most, workload.name),
        _ => String::new(),
    };
    let detail = format!(
        "{}: {asked} requests, {}; {} allows {bound}, at most 1 false alarm in 1,000,000",
        split.way.host,
        seen.join(", "),
        weights.join("/"),
    );
    match counts.iter().zip(&bounds).all(|(count, bound)| bound.takes(*count)) {
        true => Ok(detail),
        false => {
            Err(Fault::new(detail).hint("landfall plan shows the actual weights; landfall up sets them"))
        }
    }
}

/// Counts the responses per backend. A response without a known backend ends the count, because it
/// invalidates the split.
async fn count(scene: &Scene<'_>, split: &Split, asked: u32) -> Result<Vec<u32>, Fault> {
    let shares = (0..LINES).map(|at| asked / LINES + u32::from(at < asked % LINES));
    let lines = shares.map(|share| line(scene, split, share));
    let counts = futures::future::try_join_all(lines).await?;
    Ok((0..split.backends.len()).map(|at| counts.iter().map(|count: &Vec<u32>| count[at]).sum()).collect())
}

async fn line(scene: &Scene<'_>, split: &Split, share: u32) -> Result<Vec<u32>, Fault> {
    let door = scene.door(&split.way)?;
    let lost = |lost: Lost| scene.lost(&split.way, &lost);
    let target = with_query(&split.request.path, &split.request.query);
    let mut counts = vec![0; split.backends.len()];
    let mut open = scene.client.open(&door).await.0.map_err(lost)?;
    let mut reopened = 0;
    let mut left = share;
    while left > 0 {
        match open.ask(&split.request.method, &target, &split.request.headers).await {
            Ok(answer) => {
                counts[whose(split, &answer)?] += 1;
                left -= 1;
            }
            Err(Lost::Broken(_) | Lost::NotHttp(_)) if open.is_over() && reopened < REOPENED_MAX => {
                reopened += 1;
                // Closes the old connection first, so that its slot is free for the new one.
                drop(open);
                open = scene.client.open(&door).await.0.map_err(lost)?;
            }
            Err(error) => return Err(lost(error)),
        }
    }
    Ok(counts)
}

fn whose(split: &Split, answer: &Answer) -> Result<usize, Fault> {
    let heard = split.backends.iter().position(|(one, _)| one.voice.is_heard_in(answer) == Some(true));
    heard.ok_or_else(|| {
        let text =
            format!("{}: the response {} comes from none of its backends", split.way.host, answer.status);
        Fault::new(text).root(CheckId::CatchAll)
    })
}
