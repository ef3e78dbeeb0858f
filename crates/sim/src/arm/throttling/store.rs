//! The request limits and their buckets: the part of the state.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::clock::{SimTime, Timing};

/// The region of Resource Manager that answers, in `x-ms-routing-request-id`, until the admin API names another one.
const REGION: &str = "LANDFALL";

/// The size and the refill of a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// The tokens of a full bucket, at least 1.
    pub size: f64,
    /// The tokens that it gets a second of cloud time, above 0.
    pub per_second: f64,
}

const fn rate(size: f64, per_second: f64) -> Rate {
    Rate { size, per_second }
}

/// The limits. What a document omits is Azure's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RequestLimits {
    /// Reads, for each subscription, principal and region.
    pub reads: Rate,
    /// Writes and actions, for each subscription, principal and region.
    pub writes: Rate,
    /// Deletes, for each subscription, principal and region.
    pub deletes: Rate,
    /// AKS: reads of the status of an operation, for each subscription and region.
    pub operation_status: Rate,
    /// AKS: reads of a cluster, for each cluster.
    pub cluster_reads: Rate,
    /// AKS: PUTs of a cluster, for each cluster.
    pub cluster_writes: Rate,
    /// The region of Resource Manager that answers. Another one has other buckets.
    pub region: String,
}

impl Default for RequestLimits {
    fn default() -> Self {
        Self {
            reads: rate(250.0, 25.0),
            writes: rate(200.0, 10.0),
            deletes: rate(200.0, 10.0),
            operation_status: rate(200.0, 2.0),
            cluster_reads: rate(60.0, 1.0),
            cluster_writes: rate(20.0, 1.0 / 60.0),
            region: REGION.to_owned(),
        }
    }
}

impl RequestLimits {
    /// Returns limits that a few environments already exceed. Those for a single cluster stay.
    pub fn few() -> Self {
        let (reads, writes, deletes) = (rate(50.0, 1.0), rate(40.0, 0.4), rate(40.0, 0.4));
        Self { reads, writes, deletes, operation_status: rate(40.0, 0.4), ..Self::default() }
    }

    fn check(&self) -> Result<(), String> {
        let rates = [
            self.reads,
            self.writes,
            self.deletes,
            self.operation_status,
            self.cluster_reads,
            self.cluster_writes,
        ];
        match rates.iter().all(|rate| rate.size >= 1.0 && rate.per_second > 0.0) {
            true => Ok(()),
            false => Err("a size must be at least 1, and per_second above 0".to_owned()),
        }
    }
}

/// A bucket, and what it has admitted.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Bucket {
    pub(crate) left: f64,
    #[serde(skip)]
    at: SimTime,
    #[serde(skip)]
    refused_until: Option<SimTime>,
    /// The admitted requests.
    admitted: u64,
    /// The refused requests.
    refused: u64,
    /// Those of them that came during the wait of an earlier refusal.
    refused_early: u64,
}

impl Bucket {
    /// Takes a token; returns the wait in seconds of cloud time if there is none, or if a wait is not over.
    fn take(&mut self, rate: Rate, retry_after_min: f64, now: SimTime, timing: &Timing) -> Result<(), f64> {
        let elapsed = now.since(self.at).as_secs_f64();
        let cloud = if timing.is_instant() { f64::INFINITY } else { elapsed * timing.speed.factor() };
        let refilled = if timing.is_instant() { rate.size } else { cloud * rate.per_second };
        (self.left, self.at) = ((self.left + refilled).min(rate.size), now);
        let is_early = self.refused_until.is_some_and(|until| now < until);
        if !is_early && self.left >= 1.0 {
            self.left -= 1.0;
            self.admitted += 1;
            self.refused_until = None;
            return Ok(());
        }
        let wait = ((1.0 - self.left) / rate.per_second).max(retry_after_min);
        self.refused_until = Some(timing.after(now, wait));
        self.refused += 1;
        self.refused_early += u64::from(is_early);
        Err(wait)
    }
}

/// The limits and the buckets. The buckets of a new process are full.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Throttling {
    pub(crate) limits: Option<RequestLimits>,
    #[serde(skip)]
    pub(crate) buckets: BTreeMap<String, Bucket>,
}

impl Throttling {
    /// Sets the limits; returns whether that changes something.
    pub fn set(&mut self, limits: Option<RequestLimits>) -> bool {
        let changes = self.limits != limits;
        if changes {
            (self.limits, self.buckets) = (limits, BTreeMap::new());
        }
        changes
    }

    /// Sets the limits of a document. A change of the region alone keeps the buckets.
    ///
    /// # Errors
    /// A message about what is wrong in it.
    pub fn change(&mut self, desired: Value) -> Result<(), String> {
        let limits: RequestLimits = serde_json::from_value(desired).map_err(|error| error.to_string())?;
        limits.check()?;
        let region = limits.region.clone();
        let same = self.limits.as_ref().is_some_and(|now| RequestLimits { region, ..now.clone() } == limits);
        if same {
            self.limits = Some(limits);
        } else {
            self.set(Some(limits));
        }
        Ok(())
    }

    /// Returns the limits, and each bucket with its counts.
    pub fn view(&self) -> Value {
        json!({ "limits": self.limits, "buckets": self.buckets })
    }

    /// Returns the region of Resource Manager that answers.
    pub fn region(&self) -> &str {
        self.limits.as_ref().map_or(REGION, |limits| &limits.region)
    }

    pub(crate) fn take(
        &mut self,
        key: String,
        rate: Rate,
        retry_after_min: f64,
        now: SimTime,
        timing: &Timing,
    ) -> Result<(), f64> {
        let full = Bucket {
            left: rate.size,
            at: now,
            refused_until: None,
            admitted: 0,
            refused: 0,
            refused_early: 0,
        };
        self.buckets.entry(key).or_insert(full).take(rate, retry_after_min, now, timing)
    }
}
