//! Delays of effects, and their end. Faults start them; the services ask whether one applies.
//!
//! A delay is in cloud time, so it scales with the speed. At instant speed durations are zero. There a delay
//! lasts for `REFUSALS_MAX` refused requests, but at most [`Timing::INSTANT_DELAY_MS`], because a client that waits on a stream
//! sends no requests.

use serde::{Deserialize, Serialize};

use crate::clock::{SimTime, Timing};

/// The number of refused requests at instant speed.
const REFUSALS_MAX: u32 = 3;

/// The subject of a delay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DelaySubject {
    /// The role assignment of that name is not effective yet.
    Grant(String),
    /// The vault of that lower-case name does not resolve yet.
    VaultName(String),
    /// The Kubernetes API of the cluster with that resource UID does not respond.
    ApiServer(String),
}

/// One delay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delay {
    /// The subject.
    #[serde(rename = "held")]
    pub subject: DelaySubject,
    /// The latest end.
    pub until: SimTime,
    /// The remaining number of refused requests; unlimited if `None`.
    #[serde(rename = "looks")]
    pub refusals_left: Option<u32>,
}

/// All current delays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Delays {
    #[serde(rename = "lags")]
    delays: Vec<Delay>,
}

impl Delays {
    /// Starts a delay; returns its latest end.
    pub(crate) fn hold(
        &mut self,
        subject: DelaySubject,
        cloud_seconds: f64,
        now: SimTime,
        timing: &Timing,
    ) -> SimTime {
        let until = timing.delayed_until(now, cloud_seconds);
        let refusals_left = timing.is_instant().then_some(REFUSALS_MAX);
        self.delays.retain(|delay| delay.subject != subject);
        self.delays.push(Delay { subject, until, refusals_left });
        until
    }

    /// Returns whether a delay refuses a request now; if so, counts the request.
    pub(crate) fn refuse(&mut self, subject: &DelaySubject, now: SimTime) -> bool {
        let found = self.delays.iter_mut().find(|delay| delay.subject == *subject && delay.until > now);
        let Some(delay) = found else { return false };
        delay.refusals_left = delay.refusals_left.map(|refusals_left| refusals_left.saturating_sub(1));
        let over = delay.refusals_left == Some(0);
        self.delays.retain(|delay| !over || delay.subject != *subject);
        true
    }

    /// Counts a 403 response for all delayed role assignments. Returns the names of those without remaining refusals,
    /// which take effect; `None` if no delay counts.
    pub(crate) fn count_forbidden(&mut self) -> Option<Vec<String>> {
        if self.delays.iter().all(|delay| delay.refusals_left.is_none()) {
            return None;
        }
        let mut names_in_effect = Vec::new();
        self.delays.retain_mut(|delay| {
            let (DelaySubject::Grant(name), Some(refusals_left)) =
                (&delay.subject, delay.refusals_left.as_mut())
            else {
                return true;
            };
            *refusals_left = refusals_left.saturating_sub(1);
            let is_delayed = *refusals_left > 0;
            if !is_delayed {
                names_in_effect.push(name.clone());
            }
            is_delayed
        });
        Some(names_in_effect)
    }

    /// Returns the end of the next delay.
    pub(crate) fn next_due(&self) -> Option<SimTime> {
        self.delays.iter().map(|delay| delay.until).min()
    }

    /// Ends the delays that are due.
    pub(crate) fn advance_to(&mut self, due: SimTime) {
        self.delays.retain(|delay| delay.until > due);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Speed;

    #[test]
    fn a_delay_scales_and_at_instant_speed_is_a_number_of_refusals() {
        let subject = DelaySubject::VaultName("kv".to_owned());
        let mut delays = Delays::default();
        let until = delays.hold(subject.clone(), 120.0, SimTime(0), &Timing::new(Speed::Times(60.0)));
        assert_eq!(until, SimTime(2_000));
        assert!((0..9).all(|_| delays.refuse(&subject, SimTime(1_999))));
        assert!(!delays.refuse(&subject, SimTime(2_000)));

        let until = delays.hold(subject.clone(), 120.0, SimTime(0), &Timing::new(Speed::Instant));
        assert_eq!(until, SimTime(Timing::INSTANT_DELAY_MS));
        let refused = [0, 1, 2, 3].map(|at| delays.refuse(&subject, SimTime(at)));
        assert_eq!(refused, [true, true, true, false]);
    }
}
