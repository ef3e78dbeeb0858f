//! The conditions of a run, drawn from a seed: faults, time scale and crash point.

use crate::transport::Side;
use fastrand::Rng;
use landfall_sim::{
    Speed,
    fault::{Armed, Fault},
};
use std::{collections::HashSet, time::Duration};

/// The maximum pause between two runs, in cloud time; long enough for a token to expire.
const PAUSE_MAX: Duration = Duration::from_secs(2 * 3600);
/// The same for a cloud in which everything is ready at once.
const PAUSE_MAX_INSTANT: Duration = Duration::from_secs(60);

/// Writes that take effect and whose success is unreadable.
pub const UNREADABLE: [Fault; 4] =
    [Fault::AnswerPage, Fault::AnswerHalf, Fault::AnswerForeign, Fault::AnswerMoved];

/// The conditions of a whole storm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Scenario {
    /// True if another party created the resource group before, with a foreign resource in it.
    pub shared_group: bool,
    /// True if there is a zone for the names.
    pub zone: bool,
    /// True if an ACME server issues the certificate; there is a zone then.
    pub acme: bool,
}

/// The conditions of one run.
#[derive(Debug, Clone)]
pub struct Conditions {
    /// The faults that are armed at its start, in addition to those that are still armed.
    pub faults: Vec<Armed>,
    /// The crash point, if there is one.
    pub crash_point: Option<(usize, Side)>,
    /// The number of bytes that are torn off the journal's last entry at the crash.
    pub torn: Option<f64>,
    /// The pause before it.
    pub pause: Duration,
}

impl Scenario {
    pub fn draw(rng: &mut Rng) -> Self {
        Self { shared_group: rng.bool(), zone: rng.f64() < 0.8, acme: false }
    }

    /// Lets an ACME server issue the certificate.
    pub fn with_acme(self) -> Self {
        Self { zone: true, acme: true, ..self }
    }
}

/// Draws the time scale: real time, faster, or instant.
pub fn speed(rng: &mut Rng) -> Speed {
    match rng.u8(0..8) {
        0 => Speed::Times(1.0),
        1 | 2 => Speed::Times(60.0),
        3 => Speed::Times(1_000.0),
        _ => Speed::Instant,
    }
}

impl Conditions {
    /// Draws the conditions of a run of about this number of requests.
    pub fn draw(rng: &mut Rng, scenario: Scenario, speed: Speed, requests: usize) -> Self {
        // Drawn separately, so that the other conditions of a seed never change.
        let mut separate = Rng::with_seed(rng.clone().u64(..));
        let mut faults: Vec<Armed> = (0..rng.usize(0..6)).map(|_| fault(rng, scenario)).collect();
        if separate.f64() < 0.5 {
            faults.push(unreadable(&mut separate));
        }
        if separate.f64() < 0.1 {
            faults.push(Armed::new(Fault::PolicyModifies));
        }
        let crashes = rng.f64() < 0.6;
        let side = if rng.bool() { Side::Before } else { Side::After };
        let crash_point = crashes.then(|| (rng.usize(1..=requests), side));
        let torn = (crashes && rng.f64() < 0.3).then(|| rng.f64());
        let longest = match speed {
            Speed::Instant => PAUSE_MAX_INSTANT,
            Speed::Times(times) => PAUSE_MAX.div_f64(times),
        };
        let pause = if rng.f64() < 0.7 { Duration::ZERO } else { longest.mul_f64(rng.f64()) };
        Self { faults, crash_point, torn, pause }
    }

    /// Returns the conditions without a fault that contradicts another one.
    ///
    /// The deleted vault of a fault has its group's tags without landfall's mark. With the tags of a policy nothing
    /// proves that landfall owned it, and `up` is right to refuse.
    pub fn compatible_with(mut self, earlier: &HashSet<Fault>) -> Self {
        let has = |fault| earlier.contains(&fault);
        if has(Fault::VaultSoftDeleted) {
            self.faults.retain(|armed| armed.fault != Fault::PolicyModifies);
        } else if has(Fault::PolicyModifies) || self.draws(Fault::PolicyModifies) {
            self.faults.retain(|armed| armed.fault != Fault::VaultSoftDeleted);
        }
        self
    }

    fn draws(&self, fault: Fault) -> bool {
        self.faults.iter().any(|armed| armed.fault == fault)
    }

    /// Returns conditions without new faults.
    pub fn without_faults() -> Self {
        Self { faults: Vec::new(), crash_point: None, torn: None, pause: Duration::ZERO }
    }
}

/// Draws a fault from which runs alone recover, in its default place or at any request.
fn fault(rng: &mut Rng, scenario: Scenario) -> Armed {
    // In a foreign group, a deleted vault of the same name is foreign, and a person must decide about it.
    let heals = |fault: &Fault| {
        let separate = UNREADABLE.contains(fault)
            || *fault == Fault::PolicyModifies
            || (fault.concerns_orders() && !scenario.acme)
            || fault.concerns_operator()
            || fault.concerns_blobs();
        fault.heals() && !separate && !(scenario.shared_group && *fault == Fault::VaultSoftDeleted)
    };
    let healing: Vec<Fault> = Fault::ALL.iter().copied().filter(heals).collect();
    let mut armed = Armed::new(healing[rng.usize(0..healing.len())]);
    armed.skip = if rng.bool() { 0 } else { rng.u32(0..12) };
    armed.left = if rng.f64() < 0.8 { 1 } else { rng.u32(2..5) };
    armed
}

/// Draws a write with an unreadable success: one that any service may get.
fn unreadable(rng: &mut Rng) -> Armed {
    const PLACES: [&str; 5] =
        ["PUT management.", "PUT management.", "DELETE management.", "PATCH /kubernetes/", "POST /import"];
    let fault = UNREADABLE[rng.usize(0..UNREADABLE.len())].name();
    let (place, nth) = (PLACES[rng.usize(0..PLACES.len())], rng.u32(1..9));
    Armed::read(&format!("{fault}@{place}#{nth}")).expect("a fault by its name")
}
