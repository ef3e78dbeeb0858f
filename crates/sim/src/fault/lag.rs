//! Delays from faults, and their end.
//!
//! A delay is in cloud time, so it scales with the speed. At instant speed durations are zero. There a delay
//! lasts for [`LOOKS`] refused requests, but at most [`INSTANT_MS`], because a client that waits on a stream
//! sends no requests.

use serde::{Deserialize, Serialize};

use crate::arm::Route;
use crate::arm::family::Family;
use crate::clock::{Moment, Timing};
use crate::request::Reply;
use crate::world::World;

/// The additional delay of a role assignment in seconds of cloud time (documented: up to 10 min).
pub(crate) const GRANT: f64 = 300.0;
/// The time during which the name of a new vault does not resolve, in seconds of cloud time (observed: about
/// 2 min).
pub(crate) const VAULT_NAME: f64 = 120.0;
/// The outage of the Kubernetes API in seconds of cloud time (observed: a minute).
pub(crate) const API_SERVER: f64 = 60.0;
/// The additional delay of the acceptance of gateway classes in seconds of cloud time (inferred: up to 2 min
/// and more).
pub(crate) const CLASS: f64 = 180.0;
/// The additional delay of a load balancer's address in seconds of cloud time (inferred).
pub(crate) const ADDRESS: f64 = 120.0;

/// The number of refused requests at instant speed.
const LOOKS: u32 = 3;
/// The maximum delay at instant speed in real milliseconds.
const INSTANT_MS: i64 = 1_000;

/// The subject of a delay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Held {
    /// The role assignment of that name is not effective yet.
    Grant(String),
    /// The vault of that lower-case name does not resolve yet.
    VaultName(String),
    /// The Kubernetes API of the cluster with that resource UID does not respond.
    ApiServer(String),
}

/// One delay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lag {
    /// The subject.
    pub held: Held,
    /// The latest end.
    pub until: Moment,
    /// The remaining number of refused requests; unlimited if `None`.
    pub looks: Option<u32>,
}

/// All current delays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Lags {
    lags: Vec<Lag>,
}

impl Lags {
    /// Starts a delay; returns its latest end.
    pub(crate) fn hold(&mut self, held: Held, cloud_seconds: f64, now: Moment, timing: &Timing) -> Moment {
        let until = late(timing, now, cloud_seconds);
        let looks = is_instant(timing).then_some(LOOKS);
        self.lags.retain(|lag| lag.held != held);
        self.lags.push(Lag { held, until, looks });
        until
    }

    /// Returns whether a delay refuses a request now; if so, counts the request.
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

/// Returns the end of a delay that starts now.
pub(crate) fn late(timing: &Timing, now: Moment, cloud_seconds: f64) -> Moment {
    if is_instant(timing) { now.plus_ms(INSTANT_MS) } else { timing.after(now, cloud_seconds) }
}

/// Counts a 403 response for all delayed role assignments. An assignment without remaining refusals takes
/// effect.
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

/// The family of delays, which end on their own.
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
