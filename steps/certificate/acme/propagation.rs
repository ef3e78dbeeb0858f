//! The wait until the name servers of the zones answer with the TXT values. Resource Manager accepts a record before
//! its name servers know it, and a validation that comes too early fails for good.

use super::{Propagation, plan::Validation, ticket::TxtValue, txt::TxtWriter};
use futures::future::join_all;
use landfall_cloud::acme::{LookupError, NameServers};
use landfall_engine::{Context, Kind, Leftover, Poll, StepError, Wait};
use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};
use tokio::time::Instant;

/// The pause after the last name server has answered: each of them is many machines.
const PAUSE: Duration = Duration::from_secs(10);

/// The number of rounds without an answer after which the network is blamed.
const SILENT_ROUNDS_MAX: u32 = 3;

/// The answers of the name servers in one round.
#[derive(Default)]
struct Round {
    complete: Vec<String>,
    incomplete: Vec<String>,
    elsewhere: Vec<String>,
    silent: Vec<String>,
}

impl Round {
    fn is_published(&self) -> bool {
        !self.complete.is_empty()
            && self.incomplete.is_empty()
            && self.elsewhere.is_empty()
            && self.complete.len() > self.silent.len()
    }

    fn state(&self) -> String {
        let all = self.complete.len() + self.incomplete.len() + self.elsewhere.len() + self.silent.len();
        if !self.elsewhere.is_empty() {
            return format!("{} does not serve the zone", self.elsewhere.join(", "));
        }
        match (self.complete.len(), self.incomplete.len()) {
            (0, 0) => "no name server answers".to_owned(),
            (0, _) => "not published on any name server yet".to_owned(),
            (complete, _) => {
                format!(
                    "published on {complete} of {all} name servers, not on {}",
                    self.incomplete.join(", ")
                )
            }
        }
    }
}

/// Waits until the values are published, as the settings say.
pub(super) async fn wait(
    cx: &Context,
    name_servers: &NameServers,
    propagation: Propagation,
    validations: &[&Validation],
    values: &[TxtValue],
    writer: &TxtWriter<'_>,
) -> Result<(), StepError> {
    let bound = match propagation {
        Propagation::Wait(wait) => return pause(cx, "the TXT records to be published", wait).await,
        Propagation::AskAtMost(bound) => bound,
    };
    let wait = Wait::new("the name servers to publish the TXT records", Duration::from_secs(20), bound);
    let silent_rounds = AtomicU32::new(0);
    let published = cx
        .wait_until(wait, async || {
            let round = ask(name_servers, validations, values).await;
            if round.is_published() {
                return Ok(Poll::Ready(()));
            }
            let is_silent =
                round.complete.is_empty() && round.incomplete.is_empty() && round.elsewhere.is_empty();
            if is_silent && silent_rounds.fetch_add(1, Ordering::Relaxed) + 1 >= SILENT_ROUNDS_MAX {
                return Err(unreachable(&round));
            }
            Ok(Poll::not_yet(round.state()))
        })
        .await;
    match published {
        Ok(()) => pause(cx, "the TXT records to reach all machines of the name servers", PAUSE).await,
        Err(error) if error.kind == Kind::TimedOut => {
            let removed = writer.removed_by_others(values).await;
            Err(match removed.is_empty() {
                true => error.hint(
                    "compare the name servers of the zone with its delegation; raise certificate.acme.propagation if they \
                     only need more time; run again to resume",
                ),
                false => error
                    .cause(format!("another program removed the values from TXT record {}", removed.join(", ")))
                    .hint("stop the program that manages this record, such as ExternalDNS without a registry, and run again"),
            })
        }
        Err(error) => Err(error),
    }
}

async fn ask(name_servers: &NameServers, validations: &[&Validation], values: &[TxtValue]) -> Round {
    // One question for each record and server, although apex and wildcard share the record.
    let mut questions: BTreeMap<(String, String), Vec<&str>> = BTreeMap::new();
    for validation in validations {
        let wanted = values
            .iter()
            .filter(|value| value.zone == validation.zone.id && value.record == validation.record)
            .map(|value| value.value.as_str());
        let wanted: Vec<&str> = wanted.collect();
        for server in &validation.zone.name_servers {
            questions.entry((server.clone(), validation.fqdn())).or_insert_with(|| wanted.clone());
        }
    }
    let asked = questions.into_iter().map(|((server, fqdn), wanted)| async move {
        let answer = name_servers.txt_values(&server, &fqdn).await;
        (server, wanted, answer)
    });
    let mut round = Round::default();
    for (server, wanted, answer) in join_all(asked).await {
        let list = match answer {
            Ok(found) if wanted.iter().all(|value| found.iter().any(|one| one == value)) => {
                &mut round.complete
            }
            Ok(_) => &mut round.incomplete,
            Err(LookupError::NotResponsible) => &mut round.elsewhere,
            Err(LookupError::Unreachable(_)) => &mut round.silent,
        };
        if !list.contains(&server) {
            list.push(server);
        }
    }
    round
}

fn unreachable(round: &Round) -> StepError {
    StepError::new(Kind::Failed, "ask the name servers of the zone")
        .cause(format!("none of them answers on port 53: {}", round.silent.join(", ")))
        .hint("allow DNS queries (UDP and TCP, port 53) out of this network, or set certificate.acme.propagation = \"wait 120s\"")
        .leftover(Leftover::Something)
}

/// Waits for a duration of cloud time.
async fn pause(cx: &Context, what: &'static str, duration: Duration) -> Result<(), StepError> {
    let until = Instant::now() + cx.time_scale().real(duration);
    let wait = Wait::new(what, duration, duration * 2 + Duration::from_secs(60));
    cx.wait_until(wait, async || {
        Ok(match Instant::now() >= until {
            true => Poll::Ready(()),
            false => Poll::not_yet(""),
        })
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_of_a_round_names_the_servers_that_lack_the_value() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let none = Round { incomplete: names(&["ns1", "ns2"]), ..Round::default() };
        assert_eq!(
            (none.state().as_str(), none.is_published()),
            ("not published on any name server yet", false)
        );
        let some = Round { complete: names(&["ns1"]), incomplete: names(&["ns2"]), ..Round::default() };
        assert_eq!(some.state(), "published on 1 of 2 name servers, not on ns2");
        let other = Round { complete: names(&["ns1"]), elsewhere: names(&["ns2"]), ..Round::default() };
        assert!(!other.is_published() && other.state() == "ns2 does not serve the zone");
        let enough =
            Round { complete: names(&["ns1", "ns2", "ns3"]), silent: names(&["ns4"]), ..Round::default() };
        assert!(enough.is_published(), "one silent server of four does not stop the order");
    }
}
