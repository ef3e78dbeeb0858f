//! What is wrong with an environment that was to work: the one cause, what shows it, what mends it.
//!
//! It looks at everything at once and changes nothing (`picture`), and then goes along the ways of what was seen,
//! from what others stand on to what stands on them: subscription, cluster, control plane, certificate, gateway, route,
//! the answers from outside, names (`walk`). Each link asks one thing, and passes, names a cause, or cannot tell. The
//! first cause on the way explains what comes after it, so it is the root, and the rest is told beside it. What could
//! not be read is no cause: it is said, and a finding only stands on what was seen.
//!
//! To add a link, write its question where its thing is judged, give its finding a code of its own, and add a case to
//! `tests/against_the_cloud/doctor` and a line to `docs/doctor.md`.

mod certificate;
mod cluster;
mod gateway;
mod ground;
mod inside;
mod mesh;
mod names;
mod object;
mod outside;
mod picture;
mod probe;
mod route;
mod secret;
mod walk;

pub use crate::rotation_links::Finding;

use crate::{clouds::Clouds, settings::Settings};
use jiff::Timestamp;
use landfall_cloud::Ways;
use landfall_engine::Memory;
use std::time::Duration;

/// What is to be looked at, and how long that may take.
pub struct Patient<'a> {
    /// The clients.
    pub clouds: &'a Clouds,
    /// The environment, with the names it was made under.
    pub settings: &'a Settings,
    /// What the journal remembers.
    pub memory: &'a Memory,
    /// How the gateways are reached; none when they are not to be asked.
    pub ways: Option<&'a Ways>,
    /// The bounds.
    pub bounds: Bounds,
    /// The time, to judge validity by.
    pub now: Timestamp,
}

/// How long, in real time, one answer may take before it counts as none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Of the cloud's own interfaces, repetitions included.
    pub cloud: Duration,
    /// Of a gateway.
    pub outside: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { cloud: Duration::from_secs(30), outside: Duration::from_secs(5) }
    }
}

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Diagnosis {
    /// The causes, the root first; none when nothing is wrong.
    pub findings: Vec<Finding>,
    /// What follows from them, as one sees it: conditions, answers.
    pub symptoms: Vec<String>,
    /// What could not be looked at.
    pub unseen: Vec<String>,
    /// What was looked at: how many, and what of.
    pub looked: Vec<(usize, &'static str)>,
    /// Whether the root is merely that something was not made yet.
    pub unmade: bool,
}

impl Diagnosis {
    /// Returns the cause that explains the rest.
    #[must_use]
    pub fn root(&self) -> Option<&Finding> {
        self.findings.first()
    }
}

/// Looks at everything, and says what is wrong. It changes nothing, and ends within three rounds of the bounds.
pub async fn diagnose(patient: &Patient<'_>) -> Diagnosis {
    let picture = picture::Picture::take(patient).await;
    walk::walk(&picture)
}
