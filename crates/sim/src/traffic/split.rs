//! Weighted selection of backends. Pure: the caller passes the random number.

use super::spec::Backend;

/// Selects a backend by a number from 0 up to, but not including, the sum of the weights. Returns `None` if
/// no backend has a weight.
pub fn choose(backends: &[Backend], draw: impl FnOnce(u64) -> u64) -> Option<&Backend> {
    let sum: u64 = backends.iter().map(|backend| u64::from(backend.weight)).sum();
    if sum == 0 {
        return None;
    }
    let mut left = draw(sum);
    backends.iter().find(|backend| {
        let weight = u64::from(backend.weight);
        let chosen = left < weight;
        left = left.saturating_sub(weight);
        chosen
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backends(weights: &[u32]) -> Vec<Backend> {
        let of = |(at, weight): (usize, &u32)| Backend {
            name: at.to_string(),
            weight: *weight,
            ..Backend::default()
        };
        weights.iter().enumerate().map(of).collect()
    }

    #[test]
    fn http_route_weight() {
        let three = backends(&[70, 30, 0]);
        let mut counts = [0; 3];
        for drawn in 0..100 {
            let chosen = choose(&three, |sum| {
                assert_eq!(sum, 100);
                drawn
            });
            counts[chosen.unwrap().name.parse::<usize>().unwrap()] += 1;
        }
        assert_eq!(counts, [70, 30, 0]);
    }

    #[test]
    fn without_any_weight_no_backend_is_selected() {
        assert!(choose(&backends(&[0, 0]), |_| 0).is_none());
        assert!(choose(&[], |_| 0).is_none());
    }
}
