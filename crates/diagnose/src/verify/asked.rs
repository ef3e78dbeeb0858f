//! Requests with one correct response each: roots, paths, redirects, headers.

use super::{
    CheckId,
    finding::{Fault, Finding},
    promise::{Ask, DoorWay, Expect, with_query},
    scene::Scene,
    workload::{Voice, Workload},
};
use crate::http_probe::{Answer, Line, Lost};
use std::collections::BTreeMap;
use url::Url;

/// The header that correlates the response of a header echo with its request.
const MARK: &str = "x-landfall-verify";
/// The header with which Envoy proves that a response came from an upstream.
const FROM_BEHIND: &str = "x-envoy-upstream-service-time";

/// Sends all requests of a check: sequentially on one connection per host, the hosts concurrently.
pub(super) async fn check(scene: &Scene<'_>, id: CheckId, nonce: &str) -> Finding {
    let mut by_way: BTreeMap<&DoorWay, Vec<&Ask>> = BTreeMap::new();
    for ask in scene.promises.asks.iter().filter(|ask| ask.check == id) {
        by_way.entry(&ask.way).or_default().push(ask);
    }
    if by_way.is_empty() {
        let why =
            scene.promises.left_out.get(&id).map(|why| why.iter().cloned().collect::<Vec<_>>().join("; "));
        return Finding::Inapplicable(
            why.unwrap_or_else(|| "no route in the manifests has such a rule".into()),
        );
    }
    let hosts = by_way.iter().map(|(way, asks)| host(scene, way, asks, nonce));
    let faults: Vec<Fault> = futures::future::join_all(hosts).await.into_iter().flatten().collect();
    match faults.is_empty() {
        true => Finding::Holds(told(id, &by_way.into_values().flatten().collect::<Vec<_>>())),
        false => Finding::Broken(faults),
    }
}

/// Summarizes a passed check: all requests of a header or path check, else the first one and the number of
/// the others.
fn told(id: CheckId, asks: &[&Ask]) -> String {
    let mut words: Vec<&str> = Vec::new();
    asks.iter().for_each(|ask| {
        if !words.contains(&ask.words.as_str()) {
            words.push(&ask.words);
        }
    });
    let answered = if matches!(id, CheckId::CatchAll | CheckId::AnyPath) { " 200" } else { "" };
    match id {
        CheckId::HeaderRouting => {
            let times = asks.iter().map(|ask| ask.times).max().unwrap_or_default();
            format!("{}; {times} requests each", words.join(", "))
        }
        CheckId::PathRouting => words.join(", "),
        _ => {
            let first = words.first().copied().unwrap_or_default();
            match words.len() - 1 {
                0 => format!("{first}{answered}"),
                others => format!("{first}{answered}, and {others} more"),
            }
        }
    }
}

async fn host(scene: &Scene<'_>, way: &DoorWay, asks: &[&Ask], nonce: &str) -> Vec<Fault> {
    let door = match scene.door(way) {
        Ok(door) => door,
        Err(fault) => return vec![fault],
    };
    let mut faults = Vec::new();
    let mut line: Option<Line<'_>> = None;
    for ask in asks {
        let mut wrong: BTreeMap<String, u32> = BTreeMap::new();
        for _ in 0..ask.times {
            if line.as_ref().is_none_or(Line::is_over) {
                // Closes the old connection first, so that its slot is free for the new one.
                drop(line.take());
                match scene.client.open(&door).await.0 {
                    Ok(opened) => line = Some(opened),
                    // After a failed connect, the next request would fail too.
                    Err(lost) => {
                        faults.push(scene.lost(way, &lost));
                        return faults;
                    }
                }
            }
            let open = line.as_mut().expect("it was opened just now");
            match once(open, ask, nonce).await {
                Ok(answer) => {
                    if let Err(why) = judge(scene, ask, &answer, nonce) {
                        *wrong.entry(why).or_default() += 1;
                    }
                }
                Err(lost) => {
                    line = None;
                    faults.push(scene.lost(way, &lost));
                    break;
                }
            }
        }
        faults.extend(wrong.into_iter().map(|(why, times)| match ask.times {
            1 => Fault::new(why),
            all => Fault::new(format!("{why} in {times} of {all}")),
        }));
    }
    faults
}

