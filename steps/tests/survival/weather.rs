//! Weather, drawn from a seed: what goes wrong in a run, how fast the cloud is, and where the process dies.

use crate::carrier::Side;
use fastrand::Rng;
use landfall_sim::{
    Speed,
    fault::{Armed, Fault},
};
use std::time::Duration;

/// The longest an environment is left alone between two runs, in cloud time; long enough for a token to expire.
const PAUSE_MAX: Duration = Duration::from_secs(2 * 3600);
/// The same for a cloud in which everything is ready at once.
const PAUSE_MAX_INSTANT: Duration = Duration::from_secs(60);

/// Writes that take effect and whose success cannot be read.
pub const UNREADABLE: [Fault; 4] =
    [Fault::AnswerPage, Fault::AnswerHalf, Fault::AnswerForeign, Fault::AnswerMoved];

/// What a storm is about from its beginning to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Climate {
    /// Somebody made the resource group before us, with something of theirs in it.
    pub joined: bool,
    /// There is a zone for the names.
    pub zone: bool,
}

/// One run's weather.
#[derive(Debug, Clone)]
pub struct Weather {
    /// What is armed when it begins, beside what earlier weather left.
    pub faults: Vec<Armed>,
    /// Where the process dies, if it does.
    pub death: Option<(usize, Side)>,
    /// How many bytes of an entry are torn off at the end of the journal then.
    pub torn: Option<f64>,
    /// How long nobody does anything before it.
    pub pause: Duration,
}

impl Climate {
    pub fn draw(rng: &mut Rng) -> Self {
        Self { joined: rng.bool(), zone: rng.f64() < 0.8 }
    }
}

/// Draws how fast the cloud is: as in life, faster, or at once.
pub fn speed(rng: &mut Rng) -> Speed {
    match rng.u8(0..8) {
        0 => Speed::Times(1.0),
        1 | 2 => Speed::Times(60.0),
        3 => Speed::Times(1_000.0),
        _ => Speed::Instant,
    }
}

impl Weather {
    /// Draws the weather of a run of about so many requests.
    pub fn draw(rng: &mut Rng, climate: Climate, speed: Speed, requests: usize) -> Self {
        // Drawn apart, so that a seed's weather beside it is what it always was.
        let mut apart = Rng::with_seed(rng.clone().u64(..));
        let mut faults: Vec<Armed> = (0..rng.usize(0..6)).map(|_| fault(rng, climate)).collect();
        if apart.f64() < 0.5 {
            faults.push(unreadable(&mut apart));
        }
        let dies = rng.f64() < 0.6;
        let side = if rng.bool() { Side::Before } else { Side::After };
        let death = dies.then(|| (rng.usize(1..=requests), side));
        let torn = (dies && rng.f64() < 0.3).then(|| rng.f64());
        let longest = match speed {
            Speed::Instant => PAUSE_MAX_INSTANT,
            Speed::Times(times) => PAUSE_MAX.div_f64(times),
        };
        let pause = if rng.f64() < 0.7 { Duration::ZERO } else { longest.mul_f64(rng.f64()) };
        Self { faults, death, torn, pause }
    }

    /// Nothing goes wrong that has not gone wrong yet.
    pub fn fair() -> Self {
        Self { faults: Vec::new(), death: None, torn: None, pause: Duration::ZERO }
    }
}

/// Draws a fault that a run alone gets through in the end, where it bites by itself or at any request.
fn fault(rng: &mut Rng, climate: Climate) -> Armed {
    // In a group of others, a deleted vault of our name is theirs, and a person has to say what becomes of it.
    let heals = |fault: &Fault| {
        let apart = UNREADABLE.contains(fault);
        fault.heals() && !apart && !(climate.joined && *fault == Fault::VaultSoftDeleted)
    };
    let healing: Vec<Fault> = Fault::ALL.iter().copied().filter(heals).collect();
    let mut armed = Armed::new(healing[rng.usize(0..healing.len())]);
    armed.skip = if rng.bool() { 0 } else { rng.u32(0..12) };
    armed.left = if rng.f64() < 0.8 { 1 } else { rng.u32(2..5) };
    armed
}

/// Draws a write whose success cannot be read: one of those to any service.
fn unreadable(rng: &mut Rng) -> Armed {
    const PLACES: [&str; 5] =
        ["PUT management.", "PUT management.", "DELETE management.", "PATCH /kubernetes/", "POST /import"];
    let fault = UNREADABLE[rng.usize(0..UNREADABLE.len())].name();
    let (place, nth) = (PLACES[rng.usize(0..PLACES.len())], rng.u32(1..9));
    Armed::read(&format!("{fault}@{place}#{nth}")).expect("a fault by its name")
}
