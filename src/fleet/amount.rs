//! Amounts and durations as `fleet.toml` writes them: `2`, `5%`, `15m`.

use std::time::Duration;

/// The longest soak time: a week.
const DURATION_MAX: Duration = Duration::from_secs(7 * 24 * 3600);

/// A number of environments, or a share of them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Amount {
    /// A number.
    Number(usize),
    /// A share, from 0 to 100.
    Percent(f64),
}

impl Amount {
    /// Parses `2` or `5%`; `None` if it is neither.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        match text.strip_suffix('%') {
            None => text.parse().ok().map(Self::Number),
            Some(share) => {
                let share: f64 = share.trim().parse().ok()?;
                (0.0..=100.0).contains(&share).then_some(Self::Percent(share))
            }
        }
    }

    /// Returns the number of environments out of `all`; a share is rounded down.
    pub fn of(self, all: usize) -> usize {
        match self {
            Self::Number(number) => number.min(all),
            Self::Percent(share) => (all as f64 * share / 100.0) as usize,
        }
    }
}

/// Parses `90s`, `15m`, `2h` or `1d`; `None` for anything else, and for more than a week.
pub fn duration(text: &str) -> Option<Duration> {
    let text = text.trim();
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 24 * 3600,
        _ => return (text == "0").then_some(Duration::ZERO),
    };
    let number: u64 = number.trim().parse().ok()?;
    let duration = Duration::from_secs(number.checked_mul(seconds)?);
    (duration <= DURATION_MAX).then_some(duration)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_is_a_number_or_a_share() {
        assert_eq!(Amount::parse("3").map(|amount| amount.of(40)), Some(3));
        assert_eq!(Amount::parse("2%").map(|amount| amount.of(49)), Some(0));
        assert_eq!(Amount::parse(" 12.5 % ").map(|amount| amount.of(80)), Some(10));
        assert_eq!(Amount::parse("100%").map(|amount| amount.of(7)), Some(7));
        for wrong in ["", "%", "101%", "-1", "-1%", "NaN%", "a few"] {
            assert_eq!(Amount::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_duration_has_a_unit() {
        let seconds = |text: &str| duration(text).map(|duration| duration.as_secs());
        assert_eq!(["90s", "15m", "2h", "1d", "0"].map(seconds), [90, 900, 7200, 86_400, 0].map(Some));
        for wrong in ["", "15", "m", "8d", "1 week", "-5m", "ä", "99999999999999999999h"] {
            assert_eq!(duration(wrong), None, "{wrong}");
        }
    }
}