async fn once(line: &mut Line<'_>, ask: &Ask, nonce: &str) -> Result<Answer, Lost> {
    let mut headers = ask.request.headers.clone();
    headers.push((MARK.to_owned(), nonce.to_owned()));
    line.ask(&ask.request.method, &with_query(&ask.request.path, &ask.request.query), &headers).await
}

/// Compares a response with the expectation; the error describes the actual response.
fn judge(scene: &Scene<'_>, ask: &Ask, answer: &Answer, nonce: &str) -> Result<(), String> {
    let asked = || asked(ask);
    let who = || match scene.workloads.who(answer) {
        Some(name) => name.to_owned(),
        None => answer.status.to_string(),
    };
    match &ask.expect {
        Expect::Nobody if answer.status == 404 => Ok(()),
        Expect::Nobody => Err(format!("{} got {} instead of 404", asked(), who())),
        Expect::Redirect { status, to } => {
            redirected(answer, *status, to).map_err(|why| format!("{} {why}", asked()))
        }
        Expect::From { workloads, arrives_as } => {
            let heard: Vec<Option<bool>> =
                workloads.iter().map(|one| one.voice.is_heard_in(answer)).collect();
            let known = workloads.iter().all(|one| one.voice.is_known_at(arrives_as));
            match () {
                () if known && heard.contains(&Some(true)) => {
                    echoed(workloads, arrives_as, answer, nonce).map_err(|why| format!("{} {why}", asked()))
                }
                () if known => Err(format!("{} got {} instead of {}", asked(), who(), names(workloads))),
                () if is_from_behind(answer) => Ok(()),
                () => Err(format!("{} returns {} from the gateway itself", asked(), answer.status)),
            }
        }
    }
}

/// Returns the request as display text.
fn asked(ask: &Ask) -> String {
    let scheme = if ask.way.secure { "https" } else { "http" };
    let target = with_query(&ask.request.path, &ask.request.query);
    let headers = ask.request.headers.iter().map(|(name, value)| format!(" with {name}: {value}"));
    format!("{scheme}://{}{target}{}", ask.way.host, headers.collect::<String>())
}

fn names(workloads: &[Workload]) -> String {
    workloads.iter().map(|one| one.name.as_str()).collect::<Vec<_>>().join(" or ")
}

/// Compares a redirect with its target; equivalent URLs may differ in spelling.
fn redirected(answer: &Answer, status: u16, to: &str) -> Result<(), String> {
    let location = answer.header("location");
    if answer.status != status {
        return Err(format!("returns {} instead of {status} → {to}", answer.status));
    }
    match location {
        Some(location) if Url::parse(location).is_ok_and(|url| url.as_str() == to) => Ok(()),
        Some(location) => Err(format!("redirects to {location} instead of {to}")),
        None => Err(format!("has no Location instead of {to}")),
    }
}

/// Compares the request that httpbin echoes with the one sent, under the path that the route rewrites it to.
fn echoed(workloads: &[Workload], arrives_as: &str, answer: &Answer, nonce: &str) -> Result<(), String> {
    let echo = answer.json().filter(|_| workloads.iter().all(|one| one.voice == Voice::Httpbin));
    let Some(echo) = echo else { return Ok(()) };
    if echo["headers"].is_object() {
        let values = echo["headers"].as_object().into_iter().flatten();
        let mark =
            values.filter(|(name, _)| name.eq_ignore_ascii_case(MARK)).map(|(_, value)| value.to_string());
        if !mark.into_iter().any(|value| value.contains(nonce)) {
            return Err("lost a header on the way".to_owned());
        }
    }
    match echo["url"].as_str().and_then(|url| Url::parse(url).ok()) {
        Some(url) if url.path() != arrives_as => {
            Err(format!("arrived as {} instead of {arrives_as}", url.path()))
        }
        _ => Ok(()),
    }
}

/// Returns whether the response came from behind the gateway. The gateway's own responses are 404 without a
/// route, 500 without a backend, 503 without a pod, and 504 after a timeout.
fn is_from_behind(answer: &Answer) -> bool {
    answer.header(FROM_BEHIND).is_some() || !matches!(answer.status, 404 | 500 | 502 | 503 | 504)
}
