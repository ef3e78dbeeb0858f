//! What is late because a fault made it so, and until when.
//!
//! Lateness is cloud time, which bends with the speed. At instant speed durations vanish: there something is late by
//! [`LOOKS`] requests that are refused for it, and by [`INSTANT_MS`] at the most, because who waits on a stream asks nothing.

use serde::{Deserialize, Serialize};

use crate::arm::Route;
use crate::arm::family::Family;
use crate::clock::{Moment, Timing};
use crate::request::Reply;
use crate::world::World;

/// How much later than usual a role assignment counts, in cloud seconds (documented: up to 10 min).
pub(crate) const GRANT: f64 = 300.0;
/// How long the name of a new vault may not resolve, in cloud seconds (observed: about 2 min).
pub(crate) const VAULT_NAME: f64 = 120.0;
/// How long the Kubernetes API is away, in cloud seconds (observed: a minute).
pub(crate) const API_SERVER: f64 = 60.0;
/// How much later than usual the classes of gateways are accepted, in cloud seconds (inferred: up to 2 min and more).
pub(crate) const CLASS: f64 = 180.0;
/// How much later than usual a load balancer has its address, in cloud seconds (inferred).
pub(crate) const ADDRESS: f64 = 120.0;

/// How many requests are refused at instant speed.
const LOOKS: u32 = 3;
/// How long something is late at most at instant speed, in real milliseconds.
const INSTANT_MS: i64 = 1_000;

/// What is late.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Held {
    /// The role assignment of that name, in taking effect.
    Grant(String),
    /// The vault of that lower-case name, in resolving.
    VaultName(String),
    /// The Kubernetes API of the cluster with that resource UID, in answering.
    ApiServer(String),
}

/// One thing that is late.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lag {
    /// What.
    pub held: Held,
    /// Until when at the latest.
    pub until: Moment,
    /// How many requests more are refused for it; no matter how many when `None`.
    pub looks: Option<u32>,
}

/// Everything that is late in a world.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Lags {
    lags: Vec<Lag>,
}

impl Lags {
    /// Lets something be late; returns until when.
    pub(crate) fn hold(&mut self, held: Held, cloud_seconds: f64, now: Moment, timing: &Timing) -> Moment {
        let until = late(timing, now, cloud_seconds);
        let looks = is_instant(timing).then_some(LOOKS);
        self.lags.retain(|lag| lag.held != held);
        self.lags.push(Lag { held, until, looks });
        until
    }

    /// Whether a request is to be refused because that is late; if so, it is counted.
    pub(crate) fn refuse(&mut self, held: &Held, now: Moment) -> bool {
        let found = self.lags.iter_mut().find(|lag| lag.held == *held && lag.until > now);
        let Some(lag) = found else { return false };
        lag.looks = lag.looks.map(|looks| looks.saturating_sub(1));
        let over = lag.looks == Some(0);
        self.lags.retain(|lag| !over || lag.held != *held);
        true
    }
}

fn is_instant(timing: &Timing) -> bool {
    timing.speed.factor().is_infinite()
}

/// Returns when something that is so much late is there.
pub(crate) fn late(timing: &Timing, now: Moment, cloud_seconds: f64) -> Moment {
    if is_instant(timing) { now.plus_ms(INSTANT_MS) } else { timing.after(now, cloud_seconds) }
}

/// Counts an answer that says somebody has no right: the grants that are late come nearer by it.
pub(super) fn count(world: &mut World, reply: &Reply, now: Moment) {
    if reply.status != 403 || world.lags.lags.iter().all(|lag| lag.looks.is_none()) {
        return;
    }
    let mut come = Vec::new();
    world.lags.lags.retain_mut(|lag| {
        let (Held::Grant(name), Some(looks)) = (&lag.held, lag.looks.as_mut()) else { return true };
        *looks = looks.saturating_sub(1);
        let is_late = *looks > 0;
        if !is_late {
            come.push(name.clone());
        }
        is_late
    });
    for name in come {
        if let Some(assignment) = world.roles.assignments.get_mut(&name.to_ascii_lowercase()) {
            assignment.effective = assignment.effective.min(now);
        }
    }
    world.touch();
}

/// What is late ends by itself.
pub(crate) const FAMILY: Family = Family { next_due, settle, ..Family::still("lags", routes) };

fn routes() -> Vec<Route> {
    Vec::new()
}

fn next_due(world: &World) -> Option<Moment> {
    world.lags.lags.iter().map(|lag| lag.until).min()
}

fn settle(world: &mut World, due: Moment, _: &Timing) {
    world.lags.lags.retain(|lag| lag.until > due);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Speed;

    #[test]
    fn lateness_bends_and_at_instant_speed_it_is_a_number_of_refusals() {
        let held = Held::VaultName("kv".to_owned());
        let mut lags = Lags::default();
        let until = lags.hold(held.clone(), 120.0, Moment(0), &Timing::new(Speed::Times(60.0)));
        assert_eq!(until, Moment(2_000));
        assert!((0..9).all(|_| lags.refuse(&held, Moment(1_999))));
        assert!(!lags.refuse(&held, Moment(2_000)));

        let until = lags.hold(held.clone(), 120.0, Moment(0), &Timing::new(Speed::Instant));
        assert_eq!(until, Moment(INSTANT_MS));
        let refused = [0, 1, 2, 3].map(|at| lags.refuse(&held, Moment(at)));
        assert_eq!(refused, [true, true, true, false]);
    }
}
