//! The lease of a blob ("Lease Blob"): one holder, for 15 to 60 seconds or without end.

use serde::{Deserialize, Serialize};

use super::error::BlobError;
use crate::clock::SimTime;

/// The longest finite lease, and the longest period of a break, in seconds.
pub(super) const SECONDS_MAX: i64 = 60;
/// The shortest finite lease in seconds.
pub(super) const SECONDS_MIN: i64 = 15;

/// The lease of a blob.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Lease {
    /// The id of the last holder; empty if there is nothing to renew.
    id: String,
    /// The duration in seconds; -1 for a lease without end.
    seconds: i64,
    /// The end; `None` for a lease without end.
    expires: Option<SimTime>,
    /// The end of the period of a break.
    broken_at: Option<SimTime>,
}

/// The state of a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LeaseState {
    Available,
    Leased,
    Expired,
    Breaking,
    Broken,
}

impl LeaseState {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Available => "available",
            Self::Leased => "leased",
            Self::Expired => "expired",
            Self::Breaking => "breaking",
            Self::Broken => "broken",
        }
    }

    /// Returns the `x-ms-lease-status`.
    pub(super) const fn status(self) -> &'static str {
        match self {
            Self::Leased | Self::Breaking => "locked",
            Self::Available | Self::Expired | Self::Broken => "unlocked",
        }
    }
}

impl Lease {
    pub(super) fn state(&self, now: SimTime) -> LeaseState {
        match (self.id.is_empty(), self.broken_at, self.expires) {
            (true, ..) => LeaseState::Available,
            (false, Some(at), _) if at > now => LeaseState::Breaking,
            (false, Some(_), _) => LeaseState::Broken,
            (false, None, Some(end)) if end <= now => LeaseState::Expired,
            (false, None, _) => LeaseState::Leased,
        }
    }

    /// Checks the lease id of a write. A write without an id that nothing prevents ends an old lease for good.
    ///
    /// # Errors
    /// 412 without the id of a current lease, and with the id of a lease that is over.
    pub(super) fn check_write(&mut self, given: Option<&str>, now: SimTime) -> Result<(), BlobError> {
        let refused = |code, why: &str| Err(BlobError::new(412, code, why));
        match (self.state(now), given) {
            (LeaseState::Leased | LeaseState::Breaking, None) => refused(
                "LeaseIdMissing",
                "There is currently a lease on the blob and no lease ID was specified in the request.",
            ),
            (LeaseState::Leased | LeaseState::Breaking, Some(id)) if !self.is(id) => refused(
                "LeaseIdMismatchWithBlobOperation",
                "The lease ID specified did not match the lease ID for the blob.",
            ),
            (LeaseState::Leased | LeaseState::Breaking, Some(_)) => Ok(()),
            (LeaseState::Expired, Some(id)) if self.is(id) => {
                refused("LeaseLost", "A lease ID was specified, but the lease for the blob has expired.")
            }
            (_, Some(_)) => {
                refused("LeaseNotPresentWithBlobOperation", "There is currently no lease on the blob.")
            }
            (_, None) => {
                *self = Self::default();
                Ok(())
            }
        }
    }

    fn is(&self, id: &str) -> bool {
        self.id.eq_ignore_ascii_case(id)
    }

    fn start(&mut self, id: &str, seconds: i64, now: SimTime) {
        *self = Self { id: id.to_ascii_lowercase(), seconds, expires: end(seconds, now), broken_at: None };
    }

    pub(super) fn acquire(&mut self, id: &str, seconds: i64, now: SimTime) -> Result<(), BlobError> {
        match self.state(now) {
            LeaseState::Leased if self.is(id) => {}
            LeaseState::Breaking if self.is(id) => {
                return Err(conflict(
                    "LeaseIsBreakingAndCannotBeAcquired",
                    "The lease ID matched, but the lease is currently in breaking state and cannot be acquired until it \
                     is broken.",
                ));
            }
            LeaseState::Leased | LeaseState::Breaking => {
                return Err(conflict("LeaseAlreadyPresent", "There is already a lease present."));
            }
            LeaseState::Available | LeaseState::Expired | LeaseState::Broken => {}
        }
        self.start(id, seconds, now);
        Ok(())
    }

