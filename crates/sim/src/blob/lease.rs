//! The lease of a blob ("Lease Blob"): one holder, for 15 to 60 seconds or without end.

use serde::{Deserialize, Serialize};

use super::error::BlobError;
use super::route::BlobRequest;
use super::{BlobCall, new_etag};
use crate::clock::SimTime;
use crate::request::{Reply, Request};
use crate::state::CloudState;

/// The longest finite lease, and the longest period of a break, in seconds.
const SECONDS_MAX: i64 = 60;
/// The shortest finite lease in seconds.
const SECONDS_MIN: i64 = 15;

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

    fn acquire(&mut self, id: &str, seconds: i64, now: SimTime) -> Result<(), BlobError> {
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

    fn renew(&mut self, id: &str, now: SimTime) -> Result<(), BlobError> {
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

    fn change(&mut self, id: &str, proposed: &str, now: SimTime) -> Result<(), BlobError> {
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

    fn release(&mut self, id: &str) -> Result<(), BlobError> {
        if self.id.is_empty() || !self.is(id) {
            return Err(mismatch());
        }
        *self = Self::default();
        Ok(())
    }

    /// Breaks the lease after at most `period` seconds; returns the seconds until it is free.
    fn break_after(&mut self, period: Option<i64>, now: SimTime) -> Result<i64, BlobError> {
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

/// Answers a lease operation.
pub(super) fn serve(
    state: &mut CloudState,
    call: &BlobCall<'_>,
    parsed: &BlobRequest,
) -> Result<Reply, BlobError> {
    let (request, now) = (call.request, call.now);
    let action = request.header("x-ms-lease-action").unwrap_or_default().to_ascii_lowercase();
    let spare = new_etag(state);
    let blob = state.storage.blob_mut(call.account, parsed.container(), parsed.blob());
    let blob = blob.ok_or_else(BlobError::blob_not_found)?;
    let lease = &mut blob.lease;
    let reply = match action.as_str() {
        "acquire" => {
            let seconds = number(request, "x-ms-lease-duration")?
                .filter(|seconds| *seconds == -1 || (SECONDS_MIN..=SECONDS_MAX).contains(seconds))
                .ok_or_else(|| BlobError::invalid_header("x-ms-lease-duration"))?;
            let proposed = match request.header("x-ms-proposed-lease-id") {
                Some(id) => guid(id, "x-ms-proposed-lease-id")?,
                // The service draws one.
                None => spare_guid(&spare),
            };
            lease.acquire(&proposed, seconds, now)?;
            Reply::empty(201).with_header("x-ms-lease-id", &proposed)
        }
        "renew" => {
            let id = lease_id(request)?;
            lease.renew(&id, now)?;
            Reply::empty(200).with_header("x-ms-lease-id", &id)
        }
        "change" => {
            let id = lease_id(request)?;
            let proposed = request.header("x-ms-proposed-lease-id").unwrap_or_default();
            let proposed = guid(proposed, "x-ms-proposed-lease-id")?;
            lease.change(&id, &proposed, now)?;
            Reply::empty(200).with_header("x-ms-lease-id", &proposed)
        }
        "release" => {
            lease.release(&lease_id(request)?)?;
            Reply::empty(200)
        }
        "break" => {
            let period = number(request, "x-ms-lease-break-period")?;
            if period.is_some_and(|period| !(0..=SECONDS_MAX).contains(&period)) {
                return Err(BlobError::invalid_header("x-ms-lease-break-period"));
            }
            let seconds = lease.break_after(period, now)?;
            Reply::empty(202).with_header("x-ms-lease-time", &seconds.to_string())
        }
        _ => return Err(BlobError::invalid_header("x-ms-lease-action")),
    };
    Ok(reply
        .with_header("etag", &format!("\"{}\"", blob.etag))
        .with_header("last-modified", &blob.modified.http_date()))
}

fn lease_id(request: &Request) -> Result<String, BlobError> {
    guid(request.header("x-ms-lease-id").unwrap_or_default(), "x-ms-lease-id")
}

fn guid(text: &str, header: &str) -> Result<String, BlobError> {
    let parsed = uuid::Uuid::parse_str(text).map_err(|_| BlobError::invalid_header(header))?;
    Ok(parsed.to_string())
}

/// Turns drawn hexadecimal digits into a GUID.
fn spare_guid(etag: &str) -> String {
    let digits: String = etag.trim_start_matches("0x").chars().cycle().take(32).collect();
    uuid::Uuid::parse_str(&digits).map(|id| id.to_string()).unwrap_or_default()
}

fn number(request: &Request, header: &str) -> Result<Option<i64>, BlobError> {
    match request.header(header) {
        Some(text) => text.parse().map(Some).map_err(|_| BlobError::invalid_header(header)),
        None => Ok(None),
    }
}
