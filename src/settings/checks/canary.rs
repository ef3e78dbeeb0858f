//! Checks of the traffic split between the two versions.

use crate::settings::config_error::{ConfigError, Sourced};
use landfall_steps::settings::Canary;

/// Checks that the two shares add up to 100.
pub fn split(stable: &Sourced<u32>, canary: &Sourced<u32>) -> Result<Canary, ConfigError> {
    let sum = u64::from(stable.value) + u64::from(canary.value);
    let (Ok(stable_share), Ok(canary_share), 100) =
        (u8::try_from(stable.value), u8::try_from(canary.value), sum)
    else {
        // The error refers to the share that the user set; if both are set, to the first.
        let (blamed, other) = if stable.is_set_by_user() || !canary.is_set_by_user() {
            (stable, canary)
        } else {
            (canary, stable)
        };
        let message = format!("{} and {} add up to {sum}, not 100", blamed.described(), other.described());
        let fix = match blamed.value {
            share @ 0..=100 => format!("set {} = {}", other.key, 100 - share),
            _ => "each is a percentage, and their sum is 100".to_owned(),
        };
        return Err(blamed.wrong(message).hint(fix));
    };
    Ok(Canary { stable: stable_share, canary: canary_share })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::config_error::Place;

    fn tried(stable: (u32, bool), canary: (u32, bool)) -> String {
        let place = |chosen| if chosen { Place::Flag("x") } else { Place::Default };
        let stable = Sourced { value: stable.0, key: "canary.stable", place: place(stable.1) };
        let canary = Sourced { value: canary.0, key: "canary.canary", place: place(canary.1) };
        match split(&stable, &canary) {
            Ok(split) => format!("{}/{}", split.stable, split.canary),
            Err(config_error) => format!("{} ({})", config_error.message, config_error.hint),
        }
    }

    #[test]
    fn the_shares_add_up_to_a_hundred() {
        assert_eq!(tried((0, true), (100, true)), "0/100");
        let messages =
            [tried((80, true), (10, false)), tried((90, false), (20, true)), tried((300, true), (1, true))];
        insta::assert_snapshot!(messages.join("\n"), @"
        canary.stable = 80 and canary.canary = 10 (the default) add up to 90, not 100 (set canary.canary = 20)
        canary.canary = 20 and canary.stable = 90 (the default) add up to 110, not 100 (set canary.stable = 80)
        canary.stable = 300 and canary.canary = 1 add up to 301, not 100 (each is a percentage, and their sum is 100)
        ");
    }
}
