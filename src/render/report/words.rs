//! Words for results, states and times.

use crate::render::text;
use crate::report::{RunState, RunView, StepResult, StepView, fleet::EnvironmentState};
use jiff::Timestamp;
use landfall_engine::{How, UndoOutcome};
use std::time::Duration;

/// Returns a duration of so many milliseconds: `40 ms`, `0.4 s`, `3 min 12 s`.
pub fn duration(ms: u64) -> String {
    match ms {
        0 => "0 s".to_owned(),
        1..100 => format!("{ms} ms"),
        _ => text::duration(Duration::from_millis(ms)),
    }
}

/// Returns a number with separators between thousands: `21,647`.
pub fn number(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Returns a time as date, time of day and zone.
pub fn time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// Returns the cloud's name.
pub fn cloud(name: &str) -> &str {
    match name {
        "sim" => "simulated cloud",
        "azure" => "Azure",
        other => other,
    }
}

/// Returns the class and the text of a run's state.
pub fn state(view: &RunView) -> (&'static str, String) {
    let deleted = view.command == "down";
    match view.state {
        RunState::Running => ("busy", "running".to_owned()),
        RunState::Ready if deleted => ("good", "deleted".to_owned()),
        RunState::Ready => ("good", "ready".to_owned()),
        RunState::Failed => ("bad", "failed".to_owned()),
        RunState::Interrupted => ("busy", "interrupted".to_owned()),
        RunState::NoEnd => ("bad", "did not end".to_owned()),
    }
}

/// Returns the class and the text of an environment's state.
pub fn environment_state(state: EnvironmentState) -> (&'static str, &'static str) {
    match state {
        EnvironmentState::Ready => ("good", "ready"),
        EnvironmentState::Failed => ("bad", "failed"),
        EnvironmentState::Interrupted => ("busy", "interrupted"),
        EnvironmentState::NoEnd => ("bad", "did not end"),
        EnvironmentState::Running => ("busy", "running"),
        EnvironmentState::Waiting => ("none", "waiting"),
    }
}

/// Returns the class and the text of a step's result.
pub fn result(result: &StepResult) -> (&'static str, String) {
    match result {
        StepResult::Done(How::Found) => ("found", "found".to_owned()),
        StepResult::Done(How::Created) => ("good", "created".to_owned()),
        StepResult::Done(How::Changed) => ("changed", "changed".to_owned()),
        StepResult::Failed(_) => ("bad", "failed".to_owned()),
        StepResult::Undone(UndoOutcome::Deleted) => ("good", "deleted".to_owned()),
        StepResult::Undone(UndoOutcome::AlreadyDeleted) => ("found", "already deleted".to_owned()),
        StepResult::Undone(UndoOutcome::DeletedWithParent) => ("good", "deleted with its parent".to_owned()),
        StepResult::Undone(UndoOutcome::InProgress) => ("busy", "deletion in progress".to_owned()),
        StepResult::Undone(UndoOutcome::Kept { why }) => ("found", format!("kept: {why}")),
        StepResult::Running => ("busy", "running".to_owned()),
        StepResult::Cut => ("busy", "no result".to_owned()),
        StepResult::Blocked(by) => ("none", format!("blocked by {}", text::name(by))),
        StepResult::NotReached => ("none", "not reached".to_owned()),
    }
}

/// Returns the resource of a step: its title without its name.
pub fn subject(step: &StepView) -> &str {
    text::subject(&step.title, &text::name(&step.id))
}

/// Returns the counts of results: `12 created, 5 found`.
pub fn counts(view: &RunView) -> String {
    let number =
        |class: &dyn Fn(&StepResult) -> bool| view.steps.iter().filter(|step| class(&step.result)).count();
    let is_deleted =
        |result: &StepResult| matches!(result, StepResult::Undone(undone) if undone.is_deleted());
    let is_kept = |result: &StepResult| matches!(result, StepResult::Undone(UndoOutcome::Kept { .. }));
    let counted = [
        (view.done(How::Created), "created"),
        (view.done(How::Changed), "changed"),
        (view.done(How::Found), "found"),
        (number(&is_deleted), "deleted"),
        (number(&is_kept), "kept"),
        (view.errors().count(), "failed"),
        (number(&|result| matches!(result, StepResult::Running)), "running"),
        (number(&|result| matches!(result, StepResult::Cut)), "without a result"),
        (number(&|result| matches!(result, StepResult::Blocked(_))), "blocked"),
        (number(&|result| matches!(result, StepResult::NotReached)), "not reached"),
    ];
    let counted = counted.iter().filter(|(number, _)| *number > 0);
    counted.map(|(number, word)| format!("{number} {word}")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_durations_are_readable() {
        let numbers = [0, 999, 1_000, 21_647, 1_234_567].map(number);
        assert_eq!(numbers, ["0", "999", "1,000", "21,647", "1,234,567"]);
        assert_eq!([0, 40, 400, 192_000].map(duration), ["0 s", "40 ms", "0.4 s", "3 min 12 s"]);
    }
}
