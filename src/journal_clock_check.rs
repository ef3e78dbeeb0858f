//! The check of this machine's clock against the recorded times of the environment.

use jiff::{SignedDuration, Timestamp};
use landfall_engine::JournalState;

/// The deviation from which the clock counts as set back. Machines that share a folder differ by less.
const DEVIATION_MIN: SignedDuration = SignedDuration::from_mins(5);

/// Returns the warning about a clock that is behind the journal's last entry.
pub fn warning(journal_state: &JournalState, now: Timestamp) -> Option<String> {
    let latest = journal_state.latest_time()?;
    (latest.duration_since(now) > DEVIATION_MIN).then(|| {
        format!(
            "Warning: this machine's clock says {now:.0}, but this environment has an entry of {latest:.0}. Set the \
             clock: sign-in and certificates fail with a wrong one."
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use landfall_engine::{Entry, How};

    #[test]
    fn a_clock_behind_the_last_entry_is_reported_with_both_times() {
        let mut journal_state = JournalState::default();
        let finished =
            Entry::Finished { step: "apps".into(), how: How::Created, output: serde_json::Value::Null };
        journal_state.apply("2026-11-23T09:00:00.500Z", &finished);
        let at = |now: &str| warning(&journal_state, now.parse().unwrap());
        assert_eq!(at("2026-11-23T10:00:00Z"), None);
        assert_eq!(at("2026-11-23T08:56:00Z"), None, "the clocks of two machines differ");
        let text = at("2026-11-22T09:00:00Z").unwrap();
        assert!(text.contains("clock says 2026-11-22T09:00:00Z"), "{text}");
        assert!(text.contains("an entry of 2026-11-23T09:00:00Z"), "{text}");
        assert_eq!(warning(&JournalState::default(), Timestamp::MIN), None);
    }
}
