//! The waves of a fleet: which environments run together, and which only after others.

use super::{amount::Amount, file::Fleet};
use std::time::Duration;

/// A wave as `fleet.toml` writes it.
#[derive(Clone, Debug, PartialEq)]
pub struct WaveSpec {
    /// The ring of its environments; `None` for all.
    pub ring: Option<String>,
    /// The time to wait after it.
    pub soak: Duration,
    /// The environments of one wave; `None` for the whole ring.
    pub size: Option<Amount>,
}

/// A wave to run.
#[derive(Clone, Debug, PartialEq)]
pub struct Wave {
    /// Its name, `canary` or `rest 2/4`.
    pub name: String,
    /// The indexes of its environments.
    pub environments: Vec<usize>,
    /// The time to wait after it, in cloud time.
    pub soak: Duration,
}

/// Returns the waves with the selected environments. An environment stays in its wave, whatever else is selected.
pub fn waves(fleet: &Fleet, is_selected: impl Fn(usize) -> bool) -> Vec<Wave> {
    let rings: Vec<&str> = fleet.environments.iter().map(|environment| environment.ring.as_str()).collect();
    of_rings(&fleet.waves, &rings, is_selected)
}

fn of_rings(specs: &[WaveSpec], rings: &[&str], is_selected: impl Fn(usize) -> bool) -> Vec<Wave> {
    let everything = [WaveSpec { ring: None, soak: Duration::ZERO, size: None }];
    let specs = if specs.is_empty() { &everything } else { specs };
    let mut waves = Vec::new();
    for spec in specs {
        let is_in = |at: &usize| spec.ring.as_deref().is_none_or(|ring| ring == rings[*at]);
        let members: Vec<usize> = (0..rings.len()).filter(is_in).collect();
        let size = spec.size.map_or(members.len(), |size| size.of(members.len())).max(1);
        let parts = members.len().div_ceil(size);
        let ring = spec.ring.as_deref().unwrap_or("all");
        for (part, members) in members.chunks(size).enumerate() {
            let name = if parts == 1 { ring.to_owned() } else { format!("{ring} {}/{parts}", part + 1) };
            let environments: Vec<usize> = members.iter().copied().filter(|at| is_selected(*at)).collect();
            if !environments.is_empty() {
                waves.push(Wave { name, environments, soak: spec.soak });
            }
        }
    }
    waves
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(ring: &str, size: Option<Amount>) -> WaveSpec {
        WaveSpec { ring: Some(ring.into()), soak: Duration::from_secs(60), size }
    }

    #[test]
    fn a_ring_is_a_wave_or_several() {
        let rings = ["rest", "canary", "rest", "rest", "rest", "rest"];
        let specs = [spec("canary", None), spec("rest", Some(Amount::Percent(50.0)))];
        let named = |waves: Vec<Wave>| -> Vec<(String, Vec<usize>)> {
            waves.into_iter().map(|wave| (wave.name, wave.environments)).collect()
        };
        let all =
            [("canary", vec![1]), ("rest 1/3", vec![0, 2]), ("rest 2/3", vec![3, 4]), ("rest 3/3", vec![5])];
        assert_eq!(
            named(of_rings(&specs, &rings, |_| true)),
            all.map(|(name, environments)| (name.to_owned(), environments))
        );
        assert_eq!(
            named(of_rings(&specs, &rings, |at| at == 4)),
            [("rest 2/3".to_owned(), vec![4])],
            "a selection moves nothing to another wave"
        );
    }

    #[test]
    fn without_waves_everything_is_one() {
        let waves = of_rings(&[], &["rest", "other"], |_| true);
        assert_eq!(waves, [Wave { name: "all".into(), environments: vec![0, 1], soak: Duration::ZERO }]);
    }
}