    pub(super) fn renew(&mut self, id: &str, now: SimTime) -> Result<(), BlobError> {
        match self.state(now) {
            LeaseState::Available => return Err(mismatch()),
            _ if !self.is(id) => return Err(mismatch()),
            LeaseState::Breaking | LeaseState::Broken => {
                return Err(conflict(
                    "LeaseIsBrokenAndCannotBeRenewed",
                    "The lease ID matched, but the lease has been broken explicitly and cannot be renewed.",
                ));
            }
            LeaseState::Leased | LeaseState::Expired => {}
        }
        let (id, seconds) = (self.id.clone(), self.seconds);
        self.start(&id, seconds, now);
        Ok(())
    }

    pub(super) fn change(&mut self, id: &str, proposed: &str, now: SimTime) -> Result<(), BlobError> {
        match self.state(now) {
            LeaseState::Leased if self.is(id) || self.is(proposed) => {
                self.id = proposed.to_ascii_lowercase();
                Ok(())
            }
            LeaseState::Leased => Err(mismatch()),
            LeaseState::Breaking => Err(conflict(
                "LeaseIsBreakingAndCannotBeChanged",
                "The lease ID matched, but the lease is currently in breaking state and cannot be changed.",
            )),
            _ => Err(not_present()),
        }
    }

    pub(super) fn release(&mut self, id: &str) -> Result<(), BlobError> {
        if self.id.is_empty() || !self.is(id) {
            return Err(mismatch());
        }
        *self = Self::default();
        Ok(())
    }

    /// Breaks the lease after at most `period` seconds; returns the seconds until it is free.
    pub(super) fn break_after(&mut self, period: Option<i64>, now: SimTime) -> Result<i64, BlobError> {
        let left = |until: Option<SimTime>| {
            until.map(|until| i64::try_from(until.since(now).as_secs()).unwrap_or(SECONDS_MAX))
        };
        let seconds = match self.state(now) {
            LeaseState::Available => return Err(not_present()),
            LeaseState::Expired | LeaseState::Broken => 0,
            LeaseState::Breaking => {
                let left = left(self.broken_at).unwrap_or(0);
                period.map_or(left, |period| period.min(left))
            }
            LeaseState::Leased => match (period, left(self.expires)) {
                (Some(period), Some(left)) => period.min(left),
                (Some(period), None) => period,
                (None, Some(left)) => left,
                (None, None) => 0,
            },
        };
        self.broken_at = Some(now.plus_ms(seconds * 1000));
        Ok(seconds)
    }

    /// Ends the lease at once, as another client's break without a period does; returns whether there was one.
    pub(super) fn force_break(&mut self, now: SimTime) -> bool {
        self.state(now) == LeaseState::Leased && self.break_after(Some(0), now).is_ok()
    }

    /// Lets the lease expire, as a pause of its holder does; returns whether there was one.
    pub(super) fn force_expiry(&mut self, now: SimTime) -> bool {
        let leased = self.state(now) == LeaseState::Leased;
        if leased {
            self.expires = Some(now);
        }
        leased
    }

    /// Gives the lease to another client, after it expired; returns whether there was one.
    pub(super) fn force_takeover(&mut self, other: &str, now: SimTime) -> bool {
        let leased = self.force_expiry(now);
        if leased {
            self.start(other, SECONDS_MAX, now);
        }
        leased
    }

    /// Returns the word for the duration of a lease; `None` if there is none.
    pub(super) fn duration_word(&self, now: SimTime) -> Option<&'static str> {
        let leased = matches!(self.state(now), LeaseState::Leased | LeaseState::Breaking);
        leased.then_some(if self.seconds < 0 { "infinite" } else { "fixed" })
    }
}

fn end(seconds: i64, now: SimTime) -> Option<SimTime> {
    (seconds >= 0).then(|| now.plus_ms(seconds * 1000))
}

fn conflict(code: &'static str, why: &str) -> BlobError {
    BlobError::new(409, code, why)
}

fn mismatch() -> BlobError {
    conflict(
        "LeaseIdMismatchWithLeaseOperation",
        "The lease ID specified did not match the lease ID for the blob.",
    )
}

fn not_present() -> BlobError {
    conflict("LeaseNotPresentWithLeaseOperation", "There is currently no lease on the blob.")
}
